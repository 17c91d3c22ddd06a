"""What the forms of the three endpoints take, in every spelling, and what they ask the service for."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import FormData

from asr_api.errors import InvalidRequest
from asr_api.http.forms import (
    OpenAIForm,
    OpenAITranscriptionForm,
    OpenAITranslationForm,
    TranscribeForm,
    TranscriptionForm,
)
from asr_api.transcription import AudioOptions, TranscriptionOptions

from .forms import FILE, FORMS, LANGUAGES, MODEL, OTHER, VERBOSE, Part, openai, options, ours, refusal


@pytest.mark.parametrize("form_type", [OpenAITranscriptionForm, TranscribeForm])
def test_a_form_of_no_wishes_has_the_defaults(form_type: type[TranscriptionForm]) -> None:
    """A file and a model ask for what the service does by default, which is said in one place."""
    assert options(form_type.read(FormData([FILE, MODEL]))) == TranscriptionOptions()


def test_openai_s_fields_become_options() -> None:
    """Each field of OpenAI's contract has its effect."""
    form = openai(
        ("language", "German"), ("prompt", "Namen"), ("temperature", "0.4"), ("keywords[]", "Digium"),
        ("keywords[]", " Asterisk, Inc."), ("include[]", "logprobs"), ("stream", "true"),
        ("timestamp_granularities[]", "segment"),
    )  # fmt: skip
    assert form.stream
    assert options(form) == TranscriptionOptions(
        language="de", prompt="Namen", temperature=0.4, hotwords="Digium, Asterisk, Inc.", logprobs=True
    )


def test_fields_may_stand_before_and_after_the_file() -> None:
    """The order of the parts is the client's."""
    parts = [MODEL, VERBOSE, ("language", "en")]
    for place in range(len(parts) + 1):
        form = OpenAIForm.read(FormData([*parts[:place], FILE, *parts[place:]]))
        assert options(form) == TranscriptionOptions(language="en", timestamps=True)


@pytest.mark.parametrize(
    "parts",
    [
        [("timestamp_granularities", "word"), ("timestamp_granularities", "segment")],
        [("timestamp_granularities[]", "word"), ("timestamp_granularities[]", "segment")],
        [("timestamp_granularities", "word"), ("timestamp_granularities[]", "segment")],
        [("timestamp_granularities", '["word", "segment"]')],
        [("timestamp_granularities[]", '["word", "segment"]')],
        [("timestamp_granularities", "word,segment")],
        [("timestamp_granularities[]", "word , segment"), ("timestamp_granularities", "")],
    ],
)
def test_arrays_are_read_in_every_spelling(parts: list[Part]) -> None:
    """Brackets or none, repeated, mixed, JSON or commas: it is one array."""
    assert openai(VERBOSE, *parts).timestamp_granularities == ("word", "segment")


STRATEGIES: list[tuple[Sequence[Part], AudioOptions]] = [
    ([], AudioOptions()),
    ([("chunking_strategy", "")], AudioOptions()),
    ([("chunking_strategy", "null")], AudioOptions()),
    ([("chunking_strategy", "auto")], AudioOptions(normalize=True)),
    (
        [("chunking_strategy[type]", "server_vad")],
        AudioOptions(threshold=0.5, prefix_padding_ms=300, silence_duration_ms=200),
    ),
    (
        [
            ("chunking_strategy[threshold]", "0.25"),
            ("chunking_strategy[type]", "server_vad"),
            ("chunking_strategy[silence_duration_ms]", "500"),
            ("chunking_strategy[prefix_padding_ms]", "0"),
        ],
        AudioOptions(threshold=0.25, prefix_padding_ms=0, silence_duration_ms=500),
    ),
    (
        [("chunking_strategy", json.dumps({"type": "server_vad", "threshold": 0.25}))],
        AudioOptions(threshold=0.25, prefix_padding_ms=300, silence_duration_ms=200),
    ),
]


@pytest.mark.parametrize(("parts", "wanted"), STRATEGIES)
def test_chunking_strategy_prepares_the_audio(parts: Sequence[Part], wanted: AudioOptions) -> None:
    """`auto` levels the loudness, an object sets the detector with OpenAI's defaults, in both spellings."""
    assert options(openai(*parts)).audio == wanted


@pytest.mark.parametrize("name", ["stream", "chunking_strategy", "include[]", "include"])
@pytest.mark.parametrize("value", ["", "null"])
def test_null_counts_as_absent(name: str, value: str) -> None:
    """Where OpenAI takes null, its text does not matter."""
    assert options(openai((name, value))) == TranscriptionOptions()


@pytest.mark.parametrize("value", ["true", "True", "1", "yes", "on"])
def test_booleans_have_many_words(value: str) -> None:
    """What clients and shells write for yes is yes."""
    assert openai(("stream", value)).stream
    assert ours(("denoise", value)).denoise
    assert ours(("stream", value)).stream == "ndjson"


