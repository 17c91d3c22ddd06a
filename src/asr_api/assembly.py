"""The one place where the parts of the service are built and handed to each other."""

from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial

import numpy as np

from asr_api import __version__
from asr_api.admission import Admission
from asr_api.audio.decoding import AudioLimits
from asr_api.audio.features import LogMel
from asr_api.audio.frontend import AudioFrontEnd
from asr_api.audio.speech import SpeechDetector
from asr_api.engine.protocol import Engine
from asr_api.engine.whisper import WhisperEngine
from asr_api.errors import AsrError
from asr_api.metrics import Metrics
from asr_api.models.progress import OnProgress
from asr_api.models.resolve import resolve_model
from asr_api.selftest import sample_for, self_test
from asr_api.service import Loaded, Parts, Service
from asr_api.settings import Settings
from asr_api.transcriber import Submitter, Transcriber


def build_service(
    settings: Settings,
    *,
    on_ready: Callable[[Loaded], None] | None = None,
    on_failed: Callable[[AsrError], None] | None = None,
    on_progress: OnProgress | None = None,
) -> Service:
    """A service that is still to be opened."""
    metrics = Metrics(__version__)
    front_end = AudioFrontEnd(
        AudioLimits(max_seconds=settings.max_audio_seconds), SpeechDetector.load(threshold=settings.vad_threshold)
    )
    parts = Parts(
        load=partial(load, settings, front_end, on_progress),
        transcriber=partial(build_transcriber, settings, front_end, metrics),
    )
    return Service(settings, metrics, parts, on_ready=on_ready, on_failed=on_failed)


def load(settings: Settings, front_end: AudioFrontEnd, on_progress: OnProgress | None) -> Loaded:
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
        samples = front_end.load(recording)
    return Loaded(engine, self_test(engine, sample, samples, log_mel(engine)))


def log_mel(engine: Engine) -> LogMel:
    """The features that the engine wants: half floats on a GPU, which spares it the conversion."""
    return LogMel(engine.info.n_mels, np.float16 if engine.info.device == "cuda" else np.float32)


def build_transcriber(
    settings: Settings,
    front_end: AudioFrontEnd,
    metrics: Metrics,
    engine: Engine,
    queue: Submitter,
    admission: Admission,
    executor: Executor,
    window: int,
) -> Transcriber:
    return Transcriber(
        queue,
        front_end,
        log_mel(engine),
        engine.tokenize,
        languages=engine.info.languages,
        executor=executor,
        metrics=metrics,
        admission=admission,
        beam_size=settings.beam_size,
        window=window,
        timeout=settings.request_timeout,
    )
