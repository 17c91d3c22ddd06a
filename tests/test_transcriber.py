"""One request end to end, between a fake front end and a fake queue."""

import asyncio
import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from asr_api.admission import Admission, AdmissionLimits
from asr_api.batching import Flow, Served
from asr_api.decoder import Decoder
from asr_api.engine.protocol import DecodingResult, DecodingTask
from asr_api.errors import AsrError, DeadlineExceeded, EngineFailure, InvalidRequest
from asr_api.fallback import SHORT, WHOLE
from asr_api.metrics import Metrics
from asr_api.spectrogram import FRAMES
from asr_api.trace import Trace
from asr_api.transcriber import Transcriber, audio_of, ended
from asr_api.transcription import AudioOptions, Part, Transcription, TranscriptionOptions, Word
from tests.fakes import FakeFrontEnd, FakeQueue, number_of, result

pytestmark = pytest.mark.anyio


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("test")


@pytest.fixture
def admission() -> Admission:
    return Admission(AdmissionLimits(max_requests=9, max_seconds=1000, timeout=60), lambda: None)


@pytest.fixture
def build(metrics: Metrics, admission: Admission) -> Callable[..., Transcriber]:
    def transcriber(
        queue: Any, chunks: int = 3, silence: int = 0, claimed: float | None = None, **options: Any
    ) -> Transcriber:
        context = options.pop("audio_context", WHOLE)
        return Transcriber(
            Decoder(queue, metrics.engine, beam_size=5, audio_context=context),
            FakeFrontEnd(chunks, silence, claimed),
            lambda text: tuple(range(len(text.split()))),
            languages=("en", "de"),
            metrics=metrics,
            admission=admission,
            **({"window": 4, "timeout": 30} | options),
        )

    return transcriber


def words_of_chunk(task: DecodingTask) -> DecodingResult:
    return result(f" chunk {number_of(task)}.", language="de")


async def run(transcriber: Transcriber, body: bytes = b"", **options: Any) -> Transcription:
    return await transcriber.transcribe(io.BytesIO(body), TranscriptionOptions(**options), Trace("id"))


async def test_chunks_are_stitched_in_order(build: Callable[..., Transcriber]) -> None:
    """The text is that of the chunks in the order of the audio, and segments are numbered through."""
    answer = await run(build(FakeQueue(words_of_chunk)))
    assert answer.text == "chunk 0. chunk 1. chunk 2."
    assert [(segment.id, segment.start) for segment in answer.segments] == [(0, 0), (1, 10), (2, 20)]
    assert (answer.duration, answer.language, answer.language_probability) == (30, "de", 0.9)


async def test_the_language_is_detected_once(build: Callable[..., Transcriber]) -> None:
    """The first chunk is decoded with the language open, the others in the language it was found to be."""
    queue = FakeQueue(words_of_chunk)
    await run(build(queue))
    assert [task.language for task in queue.asked] == [None, "de", "de"]


async def test_a_chunk_without_speech_tells_no_language(build: Callable[..., Transcriber]) -> None:
    """Music at the start must not decide what language the rest is in."""

    def answer(task: DecodingTask) -> DecodingResult:
        if number_of(task) == 0:
            return result(" la la", language="fr", no_speech_prob=0.9, avg_logprob=-1.5)
        return words_of_chunk(task)

    queue = FakeQueue(answer)
    transcription = await run(build(queue))
    assert [task.language for task in queue.asked] == [None, None, "de"]
    assert (transcription.text, transcription.language) == ("chunk 1. chunk 2.", "de")


async def test_of_several_languages_each_chunk_has_its_own(build: Callable[..., Transcriber]) -> None:
    """All are decoded with the language open, and segments say what it was; the whole has the likeliest."""

    def answer(task: DecodingTask) -> DecodingResult:
        language = "en" if number_of(task) == 1 else "de"
        return result(f" chunk {number_of(task)}.", language=language, languages=((language, 0.9),))

    queue = FakeQueue(answer)
    transcription = await run(build(queue), multilingual=True)
    assert [task.language for task in queue.asked] == [None, None, None]
    assert [segment.language for segment in transcription.segments] == ["de", "en", "de"]
    assert transcription.language == "de"
    assert transcription.language_probability == pytest.approx(0.6)


