"""The recordings through the service in this process, with whole or with short audio contexts."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.progress import Progress

from asr_api.assembly import build_service
from asr_api.engine.protocol import EngineInfo
from asr_api.errors import EngineFailure, InvalidAudio
from asr_api.service import Service
from asr_api.settings import Settings
from asr_api.trace import Trace
from asr_api.transcription import Transcription, TranscriptionOptions

AT_ONCE = 8
"""Recordings under way at a time, so that their chunks share batches as in a service under load."""

Context = Literal["whole", "short"]


@dataclass(frozen=True, slots=True)
class Hearing:
    """What was heard of each recording, None where it is no audio; the engine's seconds, and how many chunks were
    heard again on all 30 s.
    """

    info: EngineInfo
    heard: Sequence[Transcription | None]
    engine_seconds: float
    again: int


def hear(settings: Settings, context: Context, recordings: Sequence[Path], language: str | None) -> Hearing:
    """All recordings by the settings' model. Raises StartupError where it cannot be loaded, and EngineFailure."""
    chosen = settings.model_copy(update={"audio_context": context, "engine_process": False})
    return asyncio.run(_hear(chosen, recordings, TranscriptionOptions(language=language)))


async def _hear(settings: Settings, recordings: Sequence[Path], options: TranscriptionOptions) -> Hearing:
    service = build_service(settings)
    try:
        await service.open()
        heard = await _all(service, recordings, options, f"{settings.audio_context} contexts")
        if service.info is None:
            raise EngineFailure("the engine ended")
        return Hearing(service.info, heard, *_counted(service))
    finally:
        await service.close()


async def _all(
    service: Service, recordings: Sequence[Path], options: TranscriptionOptions, title: str
) -> list[Transcription | None]:
    places = asyncio.Semaphore(AT_ONCE)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=len(recordings))

        async def one(path: Path) -> Transcription | None:
            async with places:
                heard = await _one(service, path, options)
            bar.advance(task)
            return heard

        return await asyncio.gather(*map(one, recordings))


async def _one(service: Service, path: Path, options: TranscriptionOptions) -> Transcription | None:
    try:
        with path.open("rb") as recording:
            return await service.transcribe(recording, options, Trace(path.name))
    except InvalidAudio as error:
        sys.stderr.write(f"asr-api: {path}: {error.message}\n")
        return None


def _counted(service: Service) -> tuple[float, int]:
    """The engine's seconds, and the chunks that were heard again on 30 s."""
    value = service.metrics.registry.get_sample_value
    again = value("asr_fallbacks_total", {"temperature": "0.0", "reason": "audio_context"})
    return value("asr_engine_busy_seconds_total") or 0.0, round(again or 0)
