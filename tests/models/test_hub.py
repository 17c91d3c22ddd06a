"""Models from a hub, over real HTTP."""

import json
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from faster_whisper import WhisperModel

from asr_api.errors import ModelUnavailable
from asr_api.models.progress import Progress
from asr_api.models.resolve import ResolvedModel

from .fake_hub import REVISION, FakeHub
from .fetching import NAME, resolve, visible


def test_a_model_is_fetched_whole_and_loads(hub: FakeHub, files: dict[str, bytes], tmp_path: Path) -> None:
    """The folder has the model's files alone, and faster-whisper reads it without a network."""
    heard: list[Progress] = []
    model = resolve(hub, tmp_path, on_progress=heard.append)
    assert model == ResolvedModel(NAME, tmp_path / "someone--callsign-ct2", "hub", REVISION)
    assert {path.name: path.read_bytes() for path in model.path.iterdir() if path.name != "asr-api.json"} == files
    assert heard[-1] == Progress(NAME, "downloading", *[sum(map(len, files.values()))] * 2)
    segments, _ = WhisperModel(str(model.path), device="cpu", local_files_only=True).transcribe(
        np.zeros(16_000, np.float32), language="en", temperature=0.0
    )
    assert isinstance(list(segments), list)


def test_a_fetched_model_needs_no_hub_any_more(hub: FakeHub, tmp_path: Path) -> None:
    """The second start asks nobody, and knows the revision."""
    resolve(hub, tmp_path)
    hub.requests.clear()
    assert resolve(hub, tmp_path) == ResolvedModel(NAME, tmp_path / "someone--callsign-ct2", "cache", REVISION)
    assert resolve(hub, tmp_path, offline=True, thorough=True).source == "cache"
    assert hub.requests == []


def test_a_size_is_fetched_from_its_repository(hub: FakeHub, files: dict[str, bytes], tmp_path: Path) -> None:
    """`turbo` and `large-v3-turbo` are one download."""
    hub.repositories["mobiuslabsgmbh/faster-whisper-large-v3-turbo"] = files
    assert resolve(hub, tmp_path, "turbo").source == "hub"
    assert resolve(hub, tmp_path, "large-v3-turbo").source == "cache"


def test_an_endpoint_may_end_in_a_slash(hub: FakeHub, tmp_path: Path) -> None:
    """`http://hub/` is `http://hub`."""
    hub.endpoint += "/"
    assert resolve(hub, tmp_path).source == "hub"


def test_an_absent_model_is_told(hub: FakeHub, tmp_path: Path) -> None:
    """The repository, the hub and the ways out are named."""
    with pytest.raises(ModelUnavailable, match=rf"{hub.endpoint} has no model no/such: check ASR_MODEL.*HF_TOKEN"):
        resolve(hub, tmp_path, "no/such")


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (403, "GatedRepo", "is gated: accept its terms at .*someone/callsign-ct2 and set HF_TOKEN"),
        (401, "GatedRepo", "is gated"),
        (401, "RepoNotFound", "has no model someone/callsign-ct2: .* set HF_TOKEN if it is private"),
        (403, "Forbidden", r"refuses someone/callsign-ct2 \(HTTP 403\): set HF_TOKEN"),
        (500, "InternalError", r"failed on someone/callsign-ct2 \(HTTP 500\): try again later"),
    ],
)
def test_a_refusal_of_the_hub_says_what_to_do(hub: FakeHub, tmp_path: Path, status: int, code: str, told: str) -> None:
    """Each kind of refusal has its own remedy."""
    hub.refusals[NAME] = (status, code)
    with pytest.raises(ModelUnavailable, match=told):
        resolve(hub, tmp_path)
    assert visible(tmp_path) == []


