"""Pictures, archives, programs, sound in formats that are not served, and files that are two things at once."""

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial

from tests.audio.sounds import wav

from .files import GARBAGE, SECOND, joined, muxed, picture, sound
from .row import (
    CODEC,
    NO_SOUND,
    NOTHING_SAID,
    UNKNOWN,
    UNREADABLE,
    WRONG_CHANNELS,
    WRONG_RATE,
    Answer,
    Make,
    Row,
    upload,
    uploads,
)


def png() -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(900_000)))
        + chunk(b"IEND", b"")
    )


def zipped() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("speech.wav", wav(SECOND))
    return target.getvalue()


def tarred() -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        entry = tarfile.TarInfo("../../speech.wav")
        entry.size = len(wav(SECOND))
        archive.addfile(entry, io.BytesIO(wav(SECOND)))
    return target.getvalue()


FILES: dict[str, Make | bytes] = {
    "PNG of 10^10 pixels": png,
    "JPEG": b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0" + GARBAGE[:2_000] + b"\xff\xd9",
    "GIF": b"GIF89a\xff\xff\xff\xff\x80\0\0" + bytes(500) + b";",
    "BMP": b"BM" + struct.pack("<IIIIiiHHI", 1_000, 0, 54, 40, 2**30, 2**30, 1, 24, 0) + bytes(900),
    "TIFF": b"II*\0\x08\0\0\0\xff\xff" + bytes(500),
    "WebP": b"RIFF\x64\0\0\0WEBPVP8 " + bytes(100),
    "ICO": b"\0\0\1\0\1\0" + bytes(200),
    "PSD": b"8BPS\0\1" + bytes(500),
    "PDF": b"%PDF-1.7\n1 0 obj<</OpenAction<</S/JavaScript/JS(app.alert(1))>>>>endobj\n%%EOF",
    "PostScript": b"%!PS\n(/etc/passwd) (r) file\n",
    "RTF": rb"{\rtf1\ansi hello}",
    "ZIP of a WAV": zipped,
    "ZIP of 42 kB and petabytes": b"PK\3\4\x14\0\0\0\x08\0" + b"\xff" * 40_000,
    "gzip of a WAV": lambda: gzip.compress(wav(SECOND), mtime=0),
    "gzip of a megabyte of zeros": lambda: gzip.compress(bytes(1_000_000), mtime=0),
    "bzip2": b"BZh91AY&SY" + GARBAGE[:900],
    "xz": b"\xfd7zXZ\0" + GARBAGE[:900],
    "zstd": b"\x28\xb5\x2f\xfd" + GARBAGE[:900],
    "7z": b"7z\xbc\xaf\x27\x1c\0\4" + GARBAGE[:900],
    "RAR": b"Rar!\x1a\7\1\0" + GARBAGE[:900],
    "tar with a path upwards": tarred,
    "ELF": b"\x7fELF\2\1\1" + bytes(9) + b"\3\0\x3e\0" + bytes(1_000),
    "Windows program": b"MZ\x90\0" + bytes(56) + b"\x80\0\0\0" + bytes(64) + b"PE\0\0" + bytes(500),
    "Mach-O": b"\xcf\xfa\xed\xfe" + bytes(500),
    "Java class": b"\xca\xfe\xba\xbe\0\0\0\x41" + bytes(500),
    "WebAssembly": b"\0asm\1\0\0\0" + bytes(500),
    "pickle": b"\x80\4\x95\x16\0\0\0\0\0\0\0\x8c\2os\x8c\6system\x93\x8c\2id\x85R.",
    "MIDI": b"MThd\0\0\0\6\0\0\0\1\0\x60MTrk\0\0\0\4\0\xff\x2f\0",
    "TrueType font": b"\0\1\0\0\0\x0a\0\x80\0\3\0\x20" + bytes(500),
    "WOFF2 font": b"wOF2\0\1\0\0" + bytes(500),
    "SQLite": b"SQLite format 3\0\x10\0\1\1\0\x40\x20\x20" + bytes(4_000),
    "pcap": b"\xd4\xc3\xb2\xa1\2\0\4\0" + bytes(500),
    "iNES game": b"NES\x1a\2\1" + bytes(5_000),
    "tracker module": b"Extended Module: x" + bytes(900),
    "zeros": bytes(100_000),
    "ones": b"\xff" * 100_000,
    "noise": GARBAGE,
    "AVI without streams": b"RIFF\x20\0\0\0AVI LIST\x14\0\0\0hdrlavih" + bytes(8),
    "FLV header": b"FLV\1\5\0\0\0\x09\0\0\0\0",
    "ASF header": bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + b"\xff" * 200,
    "RealMedia header": b".RMF\0\0\0\x12\0\0\0\0\0\0\0\0\0\0",
    "DSF": b"DSD " + struct.pack("<QQQ", 28, 1_000, 0) + b"fmt " + bytes(900),
    "DSDIFF": b"FRM8" + struct.pack(">Q", 900) + b"DSD FVER" + bytes(900),
    "Monkey's Audio": b"MAC \x96\x0f\0\0" + bytes(900),
    "Musepack 7": b"MP+\7" + bytes(900),
    "Musepack 8": b"MPCKSH" + bytes(900),
    "TAK": b"tBaK" + bytes(900),
    "Shorten": b"ajkg\2" + GARBAGE[:900],
    "OptimFROG": b"OFR \x0f\0\0\0" + bytes(900),
    "DTS": b"\x7f\xfe\x80\1" * 500,
    "TrueHD": b"\xf8\x72\x6f\xba" * 500,
    "GSM frames": b"\xd0" + bytes(32) * 100,
    "NIST sphere": b"NIST_1A\n   1024\n" + bytes(1_500),
    "IAMF": b"\xf8\x06iamf\0\0" + GARBAGE[:500],
    "QOA": b"qoaf\0\0\x3e\x80" + GARBAGE[:500],
    "Psion": b"ALawSoundFile**" + bytes(900),
    "Creative ADPCM": b"Creative ADPCM\x1a" + bytes(900),
    "SoX comment of 4 GB": b".SoX" + struct.pack("<I", 2**31) + bytes(900),
    "8SVX": b"FORM\0\0\0\x408SVXVHDR" + bytes(500),
    "ReplayGain of APE tags alone": b"APETAGEX\xd0\7\0\0" + b"\xff" * 100,
}  # fmt: skip

