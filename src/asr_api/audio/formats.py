"""What of libav may run, and what its parts and the formats are called."""

SUPPORTED_FORMATS = (
    "3gp", "aac", "aiff", "amr", "caf", "flac", "m4a", "mkv", "mov", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg",
    "opus", "w64", "wav", "webm",
)  # fmt: skip
"""What a user calls the formats that are read; OpenAI's ten are among them."""

DEMUXERS = (
    "wav", "w64", "flac", "mp3", "ogg", "mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm", "aac", "amr",
    "aiff", "caf", "mpeg",
)  # fmt: skip
"""libavformat's names of the same. All others are barred: SDP opens sockets, playlists open files and URLs."""

DECODERS = (
    "aac", "aac_latm", "ac3", "adpcm_ima_qt", "adpcm_ima_wav", "adpcm_ms", "alac", "amrnb", "amrwb", "eac3", "flac",
    "gsm_ms", "libopencore_amrnb", "libopencore_amrwb", "libopus",
    "mp1", "mp1float", "mp2", "mp2float", "mp3", "mp3float", "opus",
    "pcm_alaw", "pcm_f32be", "pcm_f32le", "pcm_f64be", "pcm_f64le", "pcm_mulaw", "pcm_s16be", "pcm_s16le",
    "pcm_s24be", "pcm_s24le", "pcm_s32be", "pcm_s32le", "pcm_s8", "pcm_u8", "vorbis",
)  # fmt: skip
"""libavcodec's names of the decoders that may run, also while libavformat probes the streams."""

BARRIERS = {
    "format_whitelist": ",".join(DEMUXERS),
    "codec_whitelist": ",".join(DECODERS),
    "protocol_whitelist": "none",
}
"""What libavformat may use while it opens a file; no protocol, should a demuxer still ask for another file."""

QUICK_PROBE = {"probesize": str(64 * 1024), "max_size": str(64 * 1024)}
"""How much libavformat reads to learn what a file is, in bytes. With its own 5 MB, a WAV of some seconds costs
several times as much; what hides its sound behind more video than this is opened again with those.
"""

SIGNATURES = {
    "3gp, m4a, mov or mp4": (4, b"ftyp"),
    "aiff": (8, b"AIF"),
    "amr": (0, b"#!AMR"),
    "caf": (0, b"caff"),
    "flac": (0, b"fLaC"),
    "mkv or webm": (0, b"\x1a\x45\xdf\xa3"),
    "mp3": (0, b"ID3"),
    "ogg": (0, b"OggS"),
    "wav": (8, b"WAVE"),
}
"""Where in a file its format is written, and how: what begins so and cannot be opened is damaged, not foreign."""

HEAD = 12
"""Bytes in which the signatures lie."""


def signed_format(head: bytes) -> str | None:
    """What a file that begins with `head` says it is; None where it says nothing known here."""
    return next((name for name, (at, mark) in SIGNATURES.items() if head.startswith(mark, at)), None)
