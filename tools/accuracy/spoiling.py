"""Good recordings made bad: telephones, codecs, rooms, noise, clipping and speed, each from a seed."""

import io
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from zlib import crc32

import av
import numpy as np
from av.audio.stream import AudioStream
from benchmarks.harness.clips import Clip
from numpy.typing import NDArray

from asr_api.audio.decoding import decode_audio
from asr_api.transcription import SAMPLE_RATE, Samples

from .debian import NoPackages, unpacked
from .signals import LIMITS, power, read, write_flac

TELEPHONE = 8_000
"""Samples a second of a telephone line."""
VOICES = 6
"""Who talk at once in babble."""
DRIVE = 8.0
"""How far above full scale a clipped recording was driven: 18 dB."""
DECAY = 3 * np.log(10)
"""After the reverberation time, sound has a thousandth of its amplitude (ISO 3382-1)."""


Floats = NDArray[np.float32] | NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Take:
    """A recording that is to be spoiled, the dice for it, and other recordings of the same language."""

    samples: Samples
    rng: np.random.Generator
    others: Sequence[Path]


@dataclass(frozen=True, slots=True)
class Condition:
    """A way of being bad. `apply` raises NoPackages where what it needs is not on this machine."""

    name: str
    apply: Callable[[Take], Samples]


