"""Bodies that are no whole multipart form with one file, or are sent as something else."""

from collections.abc import Iterator, Mapping
from functools import partial

from tests.audio.sounds import wav

from .files import SECOND
from .row import BOUNDARY, MULTIPART, NOTHING_SAID, OPENAI, OURS, TOO_LARGE, Answer, Part, Row, multipart

FILE = Part("file", wav(SECOND), "speech.wav", "audio/wav")
WHOLE = multipart(FILE)
BROKEN = Answer(400, "invalid_multipart", None, "^the multipart body cannot be read: ")
TOO_MANY = Answer(400, "too_many_parts", None, "64")
TWO_FILES = Answer(400, "multiple_files", "file", "^one file is transcribed at a time")
MANY_FILES = Answer(400, "multiple_files", "file", "^at most 32 files are transcribed at a time")
OTHER_NAME = Answer(400, "unknown_parameter", "audio", "is not a field of this endpoint")
NO_SUBTITLES = Answer(400, "invalid_value", "response_format", "several files")
LONG_FIELD = Answer(400, "invalid_value", "prompt", "^prompt is longer than the 65536 bytes that a field may have$")
NO_FILE = Answer(400, "missing_file", "file", "^the field file is missing$")
TEXT_FOR_FILE = Answer(400, "invalid_file", "file", "file part with a filename")
WRONG_MEDIA = Answer(415, "unsupported_media_type", None, "multipart/form-data|compressed|UTF-8")


def body(name: str, content: bytes, answer: Answer, headers: Mapping[str, str] = MULTIPART, path: str = OURS) -> Row:
    return Row(f"body: {name}", partial(bytes, content), answer, headers, path=path)


def head(disposition: str, *more: str) -> bytes:
    lines = "".join(f"{line}\r\n" for line in (f"Content-Disposition: {disposition}", *more))
    return f"--{BOUNDARY}\r\n{lines}\r\n".encode() + wav(SECOND) + f"\r\n--{BOUNDARY}--\r\n".encode()


BOUNDARIES = {
    "no boundary": "multipart/form-data",
    "empty boundary": "multipart/form-data; boundary=",
    "quoted empty boundary": 'multipart/form-data; boundary=""',
    "another boundary": "multipart/form-data; boundary=elsewhere",
    "boundary of 300 letters": "multipart/form-data; boundary=" + "b" * 300,
    "boundary in the wrong case": f"multipart/form-data; boundary={BOUNDARY.upper()}",
    "half a boundary": f"multipart/form-data; boundary={BOUNDARY[:-1]}",
    "boundary of a space": 'multipart/form-data; boundary=" "',
}


def delimiters() -> Iterator[Row]:
    for name, kind in BOUNDARIES.items():
        yield body(name, WHOLE, BROKEN, {"content-type": kind})
    broken = {
        "nothing": b"",
        "garbage": b"garbage",
        "zeros": bytes(10_000),
        "a boundary alone": f"--{BOUNDARY}".encode(),
        "the last boundary alone, unfinished": f"--{BOUNDARY}-".encode(),
        "cut in the headers": WHOLE[:60],
        "cut in the file": WHOLE[:5_000],
        "cut before the last boundary": WHOLE[: -len(BOUNDARY) - 8],
        "cut in the last boundary": WHOLE[:-4],
        "bare line feeds": WHOLE.replace(b"\r\n", b"\n", 4),
        "a header without a colon": head('form-data; name="file"; filename="x"', "nonsense"),
        "a header without a name": head('form-data; name="file"; filename="x"', ": value"),
        "a header of 8-bit letters": head('form-data; name="file"; filename="x"', "\u00fc: value"),
        "a header of 5,000 bytes": head('form-data; name="file"; filename="x"', "x-long: " + "x" * 5_000),
        "20 headers of a part": head('form-data; name="file"; filename="x"', *["x-more: x"] * 20),
        "a part without a name": head('form-data; filename="x"'),
        "a part without a disposition": WHOLE.replace(b"Content-Disposition", b"Content-Composition", 1),
        "a JSON object": b'{"file": "x"}',
        "urlencoded fields": b"file=x&model=whisper-1",
    }
    for name, content in broken.items():
        yield body(name, content, BROKEN)
    yield body("the last boundary alone", f"--{BOUNDARY}--\r\n".encode(), NO_FILE)
    yield body("text before the first boundary", b"preamble\r\n" + WHOLE, BROKEN)
    yield body("10 kB after the last boundary", WHOLE + b"x" * 10_000, NOTHING_SAID)
    yield body("1 MB after the last boundary", WHOLE + b"x" * 1_000_000, BROKEN)
    yield body(
        "a file that holds its own boundary", multipart(Part("file", wav(b"\0\0" * 2_000 + WHOLE), "x")), NOTHING_SAID
    )


