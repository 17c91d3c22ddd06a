"""The manifests: each overlay, and each component on one, rendered and held to what a pod of ours must be."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import kubernetes_validate  # type: ignore[import-untyped]
import pytest

from asr_api import __version__
from asr_api.metrics import Metrics
from asr_api.settings import Settings
from tests.deploy.dockerfile import read, target_of
from tests.deploy.prometheusrule import PROMETHEUS_RULE, RULES, prometheus_rule
from tests.deploy.rendering import K8S, Cluster, Pod, compose, quantity, render

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")

COMPOSITIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "cpu": ("cpu", ()),
    "nvidia": ("nvidia", ()),
    "mig": ("mig", ()),
    "cpu-hpa": ("cpu", ("autoscaling-hpa", "gateway")),
    "nvidia-image": ("nvidia", ("model-image-volume", "no-spare-gpu")),
    "nvidia-keda": ("nvidia", ("autoscaling-keda", "gateway", "monitoring")),
    "mig-keda": ("mig", ("autoscaling-keda", "monitoring")),
}

VERSIONS = ("1.32", "1.37")
"""The oldest and the newest Kubernetes that the manifests are checked for."""

CUSTOM = {"ServiceMonitor", "PrometheusRule", "ScaledObject", "HTTPRoute", "BackendTrafficPolicy"}
"""Kinds of other projects, for which Kubernetes has no schema."""

ADMIN_PATHS = ("/metrics", "/livez", "/readyz")

MARGIN = 10
"""Seconds that a pod has left, at least, when its drain is over."""


@pytest.fixture(scope="module", params=COMPOSITIONS)
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    overlay, components = COMPOSITIONS[request.param]
    return Cluster(tuple(render(compose(tmp_path_factory.mktemp("composed"), overlay, components))))


def settings_of(cluster: Cluster, pod: Pod) -> Settings:
    """What the service in a pod would read: the image's environment, and over it the manifests'."""
    target = pod.container["image"].rsplit("-", 1)[1]
    return Settings.load(target_of(read(), target).environment | cluster.environment(pod))


def metric_names() -> set[str]:
    found = Metrics("1").registry.collect()
    return {metric.name + ("_total" if metric.type == "counter" else "") for metric in found}


def test_every_component_is_in_a_composition() -> None:
    """None is shipped that was never rendered."""
    used = {name for _, components in COMPOSITIONS.values() for name in components}
    included = {"model-pvc", "dashboards"}  # by the overlay nvidia, and by a test of its own
    assert {path.name for path in (K8S / "components").iterdir()} == used | included
    assert {path.name for path in (K8S / "overlays").iterdir()} == {overlay for overlay, _ in COMPOSITIONS.values()}


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_every_field(cluster: Cluster, version: str) -> None:
    """Every object is strictly of its schema, and only kinds of other projects have none."""
    for each in cluster.objects:
        if each["kind"] not in CUSTOM:
            kubernetes_validate.validate(each, version, strict=True)


def test_everything_is_in_one_namespace_that_is_restricted(cluster: Cluster) -> None:
    """Nothing is left to whatever namespace the user happens to be in."""
    (namespace,) = cluster.of("Namespace")
    modes = {f"pod-security.kubernetes.io/{mode}" for mode in ("enforce", "audit", "warn")}
    assert modes <= {key for key, value in namespace["metadata"]["labels"].items() if value == "restricted"}
    assert {each["metadata"]["namespace"] for each in cluster.objects if each is not namespace} == {"asr"}


def test_pods_give_up_all_they_can(cluster: Cluster) -> None:
    """No root, no capability, no writing where the image is, no token, no way to more."""
    assert cluster.pods
    for pod in cluster.pods:
        context, own = pod.spec["securityContext"], pod.container["securityContext"]
        assert context["runAsNonRoot"] is True, pod.name
        assert context["runAsUser"] == context["runAsGroup"] == context["fsGroup"] == 10001
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert own["readOnlyRootFilesystem"] is True
        assert own["allowPrivilegeEscalation"] is own["privileged"] is False
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert pod.spec["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.spec.keys()
        assert not [volume for volume in pod.spec["volumes"] if "hostPath" in volume]


def test_no_link_of_a_service_reaches_the_environment(cluster: Cluster) -> None:
    """ASR_API_PORT and its like, made of the Service's name, would be unknown settings and stop the start."""
    assert [pod.name for pod in cluster.pods if pod.spec["enableServiceLinks"] is not False] == []


def test_images_are_of_this_version(cluster: Cluster) -> None:
    """Every image has a registry to be replaced and a tag that says what it is; none is the latest."""
    wanted = re.compile(rf"registry\.example\.org/asr-api:{re.escape(__version__)}-(cpu|cuda)")
    assert [pod.container["image"] for pod in cluster.pods if not wanted.fullmatch(pod.container["image"])] == []


