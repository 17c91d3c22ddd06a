"""The short run of the fuzzer; `python -m tests.fuzz` is the long one."""

import io
import subprocess
import sys

import pytest

from asr_api.audio.decoding import AudioLimits, decode_audio
from asr_api.transcription import SAMPLE_RATE
from tests.fuzz.anatomy import fields, with_checksums
from tests.fuzz.mutants import Nursery
from tests.fuzz.seeds import SEEDS, seeds

MUTANTS, SECONDS, OVER_HTTP = 5_000, 15, 40
"""As many as the time allows: all of them where the machine is not busy."""


def fuzz(*arguments: str) -> None:
    """A run that fails, with its report, where a mutant did what none may do."""
    command = [sys.executable, "-m", "tests.fuzz", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    if done.returncode:
        pytest.fail(done.stdout + done.stderr, pytrace=False)


@pytest.mark.skipif(sys.platform != "linux", reason="a worker's cost is read from /proc")
def test_no_mutant_harms_a_worker() -> None:
    """Each is decoded or refused with a known code, by workers that live on, within 2 s and 64 MB."""
    fuzz("--count", str(MUTANTS), "--seconds", str(SECONDS), "--http", "0")


@pytest.mark.e2e
def test_no_mutant_harms_the_server() -> None:
    """Each gets a transcript or a known code, and no worker of the server is lost."""
    fuzz("--count", str(OVER_HTTP), "--seconds", "0", "--http", str(OVER_HTTP))


@pytest.mark.parametrize("name", SEEDS)
def test_the_seeds_are_whole(name: str) -> None:
    """What a mutant is refused for is not its seed's fault."""
    samples = decode_audio(io.BytesIO(seeds()[name]), AudioLimits(max_seconds=60))
    assert len(samples) == pytest.approx(1.5 * SAMPLE_RATE, abs=0.1 * SAMPLE_RATE)
    assert len(fields(name, seeds()[name])) > 10


def test_mutants_are_known_by_their_numbers() -> None:
    """The same number makes the same file and options, and another number others."""
    one, other = Nursery(seeds()), Nursery(seeds())
    assert [one.mutant(n) for n in range(200)] == [other.mutant(n) for n in range(200)]
    assert len({one.mutant(n).data for n in range(200)}) > 190


def test_ogg_checksums() -> None:
    """What libavformat writes as a checksum is what we do, so that a damaged page is still read."""
    whole = seeds()["ogg"]
    assert with_checksums(whole) == whole
    assert with_checksums(whole[:30] + b"\xff" + whole[31:]) != whole[:30] + b"\xff" + whole[31:]
