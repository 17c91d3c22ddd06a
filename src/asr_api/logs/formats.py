"""The two forms of a log line: JSON for machines, text for people."""

import logging
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from pythonjsonlogger.json import JsonFormatter

STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
"""What every log record carries; anything else is a field of the event."""

LONGEST_TEXT = 2_000
"""Characters of a message or a field at most."""

LONGEST_TRACEBACK = 8_000
"""Characters of a traceback at most; its end, which names the error, is kept."""

MOST_ITEMS = 1_000
"""Items of a field at most: the chunks of a request are fewer."""

DEEPEST = 4
"""Levels of a field at most, so that a value that holds itself ends."""

NAMES = {"asctime": "timestamp", "levelname": "level", "name": "logger"}
"""How the parts of a record are called in JSON."""

TRACEBACKS = ("exc_info", "stack_info")


class FieldFormatter(logging.Formatter):
    """`2026-11-22 12:00:00,123 INFO asr_api.http request status=200 ...`, with control characters escaped."""

    def __init__(self) -> None:
        super().__init__("{asctime} {levelname} {name} {message}", style="{")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        return " ".join([_escaped(super().formatMessage(record)), *_fields(vars(record))])

    def formatException(self, ei: Any) -> str:  # noqa: ANN401, N802 - logging's name and type
        return _lines_escaped(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 - logging's name
        return _lines_escaped(super().formatStack(stack_info))


def _fields(values: Mapping[str, object]) -> list[str]:
    return [f"{_escaped(name)}={_plain(value)}" for name, value in _flat(values) if name not in STANDARD]


def _flat(values: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """The values, with those of a mapping inside as `outer.inner`."""
    for name, value in values.items():
        if isinstance(value, Mapping) and name not in STANDARD:
            yield from ((f"{name}.{inner}", one) for inner, one in value.items())
        else:
            yield name, value


def _plain(value: object) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else _cut(str(value))
    return text if text.isprintable() else ascii(text)


def _escaped(text: str) -> str:
    text = _cut(text)
    return text if text.isprintable() else "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def _lines_escaped(text: str) -> str:
    return "\n".join(map(_escaped, _tail(text).split("\n")))


class EventFormatter(JsonFormatter):
    """One JSON object a line: timestamp, level, logger, message, then the event's fields, all of them ASCII.

    Times are RFC 3339 in UTC with milliseconds. What JSON has no form for is given as text.
    """

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        return {
            _cut(str(name)): _tail(value) if name in TRACEBACKS else _tidy(value) for name, value in log_data.items()
        }


def json_formatter() -> EventFormatter:
    """A formatter whose own four names no field can take."""
    return EventFormatter(
        ["asctime", "levelname", "name", "message"],
        rename_fields=NAMES,
        reserved_attrs=[*STANDARD, *NAMES.values()],
        json_default=str,
    )


def _tidy(value: object, depth: int = 0) -> object:
    """A value that JSON has a form for: finite, with an end, rounded to microseconds."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, Mapping) and depth < DEEPEST:
        return {_cut(str(name)): _tidy(one, depth + 1) for name, one in list(value.items())[:MOST_ITEMS]}
    if isinstance(value, list | tuple) and depth < DEEPEST:
        return [_tidy(one, depth + 1) for one in value[:MOST_ITEMS]]
    return _cut(str(value))


def _number(value: float) -> int | float | str:
    if isinstance(value, int):
        return int(value) if value.bit_length() < 64 else hex(value)[:LONGEST_TEXT]
    return round(float(value), 6) if math.isfinite(value) else str(value)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "..."


def _tail(text: object) -> str:
    text = str(text)
    return text if len(text) <= LONGEST_TRACEBACK else "..." + text[-LONGEST_TRACEBACK:]