def test_memory_is_what_was_requested_and_cpu_has_no_limit(cluster: Cluster) -> None:
    """No neighbour decides who is killed, and nothing is throttled."""
    for pod in cluster.pods:
        requests, limits = (pod.container["resources"][key] for key in ("requests", "limits"))
        assert requests["memory"] == limits["memory"], pod.name
        assert "cpu" in requests
        assert "cpu" not in limits
        assert quantity(requests["ephemeral-storage"]) <= quantity(limits["ephemeral-storage"])


def test_volumes_on_the_nodes_disk_are_bounded_and_fit(cluster: Cluster) -> None:
    """Each has a size, and all together are no more than the pod may take of the disk."""
    for pod in cluster.pods:
        sizes = [volume["emptyDir"]["sizeLimit"] for volume in pod.spec["volumes"] if "emptyDir" in volume]
        assert sum(map(quantity, sizes)) <= quantity(pod.container["resources"]["limits"]["ephemeral-storage"])


def test_settings_are_ours_and_agree_with_the_pod(cluster: Cluster) -> None:
    """Every ASR_* is known and valid; ports, folders and disk are those of the manifests."""
    pod = cluster.server
    settings = settings_of(cluster, pod)
    assert pod.ports == {"http": settings.port, "admin": settings.admin_port}
    assert settings.host == "0.0.0.0"
    assert settings.max_spool_bytes < quantity(pod.volume_at(str(settings.spool_dir))["emptyDir"]["sizeLimit"])
    assert pod.volume_at(str(settings.model_dir))
    assert settings.offline
    assert pod.volume_at(str(Path(settings.api_keys_file).parent))["secret"]["optional"] is False


def test_a_drain_ends_before_the_pod_does(cluster: Cluster) -> None:
    """No request that was taken is cut off: neither by the drain nor, after it, by the kernel."""
    spec, settings = cluster.server.spec, settings_of(cluster, cluster.server)
    pause = cluster.server.container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert settings.drain_timeout >= settings.request_timeout
    needed = pause + settings.drain_delay + settings.drain_timeout + MARGIN
    assert spec["terminationGracePeriodSeconds"] >= needed


