"""Recordings in which the language changes, through the real server on the bundled model."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from asr_api.transcription import SAMPLE_RATE, Samples
from tests.e2e.process import ServerProcess, asr_api, environment
from tests.e2e.recordings import CALLSIGN, wav, words

NAMES = ("de-01.flac", "en-01.flac", "zh-01.flac", "fr-01.flac")
LANGUAGES = [name[:2] for name in NAMES]
PAUSE = 1.5
"""Seconds: shorter than any pause at which chunks end where there is one language."""


def changing(names: Sequence[str]) -> Samples:
    """One after the other, with pauses."""
    silence = np.zeros(round(PAUSE * SAMPLE_RATE), np.float32)
    return np.concatenate([part for name in names for part in (CALLSIGN[name].samples(), silence)])


def ask(client: httpx2.Client, **fields: str) -> dict[str, Any]:
    fields = {"response_format": "verbose_json"} | fields
    response = client.post("/transcribe", files={"file": wav(changing(NAMES))}, data=fields)
    return dict(response.raise_for_status().json())


def exact(text: str) -> str:
    return "".join(words(text))


def said(names: Sequence[str] = NAMES) -> str:
    return "".join(exact(CALLSIGN[name].text) for name in names)


def test_every_stretch_of_speech_is_in_its_own_language(callsign: httpx2.Client) -> None:
    """Four languages in one file, with pauses of 1.5 s: the words of each, and segments that say which it is."""
    answer = ask(callsign, multilingual="true")
    assert exact(answer["text"]) == said()
    assert list(dict.fromkeys(segment["language"] for segment in answer["segments"])) == LANGUAGES
    assert answer["language"] in LANGUAGES
    assert set(answer["language_probabilities"]) >= set(LANGUAGES)


def test_without_it_all_is_in_one_language(callsign: httpx2.Client) -> None:
    """So that the test above says what it seems to say."""
    answer = ask(callsign)
    assert {segment["language"] for segment in answer["segments"]} == {answer["language"]}
    assert exact(answer["text"]) != said()


def test_streamed_segments_say_their_language(callsign: httpx2.Client) -> None:
    """As they come, each with that of its own stretch of speech."""
    fields = {"stream": "ndjson", "multilingual": "true"}
    response = callsign.post("/transcribe", files={"file": wav(changing(NAMES))}, data=fields)
    events = [json.loads(line) for line in response.text.splitlines()]
    told = [event["segment"]["language"] for event in events if event["type"] == "segment"]
    assert list(dict.fromkeys(told)) == LANGUAGES


def test_a_language_and_several_are_refused_together(callsign: httpx2.Client) -> None:
    """The refusal names the field."""
    fields = {"language": "de", "multilingual": "true"}
    response = callsign.post("/transcribe", files={"file": wav(changing(NAMES))}, data=fields)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "multilingual"


@pytest.mark.parametrize("there", [False, True], ids=["in process", "by a server"])
def test_the_command_hears_several_languages(
    there: bool, callsign_server: ServerProcess, model_dir: Path, tmp_path: Path
) -> None:
    """`--multilingual` means the same in process and by a server; with a language it is refused."""
    path = tmp_path / "changing.wav"
    path.write_bytes(wav(changing(NAMES[:2])))
    where = ["--server", callsign_server.url] if there else ["--model", "callsign"]
    ended = asr_api("transcribe", str(path), "--multilingual", *where, environ=environment(model_dir))
    assert exact(ended.stdout) == said(NAMES[:2])
    refused = asr_api("transcribe", str(path), "--multilingual", "--language", "de", environ=environment(model_dir))
    assert refused.returncode == 2
    assert "either --language or --multilingual" in refused.stderr
