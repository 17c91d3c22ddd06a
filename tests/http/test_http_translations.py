"""OpenAI's translation into English: its bodies, and the fields that it does not have."""

from dataclasses import replace

import openai
import pytest
from openai.types.audio import TranslationVerbose

from asr_api.transcription import TranscriptionOptions

from .fakes import AUDIO, HELLO, FakeService, client_of, multipart

TRANSLATIONS = "/v1/audio/translations"
FILE, WHISPER = ("file", AUDIO), ("model", "whisper-1")
ENGLISH = replace(HELLO, task="translate", language="de")
WAV = ("speech.wav", AUDIO)


def sdk(service: FakeService) -> openai.OpenAI:
    """OpenAI's client, talking to the app around `service`."""
    return openai.OpenAI(api_key="none", base_url="http://testserver/v1", http_client=client_of(service), max_retries=0)


def test_json_is_the_text_alone() -> None:
    """The default format has no usage and nothing else."""
    service = FakeService(ENGLISH)
    body, headers = multipart(FILE, WHISPER)
    response = client_of(service).post(TRANSLATIONS, content=body, headers=headers)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert response.json() == {"text": "Hello there. Bye."}
    assert service.count("asr_requests_total", endpoint="translations", outcome="ok") == 1


def test_verbose_json_is_in_english_and_has_no_words() -> None:
    """`language` is what is written, not what was said; there are segments, but neither words nor usage."""
    body, headers = multipart(FILE, WHISPER, ("response_format", "verbose_json"))
    answer = client_of(FakeService(ENGLISH)).post(TRANSLATIONS, content=body, headers=headers).json()
    assert list(answer) == ["task", "language", "duration", "text", "segments"]
    assert (answer["task"], answer["language"], answer["duration"]) == ("translate", "english", 2.5)
    assert [segment["text"] for segment in answer["segments"]] == [" Hello there.", " Bye."]
    assert "words" not in answer["segments"][0]
    assert len(answer["segments"][0]) == 10


@pytest.mark.parametrize(
    ("response_format", "text"),
    [
        ("text", "Hello there. Bye."),
        ("srt", "1\n00:00:00,000 --> 00:00:01,500\nHello there.\n\n2\n00:00:01,500 --> 00:00:02,500\nBye."),
        ("vtt", "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nHello there.\n\n00:00:01.500 --> 00:00:02.500\nBye."),
    ],
)
def test_texts_are_plain(response_format: str, text: str) -> None:
    """Text and subtitles are plain text, as OpenAI's clients take them."""
    body, headers = multipart(FILE, WHISPER, ("response_format", response_format))
    response = client_of(FakeService(ENGLISH)).post(TRANSLATIONS, content=body, headers=headers)
    assert (response.text.rstrip(), response.headers["content-type"]) == (text, "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    ("response_format", "timed"),
    [("json", False), ("text", False), ("verbose_json", True), ("srt", True), ("vtt", True)],
)
def test_the_service_is_asked_to_translate(response_format: str, timed: bool) -> None:
    """The task is translation, of any language, with times only where the format has them."""
    service = FakeService(ENGLISH)
    fields = [("response_format", response_format), ("prompt", "Names"), ("temperature", "0.2")]
    body, headers = multipart(FILE, WHISPER, *fields)
    client_of(service).post(TRANSLATIONS, content=body, headers=headers).raise_for_status()
    wanted = TranscriptionOptions(task="translate", prompt="Names", temperature=0.2, timestamps=timed)
    assert service.heard == [(AUDIO, wanted)]


@pytest.mark.parametrize(
    "part",
    [
        ("language", "de"),
        ("stream", "true"),
        ("timestamp_granularities[]", "word"),
        ("timestamp_granularities", "segment"),
        ("include[]", "logprobs"),
        ("chunking_strategy", "auto"),
        ("keywords[]", "Digium"),
        ("task", "transcribe"),
    ],
)
def test_fields_of_the_transcription_are_unknown(part: tuple[str, str]) -> None:
    """What OpenAI's translation does not take is refused by its name, not ignored."""
    service = FakeService(ENGLISH)
    body, headers = multipart(FILE, WHISPER, part)
    response = client_of(service).post(TRANSLATIONS, content=body, headers=headers)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (400, "unknown_parameter", part[0])
    assert (service.heard, service.places) == ([], 0)
    assert service.count("asr_requests_total", endpoint="translations", outcome="client_error") == 1


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # OpenAI's own translation ends in 2027
def test_openai_client_reads_translations() -> None:
    """OpenAI's client reads each format, and a verbose one holds to its type strictly."""
    translations = sdk(FakeService(ENGLISH)).audio.translations
    assert translations.create(file=WAV, model="whisper-1").text == "Hello there. Bye."
    assert translations.create(file=WAV, model="whisper-1", response_format="text") == "Hello there. Bye."
    verbose = translations.create(file=WAV, model="whisper-1", response_format="verbose_json")
    TranslationVerbose.model_validate(verbose.to_dict(), strict=True)
    with pytest.raises(openai.NotFoundError):
        translations.create(file=WAV, model="whisper-9")
