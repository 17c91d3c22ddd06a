"""Dashboards and rules, asked of a real Prometheus that watches the real service under load.

What names cannot show is shown here: that labels match on both sides of a division, that ranges and
functions fit, that series are there from the start, and that a service that is well alerts nobody.
"""

import math
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import yaml

from tests.e2e.process import environment
from tests.observability.documents import (
    PROMETHEUS,
    RULES,
    Question,
    alerts,
    questions,
    read_yaml,
    recorded,
    shown_queries,
)
from tests.observability.load import KEY, Load
from tests.observability.promql import selectors
from tests.observability.running import PrometheusApi, Running, until

SERVER = shutil.which("prometheus")

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(SERVER is None, reason="prometheus is not installed (Debian: prometheus)"),
]

PATIENCE = 15
"""Seconds in which what was done must show: some scrapes and evaluations, at one a second."""

SLOW_MACHINE = {"AsrLatencySloShort", "AsrLatencySloShortSlowBurn", "AsrLatencySloShortTail", "AsrLatencySloLong"}
"""May be pending, though never fire: a shared machine of two cores need not keep the promises of speed."""

NOT_HERE = {'asr_model_info{device="cuda"}': "the model runs on a CPU"}
"""Selectors of alerts without data, and why."""

EXPECTED = [200] * 14 + [400, 401, 404]
"""What the requests of the load are answered."""


MOVED = (
    'asr_requests_total{endpoint="transcriptions",outcome="ok"}',
    'asr_requests_total{endpoint="transcribe",outcome="client_error"}',
    'asr_requests_total{endpoint="transcribe",outcome="cancelled"}',
    'asr_http_responses_total{endpoint="transcribe",code="200"}',
    'asr_http_responses_total{endpoint="transcribe",code="401"}',
    'asr_http_responses_total{endpoint="other",code="404"}',
    'asr_client_disconnects_total{phase="upload"}',
    'asr_auth_failures_total{reason="bad"}',
    "asr_decode_rejections_total",
    'asr_audio_seconds_total{outcome="ok"}',
    'asr_request_realtime_factor_ratio_count{audio_class="long"}',
    "asr_upload_bytes_total",
    "asr_upload_size_bytes_count",
    "asr_batch_formation_seconds_count",
    "asr_batch_padding_ratio_count",
    'asr_batches_total{outcome="ok"}',
    "asr_generated_tokens_total",
    "asr_engine_busy_seconds_total",
    "asr_engine_last_progress_timestamp_seconds",
    "asr_engine_load_duration_seconds",
    "asr_engine_workers",
    'asr_engine_state{state="ready"}',
    'asr_model_info{model="callsign",device="cpu"}',
    "asr_queue_capacity_requests",
    "asr_queue_capacity_audio_seconds",
    "asr_spool_capacity_bytes",
    'asr_decode_workers{state="idle"}',
    "asr_event_loop_lag_seconds_count",
    "asr_connections",
    "asr_connections_closed_total",
    'asr_log_messages_total{level="info"}',
    "asr_gpu_collector_up",
    "asr_gpu_memory_used_bytes",
    "asr_gpu_power_watts",
    "asr_ready",
)
"""What a load of every kind must have moved away from 0."""

SETTLED = ("asr_requests_in_flight", "asr_requests_running", "asr_queue_depth", "asr_queue_chunks", "asr_spool_files")
"""What is 0 again when nobody asks any more."""


class Observed:
    """A Prometheus after the load; `eventually` waits until what was done must have come through."""

    def __init__(self, api: PrometheusApi) -> None:
        self.api = api
        self._deadline = time.monotonic() + PATIENCE

    def eventually(self, condition: Callable[[], bool]) -> bool:
        return until(condition, self._deadline - time.monotonic())

    def tells(self, query: str) -> bool:
        """Whether a query comes to have data, all of it numbers."""
        return self.eventually(lambda: is_told(self.api.vector(query)))


