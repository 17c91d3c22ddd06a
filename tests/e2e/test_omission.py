"""Speech that `base` leaves out of a real recording, over HTTP."""

import random
from pathlib import Path

import httpx2
import numpy as np
import pytest
from benchmarks.harness.clips import DATA, read_clips
from tools.accuracy.laying import lay, with_background
from tools.accuracy.signals import read, write_flac

from asr_api.transcription import SAMPLE_RATE
from tests.e2e.recordings import words

LEFT_OUT = "what your country can do for you", "what you can do for your country"
"""Of this, said in the first seven seconds with music behind it, `base` writes nothing: it begins with what follows."""


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prompts one after the other, music behind them at -20 dB, and of that 27 s."""
    speech = DATA / "speech"
    clips = [clip for clip in read_clips(speech / "manifest.json") if clip.language == "en" and clip.seconds < 15]
    random.Random(1).shuffle(clips)
    samples, _ = lay(clips, 240, (0.3, 2.0), 1)
    music = np.concatenate([read(path) for path in sorted(speech.glob("music-*"))])
    part = with_background(samples, music, 20)[round(148.18 * SAMPLE_RATE) : round(175.59 * SAMPLE_RATE)]
    return write_flac(tmp_path_factory.mktemp("omission") / "prompts.flac", part)


def test_what_the_model_leaves_out_is_written(base: httpx2.Client, recording: Path) -> None:
    """It stands at its place, before what follows it."""
    answer = base.post("/transcribe", files={"file": recording.read_bytes()})
    assert answer.status_code == 200, answer.text
    heard = " ".join(words(str(answer.json()["text"])))
    first, second, then = (heard.find(phrase) for phrase in (*LEFT_OUT, "password"))
    assert -1 < first < second < then


def test_its_words_have_their_times(base: httpx2.Client, recording: Path) -> None:
    """Words of a part that was heard again stand where they are said, in the recording's time."""
    fields = {"response_format": "verbose_json", "timestamp_granularities": "word"}
    answer = base.post("/transcribe", files={"file": recording.read_bytes()}, data=fields).json()
    spoken = [word for segment in answer["segments"] for word in segment["words"]]
    starts = [word["start"] for word in spoken]
    assert starts == sorted(starts)
    first, second = (word for word in spoken if words(word["word"]) == ["country"])
    assert 1.7 < first["start"] < 4.1 < second["start"] < 7
