"""What is modelled of the engine's memory agrees with what is known of it."""

from dataclasses import replace

import pytest

from asr_api.engine.memory import Load, largest_batch, memory_need, shape_of

GB = 10**9

TABLE = {1: (4.0, 4.2, 4.5, 4.8), 8: (6.2, 7.4, 8.5, 10.9), 16: (8.7, 11.1, 13.1, 17.9), 32: (13.6, 18.4, 22.3, 31.9)}
"""GB of VRAM for large-v3 in float16, by chunks: one worker greedy and with five beams, two workers the same."""


@pytest.mark.parametrize("chunks", TABLE)
def test_the_model_of_vram_agrees_with_the_finer_one(chunks: int) -> None:
    """Within 5 % of a table that was made kernel by kernel."""
    shape = shape_of("large-v3")
    assert shape is not None
    loads = [Load("float16", workers, chunks, 8, beams) for workers, beams in ((1, 1), (1, 5), (2, 1), (2, 5))]
    modelled = [memory_need(shape, load).total / GB for load in loads]
    assert modelled == pytest.approx(TABLE[chunks], rel=0.05)


def test_the_largest_batch_is_one_that_fits() -> None:
    """And the next larger one does not."""
    shape, load = shape_of("medium"), Load("float16", 2, 16, 8, 5)
    assert shape is not None
    best = largest_batch(shape, load, 6 * GB)
    assert 0 < best < 16
    assert memory_need(shape, replace(load, chunks=best)).total <= 6 * GB
    assert memory_need(shape, replace(load, chunks=best + 1)).total > 6 * GB
    assert largest_batch(shape, load, GB) == 0


@pytest.mark.parametrize(
    ("name", "like"),
    [
        ("Systran/faster-whisper-medium.en", "medium"),
        ("mobiuslabsgmbh/faster-whisper-large-v3-turbo", "turbo"),
        ("./models/whisper-large-v3-de/", "large-v3"),
        ("Systran/faster-distil-whisper-large-v3", "distil-large"),
        ("my-database", None),
    ],
)
def test_a_model_is_known_by_its_name(name: str, like: str | None) -> None:
    """The size that it is called like, if any."""
    assert shape_of(name) == (shape_of(like) if like else None)


@pytest.mark.parametrize(("compute_type", "chunks", "measured"), [("int8", 8, 1.01), ("float32", 4, 0.82)])
def test_the_model_of_memory_agrees_with_what_was_measured(compute_type: str, chunks: int, measured: float) -> None:
    """`base` on a CPU: the largest resident size of a process that decoded one full batch."""
    shape = shape_of("base")
    assert shape is not None
    need = memory_need(shape, Load(compute_type, 1, chunks, 8, 5), gpu=False)
    assert need.total / GB == pytest.approx(measured, rel=0.1)
