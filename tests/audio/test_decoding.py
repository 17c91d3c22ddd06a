"""Whatever is uploaded becomes samples or one InvalidAudio that says what is wrong."""

import contextlib
import io
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import pytest
from faster_whisper.audio import decode_audio as reference

from asr_api.audio.decoding import QUICK_PROBE, AudioLimits, decode_audio
from asr_api.errors import InvalidAudio
from asr_api.transcription import SAMPLE_RATE, Samples

from .sounds import encoded, recordings, tone, video_only, wav

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


def refusal(data: bytes, limits: AudioLimits = LIMITS) -> InvalidAudio:
    with pytest.raises(InvalidAudio) as caught:
        decode(data, limits)
    assert caught.value.param == "file"
    assert caught.value.message.endswith((".", "]"))
    return caught.value


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
    [("mp4", "aac", "libx264"), ("webm", "libopus", "libvpx"), ("mpeg", "mp2", "mpeg2video")],
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


@pytest.mark.parametrize(("codec", "rates"), [("flac", (16_000, 44_100)), ("libopus", (48_000, 48_000))])
def test_changes_that_cannot_be_followed(codec: str, rates: tuple[int, int]) -> None:
    """Where libavformat loses a stream midway the file is refused: half a transcript would be taken for all."""
    data = encoded("ogg", codec, rates[0]) + encoded("ogg", codec, rates[1], "stereo")
    assert refusal(data).code == "corrupt_audio"


@pytest.mark.parametrize(("kind", "bits"), [("<f4", 32), ("<f8", 64)])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_floats_beyond_reason(kind: str, bits: int, rate: int) -> None:
    """NaN, infinities, huge values and denormals end as finite samples within -1..1."""
    values = np.tile(np.array([np.nan, np.inf, -np.inf, 1e38, -1e38, 1e-40, 0.5], kind), 3000)
    assert_sane(decode(wav(values.tobytes(), rate, bits=bits, tag=3)))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty_audio"),
        (wav(b""), "empty_audio"),
        (wav(tone(1).tobytes()[:20]), "audio_too_short"),
        (wav(tone(1).tobytes()[:20], rate=8_000), "audio_too_short"),
        (wav(tone(0.099).tobytes()), "audio_too_short"),
        (video_only(), "no_audio_stream"),
        (encoded("matroska", "wavpack", 44_100), "unsupported_codec"),
        (encoded("wv", "wavpack", 44_100), "unsupported_format"),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), "unsupported_format"),
        (b"%PDF-1.7\n" + bytes(2000), "unsupported_format"),
        (np.random.default_rng(1).bytes(50_000), "unsupported_format"),
        (encoded("ipod", "aac", 44_100)[:4000], "unsupported_format"),
    ],
)
def test_not_audio(data: bytes, code: str) -> None:
    """What cannot be transcribed is named for what it is."""
    assert refusal(data).code == code


def test_message_of_unsupported_format() -> None:
    """The message lists the formats that would do, as OpenAI's does."""
    message = refusal(b"GIF89a").message
    assert message.startswith("Invalid file format. Supported formats: ['")
    of_openai = ("flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm")
    assert all(f"'{name}'" in message for name in of_openai)


@pytest.mark.parametrize("rate", [1, 7, 3_999, 655_350])
def test_forged_rate(rate: int) -> None:
    """A rate that no recording has is refused before anything is resampled."""
    error = refusal(wav(tone(0.1).tobytes(), rate=rate))
    assert error.code == "unsupported_sample_rate"
    assert f"{rate} Hz" in error.message


@pytest.mark.parametrize("rate", [0, 2**32 - 1])
def test_impossible_rate(rate: int) -> None:
    """A rate that libavformat itself refuses is an invalid file."""
    assert refusal(wav(tone(0.1).tobytes(), rate=rate)).code == "unsupported_format"


@pytest.mark.parametrize("channels", [0, 9, 64, 255])
def test_forged_channels(channels: int) -> None:
    """No channel at all, or more than eight, are refused."""
    assert refusal(wav(tone(1).tobytes(), channels=channels)).code == "unsupported_channels"


@pytest.mark.parametrize("rate", [4_000, 8_000, 11_025, 44_100, 384_000])
def test_shortest(rate: int) -> None:
    """A tenth of a second is enough at any rate."""
    assert len(decode(wav(tone(0.1, rate).tobytes(), rate))) == SAMPLE_RATE // 10


def test_claimed_size() -> None:
    """A header that claims 4 GB costs nothing: the second that is there is decoded."""
    assert len(decode(wav(tone(1).tobytes(), claim=2**32 - 1))) == SAMPLE_RATE


def test_limit() -> None:
    """Audio of exactly the longest duration passes; one sample more is refused with the limit named."""
    limits = AudioLimits(max_seconds=2)
    assert len(decode(wav(bytes(4 * SAMPLE_RATE)), limits)) == 2 * SAMPLE_RATE
    error = refusal(wav(bytes(4 * SAMPLE_RATE + 2)), limits)
    assert error.code == "audio_too_long"
    assert "2 s" in error.message