def test_a_hub_that_refuses_the_connection_is_told_at_once(tmp_path: Path) -> None:
    """Nobody listens: the endpoint is named, and for `base` the packages too."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        hub = FakeHub({}, endpoint=f"http://127.0.0.1:{free.getsockname()[1]}")
    with pytest.raises(
        ModelUnavailable, match=rf"{hub.endpoint} cannot be reached .*ASR_HUB_ENDPOINT.*asr-api\[base\]"
    ):
        resolve(hub, tmp_path, "base")


def test_a_hub_that_never_answers_is_given_up(tmp_path: Path) -> None:
    """The timeout ends the wait for a listener that says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hub = FakeHub({}, endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(ModelUnavailable, match="cannot be reached"):
            resolve(hub, tmp_path, hub_timeout=0.1)


@pytest.mark.parametrize("endpoint", ["ftp://127.0.0.1", "127.0.0.1", "http://[::1"])
def test_an_endpoint_that_is_none_is_told(tmp_path: Path, endpoint: str) -> None:
    """A malformed endpoint is the operator's to mend."""
    with pytest.raises(ModelUnavailable, match=r"ASR_HUB_ENDPOINT"):
        resolve(FakeHub({}, endpoint=endpoint), tmp_path)


def test_a_listing_without_sizes_is_no_hubs(hub: FakeHub, tmp_path: Path) -> None:
    """A server that tells too little to check a download is not trusted with one."""
    hub.overrides["config.json"] = {"size": None}
    with pytest.raises(ModelUnavailable, match="does not answer as a model hub does: check ASR_HUB_ENDPOINT"):
        resolve(hub, tmp_path)


def test_offline_never_asks_the_hub(hub: FakeHub, tmp_path: Path) -> None:
    """Offline, an absent model is refused without a request."""
    with pytest.raises(ModelUnavailable, match=r"is not in .* and ASR_OFFLINE forbids the hub"):
        resolve(hub, tmp_path, offline=True)
    assert hub.requests == []


def test_a_repository_in_another_form_is_refused_before_it_is_fetched(hub: FakeHub, tmp_path: Path) -> None:
    """PyTorch weights are told by the file that is not there."""
    hub.repositories[NAME] = {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors": b"weights"}
    with pytest.raises(ModelUnavailable, match=r"has no model\.bin: convert it with `ct2-transformers-converter"):
        resolve(hub, tmp_path)
    assert [method for method, *_ in hub.requests] == ["GET"]


def test_a_model_larger_than_the_disk_is_refused_before_it_is_fetched(hub: FakeHub, tmp_path: Path) -> None:
    """The room is asked for first."""
    hub.overrides["model.bin"] = {"size": 1 << 60}
    with pytest.raises(ModelUnavailable, match=r"GB free and the model takes 1152921504\.\d GB: .*ASR_MODEL_DIR"):
        resolve(hub, tmp_path)
    assert hub.fetched("model.bin") == []


def test_a_truncated_model_is_fetched_anew(hub: FakeHub, tmp_path: Path) -> None:
    """A kept model that lost bytes is replaced by a whole one."""
    folder = resolve(hub, tmp_path).path
    os.truncate(folder / "model.bin", 10)
    assert resolve(hub, tmp_path).source == "hub"
    assert resolve(hub, tmp_path, thorough=True).source == "cache"


def test_a_damaged_manifest_is_a_damaged_model(hub: FakeHub, tmp_path: Path) -> None:
    """A folder whose record cannot be read is not trusted."""
    folder = resolve(hub, tmp_path).path
    (folder / "asr-api.json").write_text(json.dumps({"files": 3}))
    with pytest.raises(ModelUnavailable, match=r"is damaged, for asr-api\.json is damaged"):
        resolve(hub, tmp_path, offline=True)
    assert resolve(hub, tmp_path).source == "hub"


def test_threads_that_fetch_at_once_share_one_download(hub: FakeHub, tmp_path: Path) -> None:
    """The second waits for the first."""
    with ThreadPoolExecutor(2) as pool:
        assert sorted(model.source for model in pool.map(lambda _: resolve(hub, tmp_path), range(2))) == [
            "cache",
            "hub",
        ]
    assert hub.fetched("model.bin") == [None]
