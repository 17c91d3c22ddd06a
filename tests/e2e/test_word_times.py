"""Word times of real recordings whose words stand where we put them."""

from pathlib import Path

import pytest
from tools.accuracy.service import Service
from tools.accuracy.word_times import SpacedClip, timings
from tools.accuracy.words import KINDS, recorded

from tests.e2e.process import ServerProcess

OURS = "asr-api"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recordings")


def clips_of(name: str, files: int, folder: Path) -> list[SpacedClip]:
    (kind,) = (kind for kind in KINDS if str(kind) == name)
    return recorded(kind, files, 1, full=False, folder=folder)


@pytest.mark.parametrize(
    "name",
    [
        "en words",
        *(pytest.param(name, marks=pytest.mark.long) for name in ("ru words", "en words-far-apart", "en phrases")),
    ],
)
def test_words_stand_where_they_are_said(name: str, folder: Path, base_server: ServerProcess) -> None:
    """Starts within 40 ms in the median and 150 ms for 95 of 100, ends within 60 ms; each word in its segment, after
    the one before it."""
    clips = clips_of(name, 3, folder)
    heard = Service(base_server.url, 3, base_server.pid).hear([spaced.clip for spaced in clips], words=True)
    (found,) = timings(clips, {OURS: heard})
    assert found.read >= 0.6 * found.said
    assert found.starts.median is not None
    assert found.starts.p95 is not None
    assert found.ends.median is not None
    assert (found.starts.median <= 0.04, found.starts.p95 <= 0.15, found.ends.median <= 0.06) == (True, True, True)
    assert (found.outside, found.overlapping) == (0, 0)
