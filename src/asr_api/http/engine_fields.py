"""The fields that set the engine and the front end: faster-whisper's names, values and defaults."""

import itertools
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from asr_api.http.fields import MAX_MS
from asr_api.http.spelling import Array, Spelling

MAX_TEMPERATURES = 10
"""Steps of a ladder of temperatures at most."""

MAX_SUPPRESSED = 1024
"""Tokens that a request may suppress at most."""

MAX_TOKEN = 51_863
"""The last token that every Whisper vocabulary has: the English models' is the smallest (openai/whisper)."""


def _rising(ladder: tuple[float, ...]) -> tuple[float, ...]:
    if any(later <= earlier for earlier, later in itertools.pairwise(ladder)):
        raise PydanticCustomError("ladder_falls", "each temperature must be higher than the one before it")
    return ladder


Ladder = Annotated[
    tuple[Annotated[float, Field(ge=0, le=1)], ...],
    Array(),
    AfterValidator(_rising),
    Field(
        max_length=MAX_TEMPERATURES,
        description="0, or nothing: the most likely text, sampled only where that fails. "
        "Several are the temperatures to try in turn, as `0,0.2,0.4`",
        examples=[[0.0, 0.2, 0.4]],
    ),
]
BeamSize = Annotated[
    Annotated[int, Field(ge=1, le=10)] | None,
    Spelling(null=True),
    Field(description="Beams of the search, 1 is greedy; the service's setting where it is left out", examples=[5]),
]
Patience = Annotated[
    float,
    Field(ge=1, le=4, description="How many beams must end, in multiples of `beam_size`", examples=[1.0]),
]
LengthPenalty = Annotated[
    float,
    Field(ge=0, le=2, description="Exponent of the length by which a score is divided", examples=[1.0]),
]
RepetitionPenalty = Annotated[
    float,
    Field(ge=0.5, le=2, description="Above 1, tokens that were written before are less likely", examples=[1.1]),
]
NoRepeatNgramSize = Annotated[
    int,
    Field(ge=0, le=20, description="No run of so many tokens is written twice; 0 allows all", examples=[3]),
]
SuppressBlank = Annotated[bool, Field(description="Never begin with a blank", examples=[True])]
SuppressTokens = Annotated[
    Annotated[tuple[Annotated[int, Field(ge=-1, le=MAX_TOKEN)], ...], Field(max_length=MAX_SUPPRESSED)] | None,
    Array(null=True),
    Field(
        description="Tokens that are never written; -1, the default, stands for Whisper's own set, `[]` for none",
        examples=[[-1, 50]],
    ),
]
MaxNewTokens = Annotated[
    Annotated[int, Field(ge=1, le=224)] | None,
    Spelling(null=True),
    Field(description="Tokens that are written for 30 s of audio at most", examples=[100]),
]
CompressionRatioThreshold = Annotated[
    float,
    Field(
        ge=0,
        le=100,
        description="A text that zlib makes more times shorter repeats itself and has failed; 100 lets all pass",
        examples=[2.4],
    ),
]
LogProbThreshold = Annotated[
    float,
    Spelling(aliases=("logprob_threshold",)),
    Field(
        ge=-100,
        le=0,
        description="A text whose tokens have a lower log probability on average has failed; -100 lets all pass. "
        "Also spelt `logprob_threshold`",
        examples=[-1.0],
    ),
]
NoSpeechThreshold = Annotated[
    float,
    Field(
        ge=0,
        le=1,
        description="Above this probability of silence, a text that failed by `log_prob_threshold` is left out",
        examples=[0.6],
    ),
]

Vad = Annotated[
    bool,
    Spelling(aliases=("vad_filter",)),
    Field(
        description="Leave out what is not speech; without it all of the audio is transcribed. Also spelt `vad_filter`",
        examples=[True],
    ),
]
Threshold = Annotated[
    Annotated[float, Field(gt=0, lt=1)] | None,
    Spelling(null=True),
    Field(
        description="Probability from which audio counts as speech; the service's setting where it is left out",
        examples=[0.5],
    ),
]
PrefixPadding = Annotated[int, Field(ge=0, le=MAX_MS, description="Milliseconds kept before speech", examples=[400])]
SilenceDuration = Annotated[
    int, Field(ge=0, le=MAX_MS, description="Milliseconds of silence that end speech", examples=[160])
]
Denoise = Annotated[bool, Field(description="Take steady noise out first: hiss, a fan, a motor", examples=[True])]
Normalize = Annotated[
    bool,
    Field(
        description="Look for speech in the audio as if it were louder, so that quiet voices are found", examples=[True]
    ),
]
