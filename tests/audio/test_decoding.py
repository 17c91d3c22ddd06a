"""Whatever is uploaded becomes samples or one InvalidAudio that says what is wrong."""

import io
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import pytest
from faster_whisper.audio import decode_audio as reference

from asr_api.audio.blocks import BLOCK
from asr_api.audio.decoding import QUICK_PROBE, AudioLimits, decode_audio, open_audio
from asr_api.errors import InvalidAudio
from asr_api.transcription import SAMPLE_RATE, Samples

from .sounds import encoded, recordings, tone, wav

LIMITS = AudioLimits(max_seconds=600)

FORMATS = {
    "wav s16": ("wav", "pcm_s16le", 16_000, "mono"),
    "wav s24": ("wav", "pcm_s24le", 48_000, "stereo"),
    "wav f32": ("wav", "pcm_f32le", 44_100, "mono"),
    "wav f64": ("wav", "pcm_f64le", 44_100, "mono"),
    "wav u8": ("wav", "pcm_u8", 8_000, "mono"),
    "wav mu-law": ("wav", "pcm_mulaw", 8_000, "mono"),
    "wav adpcm": ("wav", "adpcm_ms", 16_000, "mono"),
    "wav 192 kHz 7.1": ("wav", "pcm_s16le", 192_000, "7.1"),
    "w64": ("w64", "pcm_s16le", 44_100, "mono"),
    "flac": ("flac", "flac", 44_100, "stereo"),
    "mp3": ("mp3", "mp3", 44_100, "stereo"),
    "mp2": ("mp2", "mp2", 44_100, "mono"),
    "mpeg": ("mpeg", "mp2", 44_100, "mono"),
    "opus": ("ogg", "libopus", 48_000, "mono"),
    "ogg flac": ("ogg", "flac", 44_100, "mono"),
    "mp4 aac": ("mp4", "aac", 48_000, "stereo"),
    "m4a aac": ("ipod", "aac", 44_100, "stereo"),
    "m4a alac": ("ipod", "alac", 44_100, "mono"),
    "aac": ("adts", "aac", 44_100, "mono"),
    "webm": ("webm", "libopus", 48_000, "mono"),
    "mkv": ("matroska", "pcm_s16le", 44_100, "mono"),
    "mov": ("mov", "pcm_s16le", 44_100, "mono"),
    "aiff": ("aiff", "pcm_s16be", 44_100, "mono"),
    "caf": ("caf", "pcm_s16be", 44_100, "mono"),
    "amr": ("amr", "libopencore_amrnb", 8_000, "mono"),
    "3gp": ("3gp", "libopencore_amrnb", 8_000, "mono"),
}


def decode(data: bytes, limits: AudioLimits = LIMITS) -> Samples:
    return decode_audio(io.BytesIO(data), limits)


def assert_sane(samples: Samples) -> None:
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() <= 1


def loudest_frequency(samples: Samples) -> float:
    return float(np.abs(np.fft.rfft(samples)).argmax() * SAMPLE_RATE / len(samples))


@pytest.mark.parametrize("name", FORMATS)
def test_formats(name: str) -> None:
    """Every format, told by its content alone, gives the second of A4 that was put in."""
    container, codec, rate, layout = FORMATS[name]
    samples = decode(encoded(container, codec, rate, layout))
    assert_sane(samples)
    assert 0.95 < len(samples) / SAMPLE_RATE < 1.08
    assert loudest_frequency(samples) == pytest.approx(440, abs=2)


@pytest.mark.parametrize(
    ("container", "codec", "video"),
    [
        ("mp4", "aac", "libx264"),
        ("mov", "aac", "mpeg4"),
        ("matroska", "mp3", "libx264"),
        ("webm", "libopus", "libvpx"),
        ("mpeg", "mp2", "mpeg2video"),
    ],
)
def test_video(container: str, codec: str, video: str) -> None:
    """A film is its sound."""
    assert loudest_frequency(decode(encoded(container, codec, 48_000, video=video))) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("name", ["wav s24", "wav f32", "flac", "mp3", "opus", "m4a aac"])
def test_agrees_with_faster_whisper(name: str) -> None:
    """Samples differ from those of faster-whisper's decoder by rounding at most."""
    data = encoded(*FORMATS[name])
    np.testing.assert_allclose(decode(data), reference(io.BytesIO(data)), atol=2 / 32768)


def test_recordings() -> None:
    """Recordings come out exactly as faster-whisper decodes them."""
    for path in recordings("speech")[:5]:
        with path.open("rb") as file:
            np.testing.assert_array_equal(decode_audio(file, LIMITS), reference(str(path)))


@pytest.mark.parametrize("channels", range(1, 9))
def test_channels_without_layout(channels: int) -> None:
    """One to eight channels are mixed down also where the file does not say where they belong."""
    samples = decode(wav(np.repeat(tone(0.5), channels).tobytes(), channels=channels))
    assert len(samples) == SAMPLE_RATE // 2
    assert loudest_frequency(samples) == pytest.approx(440, abs=2)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("adts", "aac", 44_100, "mono"), ("adts", "aac", 16_000, "stereo")),
        (("mp3", "mp3", 44_100, "stereo"), ("mp3", "mp3", 16_000, "mono")),
        (("ogg", "flac", 44_100, "mono"), ("ogg", "flac", 44_100, "mono")),
    ],
)
def test_changes_midway(first: tuple[str, str, int, str], second: tuple[str, str, int, str]) -> None:
    """A stream that begins anew, at another rate and in another layout, is read to its end."""
    samples = decode(encoded(*first) + encoded(*second))
    assert_sane(samples)
    assert 1.95 < len(samples) / SAMPLE_RATE < 2.2


