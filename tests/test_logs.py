"""The log: lines that machines and people can read, and a writer that nobody waits for."""

import contextlib
import errno
import io
import json
import logging
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asr_api.logs import LogHandler, configure_logging
from asr_api.logs.formats import FieldFormatter, json_formatter
from asr_api.logs.handler import StreamOutput, output_of
from asr_api.metrics import Metrics
from asr_api.metrics.labels import LogLevel

HOSTILE = '\r\n\x1b[31m"}\x00\u2028\x85\ud800${jndi:ldap://x}'
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.datetimes(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner),
    max_leaves=10,
)


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, given back as it was."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    logger.handlers[:] = []
    try:
        yield logger
    finally:
        for handler in logger.handlers:
            handler.close()
        logger.handlers[:] = handlers
        logger.setLevel(level)


class Counts:
    """What was counted, by level."""

    def __init__(self) -> None:
        self.all: Counter[LogLevel] = Counter()
        self.lost: Counter[LogLevel] = Counter()

    def logged(self, level: LogLevel) -> None:
        self.all[level] += 1

    def log_dropped(self, level: LogLevel) -> None:
        self.lost[level] += 1


class Stuck:
    """An output that nobody reads until `reader` is set."""

    def __init__(self) -> None:
        self.reader = threading.Event()
        self.begun = threading.Event()
        self.closed = threading.Event()
        self.texts: list[str] = []

    def write(self, text: str) -> None:
        self.begun.set()
        self.reader.wait()
        self.texts.append(text)

    def close(self) -> None:
        self.closed.set()


class FullDisk:
    """An output that takes no line, or none of the first."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.texts: list[str] = []

    def write(self, text: str) -> None:
        if self.refusals:
            self.refusals -= 1
            raise OSError(errno.ENOSPC, "no space left on device")
        self.texts.append(text)

    def close(self) -> None:
        pass


def record(message: object = "request", level: int = logging.INFO, **fields: Any) -> logging.LogRecord:
    values = {"msg": message, "levelno": level, "levelname": logging.getLevelName(level), "name": "asr_api.test"}
    return logging.makeLogRecord(fields | values)


def fail(message: str) -> None:
    raise ValueError(message)


def parsed(line: str) -> dict[str, Any]:
    assert len(line.splitlines()) == 1
    value = json.loads(line, parse_constant=pytest.fail)
    assert isinstance(value, dict)
    return value


def full_pipe() -> tuple[int, TextIO]:
    """The end of a pipe that is read, and the other, which takes nothing more."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writable, b"\n" * 4096)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writable, b"\n")
    os.set_blocking(writable, True)
    return readable, os.fdopen(writable, "w")


def lines_of(readable: int) -> list[str]:
    with os.fdopen(readable) as stream:
        return [line for line in stream if line != "\n"]


def test_a_json_line_is_the_event_and_its_fields() -> None:
    """Timestamp in UTC first, then level, logger and message, then the fields; stages stay an object."""
    fields: dict[str, Any] = {
        "id": "r1",
        "seconds": 0.123456789,
        "stages": {"queue": 0.25},
        "batch_sizes": [1, 4],
        "audio_seconds": None,
    }
    value = parsed(json_formatter().format(record(created=1_700_000_000.25, **fields)))
    assert list(value)[:4] == ["timestamp", "level", "logger", "message"]
    assert value == {
        "timestamp": "2023-11-14T22:13:20.250Z",
        "level": "INFO",
        "logger": "asr_api.test",
        "message": "request",
        **fields,
        "seconds": 0.123457,
    }


