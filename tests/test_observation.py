"""What the service tells of itself: GPU gauges, log lines, the self-test."""

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from asr_api.engine.protocol import DecodingResult, DecodingTask
from asr_api.errors import ModelUnavailable
from asr_api.gpu import GpuMonitor
from asr_api.logs import configure_logging
from asr_api.metrics import Metrics, audio_class
from asr_api.selftest import likeness, sample_for, self_test
from tests.fakes import FakeEngine, result

FEATURES = np.zeros((80, 3000), np.float32)


@dataclass
class Reading:
    """NVML's records, as far as they are read."""

    used: int = 0
    total: int = 0
    gpu: int = 0
    pid: int = 0
    usedGpuMemory: int | None = None  # noqa: N815 - NVML's name


class FakeNvml:
    """Two GPUs, or an error where `broken`."""

    class NVMLError(Exception):
        """NVML's own."""

    def __init__(self, broken: bool = False) -> None:
        self.broken = broken

    def nvmlInit(self) -> None:  # noqa: N802
        if self.broken:
            raise self.NVMLError

    def nvmlShutdown(self) -> None:  # noqa: N802
        pass

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        if self.broken:
            raise self.NVMLError
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> object:  # noqa: N802
        return index

    def nvmlDeviceGetMemoryInfo(self, handle: object) -> Reading:  # noqa: N802
        return Reading(used=10 + int(str(handle)), total=24)

    def nvmlDeviceGetUtilizationRates(self, handle: object) -> Reading:  # noqa: N802
        return Reading(gpu=80)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: object) -> list[Reading]:  # noqa: N802
        return [Reading(pid=-1, usedGpuMemory=7)]


def test_gpu_gauges_show_each_gpu() -> None:
    """VRAM of the card and of this process, and utilisation as a ratio."""
    metrics = Metrics("1")
    GpuMonitor(metrics, FakeNvml()).read()
    value = metrics.registry.get_sample_value
    assert [value("asr_gpu_memory_used_bytes", {"gpu": gpu}) for gpu in "01"] == [10, 11]
    assert value("asr_gpu_memory_total_bytes", {"gpu": "0"}) == 24
    assert value("asr_gpu_process_memory_bytes", {"gpu": "0"}) == 0
    assert value("asr_gpu_utilization_ratio", {"gpu": "1"}) == 0.8
    assert value("asr_gpu_collector_up") == 1


def test_without_nvml_the_service_runs_and_says_so() -> None:
    """No GPU is no fault: the gauge that NVML answers is 0, and the thread has ended."""
    metrics = Metrics("1")
    monitor = GpuMonitor(metrics, FakeNvml(broken=True))
    monitor.start()
    monitor.close()
    assert metrics.registry.get_sample_value("asr_gpu_collector_up") == 0


def test_nvml_failing_later_clears_the_gauge() -> None:
    """A GPU that falls off the bus shows in `asr_gpu_collector_up`."""
    metrics, nvml = Metrics("1"), FakeNvml()
    monitor = GpuMonitor(metrics, nvml)
    monitor.read()
    nvml.broken = True
    monitor.read()
    assert metrics.registry.get_sample_value("asr_gpu_collector_up") == 0


def test_series_are_there_before_the_first_request() -> None:
    """Counters of closed label sets begin at 0, so that a rate is right from the first event on."""
    value = Metrics("1").registry.get_sample_value
    assert value("asr_requests_total", {"endpoint": "transcribe", "outcome": "shed"}) == 0
    assert value("asr_fallbacks_total", {"temperature": "0.2", "reason": "avg_logprob"}) == 0


def test_audio_classes() -> None:
    """Half a minute and five minutes are the edges."""
    assert [audio_class(seconds) for seconds in (0, 30, 31, 300, 301)] == ["short", "short", "medium", "medium", "long"]


def test_a_log_line_is_one_line_whatever_is_in_it() -> None:
    """Fields follow the event; line feeds and control characters are escaped."""
    stream = io.StringIO()
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        configure_logging("info", stream)
        logging.getLogger("asr_api.test").info("request", extra={"id": "a\nb\x1b", "stages": {"queue": 0.12345}})
    finally:
        root.handlers[:], root.level = before
    (line,) = stream.getvalue().splitlines()
    assert line.endswith("INFO asr_api.test request id='a\\nb\\x1b' stages.queue=0.123")


class Reader(FakeEngine):
    """Reads the same words whatever it hears."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def decode(self, tasks: Sequence[DecodingTask]) -> Sequence[DecodingResult | Exception]:
        return [result(self.text) for _ in tasks]


def test_the_self_test_returns_what_was_read() -> None:
    """The sample of any model but the bundled one is the 1961 address."""
    sample = sample_for("large-v3")
    assert self_test(Reader(" " + sample.text), sample, FEATURES, 1.0) == sample.text
    assert sample_for("callsign").name == "callsign.flac"


def test_an_engine_that_hears_nothing_is_refused() -> None:
    """Empty transcripts are how a driver that is too old shows itself; better no start than silence."""
    with pytest.raises(ModelUnavailable, match="hears nothing"):
        self_test(Reader(" "), sample_for("base"), FEATURES, 1.0)


def test_other_words_are_only_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """A model made for one language may read the English sample as it likes."""
    self_test(Reader(" etwas ganz anderes"), sample_for("base"), FEATURES, 1.0)
    assert "other words than expected" in caplog.text


def test_likeness_counts_words() -> None:
    """Case and punctuation do not matter."""
    assert likeness("Ask not, what!", "ask not what") == 1
    assert likeness("one two", "three four") == 0
