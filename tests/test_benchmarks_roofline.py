"""What a call of Whisper costs at least: the arithmetic of the engine's instrument."""

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.harness.dimensions import Dimensions
from benchmarks.harness.peaks import Peak, peak_of_card, peak_of_processor
from benchmarks.harness.roofline import Roofline, flop, least_seconds, moved
from hypothesis import given
from hypothesis import strategies as st

BUNDLED = Path(__file__).parents[1] / "src" / "asr_api" / "models" / "callsign"
LARGE = Dimensions(width=1280, mels=128, encoder_layers=32, decoder_layers=32, vocabulary=51_866)
PEAK = Peak(linear=2e12, other=1e12, memory=1e9, source="made up")


def test_dimensions_are_the_weights() -> None:
    """They are read from the file itself, so that a folder's name may say anything."""
    assert Dimensions.of(BUNDLED) == Dimensions(128, 128, 3, 2, 2134)


def test_another_model_has_no_dimensions(tmp_path: Path) -> None:
    """What is in CTranslate2's form, but has no encoder of sound, is no Whisper."""
    (tmp_path / "model.bin").write_bytes(b"\6\0\0\0" + b"\5\0Spec\0" + b"\1\0\0\0" + b"\0\0\0\0")
    with pytest.raises(ValueError, match="no Whisper"):
        Dimensions.of(tmp_path)


def test_costs_of_large_v3_are_known() -> None:
    """The encoder's 2.27 TFLOP for 30 s are 637 million weights on 1500 positions, the convolutions on more, and
    attention; the decoder reads 800 million weights a step, and 246 MB of keys and values a chunk.
    """
    roofline = Roofline(LARGE, "float16")
    assert flop(roofline.encode(1, 30)) / 1e12 == pytest.approx(2.274, abs=0.001)
    across, step = roofline.detect(1, 30)
    assert across.flop / 1e12 == pytest.approx(0.3146, abs=0.0001)
    assert step.moved / 1e9 == pytest.approx(1.6008 + 0.2458, abs=0.0001)
    assert step.flop / 1e9 == pytest.approx(1.85, abs=0.01)


@given(batch=st.integers(1, 32), seconds=st.sampled_from([5, 10, 13, 20, 30]))
def test_work_grows_with_the_batch_and_weights_are_read_once(batch: int, seconds: float) -> None:
    """Operations are in proportion to the chunks; bytes are not, which is what batches are for."""
    roofline = Roofline(LARGE, "float16")
    one, many = roofline.encode(1, seconds), roofline.encode(batch, seconds)
    assert flop(many) == pytest.approx(batch * flop(one))
    assert moved(many) <= batch * moved(one)
    tokens = [20] * batch
    assert flop(roofline.decode(tokens, seconds)) == pytest.approx(batch * flop(roofline.decode([20], seconds)))
    assert least_seconds(roofline.decode(tokens, seconds), PEAK) <= batch * least_seconds(
        roofline.decode([20], seconds), PEAK
    )


def test_chunks_that_are_written_cost_nothing_more() -> None:
    """A short chunk beside a long one leaves after its last step; beams share what is made of the audio."""
    roofline = Roofline(LARGE, "float16")
    together = flop(roofline.decode([5, 50], 30))
    assert together == pytest.approx(flop(roofline.decode([5], 30)) + flop(roofline.decode([50], 30)))
    across, *steps = roofline.decode([50], 30)
    shared, *wider = roofline.decode([50], 30, beams=5)
    assert shared == across
    assert flop(tuple(wider)) == pytest.approx(5 * flop(tuple(steps)))


def test_small_weights_move_less() -> None:
    """int8 halves what a step reads of weights, not of keys and values."""
    half, small = (moved(Roofline(LARGE, kind).decode([9], 30)[1:]) for kind in ("float16", "int8_float16"))
    assert 0.5 * half < small < 0.6 * half


def test_roofline_is_the_slower_of_arithmetic_and_traffic() -> None:
    """The least time is that of whichever takes longer, part by part."""
    (work,) = Roofline(LARGE, "float16").encode(1, 30)
    assert work.seconds(PEAK) == pytest.approx(work.linear / 2e12 + work.other / 1e12)
    assert work.seconds(replace(PEAK, memory=1.0)) == work.moved


@pytest.mark.parametrize(
    ("name", "tflops", "gbs"),
    [
        ("NVIDIA GeForce RTX 4090", 165.2, 1008),
        ("NVIDIA H100 80GB HBM3", 989.4, 3352),
        ("NVIDIA H100 PCIe", 756.4, 2039),
        ("NVIDIA H200", 989.4, 4800),
        ("NVIDIA L4", 121, 300),
        ("NVIDIA A10G", 70, 600),
    ],
)
def test_cards_are_known_by_name(name: str, tflops: float, gbs: float) -> None:
    """Forms of a card are told apart; int8 doubles what is done with weights, and only that."""
    peak = peak_of_card(name, "float16")
    assert peak is not None
    assert (peak.linear, peak.other, peak.memory) == (tflops * 1e12, tflops * 1e12, gbs * 1e9)
    small = peak_of_card(name, "int8_float16")
    assert small is not None
    assert small.linear > 1.9 * small.other == 1.9 * peak.other


def test_unknown_card_has_no_peak() -> None:
    """An L40S is no L4: there is a dash where nothing is known."""
    assert peak_of_card("NVIDIA L40S", "float16") is None


def test_processor_s_peak_is_measured_on_all_cores() -> None:
    """So many products and copies as cores, within the time of the quickest round."""
    ticks = itertools.count()
    peak = peak_of_processor(2, clock=lambda: float(next(ticks)))
    assert (peak.linear, peak.memory) == (2 * 2 * 1024**3, 2 * 2 * (64 << 20))