async def test_of_several_languages_no_chunk_waits_for_the_first(build: Callable[..., Transcriber]) -> None:
    """There is no language to wait for, so all are in the queue at once."""
    queue = HeldQueue()
    task = asyncio.create_task(run(build(queue, chunks=3), multilingual=True))
    while queue.waiting < 3:
        await asyncio.sleep(0)
    queue.open.set()
    assert (await task).text == "0 1 2"


def test_where_there_may_be_several_languages_every_pause_ends_a_chunk() -> None:
    """A chunk is decoded in one language; how else the audio is prepared stays as asked."""
    asked = AudioOptions(threshold=0.3, denoise=True)
    assert audio_of(TranscriptionOptions(audio=asked)) == asked
    expected = replace(asked, joined=False, silence_duration_ms=300)
    assert audio_of(TranscriptionOptions(audio=asked, multilingual=True)) == expected
    patient = replace(asked, silence_duration_ms=2000)
    assert audio_of(TranscriptionOptions(audio=patient, multilingual=True)).silence_duration_ms == 2000


async def test_audio_without_text_is_counted_by_what_held_it_back(
    build: Callable[..., Transcriber], metrics: Metrics
) -> None:
    """Seconds that are in no chunk, of chunks that the model holds to be silent, and of those it has no words for."""

    def answer(task: DecodingTask) -> DecodingResult:
        silent = result(" you", no_speech_prob=0.9, avg_logprob=-1.5)
        return [silent, result("  "), result(" alpha")][number_of(task)]

    assert (await run(build(FakeQueue(answer), silence=5))).text == "alpha"
    counted = {
        guard: metrics.registry.get_sample_value("asr_skipped_audio_seconds_total", {"guard": guard})
        for guard in ("vad", "no_speech", "blank")
    }
    assert counted == {"vad": 5, "no_speech": 10, "blank": 10}


async def test_a_given_language_is_used_throughout(build: Callable[..., Transcriber]) -> None:
    """Nothing is detected where the caller knows."""
    queue = FakeQueue(words_of_chunk)
    answer = await run(build(queue), language="en", task="translate")
    assert {(task.language, task.task) for task in queue.asked} == {("en", "translate")}
    assert (answer.language, answer.task) == ("en", "translate")


async def test_a_language_that_the_model_lacks_is_refused(build: Callable[..., Transcriber]) -> None:
    """The refusal names the field."""
    with pytest.raises(InvalidRequest) as refusal:
        await run(build(FakeQueue(words_of_chunk)), language="tlh")
    assert refusal.value.param == "language"


async def test_no_chunks_is_an_empty_transcript(build: Callable[..., Transcriber]) -> None:
    """Silence costs no engine time, and has no language."""
    queue = FakeQueue(words_of_chunk)
    answer = await run(build(queue, chunks=0))
    assert (answer.text, answer.segments, answer.language, queue.asked) == ("", (), None, [])


async def test_a_repeating_result_is_decoded_again_hotter(build: Callable[..., Transcriber], metrics: Metrics) -> None:
    """With temperature 0, a compression ratio above 2.4 climbs the ladder for that chunk only."""

    def answer(task: DecodingTask) -> DecodingResult:
        again = number_of(task) == 1 and task.options.temperature < 0.4
        return result(f" chunk {number_of(task)}", compression_ratio=9.0 if again else 1.0)

    queue = FakeQueue(answer)
    await run(build(queue))
    tried = [(number_of(task), task.options.temperature) for task in queue.asked]
    assert sorted(tried) == [(0, 0.0), (1, 0.0), (1, 0.2), (1, 0.4), (2, 0.0)]
    for temperature in ("0.2", "0.4"):
        labels = {"temperature": temperature, "reason": "compression_ratio"}
        assert metrics.registry.get_sample_value("asr_fallbacks_total", labels) == 1


