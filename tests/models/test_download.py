"""Downloads that break, and go on: what is asked of the hub the second time, and what is kept."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from asr_api.errors import ModelUnavailable
from asr_api.models.progress import Progress

from .fake_hub import FakeHub
from .fetching import FOLDER, NAME, flip_a_byte, parts, resolve, visible


@pytest.fixture
def size(files: dict[str, bytes]) -> int:
    return len(files["model.bin"])


@pytest.fixture
def elsewhere(files: dict[str, bytes]) -> Iterator[FakeHub]:
    with FakeHub({NAME: files}).serving() as cdn:
        yield cdn


def test_a_connection_cut_in_a_file_is_taken_up_at_the_byte(hub: FakeHub, tmp_path: Path) -> None:
    """The rest of the file is asked for, from the very byte that did not come."""
    hub.cuts["model.bin"] = [1_000_001]
    assert resolve(hub, tmp_path, thorough=True).source == "hub"
    assert hub.fetched("model.bin") == [None, "bytes=1000001-"]
    assert resolve(hub, tmp_path, thorough=True).source == "cache"


def test_a_connection_cut_again_and_again_is_taken_up_each_time(hub: FakeHub, tmp_path: Path) -> None:
    """The tries are for a connection that brings nothing: one that gets on may break more often than that."""
    hub.cuts["model.bin"] = [1_100_000, 1_100_000, 10, 1_100_000]
    assert resolve(hub, tmp_path).source == "hub"
    starts = [1_100_000, 2_200_000, 2_200_010, 3_300_010]
    assert hub.fetched("model.bin") == [None, *[f"bytes={start}-" for start in starts]]


def test_a_download_that_broke_off_is_no_model_and_the_next_run_goes_on(
    hub: FakeHub, files: dict[str, bytes], tmp_path: Path, size: int
) -> None:
    """What came is kept, and counted; what was finished is not asked for again."""
    hub.cuts["model.bin"] = [2_000_000, 0, 0]
    with pytest.raises(ModelUnavailable, match=r"broke off in model\.bin, with 2\.0 of 3\.5 MB: start again to resume"):
        resolve(hub, tmp_path)
    assert visible(tmp_path) == []
    assert parts(tmp_path) == {"model.bin": 2_000_000}
    with pytest.raises(ModelUnavailable, match="ASR_OFFLINE forbids the hub"):
        resolve(hub, tmp_path, offline=True)

    hub.requests.clear()
    heard: list[Progress] = []
    assert resolve(hub, tmp_path, on_progress=heard.append, thorough=True).source == "hub"
    assert hub.fetched("model.bin") == ["bytes=2000000-"]
    assert heard[0].done >= 2_000_000
    assert heard[-1].done == heard[-1].total
    assert [path.name for path in (tmp_path / FOLDER).glob("*.part")] == []


def test_a_finished_file_of_a_broken_download_is_not_asked_for_again(
    hub: FakeHub, files: dict[str, bytes], tmp_path: Path
) -> None:
    """The files before and after the one that broke are fetched once in all."""
    hub.cuts["tokenizer.json"] = [5, 0, 0]
    with pytest.raises(ModelUnavailable, match=r"broke off in tokenizer\.json"):
        resolve(hub, tmp_path)
    resolve(hub, tmp_path)
    once = {name for name in files if name != "tokenizer.json"}
    assert {name: hub.fetched(name) for name in once} == {name: [None] for name in once}


def test_a_hub_that_fails_for_a_while_is_asked_again(hub: FakeHub, tmp_path: Path) -> None:
    """A status that may pass is tried as often as a connection, and then told; what came is kept."""
    hub.cuts["model.bin"] = [1000]
    hub.failing.add("model.bin")
    with pytest.raises(ModelUnavailable, match=r"failed on someone/callsign-ct2 \(HTTP 503\): try again later"):
        resolve(hub, tmp_path)
    assert hub.fetched("model.bin") == [None, "bytes=1000-", "bytes=1000-"]
    assert parts(tmp_path) == {"model.bin": 1000}


def test_a_server_that_knows_no_ranges_sends_the_file_anew(hub: FakeHub, tmp_path: Path, size: int) -> None:
    """Its answer is not put behind what came before."""
    hub.cuts["model.bin"] = [1_000_000]
    hub.rangeless.add("model.bin")
    heard: list[Progress] = []
    assert resolve(hub, tmp_path, thorough=True, on_progress=heard.append).source == "hub"
    assert hub.fetched("model.bin") == [None, "bytes=1000000-"]
    assert heard[-1].done == heard[-1].total
    assert resolve(hub, tmp_path, thorough=True).source == "cache"


def test_a_range_that_cannot_be_had_starts_the_file_anew(hub: FakeHub, tmp_path: Path, files: dict[str, bytes]) -> None:
    """416 means that the server's file is another than the one begun; then the whole is asked for, and checked."""
    hub.cuts["model.bin"] = [1_000_000, 0, 0]
    with pytest.raises(ModelUnavailable):
        resolve(hub, tmp_path)
    hub.served["model.bin"] = files["model.bin"][:900_000]
    with pytest.raises(ModelUnavailable, match=r"damaged, for model\.bin has 900000 bytes instead of 3496087"):
        resolve(hub, tmp_path)
    assert hub.fetched("model.bin")[-2:] == ["bytes=1000000-", None]
    hub.served.clear()
    assert resolve(hub, tmp_path, thorough=True).source == "hub"


