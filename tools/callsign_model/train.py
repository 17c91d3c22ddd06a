"""Train the call-sign Whisper on synthesised speech (CPU, about two hours on two cores).

    python train.py --tiktoken multilingual.tiktoken --work WORK_DIR

Writes WORK_DIR/checkpoint.pt; `export.py` turns it into a CTranslate2 model folder.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import corpus
import numpy as np
import torch
from faster_whisper.feature_extractor import FeatureExtractor
from model import Shape, Whisper, load
from tokenizers import Tokenizer
from tokens import build_tokenizer, read_ranks
from torch.nn import functional

IGNORE = -100
"""The target that counts for nothing in the loss."""

TIMESTAMP_WEIGHT = 0.3
"""The loss is mostly theirs else, a 20 ms step being a guess; words matter more."""

LANGUAGE_WEIGHT = 4.0
"""One token a window, and every word after it hangs on it."""


@dataclass(frozen=True)
class Stage:
    """A part of the training: windows of `seconds`, until this share of the time is used up.

    With `shifted`, windows are laid at random places of Whisper's 30 s and token positions: the
    model learns every position at the price of short windows.
    """

    until: float
    seconds: float
    batch: int
    shifted: bool = False


STAGES = [Stage(0.25, 6.0, 24), Stage(0.5, 8.0, 20, shifted=True), Stage(1.0, 30.0, 8)]
RESUMED_STAGES = [Stage(0.45, 10.0, 20, shifted=True), Stage(1.0, 30.0, 8)]


class Features:
    """Whisper's log-mel spectrogram, batched in PyTorch."""

    def __init__(self, n_mels: int) -> None:
        filters = FeatureExtractor(feature_size=n_mels).mel_filters
        self.filters = torch.from_numpy(np.ascontiguousarray(filters)).float()
        self.window = torch.hann_window(400)

    def __call__(self, audio: torch.Tensor) -> torch.Tensor:
        """(batch, samples) -> (batch, n_mels, samples / 160)."""
        spectrum = torch.stft(audio, 400, 160, window=self.window, return_complex=True)
        power = spectrum[..., :-1].abs() ** 2
        log = (self.filters @ power).clamp(min=1e-10).log10()
        log = torch.maximum(log, log.amax(dim=(1, 2), keepdim=True) - 8.0)
        return (log + 4.0) / 4.0


class Labeller:
    """The token sequence that Whisper should write for a window."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.id = tokenizer.token_to_id
        self.eot, self.sot = self.id("<|endoftext|>"), self.id("<|startoftranscript|>")
        self.first_timestamp = self.id("<|0.00|>")

    def text(self, language: str, words: corpus.Words) -> list[int]:
        """The ids of a phrase."""
        return self.tokenizer.encode(corpus.to_text(language, words)).ids

    def timestamp(self, seconds: float) -> int:
        """The id of a time, to 20 ms."""
        return self.first_timestamp + min(1500, round(seconds / 0.02))

    def prompt(self, window: corpus.Window, written: str, rng: np.random.Generator) -> list[int]:
        """Now and then some words that are said to have come before."""
        if not window.segments and window.cut is None:
            return []
        if rng.random() >= 0.15:
            return []
        words = corpus.vocabulary(window.language)
        previous = tuple(words[i] for i in rng.integers(10, size=rng.integers(1, 9)))
        return [self.id("<|startofprev|>"), *self.text(written, previous)]

    def phrases(self, window: corpus.Window, translate: bool, origin: float, bare: bool) -> list[int]:
        """The phrases of the window, without times where `bare`."""
        written = "en" if translate else window.language
        ids: list[int] = []
        for start, end, words in window.segments:
            text = self.text(written, corpus.to_english(window.language, words) if translate else words)
            ids += text if bare else [self.timestamp(origin + start), *text, self.timestamp(origin + end)]
        if window.cut is not None and not bare:
            ids.append(self.timestamp(origin + window.cut))
        return ids

    def __call__(self, window: corpus.Window, rng: np.random.Generator, origin: float = 0.0) -> tuple[list[int], int]:
        """Token ids for a window that starts at `origin` s, and how many of the first ones are given."""
        if not window.segments and window.cut is None and rng.random() < 0.6:
            return [self.sot, self.id("<|nospeech|>"), self.eot], 1
        translate = window.language != "en" and rng.random() < 0.25
        prompt = self.prompt(window, "en" if translate else window.language, rng)
        ids = [*prompt, self.sot, self.id(f"<|{window.language}|>")]
        ids.append(self.id("<|translate|>" if translate else "<|transcribe|>"))
        bare = rng.random() < 0.35
        if bare:
            ids.append(self.id("<|notimestamps|>"))
        return [*ids, *self.phrases(window, translate, origin, bare), self.eot], len(prompt) + 1


def token_weights(tokenizer: Tokenizer) -> torch.Tensor:
    """(vocab,) weight of each token in the loss."""
    first = tokenizer.token_to_id("<|0.00|>")
    weights = torch.ones(tokenizer.get_vocab_size())
    weights[first : first + 1501] = TIMESTAMP_WEIGHT
    weights[[tokenizer.token_to_id(f"<|{language}|>") for language in corpus.DIGITS]] = LANGUAGE_WEIGHT
    return weights


class Batches:
    """Random windows with their labels, as tensors."""

    def __init__(self, phrases: Sequence[corpus.Phrase], tokenizer: Tokenizer, n_mels: int) -> None:
        self.by_language: dict[str, list[corpus.Phrase]] = {}
        for phrase in phrases:
            self.by_language.setdefault(phrase.language, []).append(phrase)
        self.labeller = Labeller(tokenizer)
        self.features = Features(n_mels)

    def draw(
        self, stage: Stage, origin: float, rng: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Log-mel (batch, n_mels, frames) of windows that start at `origin` s, input and target ids (batch, L)."""
        windows = [corpus.compose(self.by_language, stage.seconds, rng) for _ in range(stage.batch)]
        audio = np.zeros((stage.batch, int(stage.seconds * corpus.SAMPLE_RATE)), dtype=np.float32)
        for row, window in zip(audio, windows, strict=True):
            row[: len(window.samples)] = window.samples
        mel = self.features(torch.from_numpy(audio))

        labels = [self.labeller(window, rng, origin) for window in windows]
        length = max(len(ids) for ids, _ in labels)
        inputs = torch.full((stage.batch, length - 1), self.labeller.eot)
        targets = torch.full((stage.batch, length - 1), IGNORE)
        for i, (ids, given) in enumerate(labels):
            inputs[i, : len(ids) - 1] = torch.tensor(ids[:-1])
            targets[i, given - 1 : len(ids) - 1] = torch.tensor(ids[given:])
        return mel, inputs, targets


