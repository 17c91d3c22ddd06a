"""What the two endpoints answer, in each format."""

import dataclasses
import math

import pytest

from asr_api.transcription import AudioOptions, TokenLogprob, TranscriptionOptions

from .fakes import AUDIO, HELLO, SEGMENTS, FakeService, client_of, multipart

OPENAI, OURS = "/v1/audio/transcriptions", "/transcribe"
WHISPER = ("model", "whisper-1")
FILE = ("file", AUDIO)
SEGMENT_FIELDS = [
    "id",
    "seek",
    "start",
    "end",
    "text",
    "tokens",
    "temperature",
    "avg_logprob",
    "compression_ratio",
    "no_speech_prob",
]


def test_openai_json_has_text_and_usage() -> None:
    """The default format is the text and the seconds billed, rounded up."""
    body, headers = multipart(FILE, WHISPER)
    response = client_of(FakeService()).post(OPENAI, content=body, headers=headers)
    assert response.status_code == 200
    assert response.json() == {"text": "Hello there. Bye.", "usage": {"type": "duration", "seconds": 3}}


@pytest.mark.parametrize("path", [OPENAI, OURS])
def test_text_is_the_transcript_alone(path: str) -> None:
    """`text` is the transcript in plain text, nothing added."""
    body, headers = multipart(FILE, WHISPER, ("response_format", "text"))
    response = client_of(FakeService()).post(path, content=body, headers=headers)
    assert (response.text, response.headers["content-type"]) == ("Hello there. Bye.", "text/plain; charset=utf-8")


def test_openai_verbose_json_is_openai_s() -> None:
    """`verbose_json` has the language's English name, a number as duration and all ten fields of a segment."""
    body, headers = multipart(FILE, WHISPER, ("response_format", "verbose_json"))
    answer = client_of(FakeService()).post(OPENAI, content=body, headers=headers).json()
    assert list(answer) == ["task", "language", "duration", "text", "segments", "usage"]
    assert (answer["task"], answer["language"], answer["duration"]) == ("transcribe", "english", 2.5)
    assert [list(segment) for segment in answer["segments"]] == [SEGMENT_FIELDS] * 2
    assert answer["segments"][1]["tokens"] == [52]


@pytest.mark.parametrize(
    ("granularities", "present"),
    [
        ([], {"segments"}),
        (["segment"], {"segments"}),
        (["word"], {"words"}),
        (["word", "segment"], {"words", "segments"}),
    ],
)
def test_granularities_choose_words_and_segments(granularities: list[str], present: set[str]) -> None:
    """Words and segments are there exactly where the granularities ask for them."""
    parts = [("timestamp_granularities[]", value) for value in granularities]
    body, headers = multipart(FILE, WHISPER, ("response_format", "verbose_json"), *parts)
    answer = client_of(FakeService()).post(OPENAI, content=body, headers=headers).json()
    assert answer.keys() & {"words", "segments"} == present
    if "words" in present:
        assert answer["words"][0] == {"word": "Hello", "start": 0.0, "end": 0.7}


def test_silence_has_a_language_of_no_name() -> None:
    """Where nothing was said, OpenAI's body still has a string as language, and ours null."""
    silence = dataclasses.replace(HELLO, text="", language=None, language_probability=None, segments=())
    body, headers = multipart(FILE, WHISPER, ("response_format", "verbose_json"))
    client = client_of(FakeService(silence))
    assert client.post(OPENAI, content=body, headers=headers).json()["language"] == ""
    assert client.post(OURS, content=body, headers=headers).json()["language"] is None


def test_ours_tells_language_model_and_timing_without_segments() -> None:
    """Our default format has no segments, and needs no model."""
    likely = (("en", 0.98), ("de", 0.01))
    body, headers = multipart(FILE)
    service = FakeService(dataclasses.replace(HELLO, language_probabilities=likely))
    answer = client_of(service).post(OURS, content=body, headers=headers).json()
    timing = answer.pop("timing")
    assert answer == {
        "text": "Hello there. Bye.",
        "language": "en",
        "language_probability": 0.98,
        "language_probabilities": {"en": 0.98, "de": 0.01},
        "duration": 2.5,
        "task": "transcribe",
        "model": "owner/tiny",
    }
    assert timing.keys() == {"upload", "inference"}
    assert timing["inference"] == 0.25


