"""Fields with names, types and values that are not served; and requests that are made in the wrong way."""

from collections.abc import Iterator, Mapping
from functools import partial

from tests.audio.sounds import wav

from .files import SECOND
from .row import MULTIPART, NOTHING_SAID, OPENAI, OURS, Answer, Part, Row, multipart

FILE = Part("file", wav(SECOND), "speech.wav", "audio/wav")
MODEL = Part("model", b"whisper-1")
BOTH = {"ours": OURS, "OpenAI's": OPENAI}

VALUES: Mapping[str, Mapping[str, str]] = {
    "temperature": {
        "NaN": "finite", "nan": "finite", "inf": "finite", "-inf": "finite", "1e309": "finite", "-1": "equal to 0",
        "1.0001": "equal to 1", "2": "equal to 1", "0.\uff15": "number", "hot": "number", "0x1": "number",
        "null": "number", "9" * 400: "finite|equal to 1", "-" * 4_000: "number",
    },
    "response_format": {
        **dict.fromkeys(("xml", "exe", "JSON", "json ", '["json"]', "ndjson", "text\0"), "'verbose_json'"),
        "diarized_json": "diarization is not served",
    },
    "language": {
        **dict.fromkeys(("../../x", "xx", "english please", "en\n", "\u202een", "<|en|>", "null"), "'en'"),
        "l" * 33: "at most 32",
    },
    "stream": dict.fromkeys(("maybe", "2", "[]true", "tru\u0435", "-1", "[true]"), "boolean"),
    "timestamp_granularities": {
        "syllable": "'segment' or 'word'", '["word"': "'segment' or 'word'", "[" * 9_999: "'segment' or 'word'",
        "[1]": "'segment' or 'word'", '{"word": 1}': "'segment' or 'word'", "word,,segment": "'segment' or 'word'",
        "word\0": "'segment' or 'word'",
    },
    "prompt": {"p" * 4_097: "at most 4096 characters"},
    "model": {"m" * 257: "at most 256 characters"},
}  # fmt: skip

OURS_ALONE: Mapping[str, Mapping[str, str]] = {
    "task": dict.fromkeys(("sing", "TRANSLATE", "translate,transcribe", "0"), "'transcribe' or 'translate'"),
    "hotwords": {"h" * 4_097: "at most 4096 characters"},
    "max_segment_seconds": {
        "0": "equal to 1", "0.99": "equal to 1", "31": "equal to 30", "NaN": "finite", "long": "number",
    },
    "max_line_width": {
        "9": "equal to 10", "201": "equal to 200", "42.5": "integer", "wide": "integer",
        "1" * 5_000: "integer|equal to",
    },
    "word_timestamps": {"maybe": "boolean", "2": "boolean"},
    "beam_size": {
        "0": "equal to 1", "11": "equal to 10", "5.5": "integer", "\uff15": "integer", "[5]": "integer",
        "9" * 5_000: "integer|equal to",
    },
    "patience": {"0": "equal to 1", "0.9": "equal to 1", "4.1": "equal to 4", "NaN": "finite", "much": "number"},
    "length_penalty": {"-1": "equal to 0", "2.1": "equal to 2", "inf": "finite"},
    "repetition_penalty": {"0": "equal to 0.5", "-1": "equal to 0.5", "2.1": "equal to 2", "-inf": "finite"},
    "no_repeat_ngram_size": {"-1": "equal to 0", "21": "equal to 20", "1.5": "integer"},
    "suppress_blank": {"maybe": "boolean", "-1": "boolean"},
    "suppress_tokens": {
        "-2": "equal to -1", "51864": "equal to 51863", "1,x": "integer", '["1", null]': "integer", "[1": "integer",
        "[[1]]": "integer", "[1e400]": "finite", "all": "integer", "99999999999999999999": "integer|equal to",
    },
    "max_new_tokens": {"0": "equal to 1", "225": "equal to 224", "-1": "equal to 1", "many": "integer"},
    "compression_ratio_threshold": {"-1": "equal to 0", "101": "equal to 100", "NaN": "finite"},
    "log_prob_threshold": {"0.1": "equal to 0", "-101": "equal to -100", "-inf": "finite"},
    "no_speech_threshold": {"-0.1": "equal to 0", "1.1": "equal to 1", "nan": "finite"},
}  # fmt: skip
"""OpenAI's endpoint knows none of these fields."""

