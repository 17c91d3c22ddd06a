"""Many clips through the real server on the bundled model: exact words, at speed."""

import asyncio
import io
from collections.abc import Callable
from typing import Any

import httpx2
import jiwer
import numpy as np
import pytest
from numpy.typing import NDArray

from asr_api.transcription import SAMPLE_RATE, Samples
from tests.e2e.process import Counters, ServerProcess
from tests.e2e.recordings import APART, CALLSIGN, CLOSE, DATA, Recording, joined, wav, words


def exact(text: str) -> str:
    return "".join(words(text))


@pytest.mark.parametrize("name", sorted(CALLSIGN))
def test_exact_words_and_language(name: str, callsign: httpx2.Client) -> None:
    """Six languages, and every file format: the words as they were said, the language detected."""
    recording = CALLSIGN[name]
    answer = callsign.post("/transcribe", files={"file": recording.path.read_bytes()}).json()
    assert (exact(answer["text"]), answer["language"]) == (exact(recording.text), recording.language)


def test_the_clips_cover_six_languages_and_all_formats() -> None:
    """So that the test above says what it seems to say."""
    assert {recording.language for recording in CALLSIGN.values()} == {"en", "de", "es", "fr", "it", "zh"}
    suffixes = {recording.path.suffix for recording in CALLSIGN.values()}
    assert suffixes >= {".wav", ".flac", ".mp3", ".ogg", ".m4a", ".webm"}


async def post_all(url: str, recordings: list[Recording]) -> list[str]:
    async with httpx2.AsyncClient(base_url=url, timeout=300, trust_env=False) as client:

        async def post(recording: Recording) -> str:
            response = await client.post("/transcribe", files={"file": recording.path.read_bytes()})
            return str(response.json()["text"])

        return await asyncio.gather(*map(post, recordings))


def test_32_clips_at_once_share_batches(callsign_server: ServerProcess, callsign: httpx2.Client) -> None:
    """Each gets its own words, and the engine is called with more than four chunks on average."""
    chosen = list(CALLSIGN.values())[:32]
    before = Counters(callsign)
    texts = asyncio.run(post_all(callsign_server.url, chosen))
    after = Counters(callsign)
    assert [exact(text) for text in texts] == [exact(recording.text) for recording in chosen]
    chunks, calls = (after[name] - before[name] for name in ("asr_batch_size_sum", "asr_batch_size_count"))
    assert chunks / calls > 4


def post_long(client: httpx2.Client, samples: Samples) -> dict[str, Any]:
    fields = {"response_format": "verbose_json", "language": "en"}
    response = client.post("/transcribe", files={"file": wav(samples)}, data=fields)
    return dict(response.json())


@pytest.mark.long
def test_ten_minutes_lose_no_word(callsign: httpx2.Client) -> None:
    """Every word of a long file, in order; and its segments run on to the end."""
    samples, said = joined(10, APART, seed=1)
    answer = post_long(callsign, samples)
    assert words(answer["text"]) == said
    assert answer["duration"] == pytest.approx(len(samples) / SAMPLE_RATE)
    assert answer["segments"][-1]["end"] > 590


@pytest.mark.long
def test_ten_crowded_minutes_lose_nothing_at_the_cuts(callsign: httpx2.Client) -> None:
    """Full chunks of 30 s, where the small model mistakes a word now and then: none is lost, none comes twice.

    A lost or repeated chunk would be a run of some 36 words.
    """
    samples, said = joined(10, CLOSE, seed=1)
    text = words(post_long(callsign, samples)["text"])
    found = jiwer.process_words(" ".join(said), " ".join(text))
    assert found.wer < 0.045
    runs = [
        max(edit.ref_end_idx - edit.ref_start_idx, edit.hyp_end_idx - edit.hyp_start_idx)
        for edit in found.alignments[0]
        if edit.type != "equal"
    ]
    assert max(runs, default=0) < 10


def test_a_text_file_is_refused_in_the_envelope(callsign: httpx2.Client) -> None:
    """Nothing but audio is taken for audio, whatever it is called."""
    files = {"file": ("speech.wav", (DATA / "speech" / "LICENCES.md").read_bytes(), "audio/wav")}
    for endpoint in ("/transcribe", "/v1/audio/transcriptions"):
        response = callsign.post(endpoint, files=files, data={"model": "whisper-1"})
        assert response.status_code == 400
        error = response.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", "file", "unsupported_format")


def test_silence_is_an_empty_transcript(callsign: httpx2.Client) -> None:
    """200, no text, no segments."""
    silence = wav(np.zeros(5 * SAMPLE_RATE, np.float32))
    answer = callsign.post(
        "/transcribe", files={"file": io.BytesIO(silence)}, data={"response_format": "verbose_json"}
    ).json()
    assert (answer["text"], answer["segments"], answer["duration"]) == ("", [], 5.0)


Noise = Callable[[NDArray[np.float64], np.random.Generator], NDArray[np.float64]]
NOISES: dict[str, Noise] = {
    "white noise": lambda t, chance: 0.1 * chance.standard_normal(len(t)),
    "hum": lambda t, _: 0.3 * np.sin(2 * np.pi * 50 * t) + 0.1 * np.sin(2 * np.pi * 150 * t),
    "dial tone": lambda t, _: 0.3 * np.sin(2 * np.pi * 425 * t),
    "clicks": lambda t, chance: np.where(chance.random(len(t)) > 0.9999, 0.8, 0.0),
}


@pytest.mark.parametrize("name", NOISES)
def test_noise_is_an_empty_transcript(name: str, callsign: httpx2.Client) -> None:
    """Nothing said, nothing written."""
    seconds = np.arange(8 * SAMPLE_RATE) / SAMPLE_RATE
    samples = NOISES[name](seconds, np.random.default_rng(1)).clip(-1, 1).astype(np.float32)
    answer = callsign.post("/transcribe", files={"file": wav(samples)}).json()
    assert (answer["text"], answer["language"]) == ("", None)


def test_metrics_and_probes(callsign_server: ServerProcess, callsign: httpx2.Client) -> None:
    """What operators ask: alive, ready, which model, how many requests and how long each stage took."""
    recording = CALLSIGN["en-01.flac"]
    before = Counters(callsign)
    callsign.post("/transcribe", files={"file": recording.path.read_bytes()})
    after = Counters(callsign)
    name = 'asr_requests_total{endpoint="transcribe",outcome="ok"}'
    assert after[name] - before[name] == 1
    for stage in ("upload", "decode", "queue", "inference", "render"):
        name = f'asr_request_stage_duration_seconds_count{{stage="{stage}"}}'
        assert after[name] - before[name] == 1
    assert after['asr_audio_seconds_total{outcome="ok"}'] > before['asr_audio_seconds_total{outcome="ok"}']
    assert (after["asr_ready"], after["asr_queue_chunks"], after["asr_requests_running"]) == (1, 0, 0)
    assert callsign.get("/livez").status_code == callsign.get("/readyz").status_code == 200
    assert next(model["id"] for model in callsign.get("/v1/models").json()["data"]) == "callsign"
    assert callsign.get("/docs").status_code == 200
