"""What the service makes sure of before it is ready: the self-test."""

import numpy as np
import pytest

from asr_api.errors import EngineFailure, ModelUnavailable
from asr_api.selftest import SelfTest, likeness, sample_for
from tests.fakes import INFO, result


def self_test(model: str) -> SelfTest:
    return SelfTest(sample_for(model), lambda _, n_mels: (np.zeros((n_mels, 100), np.float16), 1.0))


def test_the_self_test_returns_what_was_read() -> None:
    """The sample of any model but the bundled one is the 1961 address."""
    test = self_test("large-v3")
    task = test.task(INFO)
    assert (task.features.shape, task.duration, task.language) == ((80, 100), 1.0, "en")
    assert test.check(result(" " + test.sample.text), INFO) == test.sample.text
    assert sample_for("callsign").name == "callsign.flac"


def test_an_engine_that_hears_nothing_is_refused() -> None:
    """Empty transcripts are how a driver that is too old shows itself; better no start than silence."""
    with pytest.raises(ModelUnavailable, match="hears nothing"):
        self_test("base").check(result(" "), INFO)


def test_what_the_engine_failed_with_is_raised() -> None:
    """An error in the self-test keeps the service from starting."""
    with pytest.raises(EngineFailure, match="broken"):
        self_test("base").check(EngineFailure("broken"), INFO)


def test_other_words_are_only_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """A model made for one language may read the English sample as it likes."""
    self_test("base").check(result(" etwas ganz anderes"), INFO)
    assert "other words than expected" in caplog.text


def test_likeness_counts_words() -> None:
    """Case and punctuation do not matter."""
    assert likeness("Ask not, what!", "ask not what") == 1
    assert likeness("one two", "three four") == 0
