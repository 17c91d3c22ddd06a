"""What our endpoint's form takes beyond OpenAI's, and what it asks the service for."""

from collections.abc import Sequence

import pytest
from starlette.datastructures import FormData

from asr_api.http.forms import TranscribeForm
from asr_api.transcription import AudioOptions, TranscriptionOptions

from .forms import FILE, MODEL, OTHER, Part, options, ours, refusal


def test_every_option_has_its_whisper_name() -> None:
    """All that the engine can be told is told by the names that faster-whisper has for it."""
    fields = {
        "task": "translate", "language": "fr", "initial_prompt": "Noms", "hotwords": "Digium",
        "beam_size": "1", "patience": "2", "length_penalty": "0.5", "repetition_penalty": "1.2",
        "no_repeat_ngram_size": "3", "suppress_blank": "no", "suppress_tokens": "-1,50", "max_new_tokens": "100",
        "compression_ratio_threshold": "3", "logprob_threshold": "-2", "no_speech_threshold": "0.9",
        "temperature": "0,0.2,0.4", "max_segment_seconds": "4", "max_line_width": "30",
        "vad_filter": "false", "threshold": "0.3", "prefix_padding_ms": "100", "silence_duration_ms": "800",
        "denoise": "true", "normalize": "1",
    }  # fmt: skip
    assert options(ours(*fields.items())) == TranscriptionOptions(
        task="translate", language="fr", prompt="Noms", hotwords="Digium", beam_size=1, patience=2,
        length_penalty=0.5, repetition_penalty=1.2, no_repeat_ngram_size=3, suppress_blank=False,
        suppress_tokens=(-1, 50), max_new_tokens=100, compression_ratio_threshold=3, log_prob_threshold=-2,
        no_speech_threshold=0.9, temperature=0, temperatures=(0, 0.2, 0.4), max_segment_seconds=4, max_line_width=30,
        audio=AudioOptions(vad=False, threshold=0.3, prefix_padding_ms=100, silence_duration_ms=800, denoise=True,
                           normalize=True),
    )  # fmt: skip


@pytest.mark.parametrize("name", ["beam_size", "max_new_tokens", "suppress_tokens", "threshold"])
def test_null_is_the_service_s_setting(name: str) -> None:
    """Where the service or Whisper has a value of its own, null leaves it to them."""
    assert options(ours((name, "null"))) == TranscriptionOptions()


def test_no_token_need_be_suppressed() -> None:
    """An empty array is not Whisper's own set."""
    assert options(ours(("suppress_tokens", "[]"))).suppress_tokens == ()


def test_one_temperature_has_the_usual_ladder() -> None:
    """Only several temperatures are a ladder."""
    assert options(ours(("temperature", "0.4"))) == TranscriptionOptions(temperature=0.4)
    assert options(ours(("temperature[]", "0.4"), ("temperature[]", "1"))).temperatures == (0.4, 1)


def test_several_languages_are_asked_for_without_one() -> None:
    """The language is found anew in each stretch of speech; that it is not wanted goes with any language."""
    assert options(ours(("multilingual", "true"))) == TranscriptionOptions(multilingual=True)
    assert options(ours(("multilingual", "false"), ("language", "fr"))) == TranscriptionOptions(language="fr")


@pytest.mark.parametrize("name", ["file", "file[]", "files", "files[]"])
def test_several_files_are_taken_in_order(name: str) -> None:
    """Ours takes as many as come, under each of the names that clients give them."""
    form = TranscribeForm.read(FormData([(name, FILE[1]), MODEL, (name, OTHER)]))
    assert form.files == (FILE[1], OTHER)
    assert form.file is FILE[1]


@pytest.mark.parametrize(("value", "kind"), [("true", "ndjson"), ("ndjson", "ndjson"), ("sse", "sse"), ("null", None)])
def test_ours_streams_in_two_ways(value: str, kind: str | None) -> None:
    """Lines of JSON or server-sent events; what is streamed has times, and words where asked."""
    form = ours(("stream", value))
    assert (form.stream, options(form).timestamps) == (kind, kind is not None)
    if kind:
        assert ours(("stream", value), ("word_timestamps", "true")).words


REFUSED_BY_OURS: list[tuple[Sequence[Part], str, str, str]] = [
    ([("stream", "maybe")], "invalid_value", "stream", "boolean, 'ndjson' or 'sse'"),
    ([("stream", "sse"), ("response_format", "srt")], "invalid_value", "stream", "json or verbose_json only"),
    ([("word_timestamps", "1")], "invalid_value", "word_timestamps", "verbose_json only"),
    ([("word_timestamps", "1"), ("response_format", "vtt")], "invalid_value", "word_timestamps", "verbose_json only"),
    ([("timestamp_granularities", "word")], "invalid_value", "timestamp_granularities", "verbose_json only"),
    ([("temperature", "0.4,0.2")], "invalid_value", "temperature", "higher than the one before"),
    ([("temperature", "0,0")], "invalid_value", "temperature", "higher than the one before"),
    ([("temperature", ",".join(f"0.{n:02}" for n in range(11)))], "invalid_value", "temperature", "at most 10"),
    ([("beam_size", "0")], "invalid_value", "beam_size", "equal to 1"),
    ([("beam_size", "５")], "invalid_value", "beam_size", "integer"),
    ([("suppress_tokens", "-2")], "invalid_value", "suppress_tokens", "equal to -1"),
    ([("suppress_tokens", "51864")], "invalid_value", "suppress_tokens", "equal to 51863"),
    ([("suppress_tokens", "1,x")], "invalid_value", "suppress_tokens", "integer"),
    ([("suppress_tokens", str([1] * 1_025))], "invalid_value", "suppress_tokens", "at most 1024"),
    ([("max_new_tokens", "225")], "invalid_value", "max_new_tokens", "equal to 224"),
    ([("patience", "NaN")], "invalid_value", "patience", "finite"),
    ([("vad", "true"), ("vad_filter", "true")], "invalid_value", "vad", "more than once"),
    ([("keywords[]", "x")], "unknown_parameter", "keywords[]", "which takes file, model"),
    ([("file", "text")], "invalid_file", "file", "not text"),
    ([("language", "de"), ("multilingual", "true")], "invalid_value", "multilingual", "either language or multi"),
    ([("multilingual", "maybe")], "invalid_value", "multilingual", "boolean"),
    ([("language", "l" * 33)], "invalid_value", "language", "at most 32"),
]  # fmt: skip


@pytest.mark.parametrize(("parts", "code", "param", "says"), REFUSED_BY_OURS)
def test_what_our_form_refuses(parts: Sequence[Part], code: str, param: str, says: str) -> None:
    """The engine is told nothing that it cannot do, and the client which field was at fault."""
    *facts, message = refusal(TranscribeForm, *parts)
    assert facts == [code, param]
    assert says in message
