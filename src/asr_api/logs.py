"""Log lines: an event and its fields, one line each."""

import logging
import sys
from collections.abc import Iterator, Mapping
from typing import TextIO

STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
"""What every log record carries; anything else is a field of the event."""


class FieldFormatter(logging.Formatter):
    """`2026-11-22 12:00:00 INFO asr_api.http request status=200 ...`, with control characters escaped."""

    def format(self, record: logging.LogRecord) -> str:
        return " ".join([super().format(record), *_fields(vars(record))])


def _fields(values: Mapping[str, object]) -> list[str]:
    return [f"{name}={_plain(value)}" for name, value in _flat(values) if name not in STANDARD]


def _flat(values: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """The values, with those of a mapping inside as `outer.inner`."""
    for name, value in values.items():
        if isinstance(value, Mapping) and name not in STANDARD:
            yield from ((f"{name}.{inner}", one) for inner, one in value.items())
        else:
            yield name, value


def _plain(value: object) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return text if text.isprintable() else ascii(text)


def configure_logging(level: str, stream: TextIO | None = None) -> None:
    """Send all log records of at least `level` to stderr."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(FieldFormatter("{asctime} {levelname} {name} {message}", style="{"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("uvicorn", "uvicorn.error", "httpx2", "httpcore2", "faster_whisper"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