def coded(take: Take, *, codec: str, container: str, rate: int, bit_rate: int | None = None) -> Samples:
    """What comes back from a codec of libavcodec."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate)
        assert isinstance(stream, AudioStream)
        stream.layout = "mono"
        if bit_rate:
            stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(_whole(take.samples)[np.newaxis], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    file.seek(0)
    return decode_audio(file, LIMITS)


def by_gsm(take: Take) -> Samples:
    """GSM 06.10 at full rate, by libgsm's own encoder: libav only has the decoder.

    Raises NoPackages where Debian's package of it cannot be had.
    """
    root = unpacked(["libgsm1", "libgsm-tools"])
    libraries = os.pathsep.join(str(path) for path in (root / "usr/lib").glob("*-linux-gnu*"))
    narrow = _resampled(take.samples, SAMPLE_RATE, TELEPHONE)
    try:
        sent = subprocess.run(
            [root / "usr/bin/toast", "-l"],
            input=_whole(narrow).tobytes(),
            env={"LD_LIBRARY_PATH": libraries},
            check=True,
            capture_output=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoPackages(f"libgsm's encoder does not run here ({error})") from error
    with av.open(io.BytesIO(sent), "r", format="gsm") as container:
        frames = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
    return _resampled(np.concatenate(frames).astype(np.float32) / np.float32(32768), TELEPHONE, SAMPLE_RATE)


def clipped(take: Take) -> Samples:
    """Driven so far above full scale that speech is cut to a square wave."""
    driven = take.samples * (DRIVE / np.abs(take.samples).max(initial=1e-9))
    return _within(np.clip(driven, -1, 1))


def reverberant(take: Take, *, seconds: float) -> Samples:
    """In a room: white noise that decays exponentially (Polack's model), as loud in all as the direct sound."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tail = take.rng.standard_normal(len(time)) * np.exp(-DECAY * time / seconds)
    response = np.concatenate([[1.0], tail / np.sqrt(np.square(tail).sum())])
    length = len(take.samples) + len(response) - 1
    size = 1 << (length - 1).bit_length()
    heard = np.fft.irfft(np.fft.rfft(take.samples, size) * np.fft.rfft(response, size), size)[:length]
    return _within(heard * np.sqrt(power(take.samples) / max(power(_single(heard)), 1e-12)))


def noisy(take: Take, *, decibels: float) -> Samples:
    """In white noise at a signal-to-noise ratio of so many decibels."""
    return _mixed(take.samples, take.rng.standard_normal(len(take.samples)), decibels)


def among_others(take: Take, *, decibels: float) -> Samples:
    """Among others who talk, in other prompts of the same reader, louder than all of them by so many decibels."""
    chosen = take.rng.choice(len(take.others), VOICES, replace=False)
    voices = [np.resize(read(take.others[number]), len(take.samples)) for number in chosen]
    loud = [voice / np.sqrt(max(power(voice), 1e-12)) for voice in voices]
    return _mixed(take.samples, np.sum(loud, axis=0), decibels)


def at_speed(take: Take, *, factor: float) -> Samples:
    """Played so many times as fast, as a tape is: the pitch goes with it."""
    return _within(_resampled(take.samples, round(SAMPLE_RATE * factor), SAMPLE_RATE))


CLEAN = Condition("clean", lambda take: take.samples)
CONDITIONS = (
    CLEAN,
    Condition("8 kHz", partial(coded, codec="pcm_s16le", container="wav", rate=TELEPHONE)),
    Condition("G.711 mu-law", partial(coded, codec="pcm_mulaw", container="wav", rate=TELEPHONE)),
    Condition("G.711 A-law", partial(coded, codec="pcm_alaw", container="wav", rate=TELEPHONE)),
    Condition("GSM full rate", by_gsm),
    Condition("MP3 32 kbit/s", partial(coded, codec="libmp3lame", container="mp3", rate=16_000, bit_rate=32_000)),
    Condition("Opus 12 kbit/s", partial(coded, codec="libopus", container="ogg", rate=16_000, bit_rate=12_000)),
    Condition("clipped", clipped),
    Condition("reverberation 0.4 s", partial(reverberant, seconds=0.4)),
    Condition("reverberation 0.8 s", partial(reverberant, seconds=0.8)),
    *(Condition(f"white noise {ratio} dB", partial(noisy, decibels=ratio)) for ratio in (20, 10, 5, 0)),
    *(Condition(f"babble {ratio} dB", partial(among_others, decibels=ratio)) for ratio in (20, 10, 5, 0)),
    Condition("half speed", partial(at_speed, factor=0.5)),
    Condition("1.5 times speed", partial(at_speed, factor=1.5)),
)


def spoil(clips: Sequence[Clip], condition: Condition, folder: Path, seed: int, talk: Sequence[Clip]) -> list[Clip]:
    """The clips under a condition, as lossless files in `folder`, named by language and recording.

    The seed alone decides the dice, and babble is made of `talk`.

    Raises NoPackages where this machine cannot make the condition.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [_spoiled(clip, _others(clip, talk), condition, folder, seed) for clip in clips]


def _spoiled(clip: Clip, others: Sequence[Path], condition: Condition, folder: Path, seed: int) -> Clip:
    rng = np.random.default_rng([seed, crc32(f"{condition.name} {clip.path.name}".encode())])
    samples = condition.apply(Take(read(clip.path), rng, others))
    path = write_flac(folder / f"{clip.language}-{clip.path.stem}.flac", samples)
    return Clip(path, clip.language, clip.text, len(samples) / SAMPLE_RATE)


def _others(clip: Clip, clips: Sequence[Clip]) -> list[Path]:
    """All but the clip itself, its own language first so that there are enough of them."""
    rest = [other for other in clips if other.path != clip.path]
    same = [other.path for other in rest if other.language == clip.language]
    return same if len(same) >= VOICES else [other.path for other in rest]


def _mixed(samples: Samples, noise: Floats, decibels: float) -> Samples:
    wanted = power(samples) / 10 ** (decibels / 10)
    return _within(samples + noise * np.sqrt(wanted / max(power(_single(noise)), 1e-12)))


def _within(samples: Floats) -> Samples:
    """Quieter where it would be cut off at full scale."""
    quiet: Samples = (samples / max(1.0, float(np.abs(samples).max(initial=0)))).astype(np.float32)
    return quiet


def _single(samples: Floats) -> Samples:
    return samples.astype(np.float32)


def _resampled(samples: Samples, taken: int, wanted: int) -> Samples:
    """The same sound, which has `taken` samples a second, at `wanted`."""
    frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="flt", layout="mono")
    frame.sample_rate = taken
    resampler = av.AudioResampler(format="flt", layout="mono", rate=wanted)
    frames = [*resampler.resample(frame), *resampler.resample(None)]
    return np.concatenate([one.to_ndarray().reshape(-1) for one in frames])


def _whole(samples: Samples) -> NDArray[np.int16]:
    """Samples of 16 bits."""
    return (np.clip(samples, -1, 1) * 32767).round().astype(np.int16)
