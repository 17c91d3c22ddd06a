"""Batches never change an answer: whatever rides along, each request gets what it would have got alone."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asr_api.assembly import build_service
from asr_api.service import Service
from asr_api.settings import Settings
from asr_api.trace import Trace
from asr_api.transcription import Transcription, TranscriptionOptions

CLIPS = Path(__file__).parent / "data" / "callsign"
NAMES = ["en-01.flac", "en-05.flac", "en-09.flac", "de-01.flac", "es-02.flac", "fr-01.flac", "it-03.flac", "zh-02.flac"]
PROMPTS = [None, "alpha bravo", "one two three four five"]

REQUESTS = st.builds(
    lambda name, known, prompt, timestamps, task: (
        name,
        TranscriptionOptions(
            language=name[:2] if known else None,
            prompt=prompt,
            timestamps=timestamps,
            task=task,
        ),
    ),
    st.sampled_from(NAMES),
    st.booleans(),
    st.sampled_from(PROMPTS),
    st.booleans(),
    st.sampled_from(["transcribe", "transcribe", "translate"]),
)
Request = tuple[str, TranscriptionOptions]


async def answer(service: Service, request: Request, trace: Trace) -> Transcription:
    name, options = request
    with (CLIPS / name).open("rb") as clip:
        return await service.transcribe(clip, options, trace)


@asynccontextmanager
async def serving() -> AsyncIterator[Service]:
    """The service on the call-sign model in float32, its engine in this process."""
    service = build_service(
        Settings(
            model="callsign",
            device="cpu",
            compute_type="float32",
            max_batch_size=8,
            max_queue_delay=0.2,
            engine_process=False,
        )
    )
    await service.open()
    try:
        yield service
    finally:
        await service.close()


async def together(service: Service, requests: Sequence[Request]) -> tuple[list[Transcription], int]:
    """All requests at once, begun in the order given; and the largest batch that was seen."""
    traces = [Trace(str(n)) for n in range(len(requests))]
    work = [answer(service, request, trace) for request, trace in zip(requests, traces, strict=True)]
    answers = await asyncio.gather(*work)
    return answers, max(size for trace in traces for size in trace.batch_sizes)


async def alone(service: Service, request: Request) -> Transcription:
    answers, largest = await together(service, [request])
    assert largest == 1
    return answers[0]


async def both_ways(requests: Sequence[Request]) -> list[tuple[Transcription, Transcription]]:
    """What each request gets among the others and by itself."""
    async with serving() as service:
        among, _ = await together(service, requests)
        return [(one, await alone(service, request)) for one, request in zip(among, requests, strict=True)]


def check_same(among: Transcription, by_itself: Transcription) -> None:
    """Word for word, time for time; scores as far as floats of another order of sums go."""
    assert (among.text, among.language, among.duration) == (by_itself.text, by_itself.language, by_itself.duration)
    assert len(among.segments) == len(by_itself.segments)
    for one, other in zip(among.segments, by_itself.segments, strict=True):
        assert (one.text, one.start, one.end, one.tokens) == (other.text, other.start, other.end, other.tokens)
        assert [(w.word, w.start, w.end) for w in one.words] == [(w.word, w.start, w.end) for w in other.words]
        assert abs(one.avg_logprob - other.avg_logprob) < 1e-4
        assert one.temperature == other.temperature == 0


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(REQUESTS, min_size=2, max_size=8))
def test_an_answer_does_not_depend_on_its_neighbours(requests: list[Request]) -> None:
    """Random mixes of clips, languages, tasks, prompts, formats and orders of arrival, in float32 on a CPU."""
    for among, by_itself in asyncio.run(both_ways(requests)):
        check_same(among, by_itself)


def test_the_mixes_do_share_batches() -> None:
    """Otherwise the test above would prove nothing: eight requests of all languages are one batch."""

    async def serve() -> int:
        async with serving() as service:
            _, largest = await together(service, [(name, TranscriptionOptions()) for name in NAMES])
            return largest

    assert asyncio.run(serve()) >= 4


def test_the_text_is_the_same_in_every_format() -> None:
    """Asking for times adds times, and changes no word."""
    formats = [TranscriptionOptions(), TranscriptionOptions(timestamps=True)]

    async def serve() -> list[Transcription]:
        async with serving() as service:
            return [await alone(service, (name, options)) for name in NAMES[:3] for options in formats]

    answers = asyncio.run(serve())
    for plain, timed in zip(answers[::2], answers[1::2], strict=True):
        assert plain.text == timed.text
        assert "".join(segment.text for segment in timed.segments).strip() == timed.text
