"""Files that wait in memory or on disk, within a budget, and what is left of them: nothing."""

import io
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_api.errors import Overloaded, StartupError, StorageFull
from asr_api.metrics import Metrics
from asr_api.spool import MAX_MEMORY, PREFIX, STALE_SECONDS, SUFFIX, Spool

CAPACITY = 1000


def spool_in(directory: Path, capacity: int = CAPACITY, metrics: Metrics | None = None) -> Spool:
    return Spool(directory, capacity, metrics or Metrics("0"))


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return spool_in(tmp_path)


def test_what_is_small_stays_in_memory(spool: Spool) -> None:
    """Up to its bytes of memory a file costs no disk."""
    with spool.file() as file:
        assert file.fits(MAX_MEMORY)
        file.write(b"\0" * MAX_MEMORY)
        assert not file.fits(1)
        assert (file.on_disk, spool.used, spool.files) == (False, 0, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="has no files in memory that another process can be handed")
def test_what_is_in_memory_can_be_handed_on(spool: Spool) -> None:
    """By a descriptor, until it is on disk; neither is left open."""
    before = len(os.listdir("/proc/self/fd"))
    with spool.file(max_memory=4) as file:
        file.write(b"1234")
        memory = file.fileno()
        assert os.pread(memory, 9, 0) == b"1234"
        file.write(b"5")
        assert os.pread(file.fileno(), 9, 0) == b"12345"
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.skipif(sys.platform != "linux", reason="has no files in memory that another process can be handed")
def test_without_a_descriptor_to_spare_a_file_is_in_memory_all_the_same(spool: Spool) -> None:
    """And what it holds is sent instead."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as taken:
        taken.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")), hard))
        with suppress(OSError):
            while True:  # until there is none left
                taken.callback(os.close, os.dup(0))
        with spool.file() as file:
            file.write(b"1234")
            with pytest.raises(io.UnsupportedOperation):
                file.fileno()
            assert (file.seek(0), file.read()) == (0, b"1234")


def test_what_outgrows_memory_moves_to_disk(tmp_path: Path) -> None:
    """The bytes, the position and the bytes written over stay what they were; the gauges tell of it."""
    metrics = Metrics("0")
    spool = spool_in(tmp_path, metrics=metrics)
    gauges = ("asr_spool_used_bytes", "asr_spool_files", "asr_spool_capacity_bytes")
    with spool.file(max_memory=8) as file:
        file.write(b"12345678")
        file.seek(6)
        assert file.write(b"abcd") == 4
        assert (file.on_disk, file.tell()) == (True, 10)
        assert (file.seek(0), file.read(), file.read(5)) == (0, b"123456abcd", b"")
        assert [metrics.registry.get_sample_value(name) for name in gauges] == [10, 1, CAPACITY]
    assert [metrics.registry.get_sample_value(name) for name in gauges] == [0, 0, CAPACITY]


def test_what_is_written_can_be_read_through_the_descriptor(spool: Spool) -> None:
    """Nothing waits in a buffer: another process that has the descriptor sees it all."""
    with spool.file(max_memory=0) as file:
        file.write(b"all")
        assert os.pread(file.fileno(), 9, 0) == b"all"


def test_closing_gives_back_once(spool: Spool) -> None:
    """A second close changes nothing, and a closed file takes nothing more."""
    with spool.file(max_memory=0) as other:
        other.write(b"kept")
        file = spool.file(max_memory=0)
        file.write(b"gone")
        assert (spool.used, spool.files) == (8, 2)
        file.close()
        file.close()
        assert (spool.used, spool.files) == (4, 1)
        with pytest.raises(ValueError, match="closed"):
            file.write(b"more")
        assert spool.used == 4


def test_a_file_that_nobody_closes_is_given_back(spool: Spool) -> None:
    """Where a request is forgotten, its bytes are not."""
    spool.file(max_memory=0).write(b"forgotten")
    assert (spool.used, spool.files) == (0, 0)


@pytest.mark.parametrize("first", [0, 600])
def test_t20_a_write_over_the_budget_is_refused(spool: Spool, first: int) -> None:
    """What finds no room is 503 `storage_full` with both numbers, and changes nothing of what was written."""
    with spool.file(max_memory=0) as other, spool.file(max_memory=10) as file:
        other.write(b"\0" * 400)
        file.write(b"\0" * first)
        with pytest.raises(StorageFull) as refusal:
            file.write(b"\0" * (CAPACITY - 400 - first + 1))
        assert spool.used == 400 + (first if first > 10 else 0)
        file.seek(0)
        assert file.read() == b"\0" * first
    assert (spool.used, spool.files) == (0, 0)
    error = refusal.value
    assert isinstance(error, Overloaded)
    assert (error.status, error.code, error.outcome, error.retry_after) == (503, "storage_full", "shed", 10)
    assert f"{CAPACITY} may (max_spool_bytes)" in error.message


def test_without_a_budget_nothing_goes_to_disk(tmp_path: Path) -> None:
    """A budget of 0 leaves the memory, and is not said to be nearly full."""
    spool = spool_in(tmp_path, capacity=0)
    with spool.file(max_memory=4) as file:
        file.write(b"four")
        assert not spool.nearly_full
        with pytest.raises(StorageFull, match="0 may"):
            file.write(b"!")


def test_t20_nearly_full_is_more_than_nine_tenths(spool: Spool) -> None:
    """Above 90 % of the budget the service can say that it wants no more work."""
    with spool.file(max_memory=0) as file:
        file.write(b"\0" * 900)
        assert not spool.nearly_full
        file.write(b"\0")
        assert spool.nearly_full
    assert not spool.nearly_full


def test_files_have_no_name_and_are_the_owners_alone(tmp_path: Path) -> None:
    """The folder is 0700, a file 0600, and no name is in the folder while one is open."""
    spool = spool_in(tmp_path / "new" / "spool")
    spool.open()
    with spool.file(max_memory=0) as file:
        file.write(b"secret")
        status = os.fstat(file.fileno())
        assert (status.st_mode & 0o777, status.st_nlink) == (0o600, 0)
        assert (spool.directory.stat().st_mode & 0o777, os.listdir(spool.directory)) == (0o700, [])


def aged(path: Path, seconds: float = 2 * STALE_SECONDS) -> Path:
    then = path.lstat().st_mtime - seconds
    os.utime(path, (then, then), follow_symlinks=False)
    return path


def test_t21_start_sweeps_what_is_ours_alone(tmp_path: Path) -> None:
    """Old regular files of our naming go; links, folders, young files and the files of others stay."""
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    folder = tmp_path / "spool"
    folder.mkdir()
    stale = folder / f"{PREFIX}old{SUFFIX}"
    kept = [folder / name for name in ("notes.txt", f"{PREFIX}old.wav", f"x{PREFIX}old{SUFFIX}", f"{PREFIX}x{SUFFIX}")]
    for path in (stale, *kept):
        path.write_bytes(b"data")
    for path in (stale, *kept[:-1], outside):
        aged(path)
    link, tree = folder / f"{PREFIX}link{SUFFIX}", folder / f"{PREFIX}tree{SUFFIX}"
    link.symlink_to(outside)
    tree.mkdir()
    for path in (link, tree):
        aged(path)
    spool_in(folder).open()
    assert set(folder.iterdir()) == {*kept, link, tree}
    assert (link.is_symlink(), outside.read_bytes()) == (True, b"precious")


def test_t21_start_leaves_the_files_of_a_live_process(tmp_path: Path) -> None:
    """Two processes may share the folder: the files in use have no names that a sweep could find."""
    first, second = spool_in(tmp_path), spool_in(tmp_path)
    first.open()
    with first.file(max_memory=0) as file:
        file.write(b"in use")
        second.open()
        file.seek(0)
        assert file.read() == b"in use"


KILLED = """
import os, pathlib, signal, sys
from asr_api.metrics import Metrics
from asr_api.spool import Spool
spool = Spool(pathlib.Path(sys.argv[1]), 1 << 30, Metrics("0"))
spool.open()
file = spool.file(max_memory=0)
file.write(b"x" * 100_000)
assert spool.used == 100_000
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_t21_a_killed_process_leaves_nothing(tmp_path: Path) -> None:
    """However a process ends, its files end with it."""
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert (ended.returncode, os.listdir(tmp_path)) == (-signal.SIGKILL, [])