async def test_the_likeliest_sane_attempt_wins_when_all_fail(build: Callable[..., Transcriber]) -> None:
    """Of attempts that all fail, one that does not repeat itself is taken, and the best of those."""

    def answer(task: DecodingTask) -> DecodingResult:
        temperature = task.options.temperature
        if temperature == 0:
            return result(" again again", compression_ratio=5.0, avg_logprob=-0.1)
        return result(f" at {temperature}", avg_logprob=-1.9 if temperature != 0.6 else -1.2)

    assert (await run(build(FakeQueue(answer), chunks=1))).text == "at 0.6"


async def test_a_given_temperature_is_the_only_one(build: Callable[..., Transcriber]) -> None:
    """Whoever asks for a temperature gets no ladder."""
    queue = FakeQueue(lambda _: result(" x", compression_ratio=9.0))
    await run(build(queue, chunks=1), temperature=0.3)
    assert [task.options.temperature for task in queue.asked] == [0.3]


async def test_the_prompt_is_part_of_every_task(build: Callable[..., Transcriber]) -> None:
    """Its length is in the options, since a batch must share it."""
    queue = FakeQueue(words_of_chunk)
    await run(build(queue), prompt="three words here")
    assert {(task.prompt, task.options.prompt_length) for task in queue.asked} == {((0, 1, 2), 3)}


async def test_timestamps_reach_the_engine_and_the_answer(build: Callable[..., Transcriber]) -> None:
    """Word times come back in the request's own time."""
    queue = FakeQueue(lambda _: result(" hi", words=(Word(" hi", 1.0, 2.0, 0.5, (3,)),)))
    answer = await run(build(queue, chunks=2), timestamps=True)
    assert [(word.start, word.end) for s in answer.segments for word in s.words] == [(1, 2), (11, 12)]
    assert all(task.timestamps for task in queue.asked)


async def test_the_trace_tells_what_the_request_waited_for(build: Callable[..., Transcriber]) -> None:
    """Stages, audio seconds and batch sizes are filled in on the way."""
    trace = Trace("id")
    await build(FakeQueue(words_of_chunk)).transcribe(io.BytesIO(), TranscriptionOptions(), trace)
    assert (trace.audio_seconds, trace.stages["queue"], trace.stages["inference"]) == (30, 0.25, 0.5)
    assert (trace.batch_sizes, trace.stages["decode"]) == ([3, 3, 3], 0.125)


async def test_progress_is_told_in_audio_seconds(build: Callable[..., Transcriber]) -> None:
    """After each chunk, up to the whole, silences among it; by the file's own word until its length is known."""
    told: list[tuple[float, float]] = []
    transcriber = build(FakeQueue(words_of_chunk), silence=30, claimed=59)
    await transcriber.transcribe(
        io.BytesIO(), TranscriptionOptions(), Trace("id"), on_progress=lambda done, total: told.append((done, total))
    )
    assert told == [(10, 59), (40, 60), (60, 60)]


async def test_parts_come_in_order_while_the_rest_is_still_to_be_done(build: Callable[..., Transcriber]) -> None:
    """Whatever order chunks finish in; the parts' texts together are the transcript."""
    queue, parts = PickyQueue(), list[Part]()
    work = build(queue, chunks=3).transcribe(
        io.BytesIO(), TranscriptionOptions(language="en"), Trace("id"), on_part=parts.append
    )
    task = asyncio.create_task(work)
    while len(queue.asked) < 3:
        await asyncio.sleep(0)
    queue.asked[1].set_result(result(" two"))
    queue.asked[0].set_result(result(" one "))
    while len(parts) < 2:
        await asyncio.sleep(0)
    assert [part.text for part in parts] == ["one", "  two"]
    queue.asked[2].set_result(result(" three."))
    answer = await task
    assert "".join(part.text for part in parts) == answer.text == "one  two three."
    assert [segment.id for part in parts for segment in part.segments] == [0, 1, 2]