@pytest.mark.parametrize("value", ["false", "FALSE", "0", "no", "off", ""])
def test_booleans_have_many_words_for_no(value: str) -> None:
    """What clients and shells write for no is no."""
    assert not openai(("stream", value)).stream
    assert ours(("vad", value or "no")).vad is False
    assert ours(("stream", value)).stream is None


@pytest.mark.parametrize(
    ("granularities", "words", "segments"),
    [([], False, True), (["segment"], False, True), (["word"], True, False), (["word", "segment"], True, True),
     (["[]"], False, True)],
)  # fmt: skip
def test_granularities_choose_words_and_segments(granularities: list[str], words: bool, segments: bool) -> None:
    """Words only where they are asked for, segments unless words alone are."""
    form = openai(VERBOSE, *(("timestamp_granularities[]", value) for value in granularities))
    assert (form.words, form.segments) == (words, segments)


@pytest.mark.parametrize(
    ("response_format", "timed"),
    [("json", False), ("text", False), ("srt", True), ("vtt", True), ("verbose_json", True)],
)
def test_times_are_asked_for_where_the_format_has_them(response_format: str, timed: bool) -> None:
    """Times cost the engine work, so no other format asks for them."""
    for form_type in FORMS:
        form = form_type.read(FormData([FILE, MODEL, ("response_format", response_format)]))
        assert options(form).timestamps is timed


def test_one_of_languages_is_the_language() -> None:
    """Clients that name one possible language get what `language` gives."""
    assert options(openai(("languages[]", "fr"))).language == "fr"


REFUSED: list[tuple[Sequence[Part], str, str, str]] = [
    ([("response_format", "diarized_json")], "invalid_value", "response_format", "diarization is not served"),
    ([("response_format", "xml")], "invalid_value", "response_format", "'json', 'text', 'srt'"),
    ([("known_speaker_names[]", "a"), ("known_speaker_names[]", "b")], "unsupported_parameter",
     "known_speaker_names", "speakers are not told apart"),
    ([("known_speaker_references", "data:audio/wav;base64,AA==")], "unsupported_parameter",
     "known_speaker_references", "speakers are not told apart"),
    ([("languages[]", "en"), ("languages[]", "de")], "invalid_value", "languages", "one language"),
    ([("languages", "en,de")], "invalid_value", "languages", "one language"),
    ([("languages[]", "en"), ("language", "en")], "invalid_value", "languages", "either"),
    ([("languages[]", "ja")], "invalid_value", "languages", "not a language of the served model"),
    ([("language", "ja")], "invalid_value", "language", "not a language of the served model"),
    ([("keywords[]", "good"), ("keywords[]", "<bad")], "invalid_value", "keywords", "'<bad'"),
    ([("keywords[]", "two\r\nlines")], "invalid_value", "keywords", "one line"),
    ([("keywords", '["two\\nlines"]')], "invalid_value", "keywords", "one line"),
    ([("keywords[]", "a\u2028b")], "invalid_value", "keywords", "one line"),
    ([("keywords[]", " ")], "invalid_value", "keywords", "one line"),
    ([("keywords[]", "k" * 3_000)] * 2, "invalid_value", "keywords", "4096 characters"),
    ([("keywords", "[1]")], "invalid_value", "keywords", "string"),
    ([("include[]", "words")], "invalid_value", "include", "'logprobs'"),
    ([("include[]", "logprobs"), VERBOSE], "invalid_value", "include", "response_format=json only"),
    ([("timestamp_granularities[]", "word")], "invalid_value", "timestamp_granularities", "verbose_json only"),
    ([("stream", "true"), VERBOSE], "invalid_value", "stream", "json or text only"),
    ([("stream", "true"), ("response_format", "srt")], "invalid_value", "stream", "json or text only"),
    ([("stream", "true"), ("response_format", "vtt")], "invalid_value", "stream", "json or text only"),
    ([("stream", "sse")], "invalid_value", "stream", "boolean"),
    ([("chunking_strategy", "server_vad")], "invalid_value", "chunking_strategy", "'auto' or an object"),
    ([("chunking_strategy", "[]")], "invalid_value", "chunking_strategy", "'auto' or an object"),
    ([("chunking_strategy", '{"type": ')], "invalid_value", "chunking_strategy", "'auto' or an object"),
    ([("chunking_strategy[threshold]", "0.5")], "missing_required_parameter", "chunking_strategy[type]", "missing"),
    ([("chunking_strategy", "{}")], "missing_required_parameter", "chunking_strategy[type]", "missing"),
    ([("chunking_strategy[type]", "semantic_vad")], "invalid_value", "chunking_strategy[type]", "'server_vad'"),
    ([("chunking_strategy[type]", "server_vad"), ("chunking_strategy[threshold]", "1.5")],
     "invalid_value", "chunking_strategy[threshold]", "less than or equal to 1"),
    ([("chunking_strategy[type]", "server_vad"), ("chunking_strategy[eager]", "1")],
     "unknown_parameter", "chunking_strategy[eager]", "not a field of chunking_strategy"),
    ([("chunking_strategy[type]", "server_vad")] * 2, "invalid_value", "chunking_strategy", "more than once"),
    ([("chunking_strategy", "auto"), ("chunking_strategy[type]", "server_vad")],
     "invalid_value", "chunking_strategy", "more than once"),
    ([("temperature", "0.２")], "invalid_value", "temperature", "number"),
    ([("temperature", "0"), ("temperature[]", "0")], "invalid_value", "temperature", "more than once"),
    ([("beam_size", "5")], "unknown_parameter", "beam_size", "which takes file, model"),
    ([("prompt[0]", "x")], "unknown_parameter", "prompt[0]", "which takes file, model"),
    ([("file", OTHER)], "multiple_files", "file", "one file"),
    ([("file", "text")], "invalid_file", "file", "not text"),
]  # fmt: skip


