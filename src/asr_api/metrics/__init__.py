"""Every Prometheus collector of the service, on a registry of its own, with closed label sets."""

import platform

from prometheus_client import CollectorRegistry, Info
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from asr_api.metrics.engine import EngineMetrics
from asr_api.metrics.front_end import FrontEndMetrics
from asr_api.metrics.gpus import GpuMetrics
from asr_api.metrics.process import ProcessMetrics
from asr_api.metrics.requests import RequestMetrics

__all__ = ["EngineMetrics", "FrontEndMetrics", "GpuMetrics", "Metrics", "ProcessMetrics", "RequestMetrics"]


class Metrics:
    """One registry, and its collectors by what they tell of."""

    def __init__(self, version: str, revision: str = "") -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.requests = RequestMetrics(self.registry)
        self.front_end = FrontEndMetrics(self.registry)
        self.engine = EngineMetrics(self.registry)
        self.gpus = GpuMetrics(self.registry)
        self.process = ProcessMetrics(self.registry)
        build = Info("asr_build", "Version of the service and of Python", registry=self.registry)
        build.info({"version": version, "revision": revision, "python": platform.python_version()})
