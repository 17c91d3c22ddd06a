"""What is left out of a chunk is heard again: with a queue that leaves it out, and with one that does not care."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.resources import files
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asr_api.audio.frontend import load_front_end
from asr_api.audio.messages import Order
from asr_api.batching import Flow, Served
from asr_api.decoder import Decoder
from asr_api.engine.protocol import DecodingResult, DecodingTask
from asr_api.engine.whisper import WhisperEngine
from asr_api.fallback import WHOLE
from asr_api.job import Job
from asr_api.metrics import Metrics
from asr_api.stitching import Heard, Stitcher
from asr_api.trace import Trace
from asr_api.transcription import (
    SAMPLE_RATE,
    AudioOptions,
    ChunkPlace,
    FeatureChunk,
    TranscriptionOptions,
    Word,
)
from tests.e2e.recordings import CALLSIGN, wav
from tests.fakes import FakeQueue, FakeRecording, result

pytestmark = pytest.mark.anyio

PHRASES = {0: "zero one two", 3: "three four five", 6: "six seven eight"}
"""What is said in the seconds of a chunk: a second of speech each, from half a second after."""


def chunk_of(offset: int, starts: Sequence[float] = tuple(PHRASES), seconds: int = 9) -> FeatureChunk:
    """Seconds in which a phrase is said at each start; frames say what second they are of."""
    spans = tuple((round((start + 0.5) * SAMPLE_RATE), round((start + 1.5) * SAMPLE_RATE)) for start in starts)
    frames = offset + np.arange(100 * seconds) // 100
    return FeatureChunk(
        ChunkPlace(offset * SAMPLE_RATE, seconds * SAMPLE_RATE, seconds / 3, spans),
        frames[np.newaxis].astype(np.float16),
    )


def seconds_of(task: DecodingTask) -> list[int]:
    """The seconds of the recording that a task is about."""
    return list(dict.fromkeys(task.features[0].astype(int).tolist()))


def said_in(task: DecodingTask, leaves_out: Callable[[list[int], int], bool]) -> DecodingResult:
    """The phrases that begin in a task's seconds, but for those that are left out."""
    seconds = seconds_of(task)
    words: list[Word] = []
    for second in seconds:
        if second % 9 in PHRASES and not leaves_out(seconds, second):
            frame = int(np.flatnonzero(task.features[0] == second)[-1]) / 100
            words += [
                Word(f" {word}", frame - 0.5 + 0.3 * n, frame - 0.2 + 0.3 * n, 0.9, (second * 10 + n,))
                for n, word in enumerate(PHRASES[second % 9].split())
            ]
    return result(
        "".join(word.word for word in words),
        tokens=tuple(token for word in words for token in word.tokens),
        words=tuple(words) if task.timestamps else (),
    )


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("test")


def outcomes(metrics: Metrics) -> tuple[float | None, ...]:
    """Omissions recovered, and left."""
    value = metrics.registry.get_sample_value
    return tuple(value("asr_omissions_total", {"outcome": outcome}) for outcome in ("recovered", "left"))


def job_of(**options: Any) -> Job:
    wanted = TranscriptionOptions(**options)
    flow = Flow("", lambda _: None)
    stitcher = Stitcher(wanted, None)
    return Job(wanted, (), 0.0, flow, Trace("id"), FakeRecording(1, 0, None), None, stitcher, lambda _: None)


class Deaf:
    """A queue that leaves phrases out, and the decoder before it."""

    def __init__(self, metrics: Metrics, leaves_out: Callable[[list[int], int], bool], **options: Any) -> None:
        self.queue = FakeQueue(lambda task: said_in(task, leaves_out))
        self._decoder = Decoder(self.queue, metrics.engine, beam_size=5, audio_context=WHOLE, **options)

    @property
    def asked(self) -> list[list[int]]:
        """The seconds of each task."""
        return [seconds_of(task) for task in self.queue.asked]

    async def hear(self, chunk: FeatureChunk, before: FeatureChunk | None = None, **options: Any) -> Sequence[Heard]:
        return await self._decoder.hear(chunk, "en", job_of(**options), before)


def texts(parts: Sequence[Heard]) -> list[str]:
    return [one.result.text for one in parts]


ALL = [f" {phrase}" for phrase in PHRASES.values()]


async def test_a_chunk_that_is_all_there_is_heard_once(metrics: Metrics) -> None:
    """One part, and nothing is counted."""
    deaf = Deaf(metrics, lambda seconds, second: False)
    assert texts(await deaf.hear(chunk_of(0))) == ["".join(ALL)]
    assert (len(deaf.asked), outcomes(metrics)) == (1, (0, 0))