def is_told(samples: dict[str, float]) -> bool:
    return bool(samples) and not any(map(math.isnan, samples.values()))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The service's address."""
    settings = {"ASR_MODEL": "callsign", "ASR_API_KEYS": f"observer:{KEY}", "ASR_LOG_FORMAT": "text"}
    environ = environment(tmp_path_factory.mktemp("models"), **settings)
    with Running([sys.executable, "-m", "tests.observability.serve"], r"docs:\s+(\S+)/docs", environ) as server:
        yield server.found[1]


def configuration(address: str) -> str:
    """The one of docker compose, with this service for its target, and everything once a second."""
    config = read_yaml(PROMETHEUS)
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(RULES)]
    (job,) = (job for job in config["scrape_configs"] if job["job_name"] == "asr-api")
    job["static_configs"] = [{"targets": [address.removeprefix("http://")]}]
    job["authorization"] = {"credentials": KEY}
    config["scrape_configs"] = [job]
    return yaml.safe_dump(config)


@pytest.fixture(scope="module")
def observed(service: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    """A Prometheus that saw the service before, during and after a load of every kind."""
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "prometheus.yml").write_text(configuration(service), encoding="utf-8")
    command = [
        str(SERVER),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:0",
    ]
    with ExitStack() as stack:
        running = stack.enter_context(Running(command, r'"Listening on" address=(\S+)'))
        api = stack.enter_context(PrometheusApi(f"http://{running.found[1]}"))
        assert until(api.ready, PATIENCE)
        assert until(lambda: bool(api.vector("up == 1")), PATIENCE)
        assert stack.enter_context(Load(service)).run() == EXPECTED
        yield Observed(api)


@pytest.mark.parametrize("question", list(questions()), ids=lambda question: question.place)
def test_a_panel_shows_something(observed: Observed, question: Question) -> None:
    """Every query of every panel has data, and no division by nothing."""
    assert observed.tells(question.expr), observed.api.vector(question.expr)


@pytest.mark.parametrize(("name", "query"), recorded().items(), ids=list(recorded()))
def test_a_recording_rule_records(observed: Observed, name: str, query: str) -> None:
    """Its query has a value, and Prometheus keeps it under the rule's name."""
    assert observed.tells(query)
    assert observed.tells(name)


@pytest.mark.parametrize("name", alerts())
def test_an_alert_has_something_to_watch(observed: Observed, name: str) -> None:
    """Each metric of it is there, with the function that is applied to its range: silence means that all is well."""
    for selector in selectors(alerts()[name]["expr"]):
        if selector.asked not in NOT_HERE:
            assert observed.tells(selector.asked), selector.asked


@pytest.mark.parametrize("question", list(shown_queries()), ids=lambda question: question.place)
def test_a_query_of_a_runbook_answers(observed: Observed, question: Question) -> None:
    """What is pasted at night comes back with data."""
    assert observed.tells(question.expr)


@pytest.mark.parametrize("series", MOVED)
def test_the_load_shows(observed: Observed, series: str) -> None:
    """Each is told by the part of the service that knows it, not only there."""
    assert observed.tells(f"sum({series}) > 0")


@pytest.mark.parametrize("gauge", SETTLED)
def test_what_was_taken_is_given_back(observed: Observed, gauge: str) -> None:
    """A level that does not come back to 0 would grow for ever."""
    assert observed.tells(f"sum({gauge}) == 0")


def test_nobody_is_woken_by_a_service_that_is_well(observed: Observed) -> None:
    """Bad files, wrong keys and clients that leave are no trouble of the service's."""
    assert observed.eventually(lambda: observed.api.alerts("pending") <= SLOW_MACHINE)
    assert observed.api.alerts("firing") == set()


def test_rules_are_evaluated_without_errors(observed: Observed) -> None:
    """No many-to-many matching, no duplicate series."""
    assert observed.api.rule_errors() == []
