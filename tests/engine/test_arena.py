"""Memory that two processes see: laid out once, never copied again, never left behind."""

import os
import socket
import threading
from collections.abc import Sequence

import numpy as np
import pytest

from asr_api.engine.arena import Arena, ArenaShape
from asr_api.engine.child import serve
from asr_api.engine.messages import ANSWER, CALL, Call
from asr_api.engine.protocol import DecodingResult, DecodingTask
from asr_api.frames import framed, receive
from asr_api.spectrogram import FRAMES, Features
from tests.engine.processes import arenas, descriptors, task
from tests.fakes import INFO, result

SHAPE = ArenaShape(2, 4)


def spectrogram(value: float, n_mels: int = 4, frames: int = 10) -> Features:
    return np.full((n_mels, frames), value, np.float16)


COUNTING = np.arange(40, dtype=np.float16).reshape(4, 10)


def other_side(arena: Arena) -> Arena:
    """The same memory as another process has it."""
    return Arena(os.dup(arena.descriptor), arena.shape)


def test_the_other_side_sees_what_is_put() -> None:
    """To the bit, each as long as it is, and later calls over earlier ones."""
    arena = Arena.create(SHAPE)
    other = other_side(arena)
    arena.put([spectrogram(5, frames=FRAMES), spectrogram(6, frames=1)])
    arena.put([COUNTING])
    one, two = other.views([10, 1])
    assert one.flags.c_contiguous
    assert one.tobytes() == COUNTING.tobytes()
    assert two.tolist() == [[6]] * 4
    del one, two
    arena.close()
    other.close()
    assert arenas() == 0


def test_what_is_longer_than_the_call_takes_is_refused() -> None:
    """An encoder that is given 20 frames has no use for the 21st."""
    arena = Arena.create(SHAPE)
    arena.put([spectrogram(1, frames=20)], most=20)
    with pytest.raises(ValueError, match="fit in"):
        arena.put([spectrogram(1, frames=21)], most=20)
    with pytest.raises(ValueError, match="fit in"):
        arena.put([spectrogram(1, frames=FRAMES + 1)], most=FRAMES + 1)
    arena.close()


@pytest.mark.parametrize(
    "features",
    [
        [spectrogram(0)] * 3,
        [spectrogram(0, n_mels=5)],
        [spectrogram(0, n_mels=1)],
        [spectrogram(0, frames=FRAMES + 1)],
        [spectrogram(0, frames=0)],
    ],
    ids=["too many", "more bands", "one band", "too long", "empty"],
)
def test_what_does_not_fit_is_refused(features: Sequence[Features]) -> None:
    """In a way that the caller can tell from a process that is lost; the arena stays of use."""
    arena = Arena.create(SHAPE)
    with pytest.raises(ValueError, match="fit in") as refusal:
        arena.put(features)
    arena.put([spectrogram(7)])
    assert arena.views([1])[0][0, 0] == 7
    arena.close()
    assert arenas() == 0, f"kept by {refusal}"


def test_the_other_side_cannot_take_the_memory_away() -> None:
    """A mapping of a file that was truncated kills whoever touches it."""
    arena = Arena.create(SHAPE)
    with pytest.raises(PermissionError):
        os.ftruncate(arena.descriptor, 0)
    arena.close()


def test_nothing_is_left_behind() -> None:
    """Neither a descriptor nor a mapping; closing twice is closing once."""
    before = descriptors()
    for _ in range(5):
        arena = Arena.create(SHAPE)
        arena.put([spectrogram(0)])
        arena.close()
        arena.close()
    assert descriptors() == before
    assert arenas() == 0


def test_a_view_outlives_the_arena() -> None:
    """The memory goes with the last who looks at it."""
    arena = Arena.create(SHAPE)
    arena.put([spectrogram(3)])
    (seen,) = arena.views([1])
    arena.close()
    assert seen[0, 0] == 3
    del seen, arena
    assert arenas() == 0


@pytest.mark.parametrize("shape", [ArenaShape(0, 4), ArenaShape(1 << 40, 4)])
def test_an_arena_that_cannot_be_leaves_nothing(shape: ArenaShape) -> None:
    """Of no size, or of more than there is."""
    before = descriptors()
    with pytest.raises((OSError, ValueError, OverflowError)):
        Arena.create(shape)
    assert descriptors() == before


class Looking:
    """An engine that keeps what it is given."""

    info = INFO

    def __init__(self) -> None:
        self.seen: list[Features] = []

    def decode(self, tasks: Sequence[DecodingTask]) -> Sequence[DecodingResult | Exception]:
        self.seen += [one.features for one in tasks]
        return [result("") for _ in tasks]


def test_the_engine_gets_the_memory_itself() -> None:
    """Features are copied once, into the arena: what the engine takes are views of it."""
    arena, engine = Arena.create(SHAPE), Looking()
    other = other_side(arena)
    ours, theirs = socket.socketpair()
    lane = threading.Thread(target=serve, args=(theirs, other, engine))
    lane.start()
    tasks = [task(1), task(2)]
    arena.put([one.features for one in tasks])
    ours.sendall(framed(CALL.dump_json(Call.of(9, tasks))))
    (answer,) = ANSWER.validate_json(receive(ours))
    ours.close()
    lane.join(10)
    theirs.close()
    assert (answer.number, len(answer.results)) == (9, 2)
    assert [one.shape for one in engine.seen] == [one.features.shape for one in tasks]
    assert all(np.shares_memory(seen, mine) for seen, mine in zip(engine.seen, other.views([10, 10]), strict=True))
    engine.seen.clear()
    other.close()
    arena.close()
