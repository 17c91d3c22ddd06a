"""When a decoding counts as failed, and how much of it to expect."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from asr_api.engine.protocol import MAX_TOKENS, DecodingResult
from asr_api.metrics.labels import TEMPERATURES, FallbackReason
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


def ladder_of(options: TranscriptionOptions) -> list[float]:
    """The temperatures to try, one after the other."""
    if options.temperatures is not None:
        return list(options.temperatures)
    return list(TEMPERATURES) if options.temperature == 0 else [options.temperature]