async def test_the_search_is_the_request_s(build: Callable[..., Transcriber]) -> None:
    """Options of the engine, by faster-whisper's names, and the ladder and thresholds of the request."""
    answers = iter([result("x", avg_logprob=-0.5), result("y", avg_logprob=-0.1)])
    queue = FakeQueue(lambda _: next(answers))
    asked: dict[str, Any] = {
        "beam_size": 3,
        "patience": 2.0,
        "no_repeat_ngram_size": 4,
        "suppress_tokens": (7,),
        "max_new_tokens": 50,
    }
    answer = await run(build(queue, chunks=1), temperatures=(0.0, 0.9), log_prob_threshold=-0.3, language="en", **asked)
    assert [task.options.temperature for task in queue.asked] == [0.0, 0.9]
    options = queue.asked[0].options
    assert (options.beam_size, options.patience, options.no_repeat_ngram_size) == (3, 2.0, 4)
    assert (options.suppress_tokens, options.max_tokens) == ((7,), 50)
    assert answer.text == "y"


async def test_hotwords_stand_before_the_prompt(build: Callable[..., Transcriber]) -> None:
    """Both are previous text to the decoder."""
    queue = FakeQueue(words_of_chunk)
    await run(build(queue), prompt="a prompt", hotwords="Digium")
    assert {task.prompt for task in queue.asked} == {(0, 1, 2)}


@pytest.mark.parametrize(
    ("names", "sentence"),
    [("Digium, PBX", "Digium, PBX."), ("Digium ", "Digium."), ("Inc.", "Inc."), ("誰？", "誰？"), (" ", ""), ("", "")],
)
def test_hotwords_are_a_sentence(names: str, sentence: str) -> None:
    """With a full stop, unless there is a mark: nothing may be written as their continuation."""
    assert ended(names) == sentence


async def test_a_chunk_with_little_speech_may_write_few_tokens(build: Callable[..., Transcriber]) -> None:
    """A repetition without end is cut off early: 9 s of speech may take 96 tokens."""
    queue = FakeQueue(words_of_chunk)
    await run(build(queue))
    assert {task.options.max_tokens for task in queue.asked} == {96}


async def test_text_that_is_cut_off_is_decoded_again_whole(build: Callable[..., Transcriber], metrics: Metrics) -> None:
    """Where a language needs more tokens than expected, nothing is lost: the chunk gets all that there are."""

    def answer(task: DecodingTask) -> DecodingResult:
        return result(" whole" if task.options.max_tokens == 224 else " cut", tokens=tuple(range(95)))

    queue = FakeQueue(answer)
    assert (await run(build(queue, chunks=1))).text == "whole"
    assert [(task.options.temperature, task.options.max_tokens) for task in queue.asked] == [(0.0, 96), (0.0, 224)]
    assert metrics.registry.get_sample_value("asr_fallbacks_total", {"temperature": "0.0", "reason": "length"}) == 1


async def test_segments_are_as_long_as_was_asked(build: Callable[..., Transcriber]) -> None:
    """`max_segment_seconds` and `max_line_width` are the request's own."""
    said = tuple(Word(f" word{n}", n, n + 0.9, 1, (n,)) for n in range(8))
    queue = FakeQueue(lambda _: result("".join(word.word for word in said), words=said))
    whole = await run(build(queue, chunks=1), timestamps=True, max_segment_seconds=10)
    halves = await run(build(queue, chunks=1), timestamps=True, max_segment_seconds=4)
    narrow = await run(build(queue, chunks=1), timestamps=True, max_segment_seconds=10, max_line_width=6)
    assert [len(answer.segments) for answer in (whole, halves, narrow)] == [1, 2, 4]


async def test_audio_is_booked_while_it_waits(build: Callable[..., Transcriber], admission: Admission) -> None:
    """The service's load is what is still to be decoded, and nothing of a request that has ended."""
    queue = HeldQueue()
    task = asyncio.create_task(run(build(queue, chunks=3), language="en"))
    while queue.waiting < 3:
        await asyncio.sleep(0)
    assert admission.seconds == 30
    queue.open.set()
    await task
    assert admission.seconds == 0