OPENAI_ALONE: Mapping[str, Mapping[str, str]] = {
    "include": dict.fromkeys(("words", "LOGPROBS", "logprobs,segments", '["logprobs", 1]', "[logprobs"), "'logprobs'"),
    "languages": {"en,de": "one language", '["en", "de"]': "one language", "l" * 33: "at most 32", "[1]": "string"},
    "keywords": {
        **dict.fromkeys(("<b>", "a>", "a\nb", "a\rb", "a\u2028b", "a\x0bb", " ", '["good", "a<"]', '[""]'), "one line"),
        "k" * 4_097: "4096 characters", "[1]": "string", "[null]": "string", "[[]]": "string",
    },
    "chunking_strategy": dict.fromkeys(
        ("none", "AUTO", "server_vad", "[]", '{"type"', '["auto"]'), "'auto' or an object"
    ),
}  # fmt: skip
"""Ours knows none of these."""

WISHES = {
    "words in json": ("timestamp_granularities", {"timestamp_granularities[]": "word"}),
    "words in srt": ("timestamp_granularities", {"timestamp_granularities[]": "word", "response_format": "srt"}),
    "a stream of srt": ("stream", {"stream": "true", "response_format": "srt"}),
    "a stream of vtt": ("stream", {"response_format": "vtt", "stream": "1"}),
}
"""What cannot be had together, at neither endpoint."""

OPENAI_WISHES = {
    "a stream of verbose_json": ("stream", {"stream": "true", "response_format": "verbose_json"}),
    "logprobs in text": ("include", {"include[]": "logprobs", "response_format": "text"}),
    "logprobs in verbose_json": ("include", {"include[]": "logprobs", "response_format": "verbose_json"}),
    "two ways to say the language": ("languages", {"language": "en", "languages[]": "en"}),
    "temperature as an array": ("temperature", {"temperature": "[0]"}),
    "temperature with a comma": ("temperature", {"temperature": "0,5"}),
    "auto and an object": ("chunking_strategy", {"chunking_strategy": "auto", "chunking_strategy[type]": "server_vad"}),
    "another detector": ("chunking_strategy[type]", {"chunking_strategy[type]": "semantic_vad"}),
}

AUDIO: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("vad", "denoise", "normalize", "multilingual"), ("maybe", "2", "-1", "[true]", "0.5")),
    "threshold": ("-0.1", "1.1", "NaN", "inf", "1e309", "loud", "0,5"),
    "prefix_padding_ms": ("-1", "1.5", "NaN", "9" * 30, "long"),
    "silence_duration_ms": ("-1", "1.5", "NaN", "9" * 30, "long"),
}
"""How the audio is prepared and cut; each message begins with the field and its value."""

UNKNOWN_FIELDS = (
    "url", "file_url", "audio", "input", "chunks", "best_of", "condition_on_previous_text", "prefix", "unserved",
    "__proto__", "model_config", "self", "file[0]", "prompt[0]", "prompt[]]", "temperature[a]", "Model", " model",
    "[]", "[model]", "", "n" * 999,
)  # fmt: skip

UNKNOWN_TO_OPENAI = ("vad_filter", "beam_size", "word_timestamps", "files", "initial_prompt", "chunking_strategies")
UNKNOWN_TO_OURS = ("include[]", "keywords[]", "known_speaker_names[]", "chunking_strategy[type]")


def field(name: str, parts: tuple[Part, ...], answer: Answer, path: str) -> Row:
    return Row(f"field: {name}"[:120], partial(multipart, *parts), answer, MULTIPART, path=path)


def values() -> Iterator[Row]:
    for param, cases in VALUES.items():
        for value, says in cases.items():
            for whose, path in BOTH.items():
                others = (FILE,) if param == "model" else (FILE, MODEL)
                answer = Answer(400, "invalid_value", param, f"^{param}=.*: .*{says}")
                shown = f"{value[:24]!r}, {len(value)} letters"
                yield field(f"{param}={shown} ({whose})", (*others, Part(param, value.encode())), answer, path)
    for known, other, table in ((OURS, OPENAI, OURS_ALONE), (OPENAI, OURS, OPENAI_ALONE)):
        for param, cases in table.items():
            yield from alone(param, cases, known, other)


