"""A Whisper's dimensions, as the file of its weights has them."""

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

WEIGHTS = "model.bin"
LAYER = re.compile(r"(encoder|decoder)/layer_(\d+)/ffn/linear_0/weight")


@dataclass(frozen=True, slots=True)
class Dimensions:
    """What a call's cost follows from; a feed-forward layer is four times as wide as the model."""

    width: int
    mels: int
    encoder_layers: int
    decoder_layers: int
    vocabulary: int

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Read a model folder in CTranslate2's form. Raises ValueError where it holds no Whisper."""
        with (folder / WEIGHTS).open("rb") as file:
            shapes = dict(_shapes(file))
        try:
            width, mels, _ = shapes["encoder/conv1/weight"]
            vocabulary, _ = shapes.get("decoder/projection/weight") or shapes["decoder/embeddings/weight"]
        except (KeyError, ValueError):
            raise ValueError(f"{folder} holds no Whisper") from None
        return cls(width, mels, _layers(shapes, "encoder"), _layers(shapes, "decoder"), vocabulary)

    def __str__(self) -> str:
        return (
            f"width {self.width}, {self.encoder_layers} layers of encoder and {self.decoder_layers} of decoder, "
            f"{self.mels} mels, {self.vocabulary} tokens"
        )


def _layers(shapes: Mapping[str, tuple[int, ...]], part: str) -> int:
    return sum(found[1] == part for found in map(LAYER.fullmatch, shapes) if found)


def _shapes(file: BinaryIO) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of each variable (CTranslate2 4.8, `ModelSpec._serialize`, binary version 6)."""
    _read(file, "I")
    _name(file)
    _, variables = _read(file, "II")
    for _ in range(variables):
        name = _name(file)
        (rank,) = _read(file, "B")
        shape = _read(file, f"{rank}I")
        _, size = _read(file, "BI")
        file.seek(size, 1)
        yield name, shape


def _name(file: BinaryIO) -> str:
    (size,) = _read(file, "H")
    return file.read(size).rstrip(b"\0").decode()


def _read(file: BinaryIO, form: str) -> tuple[int, ...]:
    return struct.unpack("<" + form, file.read(struct.calcsize("<" + form)))