MUXED = {
    "WavPack": ("wv", "wavpack"), "TTA": ("tta", "tta"), "Sun au": ("au", "pcm_s16be"), "VOC": ("voc", "pcm_u8"),
    "NUT": ("nut", "pcm_s16le"), "AVI": ("avi", "mp3"), "FLV": ("flv", "aac"), "ASF": ("asf", "mp3"),
    "MPEG-TS": ("mpegts", "aac"), "RealMedia": ("rm", "ac3"), "Flash": ("swf", "mp3"), "SoX": ("sox", "pcm_s32le"),
    "IRCAM": ("ircam", "pcm_s16le"), "Lego RSO": ("rso", "pcm_u8"), "ADX": ("adx", "adpcm_adx"), "SBC": ("sbc", "sbc"),
    "WTV": ("wtv", "mp2"), "GXF": ("gxf", "pcm_s16le"), "LATM": ("latm", "aac"), "Argonaut": ("argo_asf", "adpcm_argo"),
    "Westwood": ("wsaud", "adpcm_ima_ws"), "Yamaha MMF": ("mmf", "adpcm_yamaha"), "smjpeg": ("smjpeg", "pcm_s16le"),
    "raw PCM": ("s16le", "pcm_s16le"), "raw mu-law": ("mulaw", "pcm_mulaw"), "raw A-law": ("alaw", "pcm_alaw"),
    "raw G.722": ("g722", "g722"), "raw aptX": ("aptx", "aptx"),
}  # fmt: skip
RATES = {
    "gxf": 48_000,
    "rso": 8_000,
    "mmf": 8_000,
    "argo_asf": 22_050,
    "wsaud": 22_050,
    "g722": 16_000,
    "smjpeg": 44_100,
}


def unserved() -> Iterator[Row]:
    for name, (container, codec) in MUXED.items():
        layout = "stereo" if codec == "aptx" else "mono"
        yield upload(f"unserved: {name}", muxed(container, codec, RATES.get(container, 44_100), layout), UNKNOWN)
    for codec in ("ac3", "eac3"):
        yield upload(f"unserved: raw {codec}", muxed(codec, codec, 48_000), UNKNOWN)


def element(name: str, *content: bytes) -> bytes:
    """An EBML element by its id in hexadecimal digits."""
    data = b"".join(content)
    return bytes.fromhex(name) + (len(data) | 1 << 56).to_bytes(8, "big") + data


def matroska(*tracks: bytes, more: bytes = b"") -> bytes:
    cluster = element("1f43b675", element("e7", b"\0"), element("a3", b"\x81\0\0\x80" + SECOND))
    information = element("1549a966", element("2ad7b1", b"\x0f\x42\x40"))
    segment = element("18538067", information, element("1654ae6b", *tracks), more, cluster)
    return element("1a45dfa3", element("4282", b"matroska")) + segment


def track(kind: int, codec: bytes, *more: bytes, number: int = 1) -> bytes:
    named = element("d7", bytes([number])), element("73c5", bytes([number]))
    return element("ae", *named, element("83", bytes([kind])), element("86", codec), *more)


def audio(rate: float, channels: int) -> bytes:
    return element(
        "e1",
        element("b5", struct.pack(">d", rate)),
        element("9f", struct.pack(">I", channels)),
        element("6264", b"\x10"),
    )


