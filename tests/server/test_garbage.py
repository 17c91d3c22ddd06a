"""How the collector of cycles is set while the service runs."""

import gc
from collections.abc import Iterator

import pytest

from asr_api.server.garbage import MIDDLE, OLD, YOUNG, collect_rarely


@pytest.fixture
def restored() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


@pytest.mark.usefixtures("restored")
def test_what_was_loaded_is_not_looked_at_again() -> None:
    """All objects that were there are out of the collector's sight, and new ones are not."""
    before = len(gc.get_objects())
    collect_rarely()
    assert gc.get_freeze_count() > before / 2
    assert len(gc.get_objects()) < before / 2
    assert gc.get_threshold() == (YOUNG, MIDDLE, OLD)
    new: list[list[int]] = [[]]
    assert any(one is new for one in gc.get_objects())
