"""The seven small files that all mutants are made of."""

import io
from collections.abc import Mapping
from dataclasses import dataclass

import av
import numpy as np
from numpy.typing import NDArray

from asr_api.transcription import SAMPLE_RATE
from tests.e2e.recordings import CALLSIGN

SPEECH = slice(4_000, 28_000)
"""A second and a half of a clip in which somebody speaks all the time."""


@dataclass(frozen=True, slots=True)
class Seed:
    """How a seed is made: libav's names of its container and codec, and what the codec needs to know."""

    container: str
    codec: str
    rate: int
    layout: str = "mono"
    bit_rate: int | None = None


SEEDS: Mapping[str, Seed] = {
    "wav": Seed("wav", "pcm_s16le", 11_025),
    "flac": Seed("flac", "flac", 8_000),
    "mp3": Seed("mp3", "mp3", 22_050, "stereo", 32_000),
    "ogg": Seed("ogg", "libopus", 48_000, bit_rate=16_000),
    "m4a": Seed("ipod", "aac", 22_050, bit_rate=32_000),
    "webm": Seed("webm", "vorbis", 16_000, "stereo"),
    "caf": Seed("caf", "adpcm_ima_qt", 16_000),
}
"""Seven containers and seven codecs."""


def seeds() -> dict[str, bytes]:
    """The files by name; the same each time, so that a mutant is known by its number."""
    pcm = (CALLSIGN["en-01.flac"].samples()[SPEECH] * 32_767).astype(np.int16)
    return {name: _encoded(seed, pcm) for name, seed in SEEDS.items()}


def _encoded(seed: Seed, pcm: NDArray[np.int16]) -> bytes:
    target = io.BytesIO()
    with av.open(target, "w", format=seed.container, container_options={"fflags": "+bitexact"}) as output:
        options = {"flags": "+bitexact", "strict": "experimental"}
        stream = output.add_stream(seed.codec, rate=seed.rate, layout=seed.layout, options=options)
        assert isinstance(stream, av.AudioStream)
        if seed.bit_rate:
            stream.bit_rate = seed.bit_rate
        frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE, 0
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    return target.getvalue()