def test_decompression_bomb() -> None:
    """Decoding an hour of silence in a few bytes stops at the limit of ten minutes, and so does its memory."""
    bomb = encoded("flac", "flac", 8_000, pcm=np.zeros(3600 * 8_000, np.int16))
    assert len(bomb) < 1_000_000
    tracemalloc.start()
    try:
        assert refusal(bomb).code == "audio_too_long"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.5 * 600 * SAMPLE_RATE * np.dtype(np.int16).itemsize


def test_long_frame() -> None:
    """A single frame of more than 30 s is refused before it is resampled."""
    target = io.BytesIO()
    with av.open(target, "w", format="matroska") as output:
        stream = output.add_stream("pcm_u8", rate=4_000, layout="mono")
        packet = av.Packet(bytes([128]) * 4_000 * 31)
        packet.stream, packet.pts, packet.dts = stream, 0, 0
        output.mux(packet)
    assert refusal(target.getvalue()).code == "corrupt_audio"


PLAYLISTS = {
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 15004 RTP/AVP 0\n",
    "ffconcat": "ffconcat version 1.0\nfile canary.wav\n",
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" '
    'profiles="urn:mpeg:dash:profile:isoff-main:2011"></MPD>',
    "pls": "[playlist]\nFile1=canary.wav\n",
    "asx": '<asx version="3.0"><entry><ref href="canary.wav"/></entry></asx>',
}


@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("name", [None, "x.m3u8", "x.sdp", "canary.wav"])
def test_playlists(kind: str, name: str | None) -> None:
    """Texts that point elsewhere are no audio, whatever the file calls itself."""
    source = io.BytesIO(PLAYLISTS[kind].encode())
    if name:
        source.name = name
    with pytest.raises(InvalidAudio) as caught:
        decode_audio(source, LIMITS)
    assert caught.value.code == "unsupported_format"


def test_canary(tmp_path: Path) -> None:
    """A file list does not reach the file beside it, which libavformat would open if it were let."""
    (tmp_path / "canary.wav").write_bytes(wav(tone(1).tobytes()))
    text = PLAYLISTS["ffconcat"].encode()
    with contextlib.chdir(tmp_path):
        with av.open(io.BytesIO(text), "r") as unguarded:
            assert unguarded.streams.audio
        assert refusal(text).code == "unsupported_format"


@pytest.mark.parametrize("name", ["wav s16", "flac", "mp3", "opus", "aac"])
def test_truncated(name: str) -> None:
    """A file cut off in the middle gives what it still holds."""
    container, codec, rate, layout = FORMATS[name]
    data = encoded(container, codec, rate, layout, seconds=10)
    samples = decode(data[: len(data) // 2])
    assert_sane(samples)
    assert 3 < len(samples) / SAMPLE_RATE < 7


@pytest.mark.parametrize(("damaged", "accepted"), [(0.05, True), (0.5, False)])
def test_damaged_packets(damaged: float, accepted: bool) -> None:
    """A file is read past its bad packets as long as nine in ten are good."""
    data = _with_bad_packets(damaged)
    if accepted:
        assert len(decode(data)) > 0.85 * 10 * SAMPLE_RATE
    else:
        error = refusal(data)
        assert error.code == "corrupt_audio"
        assert "packets" in error.message


def _with_bad_packets(share: float) -> bytes:
    target = io.BytesIO()
    every = round(1 / share)
    whole = io.BytesIO(encoded("mp3", "mp3", 44_100, seconds=10))
    with av.open(whole, "r") as source, av.open(target, "w", format="matroska") as output:
        stream = output.add_stream_from_template(source.streams.audio[0])
        for number, packet in enumerate(source.demux(audio=0)):
            if packet.size:
                bad = av.Packet(b"\x55" * packet.size)
                bad.pts, bad.dts, bad.time_base = packet.pts, packet.dts, packet.time_base
                chosen = bad if number % every == 1 else packet
                chosen.stream = stream
                output.mux(chosen)
    return target.getvalue()


@pytest.mark.parametrize("name", ["wav s16", "flac", "mp3", "opus", "m4a aac"])
def test_bit_flips(name: str) -> None:
    """Whatever bits are flipped, the answer is samples or InvalidAudio and nothing else."""
    seed = np.frombuffer(encoded(*FORMATS[name], seconds=0.5), np.uint8)
    random = np.random.default_rng(len(name))
    for _ in range(80):
        mutant = seed.copy()
        reach = len(mutant) if random.random() < 0.5 else min(300, len(mutant))  # half of them in the headers
        places = random.integers(0, reach, random.integers(1, 40))
        mutant[places] ^= np.left_shift(1, random.integers(0, 8, len(places))).astype(np.uint8)
        try:
            assert_sane(decode(mutant.tobytes()))
        except InvalidAudio:
            continue


class FailingDisk(io.BytesIO):
    """Breaks after the first 20 kB."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() > 20_000:
            raise OSError("input/output error")
        return super().read(size)


def test_fault_of_ours() -> None:
    """A disk that fails is not the client's fault: the error passes as it is."""
    with pytest.raises(OSError, match="input/output error"):
        decode_audio(FailingDisk(wav(tone(5).tobytes())), LIMITS)


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