@given(message=st.text(), fields=st.dictionaries(st.text().map("f_{}".format), VALUES, max_size=4))
@example(message=HOSTILE, fields={f"f_{HOSTILE}": HOSTILE, "f_number": float("nan"), "f_huge": 10**5000})
def test_p3_every_json_line_is_one_object(message: str, fields: dict[str, Any]) -> None:
    """Whatever is in the message and the fields: one line, one object, the event's own names untouched."""
    line = json_formatter().format(record(message, **fields))
    value = parsed(line)
    assert line.isascii()
    assert line.isprintable()
    assert (value["level"], value["logger"], value["message"]) == ("INFO", "asr_api.test", message)
    assert fields.keys() <= value.keys()


@given(message=st.text(), fields=st.dictionaries(st.text().map("f_{}".format), VALUES, max_size=4))
@example(message=HOSTILE, fields={f"f_{HOSTILE}": HOSTILE})
def test_p3_every_line_of_text_is_one_line(message: str, fields: dict[str, Any]) -> None:
    """Nothing that a terminal acts on gets through."""
    assert FieldFormatter().format(record(message, **fields)).isprintable()


def test_no_field_takes_the_name_of_a_part() -> None:
    """A field `level` does not change how bad an event is."""
    value = parsed(json_formatter().format(record(level_=1, timestamp="then", logger="other")))
    assert (value["level"], value["logger"]) == ("INFO", "asr_api.test")
    assert value["timestamp"].endswith("Z")


def test_long_values_are_cut() -> None:
    """A field ends at 2,000 characters, a list at 1,000 items, and what holds itself after four levels."""
    knot: dict[str, object] = {}
    knot["knot"] = knot
    value = parsed(json_formatter().format(record("x" * 9999, text="y" * 9999, items=[1] * 9999, knot=knot)))
    assert [len(value[name]) for name in ("message", "text", "items")] == [2003, 2003, 1000]
    assert isinstance(value["knot"]["knot"]["knot"]["knot"], str | dict)


def test_a_traceback_is_a_field() -> None:
    """All of it, in the one line, however long; its end, which names the error, is never cut."""
    try:
        fail("why " + "x" * 3000 + "\nend")
    except ValueError:
        value = parsed(json_formatter().format(record("failed", logging.ERROR, exc_info=sys.exc_info(), id="r1")))
    assert value["exc_info"].startswith("Traceback (most recent call last):\n")
    assert value["exc_info"].endswith("x\nend")
    assert value["id"] == "r1"


def test_a_traceback_in_text_follows_the_fields() -> None:
    """The first line is whole; the traceback's lines follow it, escaped one by one."""
    try:
        fail(HOSTILE)
    except ValueError:
        text = FieldFormatter().format(record("failed", logging.ERROR, exc_info=sys.exc_info(), id="r1"))
    first, *rest = text.split("\n")
    assert first.endswith("ERROR asr_api.test failed id=r1")
    assert len(rest) > 2
    assert all(line.isprintable() for line in rest)


def test_a_line_of_text(root: logging.Logger) -> None:
    """Fields follow the event; those of a mapping by both names, floats to a millisecond."""
    stream = io.StringIO()
    handler = configure_logging("info", "text", stream)
    logging.getLogger("asr_api.test").info("request", extra={"id": "a\nb\x1b", "stages": {"queue": 0.12345}})
    handler.close()
    (line,) = stream.getvalue().splitlines()
    assert line.endswith("INFO asr_api.test request id='a\\nb\\x1b' stages.queue=0.123")


def test_auto_is_json_where_nobody_looks(root: logging.Logger) -> None:
    """A pipe, a file and what is only Python's are read by machines; debug lines wait for their level."""
    stream = io.StringIO()
    handler = configure_logging("info", "auto", stream)
    logging.getLogger("asr_api.test").debug("no")
    logging.getLogger("asr_api.test").info("yes", extra={"id": "r1"})
    logging.getLogger("uvicorn").info("no")
    handler.close()
    assert parsed(stream.getvalue())["message"] == "yes"


def test_auto_is_text_on_a_terminal(root: logging.Logger) -> None:
    """A person reads there."""
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as terminal:
        handler = configure_logging("info", "auto", terminal)
        logging.getLogger("asr_api.test").info("request", extra={"id": "r1"})
        handler.close()
        assert os.read(ours, 1000).endswith(b"INFO asr_api.test request id=r1\r\n")
    os.close(ours)