@pytest.mark.parametrize("rate", [4_000, 8_000, 11_025, 44_100, 384_000])
def test_shortest(rate: int) -> None:
    """A tenth of a second is enough at any rate."""
    assert len(decode(wav(tone(0.1, rate).tobytes(), rate))) == SAMPLE_RATE // 10


def test_threads() -> None:
    """Files decoded at the same time do not disturb each other."""
    data = encoded("mp3", "mp3", 44_100, seconds=3)
    alone = decode(data)
    with ThreadPoolExecutor(4) as pool:
        for together in pool.map(decode, [data] * 8):
            np.testing.assert_array_equal(together, alone)


def video_before_sound() -> bytes:
    """An MPEG program stream that begins with seconds of noisy pictures, and has its sound after them."""
    target = io.BytesIO()
    chance = np.random.default_rng(1)
    with av.open(target, "w", format="mpeg") as output:
        picture = output.add_stream("mpeg2video", rate=25)
        sound = output.add_stream("mp2", rate=32_000, layout="mono")
        assert isinstance(picture, av.VideoStream)
        assert isinstance(sound, av.AudioStream)
        picture.width, picture.height, picture.pix_fmt = 320, 240, "yuv420p"
        for _ in range(75):
            noise = chance.integers(0, 256, (240, 320, 3), dtype=np.uint8)
            output.mux(picture.encode(av.VideoFrame.from_ndarray(noise, format="rgb24").reformat(format="yuv420p")))
        output.mux(picture.encode(None))
        frame = av.AudioFrame.from_ndarray(tone(1.0, 32_000)[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = 32_000, 3 * 32_000
        output.mux(sound.encode(frame))
        output.mux(sound.encode(None))
    return target.getvalue()


def test_sound_behind_much_video_is_found() -> None:
    """A look at the beginning does not show it, so that the file is looked at again for longer."""
    data = video_before_sound()
    with av.open(io.BytesIO(data), container_options=QUICK_PROBE) as container:
        assert not any(stream.sample_rate for stream in container.streams.audio)
    assert len(decode_audio(io.BytesIO(data), LIMITS)) > 0.9 * SAMPLE_RATE


def test_a_tag_with_a_large_picture_is_skipped() -> None:
    """An MP3 may begin with megabytes of album art."""
    mp3 = encoded("mp3", "mp3")
    art = b"\x00image/jpeg\x00\x03\x00" + np.random.default_rng(1).bytes(2_000_000)
    frame = b"APIC" + len(art).to_bytes(4, "big") + b"\x00\x00" + art
    size = bytes(len(frame) >> shift & 127 for shift in (21, 14, 7, 0))
    tagged = b"ID3\x03\x00\x00" + size + frame + mp3
    limits = LIMITS
    assert np.array_equal(decode_audio(io.BytesIO(tagged), limits), decode_audio(io.BytesIO(mp3), limits))


@pytest.mark.parametrize("name", FORMATS)
def test_names_are_not_looked_at(name: str) -> None:
    """A file is what it holds, whatever it is called."""
    data = encoded(*FORMATS[name], seconds=0.2)
    misnamed = io.BytesIO(data)
    misnamed.name = "film.m3u8"
    np.testing.assert_array_equal(decode_audio(misnamed, LIMITS), decode(data))


def test_blocks() -> None:
    """Blocks are all of one size but the last, and together are the audio."""
    data = encoded("wav", "pcm_s16le", seconds=30)
    with open_audio(io.BytesIO(data), LIMITS) as audio:
        blocks = list(audio.blocks())
    assert [len(block) for block in blocks] == [BLOCK, BLOCK, BLOCK, 30 * SAMPLE_RATE - 3 * BLOCK]
    np.testing.assert_array_equal(np.concatenate(blocks), decode(data))


def test_the_file_is_read_as_its_blocks_are_asked_for() -> None:
    """The first block comes when little of the file has been read."""
    source = io.BytesIO(encoded("wav", "pcm_s16le", seconds=100))
    with open_audio(source, LIMITS) as audio:
        blocks = audio.blocks()
        next(blocks)
        assert source.tell() < 3 * 2 * BLOCK


@pytest.mark.parametrize("name", FORMATS)
def test_claimed_seconds(name: str) -> None:
    """Before a file is decoded it is known how long it says, or seems, to be."""
    with open_audio(io.BytesIO(encoded(*FORMATS[name], seconds=3)), LIMITS) as audio:
        assert audio.claimed_seconds == pytest.approx(3, abs=0.3)


def test_claimed_seconds_of_a_recording_that_was_streamed() -> None:
    """Where the header has no length the size tells it, and where nothing tells it there is none."""
    unfinished = wav(tone(3).tobytes(), claim=2**32 - 1)
    with open_audio(io.BytesIO(unfinished), LIMITS) as audio:
        assert audio.claimed_seconds == pytest.approx(3, abs=0.1)


def test_a7_a_chunk_that_leads_far_behind_the_file(tmp_path: Path) -> None:
    """A7: a size that makes libavformat seek to where no file can be is damage of the file, not of the disk."""
    samples = tone(1).astype(">i2").tobytes()
    description = struct.pack(">d4sIIIII", 16000.0, b"lpcm", 0, 2, 1, 1, 16)
    head = b"caff" + struct.pack(">HH", 1, 0) + b"desc" + struct.pack(">q", len(description)) + description
    file = tmp_path / "file"
    file.write_bytes(head + b"free" + struct.pack(">q", 2**62) + b"data" + struct.pack(">q", -1) + bytes(4) + samples)
    with file.open("rb") as source, pytest.raises(InvalidAudio) as refusal:
        decode_audio(source, LIMITS)
    assert refusal.value.code in ("corrupt_audio", "unsupported_format")
