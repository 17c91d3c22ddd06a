"""Kubernetes objects as `kubectl kustomize` makes them, and what is asked of them."""

import functools
import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
K8S = ROOT / "deploy" / "k8s"

Json = dict[str, Any]

UNITS = {"": 1.0, "m": 1e-3, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}


def render(folder: Path) -> list[Json]:
    """The objects of a kustomization. Raises AssertionError with kubectl's words where it has none."""
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def compose(folder: Path, overlay: str, components: Iterable[str], settings: Iterable[str] = ()) -> Path:
    """A kustomization of one overlay with components and settings more, as a user would write it."""
    kustomization: Json = {
        "namespace": "asr",
        "resources": [os.path.relpath(K8S / "overlays" / overlay, folder)],
        "components": [os.path.relpath(K8S / "components" / name, folder) for name in components],
    }
    if literals := list(settings):
        kustomization["configMapGenerator"] = [{"name": "asr-api", "behavior": "merge", "literals": literals}]
    (folder / "kustomization.yaml").write_text(json.dumps(kustomization), encoding="utf-8")
    return folder


def quantity(text: str) -> float:
    """`500m` or `4Gi` as a number of cores or bytes. Raises KeyError where the unit is another."""
    digits = text.rstrip("KMGTim")
    return float(digits) * UNITS[text[len(digits) :]]


@dataclass(frozen=True)
class Pod:
    """The pods of one workload."""

    workload: Json

    @property
    def name(self) -> str:
        return f"{self.workload['kind']}/{self.workload['metadata']['name']}"

    @property
    def labels(self) -> dict[str, str]:
        labels: dict[str, str] = self.workload["spec"]["template"]["metadata"]["labels"]
        return labels

    @property
    def spec(self) -> Json:
        spec: Json = self.workload["spec"]["template"]["spec"]
        return spec

    @property
    def container(self) -> Json:
        """Its only container."""
        (container,) = self.spec["containers"]
        assert "initContainers" not in self.spec
        return dict(container)

    @property
    def ports(self) -> dict[str, int]:
        return {port["name"]: port["containerPort"] for port in self.container.get("ports", [])}

    def volume_at(self, path: str) -> Json:
        """The volume that is mounted there. Raises StopIteration where none is."""
        mount = next(each for each in self.container["volumeMounts"] if each["mountPath"] == path)
        return dict(next(each for each in self.spec["volumes"] if each["name"] == mount["name"]))


@dataclass(frozen=True)
class Cluster:
    """All objects of one rendering."""

    objects: tuple[Json, ...]

    def of(self, kind: str) -> list[Json]:
        return [each for each in self.objects if each["kind"] == kind]

    def one(self, kind: str, name: str = "asr-api") -> Json:
        (found,) = [each for each in self.of(kind) if each["metadata"]["name"] == name]
        return found

    @functools.cached_property
    def pods(self) -> list[Pod]:
        return [Pod(each) for each in self.objects if "template" in each.get("spec", {})]

    @property
    def server(self) -> Pod:
        return Pod(self.one("Deployment"))

    def selected(self, labels: Mapping[str, str]) -> list[Pod]:
        """The pods that have all these labels."""
        return [pod for pod in self.pods if labels.items() <= pod.labels.items()]

    def environment(self, pod: Pod) -> dict[str, str]:
        """What the manifests, without the image, put into a pod's environment."""
        names = [each["configMapRef"]["name"] for each in pod.container.get("envFrom", [])]
        values = {key: text for name in names for key, text in self.one("ConfigMap", name)["data"].items()}
        return values | {each["name"]: each["value"] for each in pod.container.get("env", [])}
