"""Real recordings through the real server on Whisper `base`."""

from pathlib import Path

import httpx2
import openai
import pytest
from faster_whisper import WhisperModel

from asr_api.models.resolve import resolve_model
from tests.e2e.process import ServerProcess
from tests.e2e.recordings import SPEECH, Recording, word_errors, words

COMPARED = [
    "en-quick-brown-fox.flac",
    "fr-bonjour-monde.flac",
    "ja-konnichiwa-sekai.flac",
    "ru-agent-user.flac",
    "zh-nihao-shijie.flac",
]
COMPARED_AT_LENGTH = [
    "en-agent-alreadyon.flac",
    "en-demo-thanks.flac",
    "en-tt-allbusy.flac",
    "fr-pangrama.flac",
    "hi-pangrama.flac",
    "it-pangrama.flac",
    "pt-pangrama.flac",
    "ru-demo-thanks.flac",
    "ru-followme-options.flac",
]
MUSIC = sorted(name for name, recording in SPEECH.items() if not recording.text)


def transcribe(client: httpx2.Client, recording: Recording, **fields: str) -> dict[str, object]:
    response = client.post("/transcribe", files={"file": recording.path.read_bytes()}, data=fields)
    assert response.status_code == 200, response.text
    return dict(response.json())


@pytest.fixture(scope="module")
def faster_whisper(model_dir: Path, base_server: ServerProcess) -> WhisperModel:
    """The same weights, in the same compute type, in faster-whisper's own hands."""
    model = resolve_model("base", model_dir=model_dir, hub_endpoint="", offline=True)
    return WhisperModel(str(model.path), device="cpu", compute_type="int8", cpu_threads=2)


def test_the_1961_address_word_for_word(base: httpx2.Client) -> None:
    """The sample of openai/whisper comes back as it was said."""
    recording = SPEECH["en-jfk.flac"]
    answer = transcribe(base, recording)
    assert words(str(answer["text"])) == words(recording.text)
    assert (answer["language"], answer["duration"], answer["model"]) == ("en", 11.0, "base")


@pytest.mark.parametrize(
    "name", [*COMPARED, *(pytest.param(name, marks=pytest.mark.long) for name in COMPARED_AT_LENGTH)]
)
def test_words_are_as_good_as_faster_whispers(name: str, base: httpx2.Client, faster_whisper: WhisperModel) -> None:
    """On the same weights, no more word errors than faster-whisper itself makes; and the language is found."""
    recording = SPEECH[name]
    answer = transcribe(base, recording)
    segments, _ = faster_whisper.transcribe(recording.samples())
    theirs = word_errors("".join(segment.text for segment in segments), recording)
    assert word_errors(str(answer["text"]), recording) <= theirs
    assert answer["language"] == recording.language


def test_a_hotword_that_is_said_first_is_written(base: httpx2.Client) -> None:
    """The list is not gone on with: a recording that begins with its last word keeps that word, now spelt right."""
    answer = transcribe(base, SPEECH["ru-dictate-enter_filename.flac"], hotwords="Астериск, Дигиум, введите")
    assert str(answer["text"]).startswith("Введите название")


@pytest.mark.parametrize("name", MUSIC)
def test_music_gives_no_invented_sentence(name: str, base: httpx2.Client) -> None:
    """Where nobody speaks, nothing is written."""
    answer = transcribe(base, SPEECH[name])
    assert (answer["text"], answer["language"]) == ("", None)


def test_a_long_recording_has_segments_all_along(base: httpx2.Client) -> None:
    """73 s of speech over three chunks: segments follow each other, and their texts are the text."""
    recording = SPEECH["en-demo-instruct.flac"]
    answer = transcribe(base, recording, response_format="verbose_json")
    segments = answer["segments"]
    assert isinstance(segments, list)
    assert len(segments) >= 10
    assert "".join(segment["text"] for segment in segments).strip() == answer["text"]
    times = [time for segment in segments for time in (segment["start"], segment["end"])]
    assert times == sorted(times)
    assert 70 < times[-1] <= 73.4
    assert all(segment["end"] - segment["start"] <= 7.01 for segment in segments)
    assert word_errors(str(answer["text"]), recording) <= 0.08 * len(words(recording.text))


def test_the_official_client_reads_a_transcript(base_server: ServerProcess) -> None:
    """`openai` with another base URL: json, text and verbose_json with segments and words."""
    recording = SPEECH["en-jfk.flac"]
    with openai.OpenAI(base_url=f"{base_server.url}/v1", api_key="any") as client:
        plain = client.audio.transcriptions.create(file=recording.path, model="whisper-1")
        text = client.audio.transcriptions.create(file=recording.path, model="whisper-1", response_format="text")
        verbose = client.audio.transcriptions.create(
            file=recording.path,
            model="whisper-1",
            response_format="verbose_json",
            timestamp_granularities=["segment", "word"],
        )
    assert words(plain.text) == words(str(text)) == words(verbose.text) == words(recording.text)
    assert verbose.language == "english"
    assert verbose.segments is not None
    assert verbose.words is not None
    assert len(verbose.words) == 22


def test_a_prompt_teaches_a_name(base: httpx2.Client) -> None:
    """Text before the audio shows how names are written: here as nobody writes "Digium", so that no model knows it."""
    recording = SPEECH["en-demo-nogo.flac"]
    assert "Dijium" not in str(transcribe(base, recording)["text"])
    assert "Dijium" in str(transcribe(base, recording, prompt="Dijium, Asterix")["text"])