def parts() -> Iterator[Row]:
    model = Part("model", b"whisper-1")
    yield body("no part but a model", multipart(model), NO_FILE)
    yield body("no part but a model, to OpenAI's", multipart(model), NO_FILE, path=OPENAI)
    yield body("no model, to OpenAI's", WHOLE, Answer(400, "missing_required_parameter", "model"), path=OPENAI)
    yield body("two files, to OpenAI's", multipart(model, FILE, FILE), TWO_FILES, path=OPENAI)
    yield body("two files, of other names", multipart(FILE, Part("audio", b"x", "x.wav")), OTHER_NAME)
    yield body(
        "two files, of other names, to OpenAI's", multipart(FILE, Part("audio", b"x", "x")), TWO_FILES, path=OPENAI
    )
    yield body("a hundred files", multipart(*[Part("file", b"x", "x.wav")] * 100), MANY_FILES)
    yield body("a hundred files, to OpenAI's", multipart(*[Part("file", b"x", "x.wav")] * 100), TWO_FILES, path=OPENAI)
    yield body("a file, and file as a text", multipart(FILE, Part("file", b"x")), TEXT_FOR_FILE)
    yield body("files as a text", multipart(FILE, Part("files[]", b"[]")), TEXT_FOR_FILE)
    yield body("two files as subtitles", multipart(FILE, FILE, Part("response_format", b"srt")), NO_SUBTITLES)
    yield body("file as a text", multipart(Part("file", wav(SECOND)[:9_000])), TEXT_FOR_FILE)
    yield body("file as the text of a path", multipart(Part("file", b"/etc/passwd")), TEXT_FOR_FILE)
    yield body("file as the text of an address", multipart(Part("file", b"http://127.0.0.1:9/x")), TEXT_FOR_FILE)
    yield body("file of an empty name", multipart(Part("file", wav(SECOND), "")), NOTHING_SAID)
    yield body("the file under another name", multipart(Part("audio", wav(SECOND), "x.wav")), NO_FILE)
    yield body("64 fields", multipart(FILE, *[Part("timestamp_granularities", b"segment")] * 64), NOTHING_SAID)
    yield body("65 fields", multipart(FILE, *[Part("timestamp_granularities", b"segment")] * 65), TOO_MANY)
    yield body("1,001 fields", multipart(FILE, *[Part(f"f{n}", b"") for n in range(1_001)]), TOO_MANY)
    yield body("a field of 100 kB", multipart(FILE, Part("prompt", b"p" * 100_000)), LONG_FIELD)
    yield body("a field of 1.9 MB", multipart(Part("prompt", b"p" * 1_900_000), FILE), LONG_FIELD)
    yield body("a field over the limit of the body", multipart(Part("prompt", b"p" * 2_100_000), FILE), TOO_LARGE)
    yield body("a model as a file", multipart(Part("model", b"whisper-1", "x.txt"), Part("file", b"x")), TEXT_FOR_FILE)


TYPES = {
    "no content type": {},
    "empty content type": {"content-type": ""},
    "audio/wav": {"content-type": "audio/wav"},
    "JSON": {"content-type": "application/json"},
    "urlencoded": {"content-type": "application/x-www-form-urlencoded"},
    "multipart/mixed": {"content-type": f"multipart/mixed; boundary={BOUNDARY}"},
    "octets": {"content-type": "application/octet-stream"},
    "nonsense": {"content-type": ";;;=;"},
    "charset UTF-16": {"content-type": f"{MULTIPART['content-type']}; charset=utf-16"},
    "charset undefined": {"content-type": f"{MULTIPART['content-type']}; charset=undefined"},
    "gzip": {**MULTIPART, "content-encoding": "gzip"},
    "deflate": {**MULTIPART, "content-encoding": "deflate"},
    "br": {**MULTIPART, "content-encoding": "br"},
    "zstd": {**MULTIPART, "content-encoding": "zstd"},
    "gzip twice": {**MULTIPART, "content-encoding": "gzip, gzip"},
    "an unknown encoding": {**MULTIPART, "content-encoding": "what"},
}


def types() -> Iterator[Row]:
    for name, headers in TYPES.items():
        yield body(f"sent as {name}", WHOLE, WRONG_MEDIA, headers)
    yield body("sent as identity", WHOLE, NOTHING_SAID, {**MULTIPART, "content-encoding": "identity"})
    yield body("a WAV without a form", wav(SECOND), WRONG_MEDIA, {"content-type": "audio/wav"}, OPENAI)


ROWS = [*delimiters(), *parts(), *types()]
