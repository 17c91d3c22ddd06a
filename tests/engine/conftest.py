"""The bundled model, and clips as features."""

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest

from asr_api.audio.decoding import AudioLimits, decode_audio
from asr_api.audio.features import LogMel
from asr_api.engine.protocol import DecodingOptions, DecodingTask
from asr_api.engine.whisper import WhisperEngine
from asr_api.transcription import SAMPLE_RATE

CALLSIGN = Path(str(files("asr_api.models") / "callsign"))
CLIPS = Path(__file__).parents[1] / "data" / "callsign"

MakeTask = Callable[..., DecodingTask]


@pytest.fixture(scope="session")
def engine() -> WhisperEngine:
    return WhisperEngine(CALLSIGN, name="callsign", device="cpu", compute_type="float32")


@pytest.fixture(scope="session")
def texts() -> dict[str, str]:
    """The words of each clip."""
    manifest = json.loads((CLIPS / "manifest.json").read_text(encoding="utf-8"))
    return {clip["file"]: clip["text"] for clip in manifest}


@pytest.fixture(scope="session")
def task_of() -> MakeTask:
    """A task for a clip by its file name."""
    log_mel = LogMel(128)

    def make(
        name: str,
        *,
        language: str | None = None,
        prompt: tuple[int, ...] = (),
        task: str = "transcribe",
        timestamps: bool = False,
    ) -> DecodingTask:
        with (CLIPS / name).open("rb") as clip:
            samples = decode_audio(clip, AudioLimits(max_seconds=60))
        options = DecodingOptions(beam_size=1, prompt_length=len(prompt))
        seconds = len(samples) / SAMPLE_RATE
        return DecodingTask(log_mel(samples), seconds, language, task, prompt, options, timestamps)  # type: ignore[arg-type]

    return make
