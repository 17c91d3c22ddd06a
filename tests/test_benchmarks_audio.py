"""What the benchmark of the audio front end is made of."""

import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks.harness.audio_files import FORMATS, Format, Sound, encode, looped, speech
from benchmarks.harness.audio_pool import Memory, feed, first_chunk, growth, working
from benchmarks.harness.audio_stages import (
    Heard,
    Ours,
    Stages,
    Theirs,
    Turn,
    compare,
    feature_difference,
    largest_shift,
    take_turns,
)
from benchmarks.harness.audio_tables import kinder, mel_rows, stage_rows
from benchmarks.harness.clips import clips_for, draw, read_clips

from asr_api.audio.decoding import AudioLimits, decode_audio
from asr_api.audio.speech import SpeechSpan
from asr_api.transcription import SAMPLE_RATE, AudioChunk, Samples

SECONDS = 12.0

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")


@pytest.fixture(scope="module")
def talk() -> Samples:
    return speech(draw(read_clips(clips_for("base")[0]), 8, seed=2), SECONDS, seed=1)


@pytest.fixture(scope="module")
def sound(talk: Samples, tmp_path_factory: pytest.TempPathFactory) -> Sound:
    return encode(talk, FORMATS[0], tmp_path_factory.mktemp("sound") / "wav")


@pytest.fixture(scope="module")
def sides() -> tuple[Ours, Theirs]:
    return Ours(80), Theirs(80)


def length(sound: Sound) -> float:
    with sound.path.open("rb") as file:
        return len(decode_audio(file, AudioLimits(60))) / SAMPLE_RATE


def test_speech_is_as_long_as_was_asked(talk: Samples) -> None:
    """Whole clips, as many as fit; the seed alone decides which."""
    clips = draw(read_clips(clips_for("base")[0]), 8, seed=2)
    assert 0.5 * SECONDS < len(talk) / SAMPLE_RATE <= SECONDS
    np.testing.assert_array_equal(talk, speech(clips, SECONDS, seed=1))


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_files_are_as_long_as_they_say(talk: Samples, form: Format, tmp_path: Path) -> None:
    """In each format, also where the packets of a short file make a long one, or only some of them a shorter."""
    short = encode(talk, form, tmp_path / "short")
    assert length(short) == pytest.approx(short.seconds, abs=0.1)
    assert length(looped(short, 40, tmp_path / "long")) == pytest.approx(40, abs=0.2)
    assert length(looped(short, 4, tmp_path / "part")) == pytest.approx(4, abs=0.2)


def test_both_sides_hear_the_same(sound: Sound, sides: tuple[Ours, Theirs]) -> None:
    """Each step takes some time on either side, and what comes out is compared: on a WAV it is equal."""
    (turn,) = take_turns([sound], *sides, rounds=1)
    for heard in (turn.ours, turn.theirs):
        assert min(heard.stages.decode, heard.stages.speech, heard.stages.mel) > 0
        assert heard.chunks >= 1
        assert 0 < heard.seconds <= SECONDS
    likeness = compare(sound, *sides)
    assert likeness.equal
    assert likeness.spans > 1


def test_unlike_features_are_seen(talk: Samples, sides: tuple[Ours, Theirs]) -> None:
    """The features of a model with other filters are not within the tolerance."""
    ours, theirs = sides
    theirs_of_others = Theirs(80)
    theirs_of_others.extractor.mel_filters = 2 * theirs.extractor.mel_filters
    chunk = AudioChunk(talk, 0, 1.0)
    assert feature_difference(chunk, ours, theirs) < 1e-3 < feature_difference(chunk, ours, theirs_of_others)


def test_largest_shift_is_to_the_nearest_edge() -> None:
    """Also where one side has a span more; without any on one side, nothing is near."""
    spans = [SpeechSpan(0, 100), SpeechSpan(200, 300)]
    assert largest_shift(spans, spans) == 0
    assert largest_shift(spans, [SpeechSpan(0, 100), SpeechSpan(207, 300)]) == 7
    assert largest_shift(spans, [*spans, SpeechSpan(400, 450)]) == 150
    assert largest_shift([], []) == 0
    assert largest_shift(spans, []) == float("inf")


def test_rows_are_medians_for_an_hour_beside_their_kinder_way() -> None:
    """A minute of audio counts sixtyfold; where features of the whole file cost less than of chunks, those count."""
    sound = Sound(FORMATS[0], Path("wav"), 60)
    turns = [
        Turn(sound, Heard(Stages(decode, 0.2, 0.1), 1, 30), Heard(Stages(0.4, 0.5, 0.3, whole_mel=0.1), 1, 60))
        for decode in (0.1, 0.2, 0.9)
    ]
    decode, *_, mel, total = stage_rows(turns)
    assert decode == ["wav: decode", "12.00", "6.00 to 54.00", "24.00", "24.00 to 24.00", "0.50", ""]
    assert mel[3:] == ["6.00", "6.00 to 6.00", "1.00", ""]
    assert total[-2:] == ["0.50", "yes"]
    assert mel_rows(turns) == [["wav, 1 min", "6.00", "18.00", "6.00", "0.50", "1.00"]]
    assert kinder(Stages(1, 1, 1, whole_mel=None)).mel == 1


@linux
@pytest.mark.anyio
async def test_workers_are_watched_from_outside(sound: Sound) -> None:
    """Their time and memory are found, and a recording is heard as often as was asked."""
    async with working(workers=1, n_mels=80) as desk:
        fed = await feed(desk, sound, files=2)
        assert fed.audio_seconds == pytest.approx(2 * sound.seconds)
        assert fed.hours_a_minute > 0
        assert await first_chunk(desk, sound) > 0
        grown = await growth(desk, sound)
        assert (grown.chunks, grown.spooled) == (1, 0)
        (pid,) = desk.pids
        assert 0 < grown.worker_idle <= Memory.of(pid).peak
