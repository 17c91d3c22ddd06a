"""The one place where the parts of the service are built and handed to each other."""

import os
from collections.abc import Callable
from functools import partial

from asr_api import __version__
from asr_api.admission import Admission
from asr_api.audio.confined import ConfinedFrontEnd
from asr_api.audio.decoding import AudioLimits, decode_audio
from asr_api.audio.features import LogMel
from asr_api.audio.pool import DecodePool, WorkerLimits, worker_command
from asr_api.decoder import Decoder, Submitter
from asr_api.engine.child import build_whisper
from asr_api.engine.messages import EnginePlan
from asr_api.engine.protocol import Engine, EngineInfo
from asr_api.engine.supervisor import SupervisionLimits
from asr_api.errors import AsrError
from asr_api.fallback import audio_context_of
from asr_api.hosting import EngineHost, Loaded, LocalHost, ProcessHost, ProcessPlan, engine_command
from asr_api.metrics import Metrics
from asr_api.models.calibrations import Calibration, fingerprint
from asr_api.models.progress import OnProgress
from asr_api.models.resolve import ResolvedModel, resolve_model
from asr_api.selftest import Sample, SelfTest, sample_for
from asr_api.service import Parts, Service
from asr_api.settings import PREFIX, Settings
from asr_api.spectrogram import Features
from asr_api.spool import Spool
from asr_api.telemetry import build_telemetry
from asr_api.transcriber import Transcriber
from asr_api.transcription import SAMPLE_RATE


def build_service(
    settings: Settings,
    *,
    on_ready: Callable[[Loaded], None] | None = None,
    on_failed: Callable[[AsrError], None] | None = None,
    on_progress: OnProgress | None = None,
) -> Service:
    """A service that is still to be opened."""
    metrics = Metrics(__version__)
    spool = Spool(settings.spool_dir, settings.max_spool_bytes, metrics)
    pool = build_pool(settings, metrics)
    host = build_host(settings, metrics, on_progress)
    parts = Parts(
        engine=host,
        decoding=pool,
        spool=spool,
        transcriber=partial(build_transcriber, settings, pool, spool, metrics, host.tokenize),
    )
    telemetry = build_telemetry(settings.otlp_endpoint, __version__)
    return Service(settings, metrics, parts, on_ready=on_ready, on_failed=on_failed, telemetry=telemetry)


def build_pool(settings: Settings, metrics: Metrics) -> DecodePool:
    limits = WorkerLimits(settings.decode_timeout, settings.decode_memory_bytes)
    return DecodePool(
        worker_command(limits), settings.spool_dir, size=settings.decode_workers, limits=limits, metrics=metrics
    )


def build_host(settings: Settings, metrics: Metrics, on_progress: OnProgress | None) -> EngineHost:
    if not settings.engine_process:
        return LocalHost(partial(load, settings, on_progress))
    plan = ProcessPlan(
        resolve=partial(find_model, settings, on_progress),
        plan=partial(plan_of, settings),
        self_test=build_self_test(settings),
        devices=tuple(settings.device_index),
        chunks=settings.batch_size_on,
        command=engine_command(settings.log_format),
        environ={name: value for name, value in os.environ.items() if not name.startswith(PREFIX)},
        limits=SupervisionLimits(settings.engine_hang_timeout),
    )
    return ProcessHost(plan, metrics.engine)


def find_model(settings: Settings, on_progress: OnProgress | None) -> ResolvedModel:
    """Raises ModelUnavailable."""
    return resolve_model(
        settings.model,
        model_dir=settings.model_dir,
        hub_endpoint=settings.hub_endpoint,
        offline=settings.offline,
        on_progress=on_progress,
        thorough=settings.verify_model,
    )


def plan_of(settings: Settings, model: ResolvedModel) -> EnginePlan:
    return EnginePlan(
        folder=str(model.path),
        name=settings.model,
        revision=model.revision,
        device=settings.device,
        device_index=tuple(settings.device_index),
        compute_type=settings.compute_type,
        num_workers=settings.num_workers,
        cpu_threads=settings.cpu_threads,
        max_encode_batch=settings.max_encode_batch,
        fingerprint=fingerprint(model.path),
    )


def load(settings: Settings, on_progress: OnProgress | None) -> tuple[Engine, str]:
    """Find the model, load it into this process and hear it read its sample. Raises ModelUnavailable."""
    engine = build_whisper(plan_of(settings, find_model(settings, on_progress)))
    self_test = build_self_test(settings)
    (result,) = engine.decode([self_test.task(engine.info)])
    return engine, self_test.check(result, engine.info)


def build_self_test(settings: Settings) -> SelfTest:
    limits = AudioLimits(max_seconds=settings.max_audio_seconds)

    def hear(sample: Sample, n_mels: int) -> tuple[Features, float]:
        with open(sample.path, "rb") as recording:
            samples = decode_audio(recording, limits)
        return LogMel(n_mels).heard(samples), len(samples) / SAMPLE_RATE

    return SelfTest(sample_for(settings.model), hear)


def build_transcriber(
    settings: Settings,
    pool: DecodePool,
    spool: Spool,
    metrics: Metrics,
    tokenize: Callable[[str], tuple[int, ...]],
    info: EngineInfo,
    queue: Submitter,
    admission: Admission,
    window: int,
) -> Transcriber:
    front_end = ConfinedFrontEnd(
        pool, partial(spool.file, 0), info.n_mels, settings.max_audio_seconds, settings.vad_threshold
    )
    context = audio_context_of(settings.audio_context, settings.model, shown_for(settings, info))
    return Transcriber(
        Decoder(
            queue,
            metrics.engine,
            beam_size=settings.beam_size,
            audio_context=context,
            recover_omissions=settings.recover_omissions,
        ),
        front_end,
        tokenize,
        languages=info.languages,
        metrics=metrics,
        admission=admission,
        window=window,
        timeout=settings.request_timeout,
    )


def shown_for(settings: Settings, info: EngineInfo) -> str | None:
    """The audio context that `asr-api calibrate` showed for the weights; None where nobody asked it."""
    found = Calibration.read(settings.model_dir, info.fingerprint) if info.fingerprint else None
    return found.audio_context if found else None
