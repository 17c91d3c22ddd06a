"""Features on their way into the shape that the engine takes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from asr_api.spectrogram import FLOOR, RANGE, Features, pad_into, padded, stacked

HALVES = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
FINITE = HALVES[np.isfinite(HALVES)].reshape(2, -1)
"""Every half float there is, the smallest among them, but infinity and what is no number."""

spectrograms = arrays(np.float16, st.tuples(st.integers(1, 4), st.integers(1, 9)), elements=st.floats(-6, 6, width=16))


def test_every_half_float_is_the_same_as_a_single_one() -> None:
    """The quick conversion is exact, to the sign of zero."""
    out = pad_into(np.empty(FINITE.shape, np.float32), FINITE)
    np.testing.assert_array_equal(out, FINITE.astype(np.float32))
    np.testing.assert_array_equal(np.signbit(out), np.signbit(FINITE))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@given(heard=spectrograms)
def test_silence_is_as_far_below_the_loudest_as_whisper_has_it(heard: Features, dtype: type[np.floating]) -> None:
    """What is heard comes first, then silence: the floor, or what the loudest value raises it to."""
    features = padded(heard, dtype)
    np.testing.assert_array_equal(features[:, : heard.shape[1]], heard.astype(dtype))
    silence = dtype(max(FLOOR, float(heard.astype(np.float64).max()) - RANGE))
    assert (features[:, heard.shape[1] :] == silence).all()


def test_a_batch_takes_part_of_a_larger_memory() -> None:
    """Each is padded to the frames of the call by its own loudest value, wherever the rows lie."""
    batch = stacked([np.full((2, 3), 1, np.float16), np.full((2, 5), -3, np.float16)], np.float32, frames=6)
    assert batch[0].tolist() == [[1, 1, 1, -1, -1, -1]] * 2
    assert batch[1].tolist() == [[-3, -3, -3, -3, -3, FLOOR]] * 2
