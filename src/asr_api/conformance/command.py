"""The command `asr-api conformance`: all checks against one server."""

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from asr_api.conformance.check import Result, run_checks
from asr_api.conformance.connection import TIMEOUT, Connection
from asr_api.conformance.recording import Recording
from asr_api.conformance.report import as_json, print_table
from asr_api.conformance.server import Server
from asr_api.conformance.themes import THEMES
from asr_api.selftest import BUNDLED, sample_for

DEFAULT_MODEL = "whisper-1"


def conformance(
    url: str,
    *,
    api_key: str | None = None,
    model: str | None = None,
    audio: Path | None = None,
    as_json_text: bool = False,
    timeout: float = TIMEOUT,
) -> int:
    """Print what comes of all checks against the server at `url`; the exit code is 1 where one failed.

    `model` is `whisper-1` where it is None; `audio` is a recording of two minutes at most, None for
    one that comes with the package. `as_json_text` prints JSON instead of a table.

    Raises CannotCheck where OpenAI's client is not installed, nobody answers, the key is wrong or
    the recording cannot be read.
    """
    with Connection(url, api_key, timeout) as connection:
        recording = recording_for(connection.models(), model, audio)
        server = connection.server(model or DEFAULT_MODEL, recording)
        results = results_of(server, Console(stderr=True))
    if as_json_text:
        sys.stdout.write(as_json(server.api, results) + "\n")
    else:
        print_table(Console(), server.api, results)
    return int(any(result.outcome == "failed" for result in results))


def recording_for(models: Sequence[str], model: str | None, audio: Path | None) -> Recording:
    """The file that is asked for, else the sample that the model can read: the bundled model knows call signs only."""
    if audio is not None:
        return Recording.of_file(audio)
    bundled = model == BUNDLED or BUNDLED in models
    return Recording.of_sample(sample_for(BUNDLED if bundled else model or DEFAULT_MODEL))


def results_of(server: Server, progress: Console) -> list[Result]:
    """The results of all checks; `progress` shows which theme is being checked."""
    results: list[Result] = []
    with progress.status("checking") as status:
        for result in run_checks(THEMES, server):
            results.append(result)
            status.update(f"checking {result.theme}")
    return results
