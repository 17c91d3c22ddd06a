"""The command `asr-api transcribe`: files in, their transcripts on standard output, a bar on a terminal."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from asr_api.assembly import build_service
from asr_api.client import transcribe_file
from asr_api.errors import AsrError
from asr_api.http.fields import TIMED_FORMATS, ResponseFormat
from asr_api.http.rendering import transcribe_text
from asr_api.service import Service
from asr_api.settings import Settings
from asr_api.trace import Trace
from asr_api.transcription import Task, TranscriptionOptions

Report = Callable[[float, float], None]
Work = Callable[[Path, Report], Awaitable[str]]

AT_ONCE = 8
"""Files that one command has under way, so that their chunks share batches."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line asks of each file."""

    format: ResponseFormat
    language: str | None
    multilingual: bool
    prompt: str | None
    task: Task
    temperature: float


def transcribe_here(settings: Settings, files: Sequence[Path], wishes: Wishes) -> int:
    """Transcribe with an engine in this process; the exit code is 1 where a file failed.

    Raises StartupError where the engine cannot be loaded.
    """
    return asyncio.run(_here(settings, files, wishes))


def transcribe_there(server: str, api_key: str | None, files: Sequence[Path], wishes: Wishes) -> int:
    """Transcribe by a service; the exit code is 1 where a file failed."""

    async def work(path: Path, report: Report) -> str:
        return await asyncio.to_thread(
            transcribe_file,
            server,
            path,
            response_format=wishes.format,
            language=wishes.language,
            multilingual=wishes.multilingual,
            prompt=wishes.prompt,
            task=wishes.task,
            temperature=wishes.temperature,
            api_key=api_key,
            on_upload=report,
        )

    return asyncio.run(_all(files, wishes, work))


async def _here(settings: Settings, files: Sequence[Path], wishes: Wishes) -> int:
    service = build_service(settings)
    try:
        with Console(stderr=True).status(f"loading {settings.model}"):
            await service.open()
        return await _all(files, wishes, lambda path, report: _one(service, path, wishes, report))
    finally:
        await service.close()


async def _one(service: Service, path: Path, wishes: Wishes, report: Report) -> str:
    options = TranscriptionOptions(
        task=wishes.task,
        language=wishes.language,
        multilingual=wishes.multilingual,
        prompt=wishes.prompt,
        temperature=wishes.temperature,
        timestamps=wishes.format in TIMED_FORMATS,
    )
    with path.open("rb") as recording:
        transcription = await service.transcribe(recording, options, Trace(path.name), on_progress=report)
    model = service.info.model if service.info else ""
    return transcribe_text(transcription, wishes.format, model)


async def _all(files: Sequence[Path], wishes: Wishes, work: Work) -> int:
    """Work on all files, some at a time, and print what comes of each in the order given."""
    places = asyncio.Semaphore(AT_ONCE)
    console = Console(stderr=True)
    with _bars(console) as bars:

        async def one(path: Path) -> str:
            async with places:
                return await work(path, _reporter(bars, bars.add_task(path.name, total=None)))

        tasks = [asyncio.create_task(one(path)) for path in files]
        outcomes = [await _outcome(task, path, wishes, len(files)) for task, path in zip(tasks, files, strict=True)]
    return 0 if all(outcomes) else 1


async def _outcome(task: asyncio.Task[str], path: Path, wishes: Wishes, files: int) -> bool:
    try:
        text = await task
    except AsrError as error:
        sys.stderr.write(f"asr-api: {path}: {error.message}\n")
        return False
    sys.stdout.write(_labelled(text, path, wishes) if files > 1 else text.rstrip("\n") + "\n")
    sys.stdout.flush()
    return True


def _labelled(text: str, path: Path, wishes: Wishes) -> str:
    """One line that says which of several files it is about."""
    if wishes.format == "text":
        return f"{path}: {text.strip()}\n"
    if wishes.format in ("srt", "vtt"):
        return f"{path}:\n\n{text}\n"
    return json.dumps({"file": str(path)} | json.loads(text), ensure_ascii=False) + "\n"


def _bars(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _reporter(bars: Progress, task: TaskID) -> Report:
    return lambda done, total: bars.update(task, completed=done, total=total)