def test_ours_nests_words_in_segments() -> None:
    """Our `verbose_json` has segments, which say their language and whether they were decoded again, and their words
    where asked."""
    again = dataclasses.replace(SEGMENTS[1], fallback=True, language="de")
    client = client_of(FakeService(dataclasses.replace(HELLO, segments=(SEGMENTS[0], again))))
    body, headers = multipart(FILE, ("response_format", "verbose_json"))
    answer = client.post(OURS, content=body, headers=headers).json()
    assert [list(segment) for segment in answer["segments"]] == [[*SEGMENT_FIELDS, "fallback", "language"]] * 2
    assert [segment["fallback"] for segment in answer["segments"]] == [False, True]
    assert answer["segments"][1]["language"] == "de"
    for asked in (("timestamp_granularities", "word"), ("word_timestamps", "true")):
        body, headers = multipart(FILE, ("response_format", "verbose_json"), asked)
        answer = client.post(OURS, content=body, headers=headers).json()
        assert answer["segments"][0]["words"] == [{"word": " Hello", "start": 0.0, "end": 0.7, "probability": 0.9}]
        assert list(answer["segments"][1]) == [*SEGMENT_FIELDS, "fallback", "language", "words"]


SRT = "1\n00:00:00,000 --> 00:00:01,500\nHello there.\n\n2\n00:00:01,500 --> 00:00:02,500\nBye.\n\n"
VTT = "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nHello there.\n\n00:00:01.500 --> 00:00:02.500\nBye.\n\n"


@pytest.mark.parametrize(
    ("path", "response_format", "text", "media_type"),
    [
        (OPENAI, "srt", SRT, "text/plain; charset=utf-8"),
        (OPENAI, "vtt", VTT, "text/plain; charset=utf-8"),
        (OURS, "srt", SRT, "application/x-subrip"),
        (OURS, "vtt", VTT, "text/vtt; charset=utf-8"),
    ],
)
def test_subtitles_are_the_segments(path: str, response_format: str, text: str, media_type: str) -> None:
    """`srt` and `vtt` are files as players read them: plain text to OpenAI's clients, what they are from ours."""
    service = FakeService()
    body, headers = multipart(FILE, WHISPER, ("response_format", response_format))
    response = client_of(service).post(path, content=body, headers=headers)
    assert response.status_code == 200
    assert response.text.rstrip() == text.rstrip()
    assert response.headers["content-type"].startswith(media_type)
    assert service.heard[0][1].timestamps


LOGPROBS = (TokenLogprob(b" Hel", -0.1234567), TokenLogprob(b"\xc3", -2.0), TokenLogprob(b"\xa9", -math.inf))


@pytest.mark.parametrize("asked", [("include[]", "logprobs"), ("include", "logprobs"), ("include", '["logprobs"]')])
def test_logprobs_are_there_where_include_asks(asked: tuple[str, str]) -> None:
    """Each token has its text, its log probability and its bytes, which may be but part of a character."""
    service = FakeService(dataclasses.replace(HELLO, logprobs=LOGPROBS))
    client = client_of(service)
    body, headers = multipart(FILE, WHISPER)
    assert "logprobs" not in client.post(OPENAI, content=body, headers=headers).json()
    body, headers = multipart(FILE, WHISPER, asked)
    answer = client.post(OPENAI, content=body, headers=headers).json()
    assert list(answer) == ["text", "logprobs", "usage"]
    assert answer["logprobs"] == [
        {"token": " Hel", "logprob": -0.123457, "bytes": [32, 72, 101, 108]},
        {"token": "\ufffd", "logprob": -2.0, "bytes": [0xC3]},
        {"token": "\ufffd", "logprob": None, "bytes": [0xA9]},
    ]
    assert [options.logprobs for _, options in service.heard] == [False, True]


def test_logprobs_of_silence_are_none() -> None:
    """Who asks for logprobs gets an array, even if nothing was said."""
    body, headers = multipart(FILE, WHISPER, ("include[]", "logprobs"))
    answer = client_of(FakeService()).post(OPENAI, content=body, headers=headers).json()
    assert answer["logprobs"] == []


def test_numbers_that_json_lacks_are_null() -> None:
    """Scores that are not finite are null, so that every JSON parser reads the answer."""
    broken = dataclasses.replace(SEGMENTS[0], avg_logprob=math.nan, compression_ratio=math.inf)
    service = FakeService(dataclasses.replace(HELLO, segments=(broken,)))
    body, headers = multipart(FILE, WHISPER, ("response_format", "verbose_json"))
    segment = client_of(service).post(OPENAI, content=body, headers=headers).json()["segments"][0]
    assert (segment["avg_logprob"], segment["compression_ratio"]) == (None, None)