def test_a_folder_that_cannot_be_made_stops_the_start(tmp_path: Path) -> None:
    """The operator is told which folder, why, and which option to change."""
    blocker = tmp_path / "file"
    blocker.touch()
    with pytest.raises(StartupError, match=r"file/spool: not a directory; .* --spool-dir"):
        spool_in(blocker / "spool").open()


def test_t20_a_folder_that_went_away_is_told(tmp_path: Path) -> None:
    """Where no file can be made any more, what needs the disk is refused and what fits in memory is not."""
    spool = spool_in(tmp_path / "gone")
    with spool.file(max_memory=4) as file:
        file.write(b"four")
        with pytest.raises(StorageFull, match=r"max_spool_bytes 1000.*no such file or directory"):
            file.write(b"!")
        assert (spool.used, spool.files) == (0, 0)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with room for 256 KiB."""
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(tmp_path)], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip("no file system can be mounted here")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_t20_a_full_disk_is_told(small_disk: Path) -> None:
    """ENOSPC within the budget is 503 `storage_full` as well; what did not fit leaves nothing behind."""
    spool = spool_in(small_disk, capacity=1 << 30)
    with spool.file(max_memory=0) as file:
        file.write(b"\0" * 200_000)
        with pytest.raises(StorageFull, match="no space left on device"):
            file.write(b"\0" * 200_000)
        assert spool.used == 200_000
        file.write(b"\0" * 50_000)
        file.seek(0)
        assert file.read() == b"\0" * 250_000
    assert (spool.used, spool.files) == (0, 0)


def test_t20_a_read_only_disk_is_told(small_disk: Path) -> None:
    """EROFS is `storage_full` to a request, and stops a start."""
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    spool = spool_in(small_disk)
    with spool.file(max_memory=0) as file, pytest.raises(StorageFull, match="read-only file system"):
        file.write(b"x")
    with pytest.raises(StartupError, match="read-only file system"):
        spool.open()


LIMITED = """
import pathlib, resource, sys
from asr_api.errors import StorageFull
from asr_api.metrics import Metrics
from asr_api.spool import Spool
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
spool = Spool(pathlib.Path(sys.argv[1]), 1 << 30, Metrics("0"))
try:
    with spool.file(max_memory=0) as file:
        file.write(b"x" * 100_000)
