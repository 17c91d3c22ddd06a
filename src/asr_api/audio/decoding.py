"""Any uploaded file to mono samples at 16 kHz, within limits that the file cannot talk its way past."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from numpy.typing import NDArray

from asr_api.errors import InvalidAudio
from asr_api.transcription import SAMPLE_RATE, Samples

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

MIN_RATE, MAX_RATE = 4_000, 384_000
MAX_CHANNELS = 8
MAX_FRAME_SECONDS = 30
MIN_GOOD = 0.9
"""The share of the packets, or of the bytes if the rest has none, that a damaged file must still have."""


@dataclass(frozen=True, slots=True)
class AudioLimits:
    """How long the audio of one request may be, in seconds. The minimum is OpenAI's."""

    max_seconds: float
    min_seconds: float = 0.1


def decode_audio(source: BinaryIO, limits: AudioLimits) -> Samples:
    """The first audio stream of a seekable file, mixed to mono at 16 kHz.

    The content alone decides what the file is. No other file and no network address is opened,
    memory grows with what was decoded and never with what a header claims, and decoding ends at
    `limits.max_seconds`. A damaged file yields what can be read if 90 % of its packets can.

    Raises InvalidAudio whatever is wrong with the file, and OSError if `source` cannot be read.
    """
    try:
        with _open(source, BARRIERS | QUICK_PROBE) as container:
            if _shows_its_sound(container):
                return _decode(container, _audio_stream(container), limits)
        with _open(source, BARRIERS) as container:
            return _decode(container, _audio_stream(container), limits)
    except InvalidAudio:
        raise
    except Exception as error:
        if isinstance(error, OSError) and not isinstance(error, av.FFmpegError):
            raise
        raise _invalid(f"The file cannot be decoded: {_reason(error)}.", "corrupt_audio") from error


class _Anonymous:
    """A file without a name, for libavformat takes a name that ends in .m3u8 for a playlist."""

    def __init__(self, source: BinaryIO) -> None:
        self.read = source.read
        self.seek = source.seek
        self.tell = source.tell


@dataclass(slots=True)
class _Tally:
    """How many packets were decoded and how many could not be."""

    good: int = 0
    bad: int = 0

    def check(self) -> None:
        if not self.good + self.bad:
            raise _invalid("The file holds no audio.", "empty_audio")
        if self.good < MIN_GOOD * (self.good + self.bad):
            packets = f"{self.bad} of its {self.good + self.bad} packets"
            raise _invalid(f"The file is damaged: {packets} cannot be decoded.", "corrupt_audio")


def _open(source: BinaryIO, options: dict[str, str]) -> InputContainer:
    source.seek(0)
    if not source.read(1):
        raise _invalid("The file is empty.", "empty_audio")
    source.seek(0)
    try:
        return av.open(_Anonymous(source), "r", container_options=options, metadata_errors="ignore")
    except av.FFmpegError as error:
        formats = ", ".join(f"'{name}'" for name in SUPPORTED_FORMATS)
        raise _invalid(f"Invalid file format. Supported formats: [{formats}]", "unsupported_format") from error


def _shows_its_sound(container: InputContainer) -> bool:
    """Whether the first audio stream is known, with its rate."""
    streams = container.streams.audio
    return bool(streams) and streams[0].codec_context is not None and bool(streams[0].codec_context.sample_rate)


def _audio_stream(container: InputContainer) -> AudioStream:
    """The first audio stream, checked before anything is built for it. Raises InvalidAudio."""
    if not container.streams.audio:
        raise _invalid("The file has no audio stream.", "no_audio_stream")
    stream = container.streams.audio[0]
    context = stream.codec_context
    if context is None or context.name not in DECODERS:
        name = "unknown to us" if context is None else context.name
        raise _invalid(f"The audio codec of the file is not supported: {name}.", "unsupported_codec")
    _check_sound(context.sample_rate, context.channels)
    context.thread_count = 1  # the caller's thread pool decides how many cores decode
    return stream


