"""When a decoding counts as failed, how much of it to expect, and what is tried next."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from asr_api.engine.protocol import MAX_TOKENS, DecodingResult
from asr_api.metrics.labels import TEMPERATURES, FallbackReason, Guard
from asr_api.spectrogram import FRAMES
from asr_api.transcription import TranscriptionOptions

SHORT_TOKENS = 96
"""The cap of a chunk with little speech: what `expected_tokens` of up to 10 s of it come to."""


def expected_tokens(voiced: float) -> float:
    """Tokens that so many seconds of speech may need at most, in languages that Whisper writes in words."""
    return 16 + 8 * voiced


@dataclass(slots=True)
class Caps:
    """How many tokens a chunk may write: little speech should write few, until it turns out that it needs more."""

    now: int
    most: int

    @classmethod
    def of(cls, voiced: float, max_new_tokens: int | None) -> Self:
        most = min(MAX_TOKENS, max_new_tokens or MAX_TOKENS)
        return cls(min(most, SHORT_TOKENS) if expected_tokens(voiced) <= SHORT_TOKENS else most, most)

    def cuts(self, result: DecodingResult) -> bool:
        """Whether the text ended for want of tokens that it may have."""
        return self.now < self.most and len(result.tokens) >= self.now - 1


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a decoding counts as failed, or as silence (the defaults of openai/whisper, transcribe.py)."""

    compression_ratio: float = 2.4
    avg_logprob: float = -1.0
    no_speech_prob: float = 0.6

    @classmethod
    def of(cls, options: TranscriptionOptions) -> Self:
        return cls(options.compression_ratio_threshold, options.log_prob_threshold, options.no_speech_threshold)

    def failure(self, result: DecodingResult, *, cut: bool = False) -> FallbackReason | None:
        """Why the result should be decoded again, None where it should not: with more tokens where it was
        `cut` off without repeating itself, else at a higher temperature.
        """
        if result.compression_ratio > self.compression_ratio:
            return "compression_ratio"
        if cut:
            return "length"
        if result.avg_logprob < self.avg_logprob and not self.silent(result):
            return "avg_logprob"
        return None

    def silent(self, result: DecodingResult) -> bool:
        """Whether the decoder itself holds that nothing is said."""
        return result.no_speech_prob > self.no_speech_prob and result.avg_logprob < self.avg_logprob

    def best(self, attempts: Sequence[DecodingResult]) -> DecodingResult:
        """The last attempt where it passed, else the likeliest of those that do not repeat themselves."""
        if self.failure(attempts[-1]) is None:
            return attempts[-1]
        sane = [attempt for attempt in attempts if attempt.compression_ratio <= self.compression_ratio]
        return max(sane or attempts, key=lambda attempt: attempt.avg_logprob)


@dataclass(frozen=True, slots=True)
class AudioContext:
    """How much audio the encoder is given for a short chunk, in seconds: the first of `steps` that leaves
    `margin` seconds of silence behind it, else all 30.

    Whisper was trained on 30 s alone. The shorter the context, the cheaper the encoder, in proportion;
    below some 10 s, and without silence at the end, the decoder runs away in one chunk of eight or of a
    hundred (docs/accuracy.md). The fewer steps, the fuller the batches, which are of one context each.
    """

    steps: tuple[float, ...] = ()
    margin: float = 3.0

    def frames(self, seconds: float) -> int:
        """Frames of 10 ms for a chunk of so many seconds."""
        return next((round(100 * step) for step in self.steps if seconds + self.margin <= step), FRAMES)


WHOLE = AudioContext()
"""Always 30 s, as every Whisper was trained."""

SHORT = AudioContext(steps=(13.0, 20.0))
"""For models on which it was shown to cost no words."""

SHORT_SHOWN = frozenset({"base"})
"""The models, by name, on which `SHORT` was shown to cost no words (docs/accuracy.md)."""


def audio_context_of(setting: str, model: str, shown: str | None = None) -> AudioContext:
    """The setting's meaning for a model: `short`, `whole`, or `auto` for what was `shown` by the user's own
    recordings and, where they were not asked, by ours.
    """
    known = shown or ("short" if model in SHORT_SHOWN else "whole")
    return SHORT if (known if setting == "auto" else setting) == "short" else WHOLE


class Attempts:
    """The decodings of one chunk, one after the other, until one passes or nothing is left to be tried.

    `temperature`, `max_tokens` and `audio_context` are those of the next. What fails on a short
    context is tried on all 30 s before anything else, as if it had never been.
    """

    def __init__(self, options: TranscriptionOptions, voiced: float, audio_context: int) -> None:
        self._thresholds = Thresholds.of(options)
        self._caps = Caps.of(voiced, options.max_new_tokens)
        self._expected = expected_tokens(voiced)
        self._ladder = ladder_of(options)
        self._made: list[DecodingResult] = []
        self.audio_context = audio_context

    @property
    def over(self) -> bool:
        return not self._ladder

    @property
    def temperature(self) -> float:
        return self._ladder[0]

    @property
    def max_tokens(self) -> int:
        return self._caps.now

    def add(self, result: DecodingResult) -> FallbackReason | None:
        """Take in what came of one; why it failed, None where it passed."""
        reason = self._thresholds.failure(result, cut=self._caps.cuts(result))
        if self.audio_context < FRAMES and (reason or len(result.tokens) > self._expected):
            self.audio_context = FRAMES
            return "audio_context"
        if reason == "length":
            self._caps.now = self._caps.most
            return reason
        self._made.append(result)
        self._ladder = self._ladder[1:] if reason else []
        return reason

    @property
    def best(self) -> DecodingResult:
        return self._thresholds.best(self._made)

    @property
    def fell_back(self) -> bool:
        """Whether the best is not the first that counts."""
        return self.best is not self._made[0]

    @property
    def guard(self) -> Guard | None:
        """What holds, of the best, that nothing is said; None where something is."""
        if not self.best.text.strip():
            return "blank"
        return "no_speech" if self._thresholds.silent(self.best) else None


def ladder_of(options: TranscriptionOptions) -> list[float]:
    """The temperatures to try, one after the other."""
    if options.temperatures is not None:
        return list(options.temperatures)
    return list(TEMPERATURES) if options.temperature == 0 else [options.temperature]