class HeldQueue:
    """Never answers before `release`; tells how many tasks wait."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.waiting = 0
        self.most = 0
        self.cancelled = 0
        self.failing: int | None = None

    async def submit(self, item: DecodingTask, *, flow: Flow, cost: float, deadline: float) -> Served[DecodingResult]:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        try:
            if number_of(item) == self.failing:
                raise EngineFailure("this one")
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.waiting -= 1
        return Served(result(f" {number_of(item)}"), 0, 0, 1)


class PickyQueue:
    """Each task is answered by whoever sets its future."""

    def __init__(self) -> None:
        self.asked: dict[int, asyncio.Future[DecodingResult]] = {}

    async def submit(self, item: DecodingTask, *, flow: Flow, cost: float, deadline: float) -> Served[DecodingResult]:
        answer: asyncio.Future[DecodingResult] = asyncio.get_running_loop().create_future()
        self.asked[number_of(item)] = answer
        return Served(await answer, 0, 0, 1)


async def test_a_long_file_never_floods_the_queue(build: Callable[..., Transcriber]) -> None:
    """At most `window` chunks of one request wait at a time, however long it is."""
    queue = HeldQueue()
    task = asyncio.create_task(run(build(queue, chunks=40, window=4), language="en"))
    while queue.waiting < 4:
        await asyncio.sleep(0)
    queue.open.set()
    assert (await task).text == " ".join(str(n) for n in range(40))
    assert queue.most == 4


async def test_the_first_failure_withdraws_the_rest(build: Callable[..., Transcriber]) -> None:
    """A request that cannot be answered stops costing anything, and its error is the chunk's own."""
    queue = HeldQueue()
    queue.failing = 3
    with pytest.raises(EngineFailure, match="this one"):
        await run(build(queue, chunks=8, window=8), language="en")
    assert queue.waiting == 0


async def test_cancellation_withdraws_all_chunks(build: Callable[..., Transcriber]) -> None:
    """A client that leaves takes its chunks along."""
    queue = HeldQueue()
    task = asyncio.create_task(run(build(queue, chunks=3), language="en"))
    while queue.waiting < 3:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (queue.waiting, queue.cancelled) == (0, 3)


async def test_a_request_never_takes_longer_than_its_limit(build: Callable[..., Transcriber]) -> None:
    """The deadline holds for the request as a whole, and the message says what it was."""
    with pytest.raises(DeadlineExceeded, match=r"0\.01 s"):
        await run(build(HeldQueue(), timeout=0.01), language="en")


async def test_errors_of_the_front_end_pass_through(build: Callable[..., Transcriber]) -> None:
    """What the decoder says of the file is what the caller hears."""
    with pytest.raises(AsrError, match="no audio in it"):
        await run(build(FakeQueue(words_of_chunk)), body=b"no audio in it")


async def test_a_short_chunk_is_heard_on_a_short_context_and_on_all_where_that_fails(
    build: Callable[..., Transcriber], metrics: Metrics
) -> None:
    """The language is asked for anew, and what failed leaves no trace but a count."""

    def answer(task: DecodingTask) -> DecodingResult:
        if task.options.audio_context < FRAMES:
            return result("bravo bravo", compression_ratio=9.0, language="de")
        return result("alpha")

    queue = FakeQueue(answer)
    answered = await run(build(queue, chunks=1, audio_context=SHORT))
    assert [(task.options.audio_context, task.options.temperature, task.language) for task in queue.asked] == [
        (1300, 0.0, None),
        (FRAMES, 0.0, None),
    ]
    assert (answered.text, answered.language, answered.segments[0].fallback) == ("alpha", "en", False)
    labels = {"temperature": "0.0", "reason": "audio_context"}
    assert metrics.registry.get_sample_value("asr_fallbacks_total", labels) == 1