def test_our_endpoint_takes_hotwords_and_the_size_of_segments() -> None:
    """What Whisper and subtitles know, by the names they have there."""
    service = FakeService()
    fields = {"hotwords": "Digium", "max_segment_seconds": "4", "max_line_width": "30"}
    client_of(service).post(OURS, files={"file": AUDIO}, data=fields).raise_for_status()
    assert service.heard[0][1] == TranscriptionOptions(hotwords="Digium", max_segment_seconds=4, max_line_width=30)


def test_our_endpoint_takes_what_prepares_the_audio() -> None:
    """Voice activity and clean-up are set by the request."""
    service = FakeService()
    fields = {
        "vad": "false", "threshold": "0.3", "prefix_padding_ms": "100", "silence_duration_ms": "800",
        "denoise": "true", "normalize": "1",
    }  # fmt: skip
    body, headers = multipart(FILE, *fields.items())
    assert client_of(service).post(OURS, content=body, headers=headers).status_code == 200
    assert service.heard[0][1].audio == AudioOptions(
        vad=False, threshold=0.3, prefix_padding_ms=100, silence_duration_ms=800, denoise=True, normalize=True
    )


def test_fields_become_options_wherever_they_stand() -> None:
    """The file may stand before, between or after the fields; the service gets its bytes and the options."""
    fields = [("language", "German"), ("prompt", "Namen"), ("temperature", "0.4"), ("task", "translate")]
    wanted = TranscriptionOptions(task="translate", language="de", prompt="Namen", temperature=0.4)
    for place in range(len(fields) + 1):
        service = FakeService()
        body, headers = multipart(*fields[:place], FILE, *fields[place:])
        client_of(service).post(OURS, content=body, headers=headers).raise_for_status()
        assert service.heard == [(AUDIO, wanted)]


def test_verbose_json_asks_for_timestamps() -> None:
    """Words and segments cost the engine time, so they are asked for only where they are answered."""
    service = FakeService()
    body, headers = multipart(FILE, ("response_format", "verbose_json"))
    client_of(service).post(OURS, content=body, headers=headers)
    assert service.heard[0][1].timestamps


@pytest.mark.parametrize(
    "parts",
    [
        [("timestamp_granularities", "word"), ("timestamp_granularities", "segment")],
        [("timestamp_granularities[]", "word"), ("timestamp_granularities[]", "segment")],
        [("timestamp_granularities", "word"), ("timestamp_granularities[]", "segment")],
        [("timestamp_granularities", '["word", "segment"]')],
        [("timestamp_granularities[]", '["word", "segment"]')],
        [("timestamp_granularities", "word,segment")],
    ],
)
def test_arrays_are_read_in_every_spelling(parts: list[tuple[str, str]]) -> None:
    """Arrays come as repeated keys, with and without brackets, as JSON or with commas."""
    body, headers = multipart(FILE, WHISPER, ("response_format", "verbose_json"), *parts)
    answer = client_of(FakeService()).post(OPENAI, content=body, headers=headers).json()
    assert {"words", "segments"} <= answer.keys()


def test_empty_fields_count_as_absent() -> None:
    """A form that sends its empty inputs gets the defaults."""
    service = FakeService()
    names = ["language", "prompt", "temperature", "response_format", "timestamp_granularities[]", "stream", "task"]
    body, headers = multipart(*((name, "") for name in names), FILE, ("model", ""))
    client_of(service).post(OURS, content=body, headers=headers).raise_for_status()
    assert service.heard == [(AUDIO, TranscriptionOptions())]


@pytest.mark.parametrize("model", ["whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-transcribe"])
def test_openai_s_names_mean_the_served_model(model: str) -> None:
    """Clients that insist on OpenAI's model names work unchanged."""
    body, headers = multipart(("model", model), FILE, ("stream", "false"))
    assert client_of(FakeService()).post(OPENAI, content=body, headers=headers).status_code == 200


def test_file_is_closed_and_place_given_back() -> None:
    """After the answer nothing of the upload is left."""
    service = FakeService()
    body, headers = multipart(FILE)
    client_of(service).post(OURS, content=body, headers=headers)
    assert (service.files[0].closed, service.places) == (True, 0)
    assert service.count("asr_upload_bytes_total") == len(AUDIO)
