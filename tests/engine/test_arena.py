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

SHAPE = ArenaShape(2, 4, "float32")


def spectrogram(value: float, n_mels: int = 4, frames: int = 10) -> Features:
    return np.full((n_mels, frames), value, np.float16)


def other_side(arena: Arena) -> Arena:
    """The same memory as another process has it."""
    return Arena(os.dup(arena.descriptor), arena.shape)


def test_the_other_side_sees_what_is_put() -> None:
    """Padded to 30 s with silence, in the dtype of the arena, and later calls over earlier ones."""
    arena = Arena.create(SHAPE)
    other = other_side(arena)
    arena.put([spectrogram(5), spectrogram(6)])
    arena.put([spectrogram(1)])
    seen = other.view(2)
    assert (seen.shape, str(seen.dtype)) == ((2, 4, FRAMES), "float32")
    assert [seen[0, 0, 9], seen[0, 0, 10], seen[0, -1, -1], seen[1, 0, 0]] == [1, -1, -1, 6]
    del seen
    arena.close()
    other.close()


def test_a_shorter_call_lies_as_close() -> None:
    """Padded to the frames that it is given, with nothing between one spectrogram and the next."""
    arena = Arena.create(SHAPE)
    other = other_side(arena)
    arena.put([spectrogram(1), spectrogram(2)], frames=20)
    seen = other.view(2, frames=20)
    assert (seen.shape, seen.flags.c_contiguous) == ((2, 4, 20), True)
    assert [seen[0, 3, 9], seen[0, 3, 10], seen[1, 0, 0], seen[1, 3, 19]] == [1, -1, 2, 0]
    with pytest.raises(ValueError, match="fit in"):
        arena.put([spectrogram(1, frames=21)], frames=20)
    with pytest.raises(ValueError, match="fit in"):
        arena.put([spectrogram(1)], frames=FRAMES + 1)
    del seen
    arena.close()
    other.close()
    assert arenas() == 0


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
    assert arena.view(1)[0, 0, 0] == 7
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
    seen = arena.view(1)
    arena.close()
    assert seen[0, 0, 0] == 3
    del seen, arena
    assert arenas() == 0


@pytest.mark.parametrize("shape", [ArenaShape(0, 4, "float32"), ArenaShape(1 << 40, 4, "float32")])
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

    def decode_stacked(self, features: Features, tasks: Sequence[DecodingTask]) -> Sequence[DecodingResult | Exception]:
        self.seen += [features, *(one.features for one in tasks)]
        return [result("") for _ in tasks]


def test_the_engine_gets_the_memory_itself() -> None:
    """Features are copied once, into the arena: what the engine takes is a view of it."""
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
    assert engine.seen[0].flags.c_contiguous
    assert all(np.shares_memory(one, other.view(2)) for one in engine.seen)
    assert np.shares_memory(engine.seen[2], other.view(2)[1])
    engine.seen.clear()
    other.close()
    arena.close()