except StorageFull as error:
    print(error.code, error.message, spool.used, spool.files)
"""


def test_t20_a_limit_on_the_size_of_files_is_told(tmp_path: Path) -> None:
    """EFBIG, as `ulimit -f` gives it, is one of the ways in which a disk takes no more."""
    command = [sys.executable, "-c", LIMITED, str(tmp_path)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert output.startswith("storage_full ")
    assert output.endswith("takes no more: file too large 0 0\n")


class HeldSpool(Spool):
    """A spool whose disk writes wait for `release`."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, CAPACITY, Metrics("0"))
        self.entered, self.release = threading.Event(), threading.Event()

    def create(self) -> IO[bytes]:
        self.entered.set()
        assert self.release.wait(60)
        return super().create()


def test_closing_during_a_write_frees_what_it_wrote(tmp_path: Path) -> None:
    """A write that a cancelled request left behind ends, and then its file is closed."""
    spool = HeldSpool(tmp_path)
    file = spool.file(max_memory=0)
    with ThreadPoolExecutor(2) as threads:
        writing = threads.submit(file.write, b"late")
        assert spool.entered.wait(60)
        closing = threads.submit(file.close)
        spool.release.set()
        assert (writing.result(60), closing.result(60)) == (4, None)
    assert (file.closed, spool.used, spool.files) == (True, 0, 0)


def test_threads_share_one_budget(tmp_path: Path) -> None:
    """Whatever many threads write, the budget holds, and in the end all of it is back."""
    spool = spool_in(tmp_path, capacity=40)

    def work(_: int) -> bool:
        with spool.file(max_memory=0) as file:
            try:
                for _ in range(10):
                    file.write(b"x")
                    assert spool.used <= 40
            except StorageFull:
                return False
            return True

    with ThreadPoolExecutor(8) as threads:
        assert any(threads.map(work, range(200)))
    assert (spool.used, spool.files) == (0, 0)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.binary(max_size=12)),
        st.tuples(st.just("read"), st.integers(-1, 20)),
        st.tuples(st.just("seek"), st.integers(0, 30)),
    ),
    max_size=20,
)


@settings(deadline=None)
@given(STEPS, st.integers(0, 20))
def test_a_spooled_file_is_a_file(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, object]], memory: int
) -> None:
    """Wherever its bytes are, it answers as a file in memory does, and what is on disk is booked in full."""
    spool, plain = spool_in(tmp_path_factory.getbasetemp()), io.BytesIO()
    with spool.file(max_memory=memory) as file:
        for name, argument in steps:
            assert getattr(file, name)(argument) == getattr(plain, name)(argument)
            assert file.tell() == plain.tell()
            if file.on_disk:
                assert spool.used >= os.fstat(file.fileno()).st_size
        assert (file.seek(0), file.read()) == (0, plain.getvalue())
    assert (spool.used, spool.files) == (0, 0)