def test_a_new_configuration_ends_the_one_before(root: logging.Logger) -> None:
    """Its lines are written first, and nothing is written twice."""
    before, after = io.StringIO(), io.StringIO()
    configure_logging("info", "json", before)
    logging.getLogger("asr_api.test").info("one")
    configure_logging("info", "json", after).close()
    assert parsed(before.getvalue())["message"] == "one"
    assert after.getvalue() == ""


def test_what_waits_is_written_at_the_end_in_order() -> None:
    """`close` returns when the last line is out, however often it is called."""
    stream = io.StringIO()
    handler = LogHandler(StreamOutput(stream))
    handler.setFormatter(json_formatter())
    for number in range(500):
        handler.handle(record(number=number))
    handler.close()
    handler.close()
    assert [parsed(line)["number"] for line in stream.getvalue().splitlines()] == list(range(500))


def test_s6_a_blocked_output_stops_nobody_and_every_line_is_accounted_for() -> None:
    """One line is in hand and ten wait; the others are lost, and when a reader comes, the eleven are read."""
    output, counts = Stuck(), Counts()
    handler = LogHandler(output, limit=10)
    handler.count_with(counts)
    handler.handle(record("first"))
    output.begun.wait()
    for _ in range(5000):
        handler.handle(record("other", logging.WARNING))
    assert counts.lost == {"warning": 4990}
    output.reader.set()
    handler.close()
    assert counts.all == {"info": 1, "warning": 5000}
    assert len(output.texts) == 11
    assert counts.lost == {"warning": 4990}


def test_s6_an_output_that_stays_blocked_does_not_keep_the_process() -> None:
    """`close` gives up after its timeout; what is left, and what comes later, is lost and counted, each line once."""
    output, counts = Stuck(), Counts()
    handler = LogHandler(output, limit=10, timeout=0.01)
    handler.count_with(counts)
    handler.handle(record())
    output.begun.wait()
    for _ in range(20):
        handler.handle(record())
    handler.close()
    handler.handle(record())
    assert counts.all == counts.lost == {"info": 22}
    output.reader.set()
    assert output.closed.wait(10)
    assert counts.lost == {"info": 22}


def test_s6_a_pipe_that_nobody_reads() -> None:
    """Thousands of lines later all are accounted for: those that a late reader gets, and those that were lost."""
    readable, stream = full_pipe()
    counts = Counts()
    with stream:
        handler = LogHandler(output_of(stream), limit=100, timeout=60)
        handler.setFormatter(json_formatter())
        handler.count_with(counts)
        for number in range(20_000):
            handler.handle(record(number=number))
    reader: list[str] = []
    reading = threading.Thread(target=lambda: reader.extend(lines_of(readable)))
    reading.start()
    handler.close()
    reading.join()
    numbers = [parsed(line)["number"] for line in reader]
    assert numbers == sorted(set(numbers))
    assert len(numbers) >= 100
    assert len(numbers) + counts.lost["info"] == counts.all["info"] == 20_000


def test_s6_a_pipe_that_is_closed() -> None:
    """Lines are lost and counted; nothing is raised."""
    readable, writable = os.pipe()
    os.close(readable)
    counts = Counts()
    with os.fdopen(writable, "w") as stream:
        handler = LogHandler(output_of(stream))
    handler.count_with(counts)
    for _ in range(100):
        handler.handle(record())
    handler.close()
    assert counts.all == counts.lost == {"info": 100}