@pytest.mark.parametrize("name", ["model.bin", "config.json"])
def test_bytes_that_are_not_the_announced_ones_are_named_and_fetched_anew(
    hub: FakeHub, tmp_path: Path, files: dict[str, bytes], name: str
) -> None:
    """A wrong hash names the file, whichever kind of hash the hub has for it; the bad copy is gone."""
    hub.served[name] = files[name][:-1] + b"?"
    with pytest.raises(
        ModelUnavailable, match=rf"came in damaged, for {name} (does not have the SHA-256|is not git's)"
    ):
        resolve(hub, tmp_path)
    assert visible(tmp_path) == []
    assert name not in parts(tmp_path)
    hub.served.clear()
    assert resolve(hub, tmp_path, thorough=True).source == "hub"
    assert hub.fetched(name) == [None, None]


def test_a_part_that_was_changed_on_disk_is_found_out(hub: FakeHub, tmp_path: Path) -> None:
    """What lay on disk is hashed again as it is continued."""
    hub.cuts["model.bin"] = [1_000_000, 0, 0]
    with pytest.raises(ModelUnavailable):
        resolve(hub, tmp_path)
    (part,) = (tmp_path / f".{FOLDER}.incomplete").glob("model.bin.*.part")
    flip_a_byte(part)
    with pytest.raises(ModelUnavailable, match=r"came in damaged, for model\.bin"):
        resolve(hub, tmp_path)
    assert resolve(hub, tmp_path).source == "hub"
    assert hub.fetched("model.bin")[-1] is None


def test_a_longer_file_than_announced_is_refused(hub: FakeHub, tmp_path: Path, files: dict[str, bytes]) -> None:
    """A server that sends on and on does not fill the disk."""
    hub.served["model.bin"] = files["model.bin"] + bytes(4_000_000)
    with pytest.raises(ModelUnavailable, match=r"model\.bin has \d+ bytes instead of 3496087"):
        resolve(hub, tmp_path)


def test_a_file_that_changed_on_the_hub_is_begun_anew(hub: FakeHub, tmp_path: Path, files: dict[str, bytes]) -> None:
    """The part of the old content is never continued with the new one."""
    hub.cuts["model.bin"] = [1_000_000, 0, 0]
    with pytest.raises(ModelUnavailable):
        resolve(hub, tmp_path)
    hub.repositories[NAME]["model.bin"] = files["model.bin"][::-1]
    hub.revision = "beef" + "0" * 36
    model = resolve(hub, tmp_path)
    assert model.revision == hub.revision
    assert hub.fetched("model.bin")[-1] is None
    assert (model.path / "model.bin").read_bytes() == files["model.bin"][::-1]


def test_a_connection_that_stalls_is_given_up(hub: FakeHub, tmp_path: Path, size: int) -> None:
    """Silence in a body ends by the timeout; the next request goes on from there."""
    hub.stalls.add("model.bin")
    assert resolve(hub, tmp_path, hub_timeout=0.5).source == "hub"
    assert hub.fetched("model.bin") == [None, f"bytes={(size + 1) // 2}-"]


def test_the_token_stays_with_the_hub(
    hub: FakeHub, elsewhere: FakeHub, tmp_path: Path, files: dict[str, bytes]
) -> None:
    """Content may lie on another host, which is sent on the range, but not to know who asks."""
    hub.cdn = elsewhere
    elsewhere.cuts["model.bin"] = [1000]
    environ = os.environ | {"HF_TOKEN": "hf_secret"}
    assert pull(hub, tmp_path, environ).returncode == 0
    assert set(hub.tokens) == {"Bearer hf_secret"}
    assert elsewhere.fetched("model.bin") == [None, "bytes=1000-"]
    assert set(elsewhere.tokens) == {None}


