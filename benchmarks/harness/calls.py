"""CTranslate2's Whisper, called directly."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import ctranslate2
import numpy as np

from asr_api.engine.abilities import available_cores
from asr_api.engine.cuda import load_cublas
from asr_api.engine.vocabulary import Vocabulary, load_vocabulary
from asr_api.engine.whisper import POSITIONS
from asr_api.spectrogram import Features

from .composed import LANGUAGE

Encoded = Any
"""A `ctranslate2.StorageView`, which has no types: shape (n, positions, width)."""

Tokens = list[int]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where and how a model computes: CTranslate2's device, compute type and number of workers."""

    device: str
    compute_type: str
    workers: int


@dataclass(frozen=True, slots=True)
class Whisper:
    """A loaded model. All calls may be made from as many threads as there are workers, and end when their work has."""

    model: Any
    vocabulary: Vocabulary
    placement: Placement

    @classmethod
    def load(cls, folder: Path, placement: Placement) -> Self:
        """In a thread that ends, so that no worker gets CUDA's default stream. Raises what CTranslate2 raises."""
        if placement.device == "cuda":
            load_cublas()
        with ThreadPoolExecutor(1) as thread:
            model = thread.submit(_load, folder, placement).result()
        return cls(model, load_vocabulary(folder, folder.name), placement)

    @property
    def compute_type(self) -> str:
        """The one that was taken where the one that was asked for is not to be had."""
        return str(self.model.compute_type)

    def stack(self, features: Sequence[Features]) -> Features:
        """Spectrograms of one length as the device takes them: half floats on a GPU, single ones on a CPU."""
        if self.placement.device == "cuda":
            return np.stack(features, dtype=np.float16)
        return np.stack(features, dtype=np.float32)

    def encode(self, features: Features, at_once: int = 0) -> Encoded:
        """The encoder's output; that of `at_once` chunks after another is joined on the host, as the service does."""
        size = at_once or len(features)
        parts = [features[first : first + size] for first in range(0, len(features), size)]
        if len(parts) == 1:
            return self.model.encode(ctranslate2.StorageView.from_array(features))
        views = [self.model.encode(ctranslate2.StorageView.from_array(part), to_cpu=True) for part in parts]
        return ctranslate2.StorageView.from_array(np.concatenate([np.array(view) for view in views]))

    def detect(self, encoded: Encoded) -> list[str]:
        """The likeliest language of each chunk."""
        return [str(ranked[0][0])[2:-2] for ranked in self.model.detect_language(encoded)]

    def decode(self, encoded: Encoded, batch: int, beams: int = 1, *, timestamps: bool = False) -> list[Tokens]:
        """The tokens of each chunk, with `<|notimestamps|>` unless timestamps are to be written."""
        prompt = self.vocabulary.prompt(LANGUAGE, "transcribe", ())
        prompts = [prompt[:-1] if timestamps else prompt] * batch
        found = self.model.generate(encoded, prompts, beam_size=beams, max_length=POSITIONS)
        return [list(one.sequences_ids[0]) for one in found]

    def align(self, encoded: Encoded, tokens: Sequence[Tokens], frames: Sequence[int]) -> list[Any]:
        """Times of text tokens, for chunks of so many frames of audio."""
        start = self.vocabulary.start_sequence(LANGUAGE, "transcribe")
        return list(self.model.align(encoded, start, list(tokens), list(frames)))

    def text(self, tokens: Tokens) -> str:
        return self.vocabulary.decode(tokens).strip()

    def text_tokens(self, tokens: Tokens) -> Tokens:
        return [token for token in tokens if token < self.vocabulary.end_of_text]


def _load(folder: Path, placement: Placement) -> Any:  # noqa: ANN401 - the library is untyped
    return ctranslate2.models.Whisper(
        str(folder),
        device=placement.device,
        compute_type=placement.compute_type,
        inter_threads=placement.workers,
        intra_threads=max(1, available_cores() // placement.workers),
        max_queued_batches=-1,
    )
