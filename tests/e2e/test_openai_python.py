"""OpenAI's Python client, synchronous and not, with another base URL: every format, granularity and stream."""

import itertools
from typing import Any

import openai
import pytest
from openai.types.audio import TranscriptionTextDeltaEvent, TranscriptionTextDoneEvent

from asr_api.http import create_http_app
from tests.e2e.official import TRANSCRIBE, TRANSLATE, Official, asked, spoken
from tests.e2e.process import ServerProcess
from tests.e2e.recordings import APART, CALLSIGN, Recording, joined, wav, words
from tests.http.fakes import INFO, FakeService
from tests.test_client import serving

ENGLISH, GERMAN, CHINESE = CALLSIGN["en-16.flac"], CALLSIGN["de-01.flac"], CALLSIGN["zh-05.flac"]
FORMATS = ["json", "text", "srt", "vtt", "verbose_json"]
GRANULARITIES: list[list[str] | None] = [None, [], ["segment"], ["word"], ["word", "segment"]]

pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # as the client calls translations


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def asynchronous(request: pytest.FixtureRequest) -> bool:
    """Whether it is the asynchronous client."""
    return bool(request.param)


@pytest.fixture
def official(callsign_server: ServerProcess, asynchronous: bool) -> Official:
    """A client of the bundled model."""
    return Official(callsign_server.url, asynchronous)


def check_stream(events: list[Any], recording: Recording) -> None:
    """Deltas, which together are the whole text; then the whole."""
    *deltas, done = events
    assert deltas
    assert all(isinstance(event, TranscriptionTextDeltaEvent) for event in deltas)
    assert isinstance(done, TranscriptionTextDoneEvent)
    assert "".join(event.delta for event in deltas) == done.text
    assert words(done.text) == words(recording.text)
    assert done.usage is not None
    assert done.usage.total_tokens == done.usage.input_tokens + done.usage.output_tokens


def check_verbose(answer: Any, recording: Recording, granularities: list[str]) -> None:
    """Words and segments where they were asked for, each inside the recording."""
    assert (answer.language, answer.duration) == ("english", pytest.approx(2.012, abs=0.01))
    assert (answer.usage.type, answer.usage.seconds) == ("duration", 3)
    assert (answer.words is not None) == ("word" in granularities)
    assert (answer.segments is not None) == ("segment" in granularities or "word" not in granularities)
    if answer.words is not None:
        assert [one.word for one in answer.words] == words(recording.text)
    if answer.segments is not None:
        assert words("".join(one.text for one in answer.segments)) == words(recording.text)
    timed = [*(answer.words or []), *(answer.segments or [])]
    assert all(0 <= one.start < one.end <= answer.duration for one in timed)


def check_format(answer: Any, response_format: str, recording: Recording) -> None:
    """Text that is what it should be, in an object or by itself."""
    text = answer if isinstance(answer, str) else answer.text
    assert isinstance(answer, str) == (response_format in ("text", "srt", "vtt"))
    assert spoken(text) == words(recording.text)
    assert text.startswith({"srt": "1\n00:00:00,", "vtt": "WEBVTT\n\n00:00:00."}.get(response_format, ""))


def refused_field(response_format: str, granularities: list[str], stream: bool) -> str | None:
    """The field at fault, where formats cannot be had with words or as a stream."""
    if "word" in granularities and response_format != "verbose_json":
        return "timestamp_granularities"
    return "stream" if stream and response_format in ("srt", "vtt", "verbose_json") else None


@pytest.mark.parametrize(
    ("response_format", "granularities", "stream"), list(itertools.product(FORMATS, GRANULARITIES, [False, True]))
)
def test_every_format_granularity_and_stream(
    response_format: str, granularities: list[str] | None, stream: bool, official: Official
) -> None:
    """Each of them is what OpenAI's contract says, or a 400 that names the field at fault."""
    fields = asked(
        ENGLISH, response_format=response_format, timestamp_granularities=granularities, stream=stream, language="en"
    )
    fault = refused_field(response_format, granularities or [], stream)
    if fault:
        with pytest.raises(openai.BadRequestError) as caught:
            official.ask(TRANSCRIBE, **fields)
        assert (caught.value.param, caught.value.type) == (fault, "invalid_request_error")
        return
    answer = official.ask(TRANSCRIBE, **fields)
    if stream:
        check_stream(answer, ENGLISH)
        return
    check_format(answer, response_format, ENGLISH)
    if response_format == "verbose_json":
        check_verbose(answer, ENGLISH, granularities or [])


