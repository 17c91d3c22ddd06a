"""One bad input, and the exact answer that it gets."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

OURS, OPENAI = "/transcribe", "/v1/audio/transcriptions"
MAX_SECONDS, MAX_BYTES = 60, 2_000_000
"""The limits that the server under test is given."""

Make = Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Answer:
    """`says` is a regular expression that the message of a refusal, or the text of a transcript, matches."""

    status: int
    code: str | None = None
    param: str | None = None
    says: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A request by its bytes; the body is made when it is sent."""

    name: str
    body: Make
    answer: Answer
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"
    path: str = OURS

    @property
    def counted(self) -> bool:
        """Whether it is an audio request, of which the metrics keep account."""
        return self.method == "POST" and self.path.split("?")[0] in (OURS, OPENAI)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a multipart body: a text, or a file where it has a `filename`."""

    name: str
    content: bytes
    filename: str | None = None
    kind: str | None = None

    def encoded(self, boundary: str) -> bytes:
        filename = "" if self.filename is None else f'; filename="{self.filename}"'
        kind = "" if self.kind is None else f"\r\nContent-Type: {self.kind}"
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{self.name}"{filename}{kind}\r\n\r\n'
        return head.encode() + self.content + b"\r\n"


BOUNDARY = "an-edge-that-no-file-has"
MULTIPART = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}


def multipart(*parts: Part) -> bytes:
    return b"".join(part.encoded(BOUNDARY) for part in parts) + f"--{BOUNDARY}--\r\n".encode()


def upload(
    name: str, make: Make | bytes, answer: Answer, filename: str = "speech.wav", kind: str | None = "audio/wav"
) -> Row:
    """A file posted as audio, with no other field."""
    return Row(name, partial(_one_file, _maker(make), filename, kind), answer, MULTIPART)


def uploads(theme: str, makers: Mapping[str, Make | bytes], answer: Answer) -> Sequence[Row]:
    """Files of one theme that all get the same answer."""
    return [upload(f"{theme}: {name}", make, answer) for name, make in makers.items()]


def _one_file(make: Make, filename: str, kind: str | None) -> bytes:
    return multipart(Part("file", make(), filename, kind))


def _maker(make: Make | bytes) -> Make:
    return partial(bytes, make) if isinstance(make, bytes) else make


def refused(code: str, says: str = "") -> Answer:
    """A file that is no audio we can transcribe."""
    return Answer(400, code, "file", says)


NOTHING_SAID = Answer(200, says="^$")
UNKNOWN = refused("unsupported_format", r"^Invalid file format\. Supported formats: \['3gp', .*'webm'\]$")
EMPTY = refused("empty_audio", r"^The file (is empty|holds no audio)\.$")
NO_SOUND = refused("no_audio_stream", r"^The file has no audio stream\.$")
CODEC = refused("unsupported_codec", r"^The audio codec of the file is not supported: ")
CORRUPT = refused("corrupt_audio", "^The file is damaged: ")
UNREADABLE = refused("corrupt_audio", "^The file is damaged: it begins as .+ does and cannot be opened[.]$")
TOO_SHORT = refused("audio_too_short", r"at least 0\.1 s")
TOO_LONG = refused("audio_too_long", rf"longer than the {MAX_SECONDS} s allowed")
WRONG_RATE = refused("unsupported_sample_rate", r"\d+ Hz; 4000 to 384000 Hz are supported")
WRONG_CHANNELS = refused("unsupported_channels", r"\d+ channels; 1 to 8 are supported")
TOO_LARGE = Answer(413, "upload_too_large", None, rf"larger than {MAX_BYTES} bytes")
