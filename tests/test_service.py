"""The service from loading to draining, with a fake engine."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from asr_api.admission import Admission
from asr_api.decoder import Decoder, Submitter
from asr_api.engine.protocol import Engine, EngineInfo
from asr_api.errors import AsrError, EngineFailure, ModelUnavailable, Overloaded, StartupError
from asr_api.fallback import WHOLE
from asr_api.hosting import LocalHost
from asr_api.metrics import EngineMetrics, Metrics
from asr_api.metrics.labels import BatchOutcome
from asr_api.service import Parts, Service
from asr_api.settings import Settings
from asr_api.spool import Spool
from asr_api.trace import Trace
from asr_api.transcriber import Transcriber
from asr_api.transcription import TranscriptionOptions
from tests.fakes import FakeDecoding, FakeEngine, FakeFrontEnd

pytestmark = pytest.mark.anyio


class BrokenMetrics(EngineMetrics):
    """Raises where the queue's loop calls it, as a bug would."""

    def batch_finished(self, size: int, seconds: float, outcome: BatchOutcome) -> None:
        raise ZeroDivisionError


def service_of(
    load: Callable[[], tuple[Engine, str]],
    chunks: int = 1,
    on_failed: Callable[[AsrError], None] | None = None,
    metrics: Metrics | None = None,
    decoding: FakeDecoding | None = None,
    **settings: Any,
) -> Service:
    metrics = metrics or Metrics("test")

    def transcriber(info: EngineInfo, queue: Submitter, admission: Admission, window: int) -> Transcriber:
        return Transcriber(
            Decoder(queue, metrics.engine, beam_size=1, audio_context=WHOLE),
            FakeFrontEnd(chunks),
            lambda _: (),
            languages=info.languages,
            metrics=metrics,
            admission=admission,
            window=window,
            timeout=30,
        )

    values = Settings(**settings)
    spool = Spool(values.spool_dir, values.max_spool_bytes, metrics)
    parts = Parts(LocalHost(load), decoding or FakeDecoding(), spool, transcriber)
    return Service(values, metrics, parts, on_failed=on_failed)


@asynccontextmanager
async def opened(engine: FakeEngine, **options: Any) -> AsyncIterator[Service]:
    service = service_of(lambda: (engine, "alpha"), **options)
    await service.open()
    try:
        yield service
    finally:
        engine.gate.set()
        await service.close()


async def transcribe(service: Service) -> str:
    with service.admitted():
        answer = await service.transcribe(io.BytesIO(), TranscriptionOptions(), Trace("id"))
    return answer.text


def sample(service: Service, name: str) -> float | None:
    return service.metrics.registry.get_sample_value(name)


async def test_it_answers_when_it_is_open() -> None:
    """Open means ready; a transcript passes through the queue and the engine's own threads."""
    engine = FakeEngine()
    async with opened(engine) as service:
        assert (service.state, service.info, sample(service, "asr_ready")) == ("ready", engine.info, 1)
        assert await transcribe(service) == "chunk 0"
        assert sample(service, "asr_batch_size_count") == 1
    assert (service.state, engine.closed, sample(service, "asr_ready")) == ("draining", True, 0)


async def test_while_it_loads_requests_are_refused() -> None:
    """The port is open before the engine is; the refusal says why and when to come again."""
    service = service_of(lambda: (FakeEngine(), ""))
    with pytest.raises(Overloaded) as refusal, service.admitted():
        pass
    assert (refusal.value.code, service.state, service.info) == ("engine_loading", "loading", None)
    assert refusal.value.retry_after
    await service.close()


async def test_a_model_that_cannot_be_had_is_raised() -> None:
    """`open` fails with the loader's own sentence."""

    def load() -> tuple[Engine, str]:
        raise ModelUnavailable("install asr-api[base]")

    service = service_of(load)
    with pytest.raises(ModelUnavailable, match="install"):
        await service.open()
    await service.close()


async def test_workers_that_do_not_start_are_raised() -> None:
    """Without processes that decode there is no service."""
    service = service_of(lambda: (FakeEngine(), ""), decoding=FakeDecoding(StartupError("no worker")))
    with pytest.raises(StartupError, match="no worker"):
        await service.open()
    await service.close()


async def test_places_are_bounded_and_given_back() -> None:
    """One request more than the limit is refused at once; a place is free again when its request ends."""
    async with opened(FakeEngine(), max_concurrent_requests=1) as service:
        with service.admitted():
            with pytest.raises(Overloaded) as refusal, service.admitted():
                pass
            assert refusal.value.code == "queue_full"
        with service.admitted():
            pass


async def test_close_lets_requests_finish() -> None:
    """What was accepted is answered, what comes later is refused."""
    engine = FakeEngine()
    async with opened(engine) as service:
        engine.gate.clear()
        request = asyncio.create_task(transcribe(service))
        await asyncio.to_thread(engine.entered.wait, 10)
        closing = asyncio.create_task(service.close())
        await asyncio.sleep(0)
        with pytest.raises(Overloaded) as refusal, service.admitted():
            pass
        assert refusal.value.code == "draining"
        engine.gate.set()
        assert await request == "chunk 0"
        await closing


async def test_close_ends_in_time_whatever_the_engine_does() -> None:
    """Past drain_timeout, requests that still wait are told that the service shuts down."""
    engine = FakeEngine()
    async with opened(engine, drain_timeout=0.01) as service:
        engine.gate.clear()
        request = asyncio.create_task(transcribe(service))
        await asyncio.to_thread(engine.entered.wait, 10)
        await service.close()
        with pytest.raises(Overloaded) as refusal:
            await request
        assert refusal.value.code == "draining"


async def test_an_engine_error_is_one_requests_error() -> None:
    """The service is ready for the next request."""
    engine = FakeEngine()
    async with opened(engine) as service:
        engine.error = RuntimeError("cuda")
        with pytest.raises(EngineFailure):
            await transcribe(service)
        engine.error = None
        assert await transcribe(service) == "chunk 0"
        assert service.metrics.registry.get_sample_value("asr_batches_total", {"outcome": "error"}) == 1


async def test_a_worker_that_ends_fails_the_service() -> None:
    """A bug in the loop is not survived in silence: the state says so and the owner hears of it."""
    heard: list[AsrError] = []
    metrics = Metrics("test")
    metrics.engine = BrokenMetrics(CollectorRegistry())
    async with opened(FakeEngine(), on_failed=heard.append, metrics=metrics) as service:
        with pytest.raises(Overloaded):
            await transcribe(service)
        while not heard:
            await asyncio.sleep(0)
        assert service.state == "failed"
        with pytest.raises(Overloaded) as refusal, service.admitted():
            pass
        assert refusal.value.code == "engine_failed"


async def test_many_requests_share_batches() -> None:
    """While the engine is busy, the chunks of other requests gather for the next call."""
    engine = FakeEngine()
    async with opened(engine, max_batch_size=8) as service:
        engine.gate.clear()
        requests = [asyncio.create_task(transcribe(service)) for _ in range(9)]
        await asyncio.to_thread(engine.entered.wait, 10)
        while sample(service, "asr_queue_chunks") != 9 - engine.batches[0]:
            await asyncio.sleep(0.001)
        engine.gate.set()
        assert await asyncio.gather(*requests) == ["chunk 0"] * 9
    assert len(engine.batches) == 2
