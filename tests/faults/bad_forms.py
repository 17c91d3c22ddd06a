"""Multipart forms as no browser writes them, each made from a seed."""

import io
import random
import wave
from collections.abc import Callable, Sequence
from functools import cache

from asr_api.transcription import SAMPLE_RATE

FIELDS = (
    b"model",
    b"language",
    b"prompt",
    b"response_format",
    b"temperature",
    b"timestamp_granularities[]",
    b"stream",
    b"include[]",
    b"task",
    b"vad",
    b"denoise",
    b"normalize",
    b"beam_size",
    b"words",
    b"url",
    b"nobody's",
)
VALUES = (
    b"",
    b"whisper-1",
    b"callsign",
    b"en",
    b"../../etc/passwd",
    b"NaN",
    b"1e309",
    b"-1",
    b"0x10",
    "٠.٥".encode(),
    "０.５".encode(),
    b"true",
    b"verbose_json",
    b"srt",
    b"segment",
    b"word",
    b"\x00",
    b"\xff\xfe\xfd",
    b"\xed\xa0\x80",
    b"<|startoftranscript|><|0.00|>",
    b"${jndi:ldap://127.0.0.1}",
    b"\r\n--x--\r\n",
    b"a" * 5_000,
    b"a" * 70_000,
    b"[" * 3_000,
)
FILENAMES = (
    b"speech.wav",
    b"",
    b"../../x",
    b"/etc/passwd",
    b"x.m3u8",
    b"-f.wav",
    b"$(id).wav",
    b'a\\"b.wav',
    b"\x00.wav",
    b"\xff.wav",
    "‮vaw.exe".encode(),
    b"a" * 4_096,
    b"CON",
    b"http://127.0.0.1/x",
)
BOUNDARIES = (
    b"b",
    b"x" * 70,
    b"-" * 27 + b"735323031399963166993862150",
    b"'()+_,-./:=?",
    b"a b",
    b"\xff\xfe",
    b"x" * 3_000,
)


@cache
def silence() -> bytes:
    """A whole WAV file of a third of a second, in which nobody speaks."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        writer.writeframes(bytes(2 * SAMPLE_RATE // 3))
    return file.getvalue()


def bad_form(chance: random.Random) -> tuple[bytes, bytes]:
    """The Content-Type and the body of one form; some are right after all."""
    boundary = chance.choice(BOUNDARIES)
    end = b"\n" if chance.random() < 0.05 else b"\r\n"
    parts = [part(chance, end) for _ in range(_count(chance))]
    used = boundary if chance.random() < 0.95 else chance.choice(BOUNDARIES)
    body = _ends(chance) + b"".join(b"--" + used + end + one + end for one in parts) + _last(chance, used, end)
    return content_type(chance, boundary), body


def content_type(chance: random.Random, boundary: bytes) -> bytes:
    right = b"multipart/form-data; boundary="
    if chance.random() < 0.75:
        return right + (b'"' + boundary + b'"' if chance.random() < 0.5 else boundary)
    variants: Sequence[bytes] = (
        b"multipart/form-data",
        right,
        right + b'"' + boundary,
        right + boundary + b"; boundary=other",
        right + boundary + b"; charset=utf-16",
        right + boundary + b"; charset=\xff",
        b"MULTIPART/FORM-DATA;BOUNDARY=" + boundary,
        b"multipart/mixed; boundary=" + boundary,
        b"application/x-www-form-urlencoded",
        b"text/plain; boundary=" + boundary,
        right + boundary + b";" * 2_000,
        b"multipart/form-data; boundary*0=a; boundary*1=b",
        b"multipart/form-data; boundary*=utf-8''" + boundary,
        b"",
    )
    return chance.choice(variants)


def part(chance: random.Random, end: bytes) -> bytes:
    """One part with its headers, without the boundaries around it."""
    content = _file(chance) if chance.random() < 0.5 else None
    headers = [_disposition(chance, is_file=content is not None), *(_header(chance) for _ in range(_few(chance)))]
    chance.shuffle(headers)
    if chance.random() < 0.02:
        headers *= 100
    if content is None:
        content = chance.choice(VALUES)
    return end.join(headers) + end + (end if chance.random() < 0.97 else b"") + content


def _disposition(chance: random.Random, *, is_file: bool) -> bytes:
    name = b"file" if is_file and chance.random() < 0.9 else chance.choice(FIELDS)
    right = b'Content-Disposition: form-data; name="' + name + b'"'
    if is_file:
        right += b'; filename="' + chance.choice(FILENAMES) + b'"'
    if chance.random() < 0.85:
        return right
    variants: Sequence[bytes] = (
        right[:-1],
        right.replace(b'"', b""),
        right.replace(b"form-data", b"attachment"),
        right.replace(b"name=", b"nom="),
        right.replace(b": ", b":\t \t"),
        right + b"; filename*=UTF-8''%ff%fe%00",
        right + b"; filename*=utf-8'en'%e2%82%ac; filename*0=a; filename*1=b",
        right + b'; name="other"',
        right + b"; " * 500,
        right.upper(),
        right.partition(b":")[0],
        b"X-Nothing: here",
    )
    return chance.choice(variants)


def _header(chance: random.Random) -> bytes:
    return chance.choice(
        (
            b"Content-Type: audio/wav",
            b"Content-Type: multipart/mixed; boundary=inner",
            b"Content-Transfer-Encoding: base64",
            b"Content-Transfer-Encoding: quoted-printable",
            b"Content-Length: 18446744073709551616",
            b"X: " + b"v" * 9_000,
            b"no colon",
            b": no name",
            b" folded: yes",
            b"N\x00ul: \x00",
            b"\xff\xff: \xfe",
        )
    )


def _file(chance: random.Random) -> bytes:
    makers: Sequence[Callable[[], bytes]] = (
        silence,
        lambda: silence()[: chance.randrange(60)],
        lambda: chance.randbytes(chance.randrange(2_000)),
        lambda: b"RIFF" + chance.randbytes(200),
        lambda: b"",
        lambda: b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=audio 15004 RTP/AVP 0\r\n",
        lambda: b"ffconcat version 1.0\nfile x.wav\n",
        lambda: b"\r\n--" * 500,
    )
    return chance.choice(makers)()


def _ends(chance: random.Random) -> bytes:
    """What comes before the first boundary, or after the last."""
    return (
        b"" if chance.random() < 0.9 else chance.choice((b"\r\n", b"words\r\n", b"-" * 5_000, b"\r\n" * 200, b"\x00"))
    )


def _last(chance: random.Random, boundary: bytes, end: bytes) -> bytes:
    if chance.random() < 0.85:
        return b"--" + boundary + b"--" + end + _ends(chance)
    closes = (b"--" + boundary, b"--" + boundary + b"-", b"--" + boundary + b"--", b"", b"--" + boundary + b"--" * 300)
    return chance.choice(closes)


def _count(chance: random.Random) -> int:
    """Parts of a form: mostly few, seldom more than are allowed."""
    return chance.choice((0, 1, 1, 2, 2, 3, 4, 8)) if chance.random() < 0.97 else chance.choice((33, 65, 300))


def _few(chance: random.Random) -> int:
    return 0 if chance.random() < 0.6 else chance.randrange(4)
