"""The process in which the engine lives: loads one model, and answers calls until the service ends."""

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from asr_api.children import close_inherited, die_with_parent, end_with
from asr_api.engine.arena import Arena
from asr_api.engine.messages import (
    ANSWER,
    CALL,
    FATAL_EXIT_CODE,
    LANES,
    PLAN,
    STARTED,
    Answer,
    EnginePlan,
    Failed,
    Loaded,
    Unloadable,
)
from asr_api.engine.protocol import Decoding, DecodingTask
from asr_api.errors import AsrError, EngineFatal, EngineOutOfMemory
from asr_api.frames import framed, receive
from asr_api.logs import LogFormat, configure_logging

if TYPE_CHECKING:
    from asr_api.engine.whisper import WhisperEngine

logger = logging.getLogger(__name__)


Build = Callable[[EnginePlan], Decoding]


def main(build: Build) -> None:
    """Serve the socket that is standard input, and end when it does.

    The model is loaded by the thread that then only waits, since the first that touches CUDA gets
    the default stream, which all others wait for.
    """
    die_with_parent()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # meant for the service, which drains first and then ends this process
    control = socket.socket(fileno=0)
    end_with(control)
    with contextlib.suppress(EOFError, ConnectionError):  # the service ended
        _serve_all(control, build)


def _serve_all(control: socket.socket, build: Build) -> None:
    try:
        engine = build(PLAN.validate_json(receive(control)))
    except AsrError as error:
        control.sendall(framed(STARTED.dump_json(Unloadable(error.message))))
        return
    control.sendall(framed(STARTED.dump_json(Loaded(engine.info))))
    _open_lanes(control, engine)
    threading.Event().wait()


def _open_lanes(control: socket.socket, engine: Decoding) -> None:
    lanes = LANES.validate_json(receive(control))
    for number in range(lanes.count):
        _, (lane, memory), _, _ = socket.recv_fds(control, 1, 2)
        arena, connection = Arena(memory, lanes.shape), socket.socket(fileno=lane)
        threading.Thread(target=serve, args=(connection, arena, engine), name=f"engine-{number}", daemon=True).start()


def serve(connection: socket.socket, arena: Arena, engine: Decoding) -> None:
    """Answer the calls of one lane, one after the other. A lane that cannot be served ends the process."""
    try:
        while not _answer_next(connection, arena, engine).fatal:
            pass
    except (EOFError, ConnectionError):
        return  # the service ended, and with it this process
    except BaseException:
        logger.exception("an engine process ends: it cannot answer")
        _end(1)
    _end(FATAL_EXIT_CODE)


def _answer_next(connection: socket.socket, arena: Arena, engine: Decoding) -> Answer:
    call = CALL.validate_json(receive(connection))
    answer = _answer(engine, call.number, call.with_features(arena.views(call.frames)))
    connection.sendall(framed(_written(answer)))
    return answer


def _answer(engine: Decoding, number: int, tasks: Sequence[DecodingTask]) -> Answer:
    try:
        results = engine.decode(tasks)
    except Exception as error:
        if not isinstance(error, EngineOutOfMemory):
            logger.exception("an engine call failed")  # its cause is known here only
        return Answer(number, failed=Failed.of(error), fatal=isinstance(error, EngineFatal))
    return Answer(number, tuple(Failed.of(one) if isinstance(one, Exception) else one for one in results))


def _written(answer: Answer) -> bytes:
    """The answer as bytes; one that has none, as for text that is no Unicode, is a failed call."""
    try:
        return ANSWER.dump_json((answer,))
    except ValueError as error:
        logger.exception("an answer cannot be written")
        return ANSWER.dump_json((Answer(answer.number, failed=Failed.of(error)),))


def _end(code: int) -> None:
    """End the process whatever its other threads do, but not before its last words are written."""
    logging.shutdown()
    os._exit(code)


def build_whisper(plan: EnginePlan) -> "WhisperEngine":
    """The engine of production. Raises ModelUnavailable."""
    from asr_api.engine.whisper import WhisperEngine  # CTranslate2 is loaded here and nowhere else

    return WhisperEngine(
        Path(plan.folder),
        name=plan.name,
        revision=plan.revision,
        device=plan.device,
        device_index=plan.device_index,
        compute_type=plan.compute_type,
        num_workers=plan.num_workers,
        cpu_threads=plan.cpu_threads,
        max_encode_batch=plan.max_encode_batch,
        fingerprint=plan.fingerprint,
    )


if __name__ == "__main__":
    close_inherited()
    configure_logging("warning", cast(LogFormat, sys.argv[1]))
    main(build_whisper)
