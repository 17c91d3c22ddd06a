"""Audio files made on the spot, and the recordings that come with the tests."""

import io
import json
import struct
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from asr_api.transcription import SAMPLE_RATE, Samples

RECORDINGS = Path(__file__).parent.parent / "data" / "speech"


def recordings(kind: str) -> list[Path]:
    """The recordings of a kind (speech or music) in the order of the manifest."""
    manifest: list[dict[str, Any]] = json.loads((RECORDINGS / "manifest.json").read_text())
    return [RECORDINGS / entry["file"] for entry in manifest if entry["kind"] == kind]


def tone(seconds: float, rate: int = SAMPLE_RATE) -> NDArray[np.int16]:
    return (9000 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)).astype(np.int16)


def noise(seconds: float, seed: int = 0) -> Samples:
    count = round(seconds * SAMPLE_RATE)
    return np.random.default_rng(seed).uniform(-0.5, 0.5, count).astype(np.float32)


def noise_of(kind: str, count: int, seed: int = 0) -> Samples:
    """White or pink noise or a mains hum of 50 Hz with its harmonics, at 0 dB."""
    chance = np.random.default_rng(seed).standard_normal(count)
    if kind == "pink":
        slope = np.sqrt(np.maximum(np.fft.rfftfreq(count, 1 / SAMPLE_RATE), 20))
        chance = np.fft.irfft(np.fft.rfft(chance) / slope, count)
    elif kind == "hum":
        seconds = np.arange(count) / SAMPLE_RATE
        chance = np.sum([np.sin(2 * np.pi * 50 * n * seconds + n) / n for n in range(1, 13)], axis=0)
    unit: Samples = (chance / np.sqrt(np.square(chance).mean())).astype(np.float32)
    return unit


def clicks(length: int, places: list[int]) -> Samples:
    """A faint noise with a click at each place."""
    samples = np.random.default_rng(1).normal(0, 1e-4, length).astype(np.float32)
    for place in places:
        samples[place : place + 8] += np.tile(np.array([0.8, -0.8], np.float32), 4)
    return samples


def check_samples(samples: Samples, length: int) -> None:
    """So many of them, all finite and within -1..1."""
    assert samples.dtype == np.float32
    assert len(samples) == length
    assert np.isfinite(samples).all()
    assert np.abs(samples).max(initial=0) <= 1


def check_clicks(result: Samples, places: list[int]) -> None:
    """Each click is where it was, to the millisecond."""
    for place in places:
        begin = max(0, place - 800)
        loudest = begin + int(np.abs(result)[begin : place + 800].argmax())
        assert abs(loudest - place) <= SAMPLE_RATE // 1000 + 8


def level(samples: Samples) -> float:
    """The mean level in decibels of full scale."""
    return float(10 * np.log10(np.square(samples, dtype=np.float64).mean() + 1e-12))


def silence(container: str, codec: str, seconds: float, rate: int = 8_000) -> bytes:
    """Silence, made a little at a time and in frames as long as the codec has."""
    target = io.BytesIO()
    with av.open(target, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout="mono", options={"frame_size": "65535"})
        assert isinstance(stream, av.AudioStream)
        step = 65_535
        for start in range(0, round(seconds * rate), step):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, step), np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts = rate, start
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return target.getvalue()


def wav(
    data: bytes, rate: int = SAMPLE_RATE, channels: int = 1, bits: int = 16, tag: int = 1, claim: int | None = None
) -> bytes:
    """A WAV with just these bytes; the header may lie. `tag` is 1 for integers, 3 for floats."""
    frame = channels * bits // 8
    form = struct.pack("<HHIIHH", tag, channels, rate, min(rate * frame, 2**32 - 1), frame % 2**16, bits)
    size = len(data) if claim is None else claim
    riff = struct.pack("<I", min(36 + size, 2**32 - 1))
    return b"RIFF" + riff + b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", size) + data


def encoded(
    container: str,
    codec: str,
    rate: int = SAMPLE_RATE,
    layout: str = "mono",
    seconds: float = 1.0,
    video: str | None = None,
    pcm: NDArray[np.int16] | None = None,
) -> bytes:
    """A file with a tone (or `pcm`) in each channel, and a second of video where one is named."""
    target = io.BytesIO()
    with av.open(target, "w", format=container) as output:
        picture = _add_video(output, video) if video else None
        stream = output.add_stream(codec, rate=rate, layout=layout)
        assert isinstance(stream, av.AudioStream)
        if picture:
            for packet in [*picture.encode(av.VideoFrame(64, 64, "yuv420p")), *picture.encode(None)]:
                output.mux(packet)
        samples = tone(seconds, rate) if pcm is None else pcm
        interleaved = np.repeat(samples, stream.channels)[None]
        frame = av.AudioFrame.from_ndarray(interleaved, format="s16", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    return target.getvalue()


def video_only() -> bytes:
    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as output:
        picture = _add_video(output, "mpeg4")
        for packet in [*picture.encode(av.VideoFrame(64, 64, "yuv420p")), *picture.encode(None)]:
            output.mux(packet)
    return target.getvalue()


def _add_video(output: av.container.OutputContainer, codec: str) -> av.VideoStream:
    picture = output.add_stream(codec, rate=25)
    assert isinstance(picture, av.VideoStream)
    picture.width = picture.height = 64
    picture.pix_fmt = "yuv420p"
    return picture