async def test_what_is_left_out_is_heard_behind_what_was_said_before(metrics: Metrics) -> None:
    """The chunk before it leads in; what comes after is heard again without it."""
    deaf = Deaf(metrics, lambda seconds, second: second == 9 and seconds[0] == 9)
    parts = await deaf.hear(chunk_of(9), chunk_of(0))
    assert deaf.asked == [list(range(9, 18)), list(range(12)), list(range(11, 18))]
    assert texts(parts) == [ALL[0], "".join(ALL[1:])]
    assert [(one.place.start, one.place.duration) for one in parts] == [(9, 2.5), (11.5, 6.5)]
    assert all(one.fallback for one in parts)
    assert outcomes(metrics) == (1, 0)


async def test_where_nothing_was_said_before_it_is_heard_alone(metrics: Metrics) -> None:
    """At the start of a recording."""
    deaf = Deaf(metrics, lambda seconds, second: second == 0 and len(seconds) > 3)
    assert texts(await deaf.hear(chunk_of(0))) == [ALL[0], "".join(ALL[1:])]
    assert deaf.asked[1:] == [[0, 1, 2], list(range(2, 9))]


async def test_what_is_left_out_near_the_beginning_is_heard_with_all_before_it(metrics: Metrics) -> None:
    """What is short is not heard for itself."""
    deaf = Deaf(metrics, lambda seconds, second: second == 12 and seconds[0] == 9)
    assert texts(await deaf.hear(chunk_of(9), chunk_of(0))) == ["".join(ALL[:2]), ALL[2]]
    assert deaf.asked[1:] == [list(range(15)), [14, 15, 16, 17]]


async def test_what_is_left_out_far_into_a_chunk_is_heard_behind_the_same_chunk(metrics: Metrics) -> None:
    """The chunk comes in three parts; what is before the omission leads in, and is heard for itself as well."""
    deaf = Deaf(metrics, lambda seconds, second: second == 12 and seconds[-1] == 17)
    chunk = chunk_of(0, range(0, 18, 3), 18)
    assert texts(await deaf.hear(chunk, chunk_of(18))) == ["".join([*ALL, ALL[0]]), ALL[1], ALL[2]]
    assert deaf.asked[1:] == [list(range(15)), list(range(12)), [14, 15, 16, 17]]


async def test_what_is_left_out_at_the_end_makes_two_parts(metrics: Metrics) -> None:
    """There is nothing behind it."""
    deaf = Deaf(metrics, lambda seconds, second: second == 15 and len(deaf.asked) == 1)
    assert texts(await deaf.hear(chunk_of(0, range(0, 18, 3), 18))) == ["".join([*ALL, *ALL[:2]]), ALL[2]]


async def test_a_part_that_fails_leaves_all_as_it_was(metrics: Metrics) -> None:
    """What comes after the omission must be as good by itself."""
    deaf = Deaf(metrics, lambda seconds, second: second == 9 and seconds[0] == 9)
    answer = deaf.queue.answer
    deaf.queue.answer = lambda task: replace(answer(task), avg_logprob=-1.2 if seconds_of(task)[0] == 11 else -0.2)
    assert texts(await deaf.hear(chunk_of(9), chunk_of(0))) == ["".join(ALL[1:])]
    assert outcomes(metrics) == (0, 1)


async def test_speech_that_has_no_words_stays_without(metrics: Metrics) -> None:
    """Nothing is made up for it: it is heard once more, and the chunk is what it was, and that is counted."""
    deaf = Deaf(metrics, lambda seconds, second: second == 9 and len(seconds) > 3)
    assert texts(await deaf.hear(chunk_of(9), chunk_of(0))) == ["".join(ALL[1:])]
    assert (len(deaf.asked), outcomes(metrics)) == (2, (0, 1))


async def test_what_comes_out_unlikely_is_not_believed(metrics: Metrics) -> None:
    """A decoding that fails by Whisper's thresholds is no better than none; no temperature is climbed for it."""
    deaf = Deaf(metrics, lambda seconds, second: second == 0 and len(seconds) > 3)
    answer = deaf.queue.answer
    deaf.queue.answer = lambda task: replace(answer(task), avg_logprob=-1.2 if len(seconds_of(task)) == 3 else -0.2)
    assert texts(await deaf.hear(chunk_of(0))) == ["".join(ALL[1:])]
    assert (len(deaf.asked), outcomes(metrics)) == (2, (0, 1))


async def test_unlikely_words_are_not_believed(metrics: Metrics) -> None:
    """Behind a likely lead-in a whole decoding passes whatever it makes up at its end."""

    def unlikely(found: DecodingResult) -> DecodingResult:
        return replace(found, words=tuple(replace(word, probability=0.4) for word in found.words))

    deaf = Deaf(metrics, lambda seconds, second: second == 9 and seconds[0] == 9)
    answer = deaf.queue.answer
    deaf.queue.answer = lambda task: unlikely(answer(task))
    assert texts(await deaf.hear(chunk_of(9), chunk_of(0))) == ["".join(ALL[1:])]
    assert (len(deaf.asked), outcomes(metrics)) == (2, (0, 1))