FONT = element(
    "1941a469",
    element(
        "61a7", element("466e", b"x.ttf"), element("4660", b"font/ttf"), element("465c", b"x"), element("46ae", b"\1")
    ),
)


def tracks() -> Iterator[Row]:
    subtitles, sound_of = 17, 2
    pcm = track(sound_of, b"A_PCM/INT/LIT", audio(16_000, 1))
    rows: dict[str, tuple[bytes, Answer]] = {
        "no track": (matroska(), NO_SOUND),
        "subtitles alone": (matroska(track(subtitles, b"S_TEXT/UTF8")), NO_SOUND),
        "500 subtitles": (matroska(track(subtitles, b"S_TEXT/UTF8") * 500), NO_SOUND),
        "a picture alone": (matroska(track(1, b"V_MJPEG")), NO_SOUND),
        "an unknown codec": (matroska(track(sound_of, b"A_WHAT", audio(16_000, 1))), CODEC),
        "rate 1": (matroska(track(sound_of, b"A_PCM/INT/LIT", audio(1, 1))), WRONG_RATE),
        "rate 1e300": (matroska(track(sound_of, b"A_PCM/INT/LIT", audio(1e300, 1))), NOTHING_SAID),
        "rate NaN": (matroska(track(sound_of, b"A_PCM/INT/LIT", audio(float("nan"), 1))), NOTHING_SAID),
        "255 channels": (matroska(track(sound_of, b"A_PCM/INT/LIT", audio(16_000, 255))), WRONG_CHANNELS),
        "2^32-1 channels": (matroska(track(sound_of, b"A_PCM/INT/LIT", audio(16_000, 2**32 - 1))), UNREADABLE),
        "subtitles and sound": (matroska(pcm, track(subtitles, b"S_TEXT/UTF8", number=2)), NOTHING_SAID),
        "a picture and sound": (matroska(pcm, track(1, b"V_MJPEG", number=2)), NOTHING_SAID),
        "buttons and sound": (matroska(pcm, track(18, b"B_VOBBTN", number=2)), NOTHING_SAID),
        "a font and sound": (matroska(pcm, more=FONT), NOTHING_SAID),
        "all as it should be": (matroska(track(sound_of, b"A_PCM/INT/LIT", audio(16_000, 1))), NOTHING_SAID),
    }
    for name, (data, answer) in rows.items():
        yield upload(f"matroska: {name}", data, answer)
    yield upload("matroska: headers alone, a thousand deep", deep, UNREADABLE)


def deep() -> bytes:
    data = b""
    for _ in range(1_000):
        data = element("18538067", data)
    return element("1a45dfa3") + data


def polyglots() -> Iterator[Row]:
    page = b"<html><script>alert(1)</script></html>"
    yield upload("polyglot: WAV, then HTML", lambda: wav(SECOND) + page, NOTHING_SAID)
    yield upload("polyglot: HTML, then WAV", lambda: page + wav(SECOND), UNKNOWN)
    yield upload("polyglot: WAV, then ZIP", lambda: wav(SECOND) + zipped(), NOTHING_SAID)
    yield upload("polyglot: MP3, then ZIP", joined(lambda: sound("mp3"), zipped), NOTHING_SAID)
    yield upload("polyglot: ZIP, then MP3", joined(zipped, lambda: sound("mp3")), NOTHING_SAID)
    yield upload("polyglot: FLAC, then PDF", joined(lambda: sound("flac"), b"%PDF-1.7\n%%EOF"), NOTHING_SAID)
    yield upload("polyglot: GIF, then Ogg", joined(b"GIF89a/*", lambda: sound("opus")), UNKNOWN)
    yield upload("polyglot: m4a, then a playlist", joined(lambda: sound("m4a"), b"#EXTM3U\nx.ts\n"), NOTHING_SAID)
    yield upload("polyglot: a playlist, then WAV", joined(b"#EXTM3U\n", lambda: wav(SECOND)), UNKNOWN)
    yield upload(
        "polyglot: ffconcat, then MP3", joined(b"ffconcat version 1.0\nfile x\n", lambda: sound("mp3")), UNKNOWN
    )
    yield upload("polyglot: two WAVs", lambda: wav(SECOND) * 2, NOTHING_SAID)


def pictures() -> Iterator[Row]:
    for container, codec, pixels in (
        ("apng", "apng", "rgb24"),
        ("gif", "gif", "rgb8"),
        ("ivf", "libvpx", "yuv420p"),
        ("mjpeg", "mjpeg", "yuvj420p"),
        ("m4v", "mpeg4", "yuv420p"),
    ):
        yield upload(f"picture: {container}", partial(picture, container, codec, pixels), UNKNOWN)


ROWS = [*uploads("file", FILES, UNKNOWN), *unserved(), *tracks(), *polyglots(), *pictures()]
