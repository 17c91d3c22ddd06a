"""The values of speech recognition, in Whisper's own words. All frozen, all times in seconds."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Samples per second of all audio inside the service (Whisper's)."""

CHUNK_SECONDS = 30
"""Seconds of audio that Whisper's encoder takes at most."""

Task = Literal["transcribe", "translate"]
Samples = NDArray[np.float32]
"""Mono audio at `SAMPLE_RATE`, shape (n,), within -1..1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioOptions:
    """How one request's audio is prepared before Whisper hears it.

    `vad` drops what is not speech; speech begins where its probability reaches `threshold` (None:
    the service's setting) and ends after `silence_duration_ms` without it, and `prefix_padding_ms`
    of audio before it are kept. With `normalize` it is looked for in the audio as if it were louder;
    without `vad` that does nothing. `denoise` takes steady noise out. Stretches of speech are
    `joined` to chunks of up to 30 s, or each is a chunk by itself.
    """

    vad: bool = True
    threshold: float | None = None
    prefix_padding_ms: int = 400
    silence_duration_ms: int = 160
    denoise: bool = False
    normalize: bool = False
    joined: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """How the engine searches for the text, in CTranslate2's words; see `Whisper.generate` there."""

    beam_size: int = 5
    patience: float = 1.0
    length_penalty: float = 1.0
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    suppress_blank: bool = True
    suppress_tokens: tuple[int, ...] = (-1,)


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptionOptions:
    """What one request asks for.

    `language` is a Whisper code (`en`) or None to detect it, once or, where it is `multilingual`, in
    every stretch of speech between two pauses; `prompt` is text to take style and
    names from, `hotwords` are names alone; a `temperature` of 0 means the likeliest text, with the
    ladder of higher temperatures where Whisper's thresholds say that it failed; `timestamps` asks
    for words and segments, a segment being at most `max_segment_seconds` long and two lines of
    `max_line_width` characters; `logprobs` asks for the probability of each token.

    The others are faster-whisper's by name and meaning: `temperatures` is the ladder, None the
    usual one; `beam_size` None is the service's setting; `max_new_tokens` bounds a chunk's text.
    """

    task: Task = "transcribe"
    language: str | None = None
    multilingual: bool = False
    prompt: str | None = None
    hotwords: str | None = None
    temperature: float = 0.0
    timestamps: bool = False
    max_segment_seconds: float = 7.0
    max_line_width: int = 42
    audio: AudioOptions = AudioOptions()
    logprobs: bool = False
    beam_size: int | None = None
    patience: float = 1.0
    length_penalty: float = 1.0
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    suppress_blank: bool = True
    suppress_tokens: tuple[int, ...] | None = None
    max_new_tokens: int | None = None
    temperatures: tuple[float, ...] | None = None
    compression_ratio_threshold: float = 2.4
    log_prob_threshold: float = -1.0
    no_speech_threshold: float = 0.6

    def search(self, beam_size: int) -> SearchOptions:
        """What of it the engine is told; `beam_size` is the service's."""
        return SearchOptions(
            beam_size=self.beam_size or beam_size,
            patience=self.patience,
            length_penalty=self.length_penalty,
            repetition_penalty=self.repetition_penalty,
            no_repeat_ngram_size=self.no_repeat_ngram_size,
            suppress_blank=self.suppress_blank,
            suppress_tokens=(-1,) if self.suppress_tokens is None else self.suppress_tokens,
        )


Span = tuple[int, int]
"""The first sample and the one after the last."""


@dataclass(frozen=True, slots=True, eq=False)
class AudioChunk:
    """A stretch of the request's audio, at most 30 s, that begins and ends in silence.

    `offset` is where it begins in the request's audio, in samples; `voiced` the seconds of
    speech in it as the voice activity detector hears them, with some silence around; `speech` where
    it hears them, from the chunk's start and without that silence.
    """

    samples: Samples
    offset: int
    voiced: float
    speech: tuple[Span, ...] = ()

    @property
    def start(self) -> float:
        return self.offset / SAMPLE_RATE

    @property
    def duration(self) -> float:
        return len(self.samples) / SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class ChunkPlace:
    """Where a chunk stands in the request's audio, in samples, and the seconds of speech in it.

    `speech` is where in the chunk the voice activity detector hears it, in order; empty where nobody asked.
    """

    offset: int
    length: int
    voiced: float
    speech: tuple[Span, ...] = ()

    @property
    def start(self) -> float:
        return self.offset / SAMPLE_RATE

    @property
    def duration(self) -> float:
        return self.length / SAMPLE_RATE


@dataclass(frozen=True, slots=True, eq=False)
class FeatureChunk:
    """A chunk as it leaves the front end: the log-mel frames that hear it.

    Shape (n_mels, frames), float16, at most 3000 frames.
    """

    place: ChunkPlace
    features: NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Word:
    """One word with its own leading space, its times, and its tokens with their mean probability."""

    word: str
    start: float
    end: float
    probability: float
    tokens: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Segment:
    """A subtitle-sized piece of the transcript, with the scores of the decoding it came from.

    `fallback` says that this was not the first decoding; `language` is that of its chunk.
    """

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: tuple[int, ...]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    words: tuple[Word, ...] = ()
    fallback: bool = False
    language: str = ""


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token of the text: its bytes, which may be part of a character, and the log of its probability."""

    data: bytes
    logprob: float


@dataclass(frozen=True, slots=True)
class Part:
    """What came of the next chunk of a request, in order; the texts of all parts together are the transcript."""

    text: str
    language: str | None
    segments: tuple[Segment, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Transcription:
    """The answer to one request, before it takes the form of a response.

    `language` is None where nothing was said and no language was given; where there are several, the
    likeliest over all that was said. `duration` is that of the uploaded audio.
    """

    text: str
    task: Task
    language: str | None
    language_probability: float | None
    duration: float
    segments: tuple[Segment, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    language_probabilities: tuple[tuple[str, float], ...] = ()
    output_tokens: int = 0