def alone(param: str, cases: Mapping[str, str], known: str, other: str) -> Iterator[Row]:
    """Values of a field that only the endpoint `known` has."""
    for value, says in cases.items():
        parts = (FILE, MODEL, Part(param, value.encode()))
        name = f"{param}={value[:24]!r}, {len(value)} letters"
        yield field(name, parts, Answer(400, "invalid_value", param, f"^{param}(=.*)?: .*{says}"), known)
        no_field = Answer(400, "unknown_parameter", param, "is not a field of this endpoint")
        yield field(f"{name} (to the other)", parts, no_field, other)


def wishes() -> Iterator[Row]:
    for table, paths in ((WISHES, BOTH), (OPENAI_WISHES, {"OpenAI's": OPENAI})):
        for name, (param, texts) in table.items():
            parts = (FILE, MODEL, *(Part(key, text.encode()) for key, text in texts.items()))
            for whose, path in paths.items():
                yield field(f"{name} ({whose})", parts, Answer(400, "invalid_value", param), path)
    for key, text, code in (
        ("threshold", "1.5", "invalid_value"), ("threshold", "NaN", "invalid_value"), ("threshold", "", "200"),
        ("prefix_padding_ms", "10001", "invalid_value"), ("silence_duration_ms", "-1", "invalid_value"),
        ("eager", "1", "unknown_parameter"), ("threshold][x", "1", "unknown_parameter"),
    ):  # fmt: skip
        param = f"chunking_strategy[{key}]"
        parts = (FILE, MODEL, Part("chunking_strategy[type]", b"server_vad"), Part(param, text.encode()))
        answer = NOTHING_SAID if code == "200" else Answer(400, code, param)
        yield field(f"{param}={text!r}", parts, answer, OPENAI)
    for name in ("known_speaker_names", "known_speaker_references"):
        answer = Answer(400, "unsupported_parameter", name, "speakers are not told apart")
        for spelt in (name, f"{name}[]"):
            yield field(spelt, (FILE, MODEL, Part(spelt, b"a"), Part(spelt, b"b")), answer, OPENAI)


def preparation() -> Iterator[Row]:
    for param, cases in AUDIO.items():
        for value in cases:
            answer = Answer(400, "invalid_value", param, f"^{param}=.*: ")
            yield field(f"{param}={value!r}", (FILE, Part(param, value.encode())), answer, OURS)


def unknown() -> Iterator[Row]:
    for name in UNKNOWN_FIELDS:
        answer = Answer(400, "unknown_parameter", name[:64], "is not a field of this endpoint, which takes file, model")
        for whose, path in BOTH.items():
            yield field(
                f"unknown {name[:24]!r} ({whose})", (FILE, MODEL, Part(name, b"http://127.0.0.1:9/")), answer, path
            )
    for whose, path, strange in (("OpenAI's", OPENAI, UNKNOWN_TO_OPENAI), ("ours", OURS, UNKNOWN_TO_OURS)):
        for name in strange:
            answer = Answer(400, "unknown_parameter", name, "is not a field of this endpoint, which takes file, model")
            yield field(f"unknown {name!r} ({whose})", (FILE, MODEL, Part(name, b"x")), answer, path)


def names() -> Iterator[Row]:
    for name in ("model", "prompt", "language", "temperature", "response_format", "stream"):
        twice = (FILE, MODEL, Part(name, b"0"), Part(name, b"0"))
        answer = Answer(400, "invalid_value", name, f"^{name} is sent more than once$")
        yield field(f"{name} twice", twice, answer, OPENAI)
        yield field(f"{name} and {name}[]", (*twice[:-1], Part(f"{name}[]", b"0")), answer, OPENAI)
    for name in ("large-v9", "../../etc/passwd", "whisper-1 ", "WHISPER-1", "openai/whisper-1", "$(id)", "\0"):
        answer = Answer(404, "model_not_found", "model", "is not served here; callsign")
        for whose, path in BOTH.items():
            yield field(f"model={name!r} ({whose})", (FILE, Part("model", name.encode())), answer, path)
    for name in ("model", "prompt", "temperature"):
        missing = Answer(400, "missing_file", "file", "^the field file is missing$")
        yield field(f"{name} as a file, no other", (Part(name, b"0", "x.txt"),), missing, OURS)


