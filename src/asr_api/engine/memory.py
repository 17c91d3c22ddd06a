"""How much memory a Whisper takes at work: arithmetic from its dimensions, not measured.

CTranslate2 holds the weights once a device, and for each worker a padded copy of the output
projection, the keys and values of the chunks that it decodes, or, while it encodes, the attention
scores of a whole chunk, which it writes out. On a CPU `base` was measured at 1.01 GB (int8, batches
of 8) and 0.82 GB (float32, of 4) where this says 1.02 and 0.89; on a GPU nothing was measured, and
the nearest published figure is 6.1 GB where this says 7.2 (large-v2, float16, batches of 8, beam 5,
faster-whisper's README).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

POSITIONS = 1500
"""What the encoder makes of 30 s."""

TOKENS = 228
"""Tokens of one chunk with what stands before them: 224 and a prompt of four."""

VOCABULARY = 51_872
"""Rows of the output projection, padded to a multiple of 8."""

ACTIVATIONS = 12
"""Values a position and unit of width that an encoder layer holds besides its attention scores."""

MELS = 128 * 3000
"""Values of one chunk's features; models before large-v3 have fewer."""

CUDA_CONTEXT = 500_000_000
CPU_LIBRARIES = 50_000_000
"""Bytes that are taken before any model is."""

HALF = frozenset({"float16", "bfloat16", "int8_float16", "int8_bfloat16"})
"""Compute types whose keys, values and activations take two bytes; those of all others take four."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A Whisper's dimensions: weights in all, layers of the decoder, width, attention heads."""

    parameters: int
    decoder_layers: int
    width: int
    heads: int


LARGE = Shape(1_544_000_000, 32, 1280, 20)
TURBO = Shape(809_000_000, 4, 1280, 20)
DISTIL_LARGE = Shape(756_000_000, 2, 1280, 20)
MEDIUM = Shape(764_000_000, 24, 1024, 16)
SMALL = Shape(242_000_000, 12, 768, 12)
BASE = Shape(74_000_000, 6, 512, 8)
TINY = Shape(38_000_000, 4, 384, 6)

SHAPES: Final[Mapping[str, Shape]] = MappingProxyType(
    {
        "tiny": TINY,
        "base": BASE,
        "small": SMALL,
        "medium": MEDIUM,
        "large": LARGE,
        "large-v1": LARGE,
        "large-v2": LARGE,
        "large-v3": LARGE,
        "large-v3-turbo": TURBO,
        "turbo": TURBO,
        "distil-small": Shape(166_000_000, 4, 768, 12),
        "distil-medium": Shape(394_000_000, 2, 1024, 16),
        "distil-large": DISTIL_LARGE,
    }
)
"""From the model cards of openai/whisper and huggingface/distil-whisper."""


@dataclass(frozen=True, slots=True)
class Load:
    """What an engine is asked for: a compute type of CTranslate2, calls at a time, chunks a call, chunks
    that are encoded at a time, and beams.
    """

    compute_type: str
    workers: int
    chunks: int
    encoded: int
    beams: int


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes: `resident` from the start, `working` for each worker with a full call."""

    resident: int
    working: int
    workers: int

    @property
    def total(self) -> int:
        return self.resident + self.workers * self.working


def shape_of(model: str) -> Shape | None:
    """The dimensions of a model that is called like a known size: `medium.en`, `owner/faster-whisper-large-v3-ft`.

    None for a name that tells none.
    """
    name = model.lower().rstrip("/").rsplit("/", 1)[-1].replace("distil-whisper", "distil")
    known = (size for size in SHAPES if re.search(rf"(?<![a-z0-9]){re.escape(size)}(?![a-z0-9])", name))
    best = max(known, key=len, default=None)
    return SHAPES[best] if best else None


def weights_of(shape: Shape, compute_type: str) -> int:
    """Bytes of the weights."""
    return shape.parameters * _weight_size(compute_type)


def memory_need(shape: Shape, load: Load, *, gpu: bool = True) -> Need:
    """Bytes of the GPU's memory, or of the host's where the engine runs on the CPU."""
    size = 2 if load.compute_type in HALF else 4
    projection = VOCABULARY * shape.width * _weight_size(load.compute_type)
    working = max(_encoding(shape, load, size), _decoding(shape, load, size))
    base = CUDA_CONTEXT if gpu else CPU_LIBRARIES
    return Need(base + weights_of(shape, load.compute_type), projection + working, load.workers)


def largest_batch(shape: Shape, load: Load, room: int) -> int:
    """The most chunks a call, up to `load.chunks`, that fit in so many bytes of a GPU; 0 where none does."""
    fitting = (count for count in range(load.chunks, 0, -1) if _total(shape, load, count) <= room)
    return next(fitting, 0)


def _total(shape: Shape, load: Load, chunks: int) -> int:
    smaller = Load(load.compute_type, load.workers, chunks, min(load.encoded, chunks), load.beams)
    return memory_need(shape, smaller).total


def _encoding(shape: Shape, load: Load, size: int) -> int:
    scores = shape.heads * POSITIONS * POSITIONS
    return min(load.encoded, load.chunks) * size * (scores + ACTIVATIONS * POSITIONS * shape.width)


def _decoding(shape: Shape, load: Load, size: int) -> int:
    """Keys and values of the encoder's output, which beams share, and of each beam's tokens; and the
    output itself, twice, with the features it was made of.
    """
    across = 2 * shape.decoder_layers * POSITIONS * shape.width
    own = 2 * shape.decoder_layers * shape.width * TOKENS
    encoded = 2 * POSITIONS * shape.width + MELS
    return load.chunks * size * (across + load.beams * own + encoded)


def _weight_size(compute_type: str) -> int:
    if compute_type.startswith("int8"):
        return 1
    return 2 if compute_type in HALF else 4
