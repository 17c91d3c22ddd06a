"""Log lines: an event and its fields, one line each, written by a thread that no request waits for."""

import logging
import sys
from typing import Literal, TextIO

from asr_api.logs.formats import FieldFormatter, json_formatter
from asr_api.logs.handler import LogCounter, LogHandler, output_of

__all__ = ["LogCounter", "LogHandler", "configure_logging"]

LogFormat = Literal["auto", "json", "text"]

QUIET = {
    "uvicorn": logging.WARNING,
    "uvicorn.error": logging.WARNING,
    "httpx2": logging.WARNING,
    "httpcore2": logging.WARNING,
    "urllib3": logging.WARNING,
    "faster_whisper": logging.WARNING,
    "opentelemetry.exporter": logging.CRITICAL,
}
"""The least level of libraries that say more than an operator needs. Spans that cannot be sent are told of
by `asr_api.telemetry`, once in a while; their exporter would do so for each batch and each attempt."""


def configure_logging(level: str, format: LogFormat = "auto", stream: TextIO | None = None) -> LogHandler:
    """Send all log records of at least `level` to a stream, stderr where none is given.

    `auto` is text where the stream is a terminal, and JSON elsewhere. The handler that is returned
    replaces those that were there; its `close`, which `logging.shutdown` calls too, writes what waits.
    """
    target = stream or sys.stderr
    terminal = target is not None and target.isatty()
    handler = LogHandler(output_of(target))
    handler.setFormatter(FieldFormatter() if format == "text" or (format == "auto" and terminal) else json_formatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name, least in QUIET.items():
        logging.getLogger(name).setLevel(least)
    return handler
