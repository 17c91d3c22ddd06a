"""What the collectors count, and that there are never more of them than at the start."""

import random
import string

import pytest

from asr_api.errors import Draining, Overloaded, RateLimited, StorageFull, TooManyRequests
from asr_api.http.exchange import Exchange
from asr_api.metrics import Metrics
from asr_api.metrics.gpus import GpuReading
from asr_api.metrics.labels import CODES, PHASES, audio_class
from asr_api.scheduling import Census, Flow
from asr_api.trace import Trace

from .http.fakes import AUDIO, FakeService, client_of, multipart

TINY = multipart(("file", AUDIO), ("model", "whisper-1"))


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def series(metrics: Metrics) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
    """Every series of ours, but those of what the process itself is."""
    families = (family for family in metrics.registry.collect() if family.name.startswith("asr_"))
    return {(one.name, tuple(sorted(one.labels.items()))) for family in families for one in family.samples}


def test_series_are_there_before_the_first_request() -> None:
    """Counters of closed label sets begin at 0, so that a rate is right from the first event on."""
    metrics = Metrics("1")
    assert value(metrics, "asr_requests_total", endpoint="transcribe", outcome="shed") == 0
    assert value(metrics, "asr_fallbacks_total", temperature="0.2", reason="avg_logprob") == 0
    assert value(metrics, "asr_skipped_audio_seconds_total", guard="vad") == 0
    assert value(metrics, "asr_requests_shed_total", reason="budget") == 0
    assert value(metrics, "asr_client_disconnects_total", phase="headers") == 0


def test_s8_whatever_clients_send_no_series_is_added() -> None:
    """A thousand strange paths, methods, models, languages, keys and codes leave the number of series as it was."""
    service, chance = FakeService(), random.Random(8)
    service.metrics.engine.loaded(1.0, 1, {"model": "m"})
    client, before = client_of(service), series(service.metrics)
    for _ in range(1000):
        word = "".join(chance.choices(string.ascii_letters + string.digits, k=8))
        method = chance.choice(["GET", "POST", "PUT", "DELETE", word.upper()])
        path = chance.choice([f"/{word}", f"/v1/{word}", "/transcribe", "/v1/audio/transcriptions"])
        body, headers = multipart(("file", AUDIO), ("model", word), ("language", word[:2]), (word, word))
        client.request(method, path, content=body, headers={**headers, "x-request-id": word, "authorization": word})
    assert series(service.metrics) == before
    assert len(before) < 1500


def test_answers_are_counted_by_endpoint_and_code() -> None:
    """Every path counts; what has no place of its own is `other`."""
    service = FakeService()
    client = client_of(service)
    client.get("/livez")
    client.get("/nowhere")
    client.post("/v1/audio/transcriptions", content=TINY[0], headers=TINY[1])
    service.metrics.requests.answered(None, 418)
    counts = [
        service.count("asr_http_responses_total", endpoint=endpoint, code=code)
        for endpoint, code in (("other", "200"), ("other", "404"), ("transcriptions", "200"), ("other", "other"))
    ]
    assert counts == [1, 1, 1, 1]
    assert 418 not in CODES


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (Overloaded("full"), "queue_full"),
        (Overloaded("too much", reason="budget"), "budget"),
        (TooManyRequests("full"), "queue_full"),
        (Draining("bye"), "draining"),
        (Overloaded("loading", code="engine_loading", reason="engine"), "engine"),
        (StorageFull("no room"), "storage"),
        (RateLimited("yours"), "key_limit"),
    ],
)
def test_refusals_for_want_of_room_say_what_was_short(refusal: Overloaded, reason: str) -> None:
    """One refusal, one reason; the reason goes with a copy."""
    service = FakeService(refusal=refusal)
    client_of(service).post("/transcribe", content=TINY[0], headers=TINY[1])
    assert service.count("asr_requests_shed_total", reason=reason) == 1
    assert service.count("asr_requests_shed_total") == 1
    copy = refusal.copy()
    assert (type(copy), copy.reason, copy.code) == (type(refusal), reason, refusal.code)


def test_a_request_is_in_one_phase_at_a_time() -> None:
    """The gauges of the phases add up to the requests in progress, and a request that ended is in none."""
    metrics = Metrics("1")

    def levels() -> dict[str, float]:
        pairs = ((phase, value(metrics, "asr_requests_in_flight", phase=phase)) for phase in PHASES)
        return {phase: level for phase, level in pairs if level}

    scope = {"type": "http", "method": "POST", "path": "/transcribe", "headers": []}
    trace = Exchange.begin(scope, metrics.requests.moved).trace
    seen = [levels()]
    for phase in PHASES[1:]:
        trace.enter(phase)
        seen.append(levels())
    trace.end()
    trace.enter("queue")
    trace.end()
    assert seen == [{phase: 1} for phase in PHASES]
    assert levels() == {}


def test_files_of_one_request_share_its_phase() -> None:
    """A branch moves the whole; it is one request all the same."""
    moves: list[tuple[str | None, str | None]] = []
    trace = Trace("id", moved=lambda before, now: moves.append((before, now)))
    trace.enter("decode")
    first, second = trace.branch(), trace.branch()
    first.enter("queue")
    second.enter("queue")
    second.enter("inference")
    trace.end()
    assert moves == [(None, "decode"), ("decode", "queue"), ("queue", "inference"), ("inference", None)]


def test_a_flow_counts_as_running_while_any_of_its_entries_runs() -> None:
    """Requests are counted, not chunks; each change of a flow's state is told once."""
    census, states = Census(), list[str]()
    flow, other = Flow(on_state=states.append), Flow()
    census.count(flow, waiting=3)
    census.count(other, waiting=1)
    assert (census.waiting, census.running) == (2, 0)
    census.count(flow, waiting=-2, running=2)
    assert (census.waiting, census.running) == (1, 1)
    census.count(flow, running=-1)
    census.count(flow, running=-1)
    assert (census.waiting, census.running) == (2, 0)
    census.count(flow, waiting=-1)
    census.count(other, waiting=-1)
    assert (census.waiting, census.running) == (0, 0)
    assert states == ["waiting", "running", "waiting", "idle"]


def test_padding_is_the_share_without_audio() -> None:
    """Two chunks of 15 s in two windows of 30 s are half empty."""
    metrics = Metrics("1")
    metrics.engine.batch_formed(2, 30.0, 0.5)
    assert value(metrics, "asr_batch_padding_ratio_sum") == 0.5
    assert value(metrics, "asr_batch_formation_seconds_sum") == 0.5


def test_the_state_of_the_engine_is_one_of_them() -> None:
    """Exactly one state is 1."""
    metrics = Metrics("1")
    for state in ("loading", "ready", "draining"):
        metrics.engine.entered(state)
    levels = [value(metrics, "asr_engine_state", state=state) for state in ("loading", "ready", "draining")]
    assert levels == [0, 0, 1]


def test_energy_counts_from_the_first_reading_and_never_back() -> None:
    """A driver's counter that starts again adds nothing, rather than taking away."""
    metrics = Metrics("1")
    for joules in (100.0, 150.0, 10.0, 30.0):
        metrics.gpus.read(GpuReading(0, 1, 2, 1, energy=joules))
    assert value(metrics, "asr_gpu_energy_joules_total", gpu="0") == 70


def test_audio_classes() -> None:
    """Half a minute and five minutes are the edges."""
    assert [audio_class(seconds) for seconds in (0, 30, 31, 300, 301)] == ["short", "short", "medium", "medium", "long"]
