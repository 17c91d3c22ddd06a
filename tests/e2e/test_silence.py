"""Where nobody speaks nothing is written, by real Whisper on the real server, and the metrics say what saw to it."""

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tools.accuracy.sounds import SOUNDS, sound

from tests.e2e.recordings import wav

SECONDS = 20
SKIPPED = "asr_skipped_audio_seconds_total"


def skipped(client: httpx2.Client) -> float:
    """Seconds for which no text was written, whatever held that nothing is said."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return sum(sample.value for family in families for sample in family.samples if sample.name == SKIPPED)


@pytest.mark.parametrize("normalize", ["false", "true"])
@pytest.mark.parametrize("level", [-10, -40])
@pytest.mark.parametrize("name", SOUNDS)
def test_nothing_is_written_where_nobody_speaks(name: str, level: int, normalize: str, base: httpx2.Client) -> None:
    """Silence, noise, tones and breath, loud and quiet, also where quiet audio is brought up first; every second of
    it is counted as skipped."""
    before = skipped(base)
    files, fields = {"file": wav(sound(name, level, SECONDS, seed=2))}, {"normalize": normalize}
    answer = base.post("/transcribe", files=files, data=fields).json()
    assert (answer["text"], answer["language"]) == ("", None)
    assert skipped(base) - before == pytest.approx(SECONDS)