def test_probes_ask_the_admin_port(cluster: Cluster) -> None:
    """Start and traffic wait for /readyz, and only a process that does not answer at all is restarted."""
    container = cluster.server.container
    probes = {name: container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert probes == {
        "startupProbe": {"path": "/readyz", "port": "admin"},
        "livenessProbe": {"path": "/livez", "port": "admin"},
        "readinessProbe": {"path": "/readyz", "port": "admin"},
    }
    startup = container["startupProbe"]
    deadline = cluster.server.workload["spec"]["progressDeadlineSeconds"]
    assert startup["periodSeconds"] * startup["failureThreshold"] < deadline


def test_a_pod_computes_on_what_it_asked_for(cluster: Cluster) -> None:
    """Without a GPU the engine has as many threads as the pod has cores; with one, the pod names the device."""
    settings, resources = settings_of(cluster, cluster.server), cluster.server.container["resources"]
    devices = [name for name in resources["limits"] if name.startswith("nvidia.com/")]
    if settings.device == "cpu":
        assert devices == []
        assert 1 <= settings.cpu_threads <= quantity(resources["requests"]["cpu"])
    else:
        assert settings.device == "cuda"
        assert len(devices) == 1


def test_the_model_is_there_and_cannot_be_written(cluster: Cluster) -> None:
    """Either the image holds it, or it comes read-only, and the Job brings the one that is served."""
    settings, volume = settings_of(cluster, cluster.server), cluster.server.volume_at("/models")
    if "emptyDir" in volume:
        assert settings.model == "base"
        return
    mount = next(each for each in cluster.server.container["volumeMounts"] if each["mountPath"] == "/models")
    assert mount["readOnly"] is True
    assert len(volume) == 2, "a name and one source"
    for job in cluster.of("Job"):
        assert Pod(job).container["args"] == ["models", "pull", settings.model]
    if "persistentVolumeClaim" in volume:
        assert volume["persistentVolumeClaim"]["claimName"] in {
            each["metadata"]["name"] for each in cluster.of("PersistentVolumeClaim")
        }
    else:
        assert cluster.of("Job") == cluster.of("PersistentVolumeClaim") == []


def test_the_job_reads_no_settings_that_change(cluster: Cluster) -> None:
    """A Job cannot be changed: one that named the ConfigMap would make the next apply fail."""
    jobs = [pod for pod in cluster.pods if pod.workload["kind"] == "Job"]
    assert [pod.name for pod in jobs if "envFrom" in pod.container] == []
    for pod in jobs:
        assert not settings_of(cluster, pod).offline


def test_a_changed_setting_rolls_the_pods(tmp_path: Path) -> None:
    """The ConfigMap's name has its content's hash, and the Deployment names it."""
    plain, changed = ((tmp_path / name) for name in ("plain", "changed"))
    plain.mkdir()
    changed.mkdir()
    before = Cluster(tuple(render(compose(plain, "cpu", ()))))
    after = Cluster(tuple(render(compose(changed, "cpu", (), ["ASR_BEAM_SIZE=1"]))))
    assert after.environment(after.server)["ASR_BEAM_SIZE"] == "1"
    assert after.server.spec != before.server.spec


def test_services_lead_to_the_servers_pods(cluster: Cluster) -> None:
    """Selectors match the Deployment and nothing else, and named ports exist."""
    for service in cluster.of("Service"):
        assert cluster.selected(service["spec"]["selector"]) == [cluster.server]
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= cluster.server.ports.keys()
    public = [port["targetPort"] for port in cluster.one("Service")["spec"]["ports"]]
    assert public == ["http"], "the admin port is not for callers"


def test_the_budget_and_the_spread_are_the_servers(cluster: Cluster) -> None:
    """A disruption budget that selects nothing protects nobody, and an ill pod holds up no drain."""
    budget = cluster.one("PodDisruptionBudget")["spec"]
    assert cluster.selected(budget["selector"]["matchLabels"]) == [cluster.server]
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    for spread in cluster.server.spec["topologySpreadConstraints"]:
        assert cluster.selected(spread["labelSelector"]["matchLabels"]) == [cluster.server]


def ports_of(policy: dict[str, object]) -> Iterator[str | int]:
    ingress = policy.get("ingress", [])
    assert isinstance(ingress, list)
    yield from (port["port"] for rule in ingress for port in rule["ports"])


def test_the_network_is_closed_but_for_what_is_named(cluster: Cluster) -> None:
    """Everything is denied first; ports that are let in exist; what serves can reach nothing."""
    policies = {each["metadata"]["name"]: each["spec"] for each in cluster.of("NetworkPolicy")}
    denied = policies.pop("default-deny")
    assert denied == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name, policy in policies.items():
        (pod,) = cluster.selected(policy["podSelector"]["matchLabels"])
        assert set(ports_of(policy)) <= pod.ports.keys(), name
        assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policies["asr-api"]["egress"] == []
    assert all("from" in rule for rule in policies["asr-api"]["ingress"])


def test_autoscalers_count_the_deployment_and_know_their_metrics(cluster: Cluster) -> None:
    """The target exists and leaves its number to them; every metric asked for is one of ours."""
    scalers = cluster.of("ScaledObject") + cluster.of("HorizontalPodAutoscaler")
    for scaler in scalers:
        assert cluster.one("Deployment", scaler["spec"]["scaleTargetRef"]["name"])
        assert "replicas" not in cluster.server.workload["spec"]
        asked = set(re.findall(r"\basr_\w+", str(scaler["spec"])))
        assert asked
        assert asked <= metric_names()
    assert len(scalers) == 1 or "replicas" in cluster.server.workload["spec"]


def test_the_route_leads_to_the_service_and_not_to_its_metrics(cluster: Cluster) -> None:
    """Its backend is a port of the Service, and no path leads to what operators ask."""
    for route in cluster.of("HTTPRoute"):
        for rule in route["spec"]["rules"]:
            for backend in rule["backendRefs"]:
                service = cluster.one("Service", backend["name"])
                assert backend["port"] in {port["port"] for port in service["spec"]["ports"]}
            prefixes = [match["path"]["value"] for match in rule["matches"]]
            assert not [path for path in ADMIN_PATHS for prefix in prefixes if path.startswith(prefix)]
    for policy in cluster.of("BackendTrafficPolicy"):
        for target in policy["spec"]["targetRefs"]:
            assert cluster.one(target["kind"], target["name"])


def test_prometheus_finds_the_pods_under_the_name_that_the_rules_have(cluster: Cluster) -> None:
    """The ServiceMonitor selects one Service, has a port of it, and takes its label for the job."""
    for monitor in cluster.of("ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        (service,) = [each for each in cluster.of("Service") if wanted <= each["metadata"]["labels"].items()]
        assert service["metadata"]["labels"][monitor["spec"]["jobLabel"]] == "asr-api"
        ports = {port["name"] for port in service["spec"]["ports"]}
        assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= ports


def test_the_operators_rules_are_prometheus_rules() -> None:
    """The copy is the original: `python -m tests.deploy.prometheusrule` writes it anew."""
    assert PROMETHEUS_RULE.read_text(encoding="utf-8") == prometheus_rule(RULES.read_text(encoding="utf-8"))


def test_every_dashboard_comes_with_the_sidecars_label(tmp_path: Path) -> None:
    """Grafana's sidecar loads ConfigMaps by their label; no dashboard is forgotten."""
    cluster = Cluster(tuple(render(compose(tmp_path, "cpu", ["dashboards"]))))
    boards = [each for each in cluster.of("ConfigMap") if each["metadata"]["labels"].get("grafana_dashboard") == "1"]
    files = {name for board in boards for name in board["data"]}
    assert files == {path.name for path in (K8S.parents[1] / "grafana" / "dashboards").glob("*.json")}