class Trainer:
    """A model with its optimiser; `step` counts from 0."""

    def __init__(self, model: Whisper, batches: Batches, weights: torch.Tensor, rng: np.random.Generator) -> None:
        self.model, self.batches, self.weights, self.rng = model, batches, weights, rng
        self.optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=0.01)
        self.step = 0

    def learn(self, stage: Stage, rate: float) -> float:
        """One step at this learning rate; the loss before it."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        first_frame = first_token = 0
        if stage.shifted:
            first_frame = int(self.rng.integers(self.model.shape.n_frames - 50 * int(stage.seconds)))
            first_token = int(self.rng.integers(120))
        mel, inputs, targets = self.batches.draw(stage, first_frame * 0.02, self.rng)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = self.model.decode(inputs, self.model.encode(mel, first_frame), first_token)
        loss = functional.cross_entropy(
            logits.float().flatten(0, 1), targets.flatten(), self.weights, ignore_index=IGNORE
        )
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        return loss.item()

    def save(self, checkpoint: Path) -> None:
        """Write shape, weights and step."""
        torch.save({"shape": self.model.shape, "state": self.model.state_dict(), "step": self.step}, checkpoint)


def train(trainer: Trainer, stages: Sequence[Stage], peak: float, minutes: float, checkpoint: Path) -> None:
    """Learn for so many minutes: 300 steps up to the peak rate, then down with the time that is left."""
    began, average = time.monotonic(), None
    while (done := (time.monotonic() - began) / (60 * minutes)) < 1:
        stage = next(stage for stage in stages if done < stage.until)
        loss = trainer.learn(stage, peak * min(1, (trainer.step + 1) / 300) * (1 - 0.95 * done))
        average = loss if average is None else 0.98 * average + 0.02 * loss
        if trainer.step % 100 == 0:
            passed = (time.monotonic() - began) / 60
            windows = f"{stage.seconds:.0f} s windows"
            print(f"step {trainer.step}  {passed:6.1f} min  {windows}  loss {average:.4f}", flush=True)
            trainer.save(checkpoint)
    trainer.save(checkpoint)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiktoken", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--phrases", type=int, default=12_000)
    parser.add_argument("--minutes", type=float, default=100)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint, with the later stages")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    checkpoint = args.work / "checkpoint.pt"

    torch.manual_seed(args.seed)
    tokenizer = build_tokenizer(read_ranks(args.tiktoken))
    phrases = corpus.synthesise_bank(args.phrases, args.seed, args.work / "phrases.pickle")
    model = load(checkpoint) if args.resume else Whisper(Shape(vocab=tokenizer.get_vocab_size()))
    batches = Batches(phrases, tokenizer, model.shape.n_mels)
    print({name: len(bank) for name, bank in batches.by_language.items()})
    print(f"{sum(parameter.numel() for parameter in model.parameters()):,} parameters", flush=True)
    trainer = Trainer(model, batches, token_weights(tokenizer), np.random.default_rng(args.seed))
    stages, peak = (RESUMED_STAGES, 0.8e-3) if args.resume else (STAGES, 1.2e-3)
    train(trainer, stages, peak, args.minutes, checkpoint)


if __name__ == "__main__":
    main()
