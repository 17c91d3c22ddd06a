"""Silero's voice activity network in NumPy, with the weights that come with faster-whisper.

onnxruntime gives the same numbers in three times the time: it calls its matrix product for each
window alone, on matrices five columns wide. Here a block of windows is one product.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

import numpy as np
from faster_whisper.utils import get_assets_path
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float32]

CONTEXT = 64
"""Samples before a window that the network sees with it; it mirrors as many after it."""

UNITS = 128
"""Numbers in each half (`h` and `c`) of the network's memory."""

TAPS = 3
"""Neighbouring moments that each layer of the encoder looks at."""

STRIDES = (1, 2, 2, 1)
"""Moments by which the four layers of the encoder move on; they make one of the four that go in."""


class SileroNetwork:
    """Silero VAD 6 at 16 kHz, called as onnxruntime's session is. Holds no state between calls."""

    def __init__(self, weights: Mapping[str, Floats]) -> None:
        """`weights` are flat, under the names that they have in `silero_vad_v6.onnx`."""
        basis = weights["encoder.feature_extractor.forward_basis_buffer"]
        self._frame = 4 * CONTEXT
        self._window = basis[: self._frame]  # the wave of frequency zero: the bare window
        self._layers = [_layer(weights, number) for number in range(len(STRIDES))]
        self._lstm = _Lstm(*(weights[name] for name in sorted(weights) if name.startswith("onnx::LSTM")))
        self._output = weights["decoder.conv1d.weight"], weights["decoder.conv1d.bias"]

    @classmethod
    def load(cls) -> Self:
        """The network in faster-whisper's package; no download."""
        return cls(read_weights(Path(get_assets_path()) / "silero_vad_v6.onnx"))

    def run(self, output_names: None, inputs: Mapping[str, Floats]) -> tuple[Floats, Floats, Floats]:
        """Probabilities (n,), `h` and `c` (1, 1, 128) from `input` (n, 576), `h` and `c`."""
        memory, h, c = self._lstm(self._encode(inputs["input"]), inputs["h"].ravel(), inputs["c"].ravel())
        weight, bias = self._output
        return _sigmoid(np.maximum(memory, 0) @ weight + bias), h.reshape(1, 1, -1), c.reshape(1, 1, -1)

    def _encode(self, windows: Floats) -> Floats:
        """What is heard in each window, shape (n, 128)."""
        mirrored = np.hstack([windows, windows[:, -2 : -2 - CONTEXT : -1]])
        frames = sliding_window_view(mirrored, self._frame, axis=1)[:, :: self._frame // 2]
        layer: Floats = np.abs(np.fft.rfft(frames * self._window))
        for (weight, bias), stride in zip(self._layers, STRIDES, strict=True):
            layer = _convolve(layer, weight, bias, stride)
        return layer[:, 0]


class _Lstm:
    """Long short-term memory with ONNX's order of gates: input, output, forget, cell."""

    def __init__(self, inward: Floats, recurrent: Floats, biases: Floats) -> None:
        # sigmoid(x) is (tanh(x / 2) + 1) / 2: with the three gates halved, one tanh does for all four.
        scale = np.repeat(np.array([0.5, 0.5, 0.5, 1], np.float32), UNITS)
        self._inward = np.ascontiguousarray((inward.reshape(-1, UNITS) * scale[:, None]).T)
        self._recurrent = np.ascontiguousarray((recurrent.reshape(-1, UNITS) * scale[:, None]).T)
        self._bias = biases.reshape(2, -1).sum(axis=0) * scale

    def __call__(self, features: Floats, h: Floats, c: Floats) -> tuple[Floats, Floats, Floats]:
        """The memory after each window, shape (n, 128), and its state `h` and `c` after the last."""
        drive = features @ self._inward + self._bias
        memory = np.empty_like(features)
        gates, change, c = np.empty_like(self._bias), np.empty_like(c), c.copy()
        gate, (take, give, keep, cell) = gates[: 3 * UNITS], gates.reshape(4, UNITS)
        for now, pushed in zip(memory, drive, strict=True):
            np.dot(h, self._recurrent, out=gates)
            np.tanh(np.add(gates, pushed, out=gates), out=gates)
            np.multiply(np.add(gate, 1, out=gate), 0.5, out=gate)
            np.multiply(take, cell, out=change)
            np.add(np.multiply(c, keep, out=c), change, out=c)
            h = np.multiply(give, np.tanh(c, out=change), out=now)
        return memory, h.copy(), c


def _layer(weights: Mapping[str, Floats], number: int) -> tuple[Floats, Floats]:
    """Weight, shape (taps * channels in, channels out), and bias of a layer of the encoder."""
    bias = weights[f"encoder.conv_layers.{number}.bias"]
    weight = weights[f"encoder.conv_layers.{number}.weight"].reshape(len(bias), -1, TAPS)
    return np.ascontiguousarray(weight.transpose(2, 1, 0).reshape(-1, len(bias))), bias


def _convolve(layer: Floats, weight: Floats, bias: Floats, stride: int) -> Floats:
    """A convolution over time with one moment of zeros on either side; layers are (n, times, channels)."""
    count, times, channels = layer.shape
    padded = np.zeros((count, times + 2, channels), np.float32)
    padded[:, 1:-1] = layer
    seen = sliding_window_view(padded.reshape(count, -1), TAPS * channels, axis=1)[:, :: stride * channels]
    output: Floats = seen.reshape(-1, TAPS * channels) @ weight
    output += bias
    return np.maximum(output, 0, out=output).reshape(count, -1, len(bias))


def _sigmoid(values: Floats) -> Floats:
    halved: Floats = np.tanh(values * np.float32(0.5))
    return (halved + 1) * np.float32(0.5)


def read_weights(path: Path) -> dict[str, Floats]:
    """The tensors of float32 in an ONNX file, flat, by name.

    Field numbers are those of onnx.proto: a model's graph is 7, a graph's tensors are 5, a tensor
    has its type in 2 (1 is float32), its name in 8 and its bytes in 9.
    """
    (graph,) = (content for number, _, content in _fields(memoryview(path.read_bytes())) if number == 7)
    weights = {}
    for tensor in (content for number, _, content in _fields(graph) if number == 5):
        fields = {number: (value, content) for number, value, content in _fields(tensor)}
        if fields[2][0] == 1:
            weights[str(fields[8][1], "utf-8")] = np.frombuffer(fields[9][1], "<f4")
    return weights


def _fields(message: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Each field's number with its value, if that is a number, or its content.

    Protocol buffers know other kinds of field, but the messages read here do not have them.
    """
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        value, position = _varint(message, position)
        size = value if key & 7 == 2 else 0
        yield key >> 3, value, message[position : position + size]
        position += size


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """A number, seven bits a byte with the lowest first, and the position after it."""
    value = shift = 0
    while message[position] & 0x80:
        value |= (message[position] & 0x7F) << shift
        position, shift = position + 1, shift + 7
    return value | message[position] << shift, position + 1
