"""What a call of Whisper must compute and move at least: arithmetic from its dimensions.

A product of matrices of (m, k) and (k, n) is 2 m k n floating-point operations. With d the width, T the
encoder's positions (50 a second), M mels, V tokens, E and D layers:

- encoder: 2 (2T) 3 M d + 2 T 3 d d for the convolutions, and for each layer 2 T 12 d d (queries, keys,
  values, output: 4; feed-forward: 8) and 4 T T d for attention;
- keys and values of the encoder's output, made anew by each of detect, decode and align: D 2 T 2 d d;
- decoder, for each token: 2 (D 14 d d + V d) (self-attention 4, attention to the audio 2, feed-forward 8)
  and D 4 d (T + t) for attention at position t.

Bytes are those of an ideal engine, which keeps nothing but weights, inputs, outputs, keys and values in
memory: weights once a call or step, keys and values of the audio once a step and chunk. It is the roofline
of Williams, Waterman and Patterson (2009): no part is faster than its arithmetic, nor than its traffic.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from .dimensions import Dimensions
from .peaks import Peak

POSITIONS_A_SECOND = 50
"""The encoder's; features have twice as many frames."""

HALF = frozenset({"float16", "bfloat16", "int8_float16", "int8_bfloat16"})


@dataclass(frozen=True, slots=True)
class Work:
    """One part of a call: operations on weights, other operations, and bytes moved."""

    linear: float
    other: float
    moved: float

    @property
    def flop(self) -> float:
        return self.linear + self.other

    def seconds(self, peak: Peak) -> float:
        """At least, on what has this peak."""
        return max(self.linear / peak.linear + self.other / peak.other, self.moved / peak.memory)


Parts = tuple[Work, ...]
"""A call's, one after another."""


@dataclass(frozen=True, slots=True)
class Roofline:
    """The cost of the calls of one model in one of CTranslate2's compute types."""

    dimensions: Dimensions
    compute_type: str

    @property
    def weight(self) -> int:
        """Bytes of one."""
        if self.compute_type.startswith("int8"):
            return 1
        return self.value

    @property
    def value(self) -> int:
        """Bytes of an activation, a key, a value."""
        return 2 if self.compute_type in HALF else 4

    def encode(self, batch: int, seconds: float) -> Parts:
        """The encoder on `batch` chunks of so many seconds of context."""
        m, positions = self.dimensions, _positions(seconds)
        d, layers = m.width, m.encoder_layers
        linear = layers * 24 * positions * d * d
        convolutions = 12 * positions * m.mels * d + 6 * positions * d * d
        attention = layers * 4 * positions * positions * d
        weights = layers * 12 * d * d * self.weight + (3 * m.mels * d + 3 * d * d) * self.value
        chunk = (2 * positions * m.mels + positions * d) * self.value
        return (Work(batch * linear, batch * (convolutions + attention), weights + batch * chunk),)

    def detect(self, batch: int, seconds: float) -> Parts:
        """Keys and values, and the decoder on one token."""
        return (self._across(batch, seconds), self._step(batch, seconds, 0, 1))

    def decode(self, tokens: Sequence[int], seconds: float, beams: int = 1, prompt: int = 4) -> Parts:
        """A search that writes so many tokens for each chunk, the last of which says that it is the end.

        A chunk leaves when it is written. Beams share the keys and values of the audio.
        """
        steps = (
            self._step(sum(count > at for count in tokens), seconds, prompt + at, beams) for at in range(max(tokens))
        )
        return (self._across(len(tokens), seconds), *steps)

    def align(self, tokens: Sequence[int], seconds: float, start: int = 3) -> Parts:
        """Keys and values, and the decoder once on all tokens of each chunk, with what stands before them."""
        longest = start + max(tokens) + 1
        one = self._step(len(tokens), seconds, longest // 2, 1)
        positions = _positions(seconds)
        kept = self._kept(len(tokens), positions) + len(tokens) * longest * self._own()
        weights = self._decoder_weights() * self.weight
        return (self._across(len(tokens), seconds), Work(longest * one.linear, longest * one.other, weights + kept))

    def _across(self, batch: int, seconds: float) -> Work:
        m, positions = self.dimensions, _positions(seconds)
        weights = m.decoder_layers * 2 * m.width * m.width
        memory = batch * positions * m.width * self.value + self._kept(batch, positions)
        return Work(batch * 2 * positions * weights, 0, weights * self.weight + memory)

    def _step(self, chunks: int, seconds: float, position: int, beams: int) -> Work:
        m, positions = self.dimensions, _positions(seconds)
        weights = self._decoder_weights()
        attention = m.decoder_layers * 4 * m.width * (positions + position)
        moved = weights * self.weight + self._kept(chunks, positions) + chunks * beams * position * self._own()
        return Work(chunks * beams * 2 * weights, chunks * beams * attention, moved)

    def _decoder_weights(self) -> int:
        """Values that each step reads."""
        m = self.dimensions
        return m.decoder_layers * 14 * m.width * m.width + m.vocabulary * m.width

    def _kept(self, batch: int, positions: int) -> int:
        """Bytes of the audio's keys and values."""
        return batch * 2 * self.dimensions.decoder_layers * positions * self.dimensions.width * self.value

    def _own(self) -> int:
        """Bytes of one token's keys and values."""
        return 2 * self.dimensions.decoder_layers * self.dimensions.width * self.value


def flop(parts: Parts) -> float:
    return sum(part.flop for part in parts)


def moved(parts: Parts) -> float:
    return sum(part.moved for part in parts)


def least_seconds(parts: Parts, peak: Peak) -> float:
    """What the whole call takes at least."""
    return sum(part.seconds(peak) for part in parts)


def _positions(seconds: float) -> int:
    return round(seconds * POSITIONS_A_SECOND)
