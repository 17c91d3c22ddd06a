"""Names of models."""

import faster_whisper
import pytest

from asr_api.errors import ModelUnavailable
from asr_api.models.catalogue import REPOSITORIES, repository_of


def test_every_size_of_faster_whisper_has_a_repository() -> None:
    """The table has the very names that the installed faster-whisper knows."""
    assert set(REPOSITORIES) == set(faster_whisper.available_models())


@pytest.mark.parametrize("size", REPOSITORIES)
def test_a_size_stands_for_a_hub_id(size: str) -> None:
    """A size becomes a repository's id, and that id stands for itself."""
    assert repository_of(repository_of(size)) == repository_of(size)


@pytest.mark.parametrize(
    ("name", "near"), [("larg-v3", "large-v3"), ("Base", "base"), ("calsign", "callsign"), ("trubo", "turbo")]
)
def test_a_misspelt_name_is_refused_with_the_names_near_it(name: str, near: str) -> None:
    """The one who misspells a name reads the right one."""
    with pytest.raises(ModelUnavailable, match=rf"no model '{name}': did you mean .*\b{near}\b"):
        repository_of(name)


def test_a_name_like_no_other_is_refused_with_all_names() -> None:
    """Where nothing is near, the whole choice is told."""
    with pytest.raises(ModelUnavailable, match=r"callsign, tiny, .*distil-large-v3\.5, a hub id"):
        repository_of("zzzzzzzz")


@pytest.mark.parametrize("name", ["a/b/c", "/", "a/", "../b", "a/b--c", "a/-b", "a/b.", "ä/b", "a b/c", "a/b\n"])
def test_what_the_hub_takes_for_no_id_is_no_id(name: str) -> None:
    """A malformed hub id never reaches the hub, nor becomes a folder's name."""
    with pytest.raises(ModelUnavailable, match="there is no model"):
        repository_of(name)