def harmless() -> Iterator[Row]:
    """Odd, but no reason to refuse."""
    tokens = b"<|startoftranscript|><|translate|><|0.00|>"
    for name, parts in {
        "a prompt of control tokens": (Part("prompt", tokens),),
        "hotwords of control tokens": (Part("hotwords", tokens),),
        "a prompt of 4,096 letters": (Part("prompt", b"p" * 4_096),),
        "a prompt that is no UTF-8": (Part("prompt", b"\xff\xfe\xfd"),),
        "a prompt of half a surrogate": (Part("prompt", b"\xed\xa0\x80"),),
        "a prompt of zeros": (Part("prompt", bytes(100)),),
        "a prompt that is an address": (Part("prompt", b"http://169.254.169.254/latest/meta-data/"),),
        "a prompt of combining marks": (Part("prompt", "e\u0301".encode() * 1_000),),
        "a prompt that breaks lines of a log": (Part("prompt", b"\r\nINFO forged ${jndi:ldap://127.0.0.1:9/x}\x1b[2J"),),
        "empty fields": tuple(Part(name, b"") for name in ("model", "language", "prompt", "temperature", "task")),
        "a language in capitals": (Part("language", b"EN"),),
        "a language in brackets": (Part("language[]", b"en"),),
        "nothing suppressed": (Part("suppress_tokens", b"[]"),),
        "null for what has a setting": tuple(Part(name, b"null") for name in ("beam_size", "threshold", "stream")),
        "a field of another API, empty": (Part("best_of", b""),),
        "granularities in two ways": (
            Part("timestamp_granularities[]", b"segment"),
            Part("timestamp_granularities", b"[]"),
        ),
    }.items():  # fmt: skip
        yield field(f"harmless: {name}", (FILE, *parts), NOTHING_SAID, OURS)


METHODS = ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
PATHS = (
    "/", "/nowhere", "/Transcribe", "/transcribe/x", "/v1", "/v1/audio", "/v1/audio/transcription",
    "/v1//audio/transcriptions", "/v1/audio/translation", "/v1/audio/speech", "/%2e%2e/transcribe", "/transcribe%00",
    "/transcribe.json", "/etc/passwd", "/docs/../../../../etc/passwd", "/" + "x" * 5_000,
)  # fmt: skip


def requests() -> Iterator[Row]:
    for whose, path in BOTH.items():
        for method in METHODS:
            answer = Answer(405, *(() if method == "HEAD" else ("method_not_allowed", None, method)))
            yield Row(f"request: {method} ({whose})", bytes, answer, method=method, path=path)
    yield Row("request: a method that HTTP does not know", bytes, Answer(400, "malformed_request"), method="NONSENSE")
    whole = partial(multipart, FILE, MODEL)
    for path in PATHS:
        answer = Answer(405, "method_not_allowed") if path == "/" else Answer(404, "unknown_url", None, "POST")
        yield Row(f"request: POST {path[:40]}", whole, answer, MULTIPART, path=path)
    for path in (OURS, OPENAI):
        yield Row(f"request: POST {path}/", whole, Answer(404, "unknown_url"), MULTIPART, path=f"{path}/")
    yield Row("request: POST with a query", whole, NOTHING_SAID, MULTIPART, path=f"{OURS}?temperature=hot")
    for name, value in {
        "x-request-id": "../../x" + "y" * 5_000, "accept": "image/png", "authorization": "Bearer " + "x" * 9_000,
        "range": "bytes=0-0," * 500, "cookie": ";a=b" * 900, "x-forwarded-for": "127.0.0.1", "expect": "the worst",
        "user-agent": "${jndi:ldap://127.0.0.1:9/x}", "x-original-url": "/metrics", "x-http-method-override": "DELETE",
    }.items():  # fmt: skip
        yield Row(f"request: odd {name}", whole, NOTHING_SAID, {**MULTIPART, name: value})


ROWS = [*values(), *wishes(), *preparation(), *unknown(), *names(), *harmless(), *requests()]