@pytest.mark.parametrize(("parts", "code", "param", "says"), REFUSED)
def test_what_openai_s_form_refuses(parts: Sequence[Part], code: str, param: str, says: str) -> None:
    """What cannot be served is refused with the field and the reason."""
    *facts, message = refusal(OpenAITranscriptionForm, *parts)
    assert facts == [code, param]
    assert says in message
    assert len(message) < 400


def test_translation_is_into_english() -> None:
    """The language that is spoken is detected, and English is written."""
    form = OpenAITranslationForm.read(FormData([FILE, MODEL, ("prompt", "Names"), ("temperature", "1"), VERBOSE]))
    assert options(form) == TranscriptionOptions(task="translate", prompt="Names", temperature=1, timestamps=True)
    assert (form.words, form.segments) == (False, True)


@pytest.mark.parametrize("name", ["language", "stream", "timestamp_granularities[]", "task", "include[]"])
def test_translation_takes_nothing_else(name: str) -> None:
    """Fields that only transcription has are refused by their name."""
    assert refusal(OpenAITranslationForm, (name, "en"))[:2] == ("unknown_parameter", name)


@pytest.mark.parametrize("form_type", [OpenAITranscriptionForm, OpenAITranslationForm])
def test_openai_s_forms_need_a_model(form_type: type[TranscriptionForm]) -> None:
    """OpenAI requires it, so its clients send it."""
    with pytest.raises(InvalidRequest) as caught:
        form_type.read(FormData([FILE, ("model", "")]))
    assert (caught.value.code, caught.value.param) == ("missing_required_parameter", "model")


@pytest.mark.parametrize("form_type", FORMS)
def test_a_form_needs_a_file(form_type: type[TranscriptionForm]) -> None:
    """Without one there is nothing to transcribe."""
    with pytest.raises(InvalidRequest) as caught:
        form_type.read(FormData([MODEL]))
    assert (caught.value.code, caught.value.param) == ("missing_file", "file")


@pytest.mark.parametrize("form_type", FORMS)
def test_every_field_is_described(form_type: type[TranscriptionForm]) -> None:
    """The schema, which the documents show, has a sentence and an example for each, and refers to nothing outside."""
    schema = form_type.model_json_schema()
    properties = schema["properties"]
    assert [name for name, field in properties.items() if not field.get("description")] == []
    assert [name for name, field in properties.items() if not field.get("examples") and name != "file"] == []
    assert "$ref" not in json.dumps(schema)


def wire_names(form_type: type[TranscriptionForm]) -> list[str]:
    names = list(form_type.model_json_schema()["properties"])
    return [
        *names,
        *(f"{name}[]" for name in names),
        *(f"chunking_strategy[{key}]" for key in ("type", "threshold", "")),
    ]


VALUES = st.one_of(
    st.text(max_size=40),
    st.floats().map(str),
    st.integers().map(str),
    st.sampled_from(
        ("true", "null", "[]", "{}", "word", "auto", "server_vad", "srt", "verbose_json", "logprobs", "en")
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=5,
    ).map(json.dumps),
)


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from(FORMS))
def test_any_values_are_taken_or_refused_by_name(data: st.DataObject, form_type: type[TranscriptionForm]) -> None:
    """Whatever the fields say, they become options, or a refusal that names one of them."""
    parts = data.draw(st.lists(st.tuples(st.sampled_from(wire_names(form_type)), VALUES), max_size=6))
    assert named_or_made(form_type, parts)


def named_or_made(form_type: type[TranscriptionForm], parts: list[tuple[str, str]]) -> bool:
    """Whether the parts become options that can be compared, or else a refusal that names the field."""
    try:
        made = form_type.read(FormData([FILE, MODEL, *parts])).options(LANGUAGES)
    except InvalidRequest as error:
        return bool(error.param) and str(error.param) in error.message
    return isinstance(hash(made), int)
