"""The command line."""

import logging
import os
import socket
import sys
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from asr_api import __version__
from asr_api.cli.calibrate import calibrate
from asr_api.cli.doctor import doctor
from asr_api.cli.models import models_app
from asr_api.cli.options import read_settings, with_settings
from asr_api.errors import StartupError
from asr_api.logs import configure_logging
from asr_api.settings import Settings

if TYPE_CHECKING:
    from asr_api.server import Server

Format = Literal["text", "json", "verbose_json", "srt", "vtt"]
Task = Literal["transcribe", "translate"]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(models_app, name="models")
app.command()(doctor)
app.command()(calibrate)


NATIVE_THREADS = {"OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1"}
"""For libraries that read the environment as they are loaded.

Threads of OpenMP that spin while they wait take the cores from those that work: a call of the
bundled model takes 0.25 s with threads that sleep, and up to 7 s with threads that spin, on two
cores. NumPy's own threads gain nothing on a chunk's features and double their cost.
"""


def main() -> None:
    """Run the command line; what keeps it from starting is one sentence and an exit code of its own."""
    for name, value in NATIVE_THREADS.items():
        os.environ.setdefault(name, value)
    try:
        app()
    except StartupError as error:
        sys.stderr.write(f"asr-api: {error.message}\n")
        leave(error.exit_code)
    except SystemExit as end:
        leave(end.code if isinstance(end.code, int) else int(end.code is not None))


def leave(code: int) -> NoReturn:
    """End the process, at once where threads are left: a model that is still being loaded, or a call that
    did not end in time, would crash in an interpreter that is being taken down around it.
    """
    logging.shutdown()
    if threading.active_count() == 1:
        sys.exit(code)
    sys.stdout.flush()
    os._exit(code)


@app.callback(invoke_without_command=True)
def asr_api(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="print the version and exit")] = False,
) -> None:
    """Speech to text with Whisper: a service, and a command for files."""
    if version:
        sys.stdout.write(f"asr-api {__version__}\n")
        raise typer.Exit
    if context.invoked_subcommand is None:
        raise typer.Exit(2)


@app.command()
@with_settings
def serve(**flags: Any) -> None:  # noqa: ANN401 - one for each setting
    """Serve transcriptions over HTTP. Every option is also a variable of the environment."""
    from asr_api.server import listen

    settings = read_settings(flags)
    log = configure_logging(settings.log_level, settings.log_format)
    server = build_server(settings, listen(settings.host, settings.port))
    log.count_with(server.metrics.process)
    raise typer.Exit(server.run())


def build_server(settings: Settings, listener: socket.socket) -> "Server":
    """The server, with the page beside it if that is wanted. Raises StartupError."""
    from asr_api.server import Server

    if not settings.ui:
        return Server(settings, listener)
    from asr_api.server.announcement import address
    from asr_api.ui import PageDispatcher, PageLimits, make_page

    page = make_page(PageLimits.of(settings))
    sys.stdout.write(f"page:  {address(listener)}/ui\n")
    return Server(settings, listener, wrap=partial(PageDispatcher, page=page))


@app.command()
@with_settings
def transcribe(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, readable=True, help="audio files")],
    server: Annotated[str | None, typer.Option(help="address of a service to ask, as http://host:8000")] = None,
    api_key: Annotated[str | None, typer.Option(help="the service's key, where it wants one")] = None,
    format: Annotated[Format, typer.Option("--format", help="form of the output")] = "text",
    language: Annotated[str | None, typer.Option(help="language spoken, as `en`; detected where absent")] = None,
    multilingual: Annotated[bool, typer.Option("--multilingual", help="detect it anew after each pause")] = False,
    prompt: Annotated[str | None, typer.Option(help="text that shows names and style")] = None,
    task: Annotated[Task, typer.Option(help="transcribe, or translate to English")] = "transcribe",
    temperature: Annotated[float, typer.Option(min=0, max=1, help="0: greedy, with fallback")] = 0.0,
    **flags: Any,  # noqa: ANN401 - one for each setting
) -> None:
    """Transcribe files, in this process or, with --server, by a service."""
    from asr_api.transcribing import Wishes, transcribe_here, transcribe_there

    if language and multilingual:
        raise typer.BadParameter("send either --language or --multilingual")
    wishes = Wishes(
        format=format,
        language=language,
        multilingual=multilingual,
        prompt=prompt,
        task=task,
        temperature=temperature,
    )
    if server is not None:
        raise typer.Exit(transcribe_there(server, api_key, files, wishes))
    here = {"log_level": "warning", "engine_process": "false"}
    settings = read_settings(here | {name: value for name, value in flags.items() if value is not None})
    configure_logging(settings.log_level, settings.log_format)
    raise typer.Exit(transcribe_here(settings, files, wishes))


@app.command()
def conformance(
    url: Annotated[str, typer.Argument(help="address of the server, as http://host:8000")],
    api_key: Annotated[str | None, typer.Option(help="its key, where it wants one")] = None,
    model: Annotated[str | None, typer.Option(help="the model to ask for; whisper-1 where absent")] = None,
    audio: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="a recording of your own")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON, not a table")] = False,
) -> None:
    """Drive OpenAI's own client through its contract against any server, and print what does not hold."""
    from asr_api.conformance.command import conformance as check

    raise typer.Exit(check(url, api_key=api_key, model=model, audio=audio, as_json_text=as_json))
