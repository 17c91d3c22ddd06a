"""The one place where the parts of the service are built and handed to each other."""

from collections.abc import Callable
from functools import partial

import numpy as np

from asr_api import __version__
from asr_api.admission import Admission
from asr_api.audio.confined import ConfinedFrontEnd
from asr_api.audio.decoding import AudioLimits, decode_audio
from asr_api.audio.features import LogMel, padded
from asr_api.audio.pool import DecodePool, WorkerLimits, worker_command
from asr_api.engine.protocol import Engine
from asr_api.engine.whisper import WhisperEngine
from asr_api.errors import AsrError
from asr_api.metrics import Metrics
from asr_api.models.progress import OnProgress
from asr_api.models.resolve import resolve_model
from asr_api.selftest import sample_for, self_test
from asr_api.service import Loaded, Parts, Service
from asr_api.settings import Settings
from asr_api.spool import Spool
from asr_api.transcriber import Submitter, Transcriber
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
    parts = Parts(
        load=partial(load, settings, on_progress),
        decoding=pool,
        spool=spool,
        transcriber=partial(build_transcriber, settings, pool, spool, metrics),
    )
    return Service(settings, metrics, parts, on_ready=on_ready, on_failed=on_failed)


def build_pool(settings: Settings, metrics: Metrics) -> DecodePool:
    limits = WorkerLimits(settings.decode_timeout, settings.decode_memory_bytes)
    return DecodePool(
        worker_command(limits), settings.spool_dir, size=settings.decode_workers, limits=limits, metrics=metrics
    )


def load(settings: Settings, on_progress: OnProgress | None) -> Loaded:
    """Find the model, load it and hear it read its sample. Raises ModelUnavailable."""
    model = resolve_model(
        settings.model,
        model_dir=settings.model_dir,
        hub_endpoint=settings.hub_endpoint,
        offline=settings.offline,
        on_progress=on_progress,
    )
    engine = WhisperEngine(
        model.path,
        name=settings.model,
        device=settings.device,
        device_index=settings.device_index,
        compute_type=settings.compute_type,
        num_workers=settings.num_workers,
        cpu_threads=settings.cpu_threads,
        max_encode_batch=settings.max_encode_batch,
    )
    sample = sample_for(settings.model)
    with open(sample.path, "rb") as recording:
        samples = decode_audio(recording, AudioLimits(max_seconds=settings.max_audio_seconds))
    features = padded(LogMel(engine.info.n_mels).heard(samples), dtype_of(engine))
    return Loaded(engine, self_test(engine, sample, features, len(samples) / SAMPLE_RATE))


def dtype_of(engine: Engine) -> type[np.float16 | np.float32]:
    """What the engine takes without a conversion: half floats on a GPU, single ones on a CPU."""
    return np.float16 if engine.info.device == "cuda" else np.float32


def build_transcriber(
    settings: Settings,
    pool: DecodePool,
    spool: Spool,
    metrics: Metrics,
    engine: Engine,
    queue: Submitter,
    admission: Admission,
    window: int,
) -> Transcriber:
    dtype = dtype_of(engine)
    front_end = ConfinedFrontEnd(
        pool, partial(spool.file, 0), engine.info.n_mels, settings.max_audio_seconds, settings.vad_threshold
    )
    return Transcriber(
        queue,
        front_end,
        lambda chunk: padded(chunk.features, dtype),
        engine.tokenize,
        languages=engine.info.languages,
        metrics=metrics,
        admission=admission,
        beam_size=settings.beam_size,
        window=window,
        timeout=settings.request_timeout,
    )