def test_s6_a_process_whose_log_is_blocked_ends() -> None:
    """A real one, with stderr full from the start: its exit code comes although no line got out."""
    readable, stream = full_pipe()
    program = (
        "import logging, os, threading\n"
        "from asr_api.logs import configure_logging\n"
        "configure_logging('info')\n"
        "for _ in range(20_000): logging.info('line')\n"
        "logging.shutdown()\n"
        "os._exit(7)\n"
    )
    with stream:
        assert subprocess.run([sys.executable, "-c", program], stderr=stream, timeout=60, check=False).returncode == 7
    assert lines_of(readable) == []


def test_a_process_without_stderr_logs_to_nobody() -> None:
    """`2>&-`: the descriptor may be a socket by then, so nothing is written to it."""
    counts = Counts()
    handler = LogHandler(output_of(None))
    handler.count_with(counts)
    handler.handle(record())
    handler.close()
    assert counts.lost == {"info": 1}


def test_t20_a_full_disk_loses_lines_until_there_is_room() -> None:
    """ENOSPC is no error of the request that logs."""
    output, counts = FullDisk(refusals=3), Counts()
    handler = LogHandler(output)
    handler.count_with(counts)
    for number in range(5):
        handler.handle(record(str(number)))
    handler.close()
    assert output.texts == ["3\n", "4\n"]
    assert counts.lost == {"info": 3}


def test_a_pipe_that_does_not_block_takes_a_long_line_in_parts() -> None:
    """Whoever shares the pipe may have set it so; the line arrives whole."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    with os.fdopen(writable, "w") as stream:
        output = output_of(stream)
        writing = threading.Thread(target=output.write, args=["x" * 300_000 + "\n"])
        writing.start()
        got = b""
        while not got.endswith(b"\n"):
            got += os.read(readable, 65536)
        writing.join()
        output.close()
    os.close(readable)
    assert len(got) == 300_001


def test_a_line_that_broke_off_does_not_spoil_the_next(tmp_path: Path) -> None:
    """A file that may not grow takes a part of a line; when there is room again, the next is on its own."""
    program = (
        "import contextlib, resource, sys\n"
        "from asr_api.logs.handler import output_of\n"
        "output = output_of(sys.stderr)\n"
        "_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))\n"
        "with contextlib.suppress(OSError): output.write('x' * 150 + '\\n')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))\n"
        "output.write('whole\\n')\n"
    )
    with (tmp_path / "log").open("w") as file:
        subprocess.run([sys.executable, "-c", program], stderr=file, timeout=60, check=True)
    assert (tmp_path / "log").read_text() == "x" * 100 + "\nwhole\n"


def test_a_record_that_cannot_be_formatted_is_lost_and_counted() -> None:
    """A mistake in a call of the log is not the request's."""
    stream, counts = io.StringIO(), Counts()
    handler = LogHandler(StreamOutput(stream))
    handler.count_with(counts)
    handler.handle(record("%d", args=("x",)))
    handler.close()
    assert stream.getvalue() == ""
    assert counts.all == counts.lost == {"info": 1}


def test_what_came_before_the_counter_is_counted() -> None:
    """The log is there before the metrics are; a level of one's own counts as the one below it."""
    metrics = Metrics("1")
    handler = LogHandler(output_of(None))
    handler.handle(record(level=logging.CRITICAL))
    handler.handle(record(level=25))
    handler.count_with(metrics.process)
    handler.handle(record(level=logging.DEBUG))
    handler.close()
    value = metrics.registry.get_sample_value
    for level in ("critical", "info", "debug"):
        assert value("asr_log_messages_total", {"level": level}) == 1
        assert value("asr_log_dropped_total", {"level": level}) == 1


def test_a_log_call_inside_a_log_call_does_not_hang() -> None:
    """The garbage collector runs anywhere, and tasks that it finds log how they ended."""
    stream = io.StringIO()
    handler = LogHandler(StreamOutput(stream))

    class Talkative:
        def __str__(self) -> str:
            handler.handle(record("inner"))
            return "outer"

    handler.handle(record(Talkative()))
    handler.close()
    assert stream.getvalue().splitlines() == ["inner", "outer"]
