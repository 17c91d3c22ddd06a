"""An engine process that does what it is told: as it loads by the model's name, in a call by a task's language."""

import ctypes
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from asr_api.children import close_inherited
from asr_api.engine.child import main
from asr_api.engine.messages import EnginePlan
from asr_api.engine.protocol import DecodingResult, DecodingTask, EngineInfo
from asr_api.errors import EngineFatal, EngineOutOfMemory, ModelUnavailable
from asr_api.spectrogram import padded
from tests.fakes import result

COMMAND = (sys.executable, "-m", "tests.engine.strange_engine")
N_MELS = 4


def unloadable() -> None:
    raise ModelUnavailable("there is no such model")


def leave() -> None:
    os._exit(3)


def stop() -> None:
    """Until somebody continues it."""
    os.kill(os.getpid(), signal.SIGSTOP)


def wait() -> None:
    """For ever, and let other calls go on."""
    threading.Event().wait()


def crash() -> None:
    ctypes.string_at(0)


def run_out() -> None:
    raise EngineOutOfMemory("no memory for this audio")


def break_down() -> None:
    raise EngineFatal("the GPU failed on this audio")


def fail() -> None:
    raise RuntimeError("words that are not for callers")


def quit_thread() -> None:
    sys.exit("an engine may say that")


LOADING: dict[str, Callable[[], None]] = {"unloadable": unloadable, "leave": leave, "stop": stop, "crash": crash}

CALLS: dict[str, Callable[[], None]] = {
    "crash": crash,
    "leave": leave,
    "stop": stop,
    "wait": wait,
    "memory": run_out,
    "fatal": break_down,
    "fail": fail,
    "quit": quit_thread,
}


def possessions() -> str:
    """What the process has: its open files, its environment, its session."""
    files = [os.readlink(f"/proc/self/fd/{number}") for number in range(100) if os.path.exists(f"/dev/fd/{number}")]
    session = os.getsid(0) == os.getpid()
    return json.dumps({"files": files, "environment": sorted(os.environ), "session": session})


def reading(task: DecodingTask) -> DecodingResult | Exception:
    """The first and the last value of the features, once they are filled up with silence."""
    if task.language == "refuse":
        return run_out_of(task)
    if task.language == "surrogate":
        return result("\ud800")
    if task.language == "possessions":
        return result(possessions())
    features = padded(task.features, np.float32)
    return replace(result(f"{features[0, 0]:g} {features[-1, -1]:g}"), avg_logprob=float("-inf"))


def run_out_of(task: DecodingTask) -> Exception:
    return ValueError(f"a value of {task.duration} s that is not for callers")


class StrangeEngine:
    """Reads numbers in features; some tasks make it misbehave."""

    def __init__(self, plan: EnginePlan) -> None:
        LOADING.get(plan.name, lambda: None)()
        self.info = EngineInfo(plan.name, plan.device, "float32", plan.num_workers, N_MELS, ("en",))

    def decode(self, tasks: Sequence[DecodingTask]) -> Sequence[DecodingResult | Exception]:
        for task in tasks:
            CALLS.get(task.language or "", lambda: None)()
        few = any(task.language == "few" for task in tasks)
        readings = [reading(task) for task in tasks]
        return readings[few:]


if __name__ == "__main__":
    close_inherited()
    main(StrangeEngine)
