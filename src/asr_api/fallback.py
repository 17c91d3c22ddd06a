"""When a decoding counts as failed, and how much of it to expect."""

from dataclasses import dataclass

from asr_api.engine.protocol import MAX_TOKENS, DecodingResult
from asr_api.metrics import Reason

SHORT_TOKENS = 96
"""The cap of a chunk with little speech: what `expected_tokens` of up to 10 s of it come to."""


def expected_tokens(voiced: float) -> float:
    """Tokens that so many seconds of speech may need at most, in languages that Whisper writes in words."""
    return 16 + 8 * voiced


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a decoding counts as failed, or as silence (the defaults of openai/whisper, transcribe.py)."""

    compression_ratio: float = 2.4
    avg_logprob: float = -1.0
    no_speech_prob: float = 0.6

    def failure(self, result: DecodingResult, max_tokens: int = MAX_TOKENS) -> Reason | None:
        """Why the result should be decoded again, None where it should not: for its length with more tokens,
        else at a higher temperature.
        """
        if result.compression_ratio > self.compression_ratio:
            return "compression_ratio"
        if max_tokens < MAX_TOKENS and len(result.tokens) >= max_tokens - 1:
            return "length"
        if result.avg_logprob < self.avg_logprob and not self.silent(result):
            return "avg_logprob"
        return None

    def silent(self, result: DecodingResult) -> bool:
        """Whether the decoder itself holds that nothing is said."""
        return result.no_speech_prob > self.no_speech_prob and result.avg_logprob < self.avg_logprob