async def test_parts_that_say_less_than_the_whole_are_not_taken(metrics: Metrics) -> None:
    """Where the rest of the chunk is worse off without the omission, everything stays as it was."""
    deaf = Deaf(metrics, lambda seconds, second: len(seconds) == (9 if second == 0 else 7))
    assert texts(await deaf.hear(chunk_of(0))) == ["".join(ALL[1:])]
    assert outcomes(metrics) == (0, 1)


@pytest.mark.parametrize("options", [{"task": "translate"}, {"max_new_tokens": 5}])
async def test_who_does_not_want_every_word_is_not_asked(metrics: Metrics, options: dict[str, Any]) -> None:
    """A translation need not stand where it is said, and a bound on the text leaves out what is over it."""
    deaf = Deaf(metrics, lambda seconds, second: second == 0)
    await deaf.hear(chunk_of(0), **options)
    assert [task.timestamps for task in deaf.queue.asked] == [False]


async def test_a_service_may_leave_it_at_that(metrics: Metrics) -> None:
    """Looking costs an alignment, which requests without times need not pay where nobody wants it."""
    deaf = Deaf(metrics, lambda seconds, second: second == 0, recover_omissions=False)
    assert texts(await deaf.hear(chunk_of(0))) == ["".join(ALL[1:])]
    assert [task.timestamps for task in deaf.queue.asked] == [False]
    assert outcomes(metrics) == (0, 0)


async def test_a_chunk_without_pauses_is_not_cut(metrics: Metrics) -> None:
    """There is no other place to hear it from, so its words are not looked for either."""
    deaf = Deaf(metrics, lambda seconds, second: second == 0)
    await deaf.hear(chunk_of(0, [0]))
    assert [task.timestamps for task in deaf.queue.asked] == [False]


@pytest.mark.parametrize("timestamps", [False, True])
async def test_words_have_times_only_for_who_asked(metrics: Metrics, *, timestamps: bool) -> None:
    """The engine is asked for them all the same; the text is the same."""
    deaf = Deaf(metrics, lambda seconds, second: second == 9 and seconds[0] == 9)
    parts = await deaf.hear(chunk_of(9), chunk_of(0), timestamps=timestamps)
    assert [bool(one.result.words) for one in parts] == [timestamps] * 2
    assert texts(parts) == [ALL[0], "".join(ALL[1:])]


class Forgetful:
    """The call-sign model, which forgets what is said before the first pause of whatever is longer than ten seconds."""

    def __init__(self) -> None:
        folder = Path(str(files("asr_api.models") / "callsign"))
        self.engine = WhisperEngine(folder, name="callsign", device="cpu", compute_type="float32")
        self.asked: list[float] = []

    async def submit(self, item: DecodingTask, *, flow: Flow, cost: float, deadline: float) -> Served[DecodingResult]:
        self.asked.append(item.duration)
        (found,) = await asyncio.to_thread(self.engine.decode, [item])
        assert isinstance(found, DecodingResult)
        return Served(forgotten(found) if item.duration > 10 else found, waited=0, ran=0, batch_size=1)


def forgotten(found: DecodingResult) -> DecodingResult:
    pauses = [later.start - earlier.end for earlier, later in pairwise(found.words)]
    words = found.words[1 + next(n for n, pause in enumerate(pauses) if pause > 0.8) :]
    tokens = tuple(token for word in words for token in word.tokens)
    return replace(found, words=words, tokens=tokens, text="".join(word.word for word in words))


def laid(names: Sequence[str], pause: float) -> BytesIO:
    """Clips with a pause after each, as a file."""
    silence = np.zeros(round(pause * SAMPLE_RATE), np.float32)
    return BytesIO(wav(np.concatenate([part for name in names for part in (CALLSIGN[name].samples(), silence)])))


async def test_a_real_model_finds_what_it_forgot(metrics: Metrics) -> None:
    """From a file to its words: those that were left out are there, at the time at which they are said."""
    order = Order(options=AudioOptions(), n_mels=128, max_seconds=60, descriptor=False)
    file = laid(["en-01.flac", "en-02.flac", "en-03.flac"], 1.5)
    (chunk,) = [event for event in load_front_end()(file, order) if isinstance(event, FeatureChunk)]
    engine = Forgetful()
    decoder = Decoder(engine, metrics.engine, beam_size=1, audio_context=WHOLE)
    parts = await decoder.hear(chunk, "en", job_of(timestamps=True), None)
    assert len(engine.asked) == 3
    assert texts(parts) == [
        " juliet charlie whiskey kilo nine alpha",
        " hotel three november zero five tango quebec eight papa",
    ]
    starts = [round(one.place.start + one.result.words[0].start, 1) for one in parts]
    assert starts == pytest.approx([0.1, 4.7], abs=0.3)
