"""Any uploaded file to mono samples at 16 kHz, block by block, within limits that the file cannot talk its way past."""

import errno
import math
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from numpy.typing import NDArray

from asr_api.audio.blocks import BLOCK, in_blocks, scaled
from asr_api.audio.cleaning import denoised
from asr_api.audio.formats import BARRIERS, DECODERS, HEAD, QUICK_PROBE, SUPPORTED_FORMATS, signed_format
from asr_api.audio.resampling import check_sound, resampled
from asr_api.errors import InvalidAudio
from asr_api.transcription import SAMPLE_RATE, Samples

__all__ = ["BLOCK", "QUICK_PROBE", "AudioLimits", "DecodedAudio", "decode_audio", "open_audio"]

MIN_GOOD = 0.9
"""The share of the packets, or of the bytes if the rest has none, that a damaged file must still have."""

MAX_SECONDS_PER_BYTE = 2
"""What says that it holds more lies: FLAC's longest frame is 16 s (65,535 samples at 4 kHz) in 11 bytes."""


@dataclass(frozen=True, slots=True)
class AudioLimits:
    """How long the audio of one request may be, in seconds. The minimum is OpenAI's."""

    max_seconds: float
    min_seconds: float = 0.1


@contextmanager
def open_audio(source: BinaryIO, limits: AudioLimits, *, denoise: bool = False) -> "Iterator[DecodedAudio]":
    """The first audio stream of a seekable file, to be decoded within the context, with its noise or with less.

    The content alone decides what the file is. No other file and no network address is opened, and
    `source` is read as decoding goes on.

    Raises InvalidAudio whatever is wrong with the file, and OSError if `source` cannot be read.
    """
    with ExitStack() as opened:
        with _told():
            container = opened.enter_context(_open(source, BARRIERS | QUICK_PROBE))
            if not _shows_its_sound(container):
                container.close()
                container = opened.enter_context(_open(source, BARRIERS))
            stream = _audio_stream(container)
            audio = DecodedAudio(container, stream, limits, denoise=denoise)
        yield audio


def decode_audio(source: BinaryIO, limits: AudioLimits, *, denoise: bool = False) -> Samples:
    """All of `open_audio`'s blocks as one array. Raises what `open_audio` and `blocks` raise."""
    with open_audio(source, limits, denoise=denoise) as audio:
        return np.concatenate([np.zeros(0, np.float32), *audio.blocks()])


class DecodedAudio:
    """The audio of an open file, mixed to mono at 16 kHz; to be read once, while the file is open.

    `claimed_seconds` is how long the file says it is, or seems to be by its size; None where it
    tells nothing. It is the uploader's word: a hint of what is to come and no more.
    """

    def __init__(self, container: InputContainer, stream: AudioStream, limits: AudioLimits, *, denoise: bool) -> None:
        self.claimed_seconds = _claimed_seconds(container, stream)
        self._container = container
        self._stream = stream
        self._limits = limits
        self._denoise = denoise

    def blocks(self) -> Iterator[Samples]:
        """The samples in order, `BLOCK` at a time and the rest at the end; without noise some blocks may be shorter.

        Memory is that of a few blocks, however long the audio is or claims to be, and decoding ends
        at `max_seconds`. A damaged file yields what can be read of it; that less than 90 % of its
        packets could be is known at the end only, so that an error takes back all blocks before it.

        Raises InvalidAudio whatever is wrong with the file, and OSError if `source` cannot be read.
        """
        with _told():
            blocks = scaled(in_blocks(_bounded(self._pieces(), self._limits)))
            yield from denoised(blocks) if self._denoise else blocks

    def _pieces(self) -> Iterator[NDArray[np.int16]]:
        tally = _Tally()
        yield from resampled(_frames(self._container, self._stream, tally))
        tally.check()


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


@contextmanager
def _told() -> Iterator[None]:
    """Whatever goes wrong inside is told as InvalidAudio, but for faults of the source itself."""
    try:
        yield
    except InvalidAudio:
        raise
    except MemoryError as error:
        raise _invalid("Decoding the file takes more memory than is allowed.", "audio_too_complex") from error
    except Exception as error:
        if isinstance(error, OSError) and not isinstance(error, av.FFmpegError) and error.errno != errno.EINVAL:
            raise  # a fault of the source; EINVAL is libavformat's, which was told to seek to where no file is
        raise _invalid(f"The file cannot be decoded: {_reason(error)}.", "corrupt_audio") from error


def _open(source: BinaryIO, options: dict[str, str]) -> InputContainer:
    source.seek(0)
    head = source.read(HEAD)
    if not head:
        raise _invalid("The file is empty.", "empty_audio")
    source.seek(0)
    try:
        return av.open(_Anonymous(source), "r", container_options=options, metadata_errors="ignore")
    except MemoryError:
        raise
    except av.FFmpegError as error:
        raise _unreadable(head) from error


def _unreadable(head: bytes) -> InvalidAudio:
    if name := signed_format(head):
        return _invalid(f"The file is damaged: it begins as {name} does and cannot be opened.", "corrupt_audio")
    formats = ", ".join(f"'{name}'" for name in SUPPORTED_FORMATS)
    return _invalid(f"Invalid file format. Supported formats: [{formats}]", "unsupported_format")


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
    context.thread_count = 1  # the caller's pool decides how many cores decode
    if not context.channels:
        _ask_why(context)
    check_sound(context.sample_rate, context.channels)
    return stream


def _ask_why(context: AudioCodecContext) -> None:
    """Raises MemoryError if that is why libavformat, which keeps it to itself, could not open the decoder."""
    try:
        context.open()
    except MemoryError:
        raise
    except av.FFmpegError:
        return


def _claimed_seconds(container: InputContainer, stream: AudioStream) -> float | None:
    """The stream's duration, or the container's, or what the size comes to at the bit rate; the first that can be."""
    claims = (
        float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0,
        (container.duration or 0) / av.time_base,
        8 * container.size / stream.codec_context.bit_rate if stream.codec_context.bit_rate else 0.0,
    )
    return next((claim for claim in claims if 0 < claim < MAX_SECONDS_PER_BYTE * container.size), None)


def _frames(container: InputContainer, stream: AudioStream, tally: _Tally) -> Iterator[AudioFrame]:
    for packet in _packets(container, stream):
        try:
            frames = stream.decode(packet)
        except MemoryError:
            raise
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
    except MemoryError:
        raise
    except av.FFmpegError as error:
        if position < MIN_GOOD * container.size:
            fact = f"The file is damaged: nothing can be read past byte {position} of {container.size}."
            raise _invalid(fact, "corrupt_audio") from error


def _bounded(pieces: Iterable[NDArray[np.int16]], limits: AudioLimits) -> Iterator[NDArray[np.int16]]:
    most, length = math.floor(limits.max_seconds * SAMPLE_RATE), 0
    for piece in pieces:
        length += len(piece)
        if length > most:
            fact = f"The audio is longer than the {limits.max_seconds:.10g} s allowed (max_audio_seconds)."
            raise _invalid(fact, "audio_too_long")
        yield piece
    if length < limits.min_seconds * SAMPLE_RATE:
        fact = f"The audio is {length / SAMPLE_RATE:.3f} s long; at least {limits.min_seconds:g} s are needed."
        raise _invalid(fact, "audio_too_short")


def _invalid(message: str, code: str) -> InvalidAudio:
    return InvalidAudio(message, code=code, param="file")


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, av.FFmpegError) else type(error).__name__) or "no reason given"
