"""From a log record to the stream, without ever making the one who logs wait."""

import contextlib
import logging
import os
import queue
import select
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Protocol, TextIO

from asr_api.metrics.labels import LogLevel

LONGEST_QUEUE = 10_000
"""Lines that may wait to be written; more are dropped."""

CLOSE_TIMEOUT = 2.0
"""Seconds that the lines which wait get at the end."""

LEVELS: tuple[tuple[int, LogLevel], ...] = (
    (logging.CRITICAL, "critical"),
    (logging.ERROR, "error"),
    (logging.WARNING, "warning"),
    (logging.INFO, "info"),
)


class Output(Protocol):
    """Where lines go."""

    def write(self, text: str) -> None:
        """Write a text whole. Raises OSError or ValueError where that cannot be."""

    def close(self) -> None:
        """Give back what is held."""


class LogCounter(Protocol):
    """Hears of each line, and of each that was lost: what was written is the difference."""

    def logged(self, level: LogLevel) -> None: ...
    def log_dropped(self, level: LogLevel) -> None: ...


class Tally:
    """Keeps the counts until there is somebody to tell."""

    def __init__(self) -> None:
        self._logged: Counter[LogLevel] = Counter()
        self._dropped: Counter[LogLevel] = Counter()

    def logged(self, level: LogLevel) -> None:
        self._logged[level] += 1

    def log_dropped(self, level: LogLevel) -> None:
        self._dropped[level] += 1

    def tell(self, counter: LogCounter) -> None:
        for level in self._logged.elements():
            counter.logged(level)
        for level in self._dropped.elements():
            counter.log_dropped(level)


@dataclass(frozen=True, slots=True)
class Line:
    """A line that waits to be written."""

    level: LogLevel
    text: str


class LogHandler(logging.Handler):
    """Formats where a record is made, and has a thread of its own write the lines in their order.

    A full queue, a stream that is closed and a disk that is full lose lines, which are counted,
    and nothing else. Lines are text as soon as they wait, so that no traceback keeps a request's
    audio in memory, and what changes later does not change them.
    """

    def __init__(self, output: Output, limit: int = LONGEST_QUEUE, timeout: float = CLOSE_TIMEOUT) -> None:
        super().__init__()
        self._output = output
        self._limit = limit
        self._timeout = timeout
        self._lines: queue.SimpleQueue[Line | None] = queue.SimpleQueue()
        """The one queue that a log call inside a log call, as the garbage collector makes them, cannot block."""
        self._counting = threading.RLock()
        self._tally = Tally()
        self._counter: LogCounter = self._tally
        self._in_hand: Line | None = None
        self._closed = False
        self._given_up = False
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def count_with(self, counter: LogCounter) -> None:
        """Count with `counter` from now on, and what was counted until now too. To be called once."""
        with self._counting:
            self._tally.tell(counter)
            self._counter = counter

    def emit(self, record: logging.LogRecord) -> None:
        level = level_of(record.levelno)
        with self._counting:
            self._counter.logged(level)
        if self._closed or self._lines.qsize() >= self._limit:
            self._drop(level)
            return
        try:
            self._lines.put(Line(level, self.format(record) + "\n"))
        except Exception:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """A record that cannot be formatted is lost, and counted."""
        self._drop(level_of(record.levelno))

    def close(self) -> None:
        """Write what waits, for `timeout` seconds at most; what is left then is lost, and counted."""
        if self._ends():
            self._lines.put(None)
            self._thread.join(self._timeout)
            if self._thread.is_alive():
                self._give_up()
        super().close()

    def _ends(self) -> bool:
        """Take no more lines; False where that was so before."""
        self.acquire()
        try:
            before, self._closed = self._closed, True
        finally:
            self.release()
        return not before

    def _give_up(self) -> None:
        self._given_up = True
        if stuck := self._in_hand:
            self._drop(stuck.level)
        with contextlib.suppress(queue.Empty):
            while True:
                if line := self._lines.get_nowait():
                    self._drop(line.level)
        self._lines.put(None)

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            self._in_hand = line
            self._write(line)
            self._in_hand = None
        self._output.close()

    def _write(self, line: Line) -> None:
        try:
            self._output.write(line.text)
        except (OSError, ValueError):
            if not self._given_up:
                self._drop(line.level)

    def _drop(self, level: LogLevel) -> None:
        with self._counting:
            self._counter.log_dropped(level)


def level_of(number: int) -> LogLevel:
    """The level that a number of `logging` belongs to."""
    return next((name for least, name in LEVELS if number >= least), "debug")


def output_of(stream: TextIO | None) -> Output:
    """Writes to the descriptor of a stream where it has one, else to the stream; to nothing where there is none.

    The stream's own lock is left alone: a thread that waits in it for a reader would stop all others
    that write there, and the interpreter at its end. The descriptor is a copy, which nobody else closes.
    """
    if stream is None:
        return Nowhere()
    try:
        return DescriptorOutput(os.dup(stream.fileno()))
    except (OSError, ValueError):
        return StreamOutput(stream)


class Nowhere:
    """The output of a process whose stderr was closed before it began."""

    def write(self, _: str) -> None:
        raise BrokenPipeError

    def close(self) -> None:
        pass


class StreamOutput:
    """An output that only Python knows; it stays open."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    def close(self) -> None:
        pass


class DescriptorOutput:
    """An output of the operating system. After a line that broke off, the next begins on a line of its own."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._torn = False

    def write(self, text: str) -> None:
        rest = memoryview(text.encode(errors="backslashreplace"))
        if self._torn:
            self._write_some(memoryview(b"\n"))
            self._torn = False
        while rest:
            rest = rest[self._write_some(rest) :]
            self._torn = bool(rest)

    def close(self) -> None:
        os.close(self._descriptor)

    def _write_some(self, data: memoryview) -> int:
        while True:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:  # whoever shares the pipe may have set it so
                select.select([], [self._descriptor], [])