PULL = """
import sys
from pathlib import Path
from asr_api.models.resolve import resolve_model

print(resolve_model(sys.argv[1], model_dir=Path(sys.argv[2]), hub_endpoint=sys.argv[3], offline=False).source)
"""


def pull(hub: FakeHub, model_dir: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PULL, NAME, str(model_dir), hub.endpoint]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


def test_the_hub_librarys_own_switch_is_heeded(hub: FakeHub, tmp_path: Path) -> None:
    """HF_HUB_OFFLINE forbids every request."""
    finished = pull(hub, tmp_path, os.environ | {"HF_HUB_OFFLINE": "1"})
    assert "HF_HUB_OFFLINE forbids fetching someone/callsign-ct2: unset it" in finished.stderr
    assert hub.requests == []


def test_processes_that_fetch_at_once_share_one_download(hub: FakeHub, tmp_path: Path) -> None:
    """The second waits for the first, and finds its model."""
    command = [sys.executable, "-c", PULL, NAME, str(tmp_path), hub.endpoint]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert sorted(process.communicate()[0].strip() for process in running) == ["cache", "hub"]
    assert hub.fetched("model.bin") == [None]


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL")
def test_a_killed_download_goes_on_where_it_was_killed(hub: FakeHub, tmp_path: Path, size: int) -> None:
    """Whatever the process had in hand is on disk, and its claim died with it."""
    hub.stalls.add("model.bin")
    command = [sys.executable, "-c", KILLED, NAME, str(tmp_path), hub.endpoint, str((size + 1) // 2)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert visible(tmp_path) == []
    assert parts(tmp_path) == {"model.bin": (size + 1) // 2}
    hub.stalls.clear()
    assert resolve(hub, tmp_path, thorough=True).source == "hub"
    assert hub.fetched("model.bin") == [None, f"bytes={(size + 1) // 2}-"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f".{FOLDER}.lock", FOLDER]


KILLED = """
import os, signal, sys
from pathlib import Path
from asr_api.models.resolve import resolve_model

def die(progress):
    part = next(Path(sys.argv[2]).glob(".*/model.bin.*.part"), None)
    if part and part.stat().st_size == int(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)

resolve_model(sys.argv[1], model_dir=Path(sys.argv[2]), hub_endpoint=sys.argv[3], offline=False, on_progress=die)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no limits of resources")
def test_a_disk_that_cannot_take_the_file_is_told(hub: FakeHub, tmp_path: Path) -> None:
    """The folder, the reason and the remedy are named; what was written stays for the next run."""
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, -1))\n" + PULL
    command = [sys.executable, "-c", limited, NAME, str(tmp_path), hub.endpoint]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert f"cannot be kept in {tmp_path} (File too large): make room" in finished.stderr
    assert parts(tmp_path)["model.bin"] == 1_000_000


def test_of_a_damaged_model_only_the_damaged_file_is_fetched(hub: FakeHub, tmp_path: Path) -> None:
    """A changed byte costs one file, and the revision stays what it was though the hub has gone on."""
    folder = resolve(hub, tmp_path).path
    flip_a_byte(folder / "tokenizer.json")
    hub.requests.clear()
    model = resolve(hub, tmp_path, thorough=True)
    assert model.source == "hub"
    assert [path.rsplit("/", 1)[1] for _, path, _ in hub.requests[1:]] == ["tokenizer.json"]
    assert resolve(hub, tmp_path, thorough=True).source == "cache"


def test_a_damaged_model_whose_revision_is_gone_takes_the_newest(hub: FakeHub, tmp_path: Path) -> None:
    """A hub that rewrote its history has at least a newest revision; files that are the same are kept."""
    folder = resolve(hub, tmp_path).path
    flip_a_byte(folder / "config.json")
    hub.revision = "beef" + "0" * 36
    assert resolve(hub, tmp_path, thorough=True).revision == hub.revision
    assert hub.fetched("model.bin") == [None]


def test_offline_a_damaged_model_is_refused_by_the_file(hub: FakeHub, tmp_path: Path) -> None:
    """Nothing is fetched, and the operator reads which file it is and what heals it."""
    flip_a_byte(resolve(hub, tmp_path).path / "model.bin")
    with pytest.raises(
        ModelUnavailable,
        match=r"is damaged, for model\.bin does not have the SHA-256 .*ASR_OFFLINE .*`asr-api models pull someone/",
    ):
        resolve(hub, tmp_path, offline=True, thorough=True)
