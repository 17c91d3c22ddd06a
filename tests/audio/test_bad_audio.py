"""What nobody means well with: each row of the list of bad audio has its answer (the ids are the list's)."""

import contextlib
import io
import subprocess
import sys
import tracemalloc
from pathlib import Path

import av
import numpy as np
import pytest

from asr_api.audio.blocks import BLOCK
from asr_api.audio.decoding import AudioLimits, decode_audio, open_audio
from asr_api.errors import InvalidAudio
from asr_api.transcription import SAMPLE_RATE

from .sounds import encoded, silence, tone, video_only, wav
from .test_decoding import FORMATS, LIMITS, assert_sane, decode


def refusal(data: bytes, limits: AudioLimits = LIMITS) -> InvalidAudio:
    with pytest.raises(InvalidAudio) as caught:
        decode(data, limits)
    assert caught.value.param == "file"
    assert caught.value.message.endswith((".", "]"))
    return caught.value


@pytest.mark.parametrize(("kind", "bits"), [("<f4", 32), ("<f8", 64)])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_a14_floats_beyond_reason(kind: str, bits: int, rate: int) -> None:
    """NaN, infinities, huge values and denormals end as finite samples within -1..1."""
    values = np.tile(np.array([np.nan, np.inf, -np.inf, 1e38, -1e38, 1e-40, 0.5], kind), 3000)
    assert_sane(decode(wav(values.tobytes(), rate, bits=bits, tag=3)))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty_audio"),
        (wav(b""), "empty_audio"),
        (wav(tone(1).tobytes()[:2]), "audio_too_short"),
        (wav(tone(1).tobytes()[:20]), "audio_too_short"),
        (wav(tone(1).tobytes()[:20], rate=8_000), "audio_too_short"),
        (wav(tone(0.099).tobytes()), "audio_too_short"),
        (video_only(), "no_audio_stream"),
        (encoded("matroska", "wavpack", 44_100), "unsupported_codec"),
        (encoded("wv", "wavpack", 44_100), "unsupported_format"),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), "unsupported_format"),
        (b"%PDF-1.7\n" + bytes(2000), "unsupported_format"),
        (np.random.default_rng(1).bytes(50_000), "unsupported_format"),
        (b"RIFF\x00\x00\x00\x00AVI " + bytes(2000), "unsupported_format"),
        (encoded("ipod", "aac", 44_100)[:4000], "corrupt_audio"),
        (encoded("flac", "flac", 44_100)[:20], "corrupt_audio"),
    ],
)
def test_a1_a2_not_audio(data: bytes, code: str) -> None:
    """What cannot be transcribed is named for what it is."""
    assert refusal(data).code == code


def test_message_of_unsupported_format() -> None:
    """The message lists the formats that would do, as OpenAI's does."""
    message = refusal(b"GIF89a").message
    assert message.startswith("Invalid file format. Supported formats: ['")
    of_openai = ("flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm")
    assert all(f"'{name}'" in message for name in of_openai)


@pytest.mark.parametrize("rate", [1, 7, 3_999, 655_350])
def test_a4_forged_rate(rate: int) -> None:
    """A rate that no recording has is refused before anything is resampled."""
    error = refusal(wav(tone(0.1).tobytes(), rate=rate))
    assert error.code == "unsupported_sample_rate"
    assert f"{rate} Hz" in error.message
    assert "4000 to 384000 Hz" in error.message


@pytest.mark.parametrize("rate", [0, 2**32 - 1])
def test_a4_impossible_rate(rate: int) -> None:
    """A rate that libavformat itself refuses makes a damaged file."""
    assert refusal(wav(tone(0.1).tobytes(), rate=rate)).code == "corrupt_audio"


@pytest.mark.parametrize("channels", [0, 9, 64, 255, 65_535])
def test_a5_forged_channels(channels: int) -> None:
    """No channel at all, or more than eight, are refused."""
    error = refusal(wav(tone(1).tobytes(), channels=channels))
    assert error.code == "unsupported_channels"
    assert "1 to 8" in error.message