@pytest.mark.parametrize("model", ["callsign", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-transcribe"])
def test_every_model_name_streams(model: str, official: Official) -> None:
    """Also those of models for which OpenAI has no stream."""
    check_stream(official.ask(TRANSCRIBE, **asked(ENGLISH, stream=True) | {"model": model}), ENGLISH)


def test_a_long_recording_streams_in_pieces(official: Official) -> None:
    """A delta for each chunk, and no word lost between them."""
    samples, said = joined(0.4, APART, seed=5)
    *deltas, done = official.ask(TRANSCRIBE, file=wav(samples), model="whisper-1", stream=True)
    assert len(deltas) > 1
    assert words("".join(event.delta for event in deltas)) == words(done.text) == said


@pytest.mark.parametrize("recording", [ENGLISH, CHINESE], ids=["en", "zh"])
@pytest.mark.parametrize("stream", [False, True])
def test_logprobs_are_those_of_the_text(stream: bool, recording: Recording, official: Official) -> None:
    """The bytes of the tokens are the text, also where a character is more than one token; no chance is above 1.

    The client has bytes as floats where it does not stream.
    """
    answer = official.ask(TRANSCRIBE, **asked(recording, stream=stream, include=["logprobs"]))
    whole = answer[-1] if stream else answer
    pieces = [one for event in answer[:-1] for one in event.logprobs] if stream else whole.logprobs
    assert b"".join(bytes(map(int, one.bytes)) for one in pieces).decode().strip() == whole.text
    assert [one.model_dump() for one in pieces] == [one.model_dump() for one in whole.logprobs]
    assert all(one.logprob <= 0 for one in pieces)


@pytest.mark.parametrize("include", [None, []])
def test_no_logprobs_unless_asked(include: list[str] | None, official: Official) -> None:
    """Neither where `include` is left out nor where it is empty."""
    assert official.ask(TRANSCRIBE, **asked(ENGLISH, include=include)).logprobs is None


STRATEGIES: list[object] = [
    "auto",
    {"type": "server_vad"},
    {"type": "server_vad", "threshold": 0.3, "silence_duration_ms": 500, "prefix_padding_ms": 100},
]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=["auto", "defaults", "object"])
@pytest.mark.parametrize("stream", [False, True])
def test_chunking_strategies(strategy: object, stream: bool, official: Official) -> None:
    """As a word or an object, which the client writes as fields `chunking_strategy[...]`."""
    answer = official.ask(TRANSCRIBE, **asked(ENGLISH, chunking_strategy=strategy, stream=stream))
    assert words((answer[-1] if stream else answer).text) == words(ENGLISH.text)


def test_all_other_fields_are_taken(official: Official) -> None:
    """Prompt, temperature, keywords and languages, all at once."""
    fields = asked(
        ENGLISH, prompt="Call signs.", temperature=0.0, keywords=["zulu", "whiskey"], languages=["en"], include=[]
    )
    assert words(official.ask(TRANSCRIBE, **fields).text) == words(ENGLISH.text)


def test_files_in_all_the_ways_the_client_takes(official: Official) -> None:
    """A path, bytes without a name, an open file, and a name with content and type."""
    content = ENGLISH.path.read_bytes()
    with ENGLISH.path.open("rb") as opened:
        for file in (ENGLISH.path, content, opened, ("blob", content), ("a.txt", content, "text/plain")):
            answer = official.ask(TRANSCRIBE, file=file, model="whisper-1")
            assert words(answer.text) == words(ENGLISH.text)


@pytest.mark.parametrize("response_format", FORMATS)
def test_translations_in_all_formats(response_format: str, official: Official) -> None:
    """German digits are English ones, and the language told is that which is written."""
    said = Recording(GERMAN.path, "en", "seven five six two one")
    answer = official.ask(TRANSLATE, **asked(GERMAN, response_format=response_format, prompt="Digits.", temperature=0))
    check_format(answer, response_format, said)
    if response_format == "verbose_json":
        assert (answer.language, len(answer.segments)) == ("english", 1)


def test_models_are_listed_and_found(official: Official) -> None:
    """The served model comes first, then OpenAI's names for it; each is found by its name."""
    models = official.ask("models.list").data
    names = [model.id for model in models]
    assert names[:2] == ["callsign", "whisper-1"]
    assert [official.ask("models.retrieve", model=name).model_dump() for name in names] == [
        model.model_dump() for model in models
    ]


def test_a_model_whose_name_has_a_slash_is_found(asynchronous: bool) -> None:
    """As the client writes it in a URL, which is `%2F`."""
    with serving(create_http_app(FakeService())) as url:
        assert Official(url, asynchronous).ask("models.retrieve", model=INFO.model).id == "owner/tiny"


def test_headers_tell_id_and_times(official: Official) -> None:
    """The id is the client's own, and the client has it as `_request_id`."""
    raw = official.ask(
        "audio.transcriptions.with_raw_response.create", **asked(ENGLISH, extra_headers={"x-request-id": "mine-1"})
    )
    assert raw.headers["x-request-id"] == raw.request_id == "mine-1"
    assert float(raw.headers["openai-processing-ms"]) > 0
    assert float(raw.headers["x-audio-duration-seconds"]) == pytest.approx(2.012, abs=0.01)
    stages = [stage.split(";")[0].strip() for stage in raw.headers["server-timing"].split(",")]
    assert stages == ["upload", "decode", "queue", "inference", "render"]
    plain = official.ask(TRANSCRIBE, **asked(ENGLISH))
    assert plain._request_id
