"""Decoded frames of any rate and layout to mono at 16 kHz."""

from collections.abc import Iterable, Iterator

import numpy as np
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from asr_api.errors import InvalidAudio
from asr_api.transcription import SAMPLE_RATE

MIN_RATE, MAX_RATE = 4_000, 384_000
MAX_CHANNELS = 8
MAX_FRAME_SECONDS = 30


MAX_LOST = 100
"""Samples that libswresample may keep to itself: 84 were the most seen, of a stream of 21 samples at 4 kHz."""


AT_ONCE = 32_768
"""Samples that are resampled together: a call costs as much as a thousand samples, and frames are that short."""


def resampled(frames: Iterable[AudioFrame]) -> Iterator[NDArray[np.int16]]:
    """The samples of the frames in order, each result of shape (n,): what some frames come to.

    A stream that changes its rate or layout gets a resampler anew. Raises InvalidAudio for a frame
    whose rate, channels or length no recording has, and MemoryError.
    """
    resampler: _Resampler | None = None
    for frame in frames:
        _check_frame(frame)
        sound = _sound(frame)
        if resampler and resampler.sound != sound:
            yield from resampler.finish()
            resampler = None
        resampler = resampler or _Resampler(sound)
        yield from resampler.push(frame)
    if resampler:
        yield from resampler.finish()


class _Resampler:
    """libavfilter's resampler for frames of one kind, which sees to it that none gets lost."""

    def __init__(self, sound: tuple[str, str, int]) -> None:
        self.sound = sound
        self._resampler = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
        self._held = AudioFifo()
        self._due = 0.0

    def push(self, frame: AudioFrame) -> Iterator[NDArray[np.int16]]:
        self._due += frame.samples * SAMPLE_RATE / frame.sample_rate
        frame.pts = None  # the samples follow each other, whatever the timestamps say
        if not self._held.samples and frame.samples >= AT_ONCE:
            yield from self._pull(frame)
            return
        self._held.write(frame)
        if self._held.samples >= AT_ONCE:
            yield from self._pull(self._held.read())

    def finish(self) -> Iterator[NDArray[np.int16]]:
        """The rest. Raises MemoryError: where memory fails libavfilter drops the frame, and says nothing."""
        if self._held.samples:
            yield from self._pull(self._held.read())
        yield from self._pull(None)
        if self._due > MAX_LOST:
            raise MemoryError(f"{self._due:.0f} samples were lost while they were resampled")

    def _pull(self, frame: AudioFrame | None) -> Iterator[NDArray[np.int16]]:
        for one in self._resampler.resample(frame):
            if one is not None:  # what a resampler with nothing to do answers to a flush
                self._due -= one.samples
                yield one.to_ndarray()[0]


def _sound(frame: AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def check_sound(rate: int, channels: int) -> None:
    """Raises InvalidAudio: a forged low rate would let a few bytes grow to gigabytes when they are resampled."""
    if not MIN_RATE <= (rate or 0) <= MAX_RATE:
        fact = f"The sample rate of the file is {rate or 0} Hz; {MIN_RATE} to {MAX_RATE} Hz are supported."
        raise InvalidAudio(fact, code="unsupported_sample_rate", param="file")
    if not 1 <= channels <= MAX_CHANNELS:
        fact = f"The audio of the file has {channels} channels; 1 to {MAX_CHANNELS} are supported."
        raise InvalidAudio(fact, code="unsupported_channels", param="file")


def _check_frame(frame: AudioFrame) -> None:
    check_sound(frame.sample_rate, frame.layout.nb_channels)
    if frame.samples > MAX_FRAME_SECONDS * frame.sample_rate:
        fact = f"The file has a frame longer than {MAX_FRAME_SECONDS} s."
        raise InvalidAudio(fact, code="corrupt_audio", param="file")