@pytest.mark.parametrize("claim", [0, 2**31 - 1, 2**32 - 1])
def test_a3_claimed_size(claim: int) -> None:
    """A header that claims none, 2 or 4 GB costs nothing: the second that is there is decoded."""
    assert len(decode(wav(tone(1).tobytes(), claim=claim))) == SAMPLE_RATE


def test_limit() -> None:
    """Audio of exactly the longest duration passes; one sample more is refused with the limit named."""
    limits = AudioLimits(max_seconds=2)
    assert len(decode(wav(bytes(4 * SAMPLE_RATE)), limits)) == 2 * SAMPLE_RATE
    error = refusal(wav(bytes(4 * SAMPLE_RATE + 2)), limits)
    assert error.code == "audio_too_long"
    assert "2 s" in error.message
    assert "max_audio_seconds" in error.message


BOMBS = {
    "flac 24 h": ("flac", "flac", 86_400.0, 4_000),
    "alac": ("ipod", "alac", 90.0, 8_000),
    "opus": ("ogg", "libopus", 90.0, 8_000),
    "aac": ("adts", "aac", 90.0, 8_000),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a6_long_silence_in_few_bytes(kind: str) -> None:
    """Decoding what was blown up from little stops at the limit, holding some blocks only."""
    bomb = io.BytesIO(silence(*BOMBS[kind]))
    heard: list[int] = []
    tracemalloc.start()
    try:
        with open_audio(bomb, AudioLimits(max_seconds=60)) as audio:
            assert audio.claimed_seconds == pytest.approx(BOMBS[kind][2], rel=0.3)
            with pytest.raises(InvalidAudio, match="longer than the 60 s") as caught:
                heard.extend(map(len, audio.blocks()))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.code == "audio_too_long"
    assert 60 * SAMPLE_RATE - 3 * BLOCK < sum(heard) <= 60 * SAMPLE_RATE
    assert peak < 32 * BLOCK


def test_a6_wavpack_is_not_read() -> None:
    """WavPack packs silence best of all, and nobody records in it."""
    assert refusal(silence("wv", "wavpack", 600)).code == "unsupported_format"


@pytest.mark.parametrize(("codec", "rate"), [("flac", 16_000), ("libopus", 48_000)])
def test_a7_chained_ogg(codec: str, rate: int) -> None:
    """Two thousand streams in a row are read one after the other."""
    link = encoded("ogg", codec, rate, seconds=0.02)
    assert_sane(decode(link * 2_000))


def test_a7_chain_changes_at_every_link() -> None:
    """A stream that begins anew a thousand times, each time at another rate, ends as any other does."""
    links = encoded("adts", "aac", 44_100, seconds=0.05) + encoded("adts", "aac", 16_000, "stereo", seconds=0.05)
    samples = decode(links * 500)
    assert_sane(samples)
    assert len(samples) > 50 * SAMPLE_RATE


def test_a7_flac_claims_the_most_samples() -> None:
    """A FLAC that says it holds 2^36 - 1 samples is as long as it is, and its claim is dropped."""
    forged = bytearray(encoded("flac", "flac", 16_000))
    forged[21] |= 0x0F
    forged[22:26] = b"\xff" * 4
    with open_audio(io.BytesIO(forged), LIMITS) as audio:
        assert audio.claimed_seconds is None
        assert sum(map(len, audio.blocks())) == SAMPLE_RATE


@pytest.mark.parametrize("frame", [b"", b"TIT2", b"APIC"])
def test_a7_id3_tag_claims_256_mb(frame: bytes) -> None:
    """A tag that claims to be longer than the file leaves nothing to decode, and nothing is made room for."""
    huge = b"\x7f" * 4
    tagged = b"ID3\x04\x00\x00" + huge + (frame and frame + huge + bytes(2)) + encoded("mp3", "mp3")
    assert refusal(tagged).code == "corrupt_audio"


@pytest.mark.parametrize("name", ["flac", "mp3", "opus", "m4a aac"])
def test_a7_head_alone(name: str) -> None:
    """The first hundred bytes of a file are no audio, whatever they promise."""
    assert refusal(encoded(*FORMATS[name])[:100]).code in {"corrupt_audio", "unsupported_format", "empty_audio"}


class Failing(io.BytesIO):
    """Raises an error of some kind after the first 20 kB."""

    def __init__(self, data: bytes, error: Exception) -> None:
        super().__init__(data)
        self._error = error

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() > 20_000:
            raise self._error
        return super().read(size)


UNEXPECTED: dict[str, list[Exception]] = {
    "corrupt_audio": [AttributeError(), EOFError(), ValueError(), av.PatchWelcomeError(1, "not yet implemented")],
    "audio_too_complex": [MemoryError(), av.MemoryError(12, "Cannot allocate memory")],
}


@pytest.mark.parametrize(
    ("code", "error"),
    [(code, error) for code, errors in UNEXPECTED.items() for error in errors],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a8_whatever_goes_wrong_is_told(code: str, error: Exception) -> None:
    """Every error that comes up while a file is read has its code."""
    with pytest.raises(InvalidAudio) as caught:
        decode_audio(Failing(wav(tone(5).tobytes()), error), LIMITS)
    assert caught.value.code == code


def test_a8_errors_of_the_reader_are_its_own() -> None:
    """What is raised by whoever handles the blocks is not taken for a fault of the file."""
    with pytest.raises(ZeroDivisionError):
        _read_badly(wav(tone(1).tobytes()))


def _read_badly(data: bytes) -> None:
    with open_audio(io.BytesIO(data), LIMITS) as audio:
        for _ in audio.blocks():
            raise ZeroDivisionError


def one_frame(rate: int, seconds: int) -> bytes:
    """Audio that is all in a single packet, with eight bits a sample."""
    target = io.BytesIO()
    with av.open(target, "w", format="matroska") as output:
        stream = output.add_stream("pcm_u8", rate=rate, layout="mono")
        packet = av.Packet(bytes([128]) * rate * seconds)
        packet.stream, packet.pts, packet.dts = stream, 0, 0
        output.mux(packet)
    return target.getvalue()


STARVED = """
import io, resource, sys
from asr_api.audio.decoding import AudioLimits, decode_audio
from asr_api.errors import InvalidAudio

data = sys.stdin.buffer.read()
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (32 << 20), resource.RLIM_INFINITY))
try:
    decode_audio(io.BytesIO(data), AudioLimits(max_seconds=600))
except InvalidAudio as error:
    print(error.code, error.message, sep="\\n")
"""


def huge_frames() -> bytes:
    """ALAC that says its frames have as many samples as ALAC allows: 64 MB for each buffer of the decoder."""
    forged = bytearray(encoded("ipod", "alac", 44_100))
    cookie = forged.rindex(b"alac")
    forged[cookie + 8 : cookie + 12] = (4096 * 4096).to_bytes(4, "big")
    return bytes(forged)


@pytest.mark.parametrize("greedy", [one_frame(192_000, 29), huge_frames()], ids=["one frame", "huge frames"])
def test_a13_memory_runs_out(greedy: bytes) -> None:
    """What takes more memory than the process may have is refused as too complex; none of it gets lost unsaid."""
    command = [sys.executable, "-c", STARVED]
    answer = subprocess.run(command, input=greedy, capture_output=True, check=True, timeout=60)
    assert answer.stdout.decode().splitlines() == [
        "audio_too_complex",
        "Decoding the file takes more memory than is allowed.",
    ]


SOUNDS = {
    "direct current": np.full(SAMPLE_RATE, 20_000, np.int16),
    "zeros": np.zeros(SAMPLE_RATE, np.int16),
    "white noise": np.random.default_rng(1).integers(-(2**15), 2**15, SAMPLE_RATE).astype(np.int16),
    "ultrasonic": (9000 * np.sin(np.arange(96_000) * 2 * np.pi * 30_000 / 96_000)).astype(np.int16),
    "clipped": np.where(tone(1) > 0, 32_767, -32_768).astype(np.int16),
}


@pytest.mark.parametrize("sound", SOUNDS)
def test_a15_sounds_nobody_speaks(sound: str) -> None:
    """Sound that holds no word is audio all the same; what is too high for 16 kHz is gone."""
    pcm = SOUNDS[sound]
    samples = decode(wav(pcm.tobytes(), rate=len(pcm)))
    assert len(samples) == SAMPLE_RATE
    assert_sane(samples)
    if sound == "ultrasonic":
        assert np.abs(samples[1_000:-1_000]).max() < 0.01


HTML = b"<html><script>alert(1)</script></html>"


@pytest.mark.parametrize(
    ("data", "seconds"),
    [
        (wav(tone(1).tobytes()) + HTML, 1),
        (wav((HTML * 1_000)[:32_000]), 1),
        (HTML + wav(tone(1).tobytes()), None),
        (b"GIF89a" + encoded("mp3", "mp3"), None),
        (b"PK\x03\x04" + bytes(60) + encoded("mp3", "mp3"), 1),
        (encoded("mp3", "mp3") + b"PK\x03\x04" + bytes(60), 1),
    ],
)
def test_a17_polyglot(data: bytes, seconds: float | None) -> None:
    """A file that is two things at once is audio or is refused, and nothing else."""
    if seconds is None:
        assert refusal(data).code == "unsupported_format"
    else:
        assert len(decode(data)) / SAMPLE_RATE == pytest.approx(seconds, abs=0.12)


def test_long_frame() -> None:
    """A single frame of more than 30 s is refused before it is resampled, one of 29 s is cut in blocks."""
    assert refusal(one_frame(4_000, 31)).code == "corrupt_audio"
    with open_audio(io.BytesIO(one_frame(8_000, 29)), LIMITS) as audio:
        assert max(map(len, audio.blocks())) == BLOCK


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
def test_a9_playlists(kind: str, name: str | None) -> None:
    """Texts that point elsewhere are no audio, whatever the file calls itself."""
    source = io.BytesIO(PLAYLISTS[kind].encode())
    if name:
        source.name = name
    with pytest.raises(InvalidAudio) as caught:
        decode_audio(source, LIMITS)
    assert caught.value.code == "unsupported_format"


def test_a9_canary(tmp_path: Path) -> None:
    """A file list does not reach the file beside it, which libavformat would open if it were let."""
    (tmp_path / "canary.wav").write_bytes(wav(tone(1).tobytes()))
    text = PLAYLISTS["ffconcat"].encode()
    with contextlib.chdir(tmp_path):
        with av.open(io.BytesIO(text), "r") as unguarded:
            assert unguarded.streams.audio
        assert refusal(text).code == "unsupported_format"


@pytest.mark.parametrize("name", ["wav s16", "flac", "mp3", "opus", "aac"])
def test_a7_truncated(name: str) -> None:
    """A file cut off in the middle gives what it still holds."""
    container, codec, rate, layout = FORMATS[name]
    data = encoded(container, codec, rate, layout, seconds=10)
    samples = decode(data[: len(data) // 2])
    assert_sane(samples)
    assert 3 < len(samples) / SAMPLE_RATE < 7


@pytest.mark.parametrize(("damaged", "accepted"), [(0.05, True), (0.5, False)])
def test_a7_damaged_packets(damaged: float, accepted: bool) -> None:
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
def test_a7_bit_flips(name: str) -> None:
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


def test_fault_of_ours() -> None:
    """A disk that fails is not the client's fault: the error passes as it is."""
    with pytest.raises(OSError, match="input/output error"):
        decode_audio(Failing(wav(tone(5).tobytes()), OSError("input/output error")), LIMITS)


@pytest.mark.parametrize(("codec", "rates"), [("flac", (16_000, 44_100)), ("libopus", (48_000, 48_000))])
def test_a7_changes_that_cannot_be_followed(codec: str, rates: tuple[int, int]) -> None:
    """Where libavformat loses a stream midway the file is refused: half a transcript would be taken for all."""
    data = encoded("ogg", codec, rates[0]) + encoded("ogg", codec, rates[1], "stereo")
    assert refusal(data).code == "corrupt_audio"