def _check_sound(rate: int, channels: int) -> None:
    """A forged low rate would let a few bytes grow to gigabytes when they are resampled."""
    if not MIN_RATE <= (rate or 0) <= MAX_RATE:
        fact = f"The sample rate of the file is {rate or 0} Hz; {MIN_RATE} to {MAX_RATE} Hz are supported."
        raise _invalid(fact, "unsupported_sample_rate")
    if not 1 <= channels <= MAX_CHANNELS:
        fact = f"The audio of the file has {channels} channels; 1 to {MAX_CHANNELS} are supported."
        raise _invalid(fact, "unsupported_channels")


def _decode(container: InputContainer, stream: AudioStream, limits: AudioLimits) -> Samples:
    tally = _Tally()
    frames = _frames(container, stream, tally)
    blocks = list(_bounded(_resampled(frames), limits.max_seconds))
    tally.check()
    return _joined(blocks, limits.min_seconds)


def _frames(container: InputContainer, stream: AudioStream, tally: _Tally) -> Iterator[AudioFrame]:
    for packet in _packets(container, stream):
        try:
            frames = stream.decode(packet)
        except av.FFmpegError:
            tally.bad += 1
        else:
            tally.good += packet.size > 0  # the empty packet flushes the decoder
            yield from frames


def _packets(container: InputContainer, stream: AudioStream) -> "Iterator[Packet[AudioStream]]":
    """The packets up to where the demuxer fails. Raises InvalidAudio if much of the file lies behind."""
    position = 0
    try:
        for packet in container.demux(stream):
            position = max(position, packet.pos or 0)
            yield packet
    except av.FFmpegError as error:
        if position < MIN_GOOD * container.size:
            fact = f"The file is damaged: nothing can be read past byte {position} of {container.size}."
            raise _invalid(fact, "corrupt_audio") from error


def _resampled(frames: Iterable[AudioFrame]) -> Iterator[NDArray[np.int16]]:
    """Blocks of samples; a stream that changes its rate or layout gets a resampler anew."""
    resampler, sound = _resampler(), None
    for frame in frames:
        _check_frame(frame)
        previous, sound = sound, (frame.format.name, frame.layout.name, frame.sample_rate)
        if previous not in (None, sound):
            yield from _pull(resampler, None)
            resampler = _resampler()
        frame.pts = None  # the samples follow each other, whatever the timestamps say
        yield from _pull(resampler, frame)
    yield from _pull(resampler, None)


def _resampler() -> AudioResampler:
    return AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)


def _check_frame(frame: AudioFrame) -> None:
    _check_sound(frame.sample_rate, frame.layout.nb_channels)
    if frame.samples > MAX_FRAME_SECONDS * frame.sample_rate:
        raise _invalid(f"The file has a frame longer than {MAX_FRAME_SECONDS} s.", "corrupt_audio")


def _pull(resampler: AudioResampler, frame: AudioFrame | None) -> Iterator[NDArray[np.int16]]:
    for resampled in resampler.resample(frame):
        if resampled is not None:  # what a resampler with nothing to do answers to a flush
            yield resampled.to_ndarray()[0]


def _bounded(blocks: Iterable[NDArray[np.int16]], max_seconds: float) -> Iterator[NDArray[np.int16]]:
    room = math.floor(max_seconds * SAMPLE_RATE)
    for block in blocks:
        room -= len(block)
        if room < 0:
            raise _invalid(f"The audio is longer than the {max_seconds:g} s allowed.", "audio_too_long")
        yield block


def _joined(blocks: list[NDArray[np.int16]], min_seconds: float) -> Samples:
    samples: Samples = np.concatenate([np.zeros(0, np.int16), *blocks], dtype=np.float32)
    seconds = len(samples) / SAMPLE_RATE
    if seconds < min_seconds:
        fact = f"The audio is {seconds:.3f} s long; at least {min_seconds:g} s are needed."
        raise _invalid(fact, "audio_too_short")
    samples *= np.float32(1 / 32768)
    return samples


def _invalid(message: str, code: str) -> InvalidAudio:
    return InvalidAudio(message, code=code, param="file")


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, av.FFmpegError) else type(error).__name__) or "no reason given"
