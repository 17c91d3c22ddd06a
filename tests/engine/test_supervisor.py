"""Engine processes kept alive: on a virtual clock, with processes that are none."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_api.batching import BatchingQueue, Flow, Served
from asr_api.engine.process import EngineStuck
from asr_api.engine.protocol import DecodingResult, DecodingTask, EngineInfo
from asr_api.engine.supervisor import Pace, SupervisionLimits, Supervisor
from asr_api.errors import (
    AsrError,
    DeadlineExceeded,
    Draining,
    EngineFailure,
    EngineLost,
    EngineOutOfMemory,
    ModelUnavailable,
    Overloaded,
    StartupError,
)
from asr_api.metrics.labels import EngineRestart
from tests.clocks import run_virtually
from tests.engine.processes import task
from tests.fakes import INFO, result

HANG = 20.0
GPU = replace(INFO, device="cuda")


class Crash(Exception):
    """An answer that is the process's end."""


class FakeProcess:
    """Takes a second for each task; what stands in `ends` for a task's number happens instead of its answer."""

    def __init__(self, info: EngineInfo, ends: dict[int, Exception]) -> None:
        self.info = info
        self.ends = ends
        self.lost: asyncio.Future[EngineRestart] = asyncio.get_running_loop().create_future()
        self.busy = 0
        self.closed = 0
        self.stuck = False
        self.calls: list[tuple[int, float]] = []

    @property
    def free(self) -> int:
        return 0 if self.lost.done() else self.info.num_workers - self.busy

    def decode(
        self, tasks: Sequence[DecodingTask], within: float
    ) -> "asyncio.Task[Sequence[DecodingResult | Exception]]":
        assert self.free > 0, "a call to a process that is not free"
        self.busy += 1
        self.calls.append((len(tasks), within))
        return asyncio.create_task(self._decode(tasks, within))

    async def _decode(self, tasks: Sequence[DecodingTask], within: float) -> Sequence[DecodingResult | Exception]:
        try:
            seconds = sum(one.duration for one in tasks)
            await asyncio.wait({self.lost}, timeout=min(seconds, within))
            if seconds > within:
                self.lose("hang")
            for one in tasks:
                self._end(self.ends.get(int(one.features[0, 0])))
            if self.lost.done():
                raise EngineLost("lost", cause=self.lost.result())
            return [result(f"{one.features[0, 0]:g}") for one in tasks]
        finally:
            self.busy -= 1

    def _end(self, end: Exception | None) -> None:
        if isinstance(end, Crash):
            self.lose("crash")
        elif end is not None:
            raise end

    def lose(self, reason: EngineRestart) -> None:
        if not self.lost.done():
            self.lost.set_result(reason)

    async def close(self) -> int:
        self.lose("manual")
        self.closed += 1
        if self.stuck:
            await asyncio.sleep(5)
            raise EngineStuck("does not end")
        return -9


class Factory:
    """Starts processes in a second each, and remembers them; `failures` come before the next that succeeds."""

    def __init__(self, info: EngineInfo = INFO, ends: dict[int, Exception] | None = None, seconds: float = 1) -> None:
        self.info = info
        self.ends = ends or {}
        self.seconds = seconds
        self.made: list[FakeProcess] = []
        self.failures: list[Exception] = []
        self.began: list[float] = []

    async def __call__(self) -> FakeProcess:
        self.began.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.seconds)
        if self.failures:
            raise self.failures.pop(0)
        self.made.append(FakeProcess(self.info, self.ends))
        return self.made[-1]

    @property
    def last(self) -> FakeProcess:
        return self.made[-1]


class Ear:
    """Hears what the supervisor tells."""

    def __init__(self) -> None:
        self.restarts: list[EngineRestart] = []
        self.ups: list[int] = []
        self.failed: list[AsrError] = []

    def restarted(self, reason: EngineRestart) -> None:
        self.restarts.append(reason)


@asynccontextmanager
async def supervised(
    *factories: Factory, ear: Ear | None = None, pace: Pace | None = None
) -> AsyncIterator[Supervisor]:
    ear = ear or Ear()
    supervisor = Supervisor(
        factories,
        SupervisionLimits(HANG),
        ear,
        on_change=ear.ups.append,
        on_failed=ear.failed.append,
        pace=pace,
    )
    await supervisor.open()
    try:
        yield supervisor
    finally:
        await supervisor.close()
        assert all(process.closed for factory in factories for process in factory.made)


def virtual(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """The test on a virtual clock, where all that waits for ever is an error."""

    def run() -> None:
        async def main() -> None:
            await test()

        run_virtually(main())

    run.__doc__ = test.__doc__
    return run


def now() -> float:
    return asyncio.get_running_loop().time()


async def text(supervisor: Supervisor, number: int = 0) -> str:
    (one,) = await supervisor.decode([task(number)])
    assert isinstance(one, DecodingResult)
    return one.text


@virtual
async def test_a_lost_process_is_replaced_at_once() -> None:
    """What waits meanwhile is answered by the next; the loss is told, and counted by its reason."""
    ear, factory = Ear(), Factory(ends={7: Crash()})
    async with supervised(factory, ear=ear) as supervisor:
        assert await text(supervisor) == "0"
        with pytest.raises(EngineLost) as loss:
            await text(supervisor, 7)
        assert (loss.value.cause, now()) == ("crash", 3)
        assert await text(supervisor, 1) == "1"
        assert now() == 5
        assert (ear.ups, ear.restarts, factory.made[0].closed) == ([1, 0, 1], ["crash"], 1)


@virtual
async def test_a_process_that_dies_between_calls_is_replaced() -> None:
    """Nobody has to ask first; where that happens once in a while, it is no crash loop."""
    ear, factory = Ear(), Factory()
    async with supervised(factory, ear=ear) as supervisor:
        factory.last.lose("crash")
        await supervisor.ready()
        assert (now(), len(factory.made), ear.ups) == (1 + 1 + 1, 2, [1, 0, 1])
        for _ in range(10):
            await asyncio.sleep(100)
            factory.last.lose("crash")
            before = now()
            await supervisor.ready()
            assert now() == before + 1
        assert ear.failed == []


@virtual
async def test_starts_that_come_to_nothing_wait_longer_and_longer() -> None:
    """0, 1, 2, 4 s after the loss of a process that had answered; one that answers begins anew."""
    factory = Factory(ends={7: Crash()})
    async with supervised(factory) as supervisor:
        await text(supervisor)
        factory.failures = [EngineLost("no"), ModelUnavailable("no memory"), OSError("no fork")]
        with pytest.raises(EngineLost):
            await text(supervisor, 7)
        await text(supervisor)
        waits = [later - earlier - factory.seconds for earlier, later in pairwise(factory.began[1:])]
        assert (factory.began[1] - 3, waits) == (0, [1, 2, 4])
        with pytest.raises(EngineLost):
            await text(supervisor, 7)
        lost = now()
        await text(supervisor)
        assert factory.began[-1] == lost


@virtual
async def test_five_starts_in_vain_are_the_end() -> None:
    """Each was up and showed that it works, but none answered a call; callers may ask elsewhere."""
    ear, factory = Ear(), Factory(ends={7: Crash()})
    async with supervised(factory, ear=ear) as supervisor:
        for _ in range(5):
            with pytest.raises(EngineLost):
                await text(supervisor, 7)
        with pytest.raises(Overloaded) as refusal:
            await text(supervisor)
        assert (refusal.value.code, refusal.value.status) == ("engine_failed", 503)
        assert len(factory.began) == 5
        assert [error.code for error in ear.failed] == ["engine_failed"]
        assert "5 times" in ear.failed[0].message
        await supervisor.ready()


@virtual
async def test_a_failed_call_is_an_answer() -> None:
    """An engine that says why it could not is alive, whatever it says: such starts were not in vain."""
    ear = Ear()
    factory = Factory(ends={5: EngineOutOfMemory("full"), 6: EngineFailure("no"), 7: Crash()})
    async with supervised(factory, ear=ear) as supervisor:
        for number in (5, 6) * 4:
            with pytest.raises(EngineFailure):
                await text(supervisor, number)
            with pytest.raises(EngineLost):
                await text(supervisor, 7)
        assert await text(supervisor) == "0"
        assert (len(ear.restarts), ear.failed) == (8, [])


@virtual
async def test_a_process_that_cannot_be_ended_is_the_end() -> None:
    """The service must go, so that another has the GPU: within ten seconds of the loss, and its closing with it."""
    ear, factory = Ear(), Factory()
    async with supervised(factory, ear=ear) as supervisor:
        factory.last.stuck = True
        factory.last.lose("hang")
        with pytest.raises(Overloaded):
            await text(supervisor)
        assert (now(), len(ear.failed)) == (1 + 5, 1)
    assert now() == 6


@virtual
async def test_a_start_that_hangs_comes_to_nothing() -> None:
    """Where an engine was started before, it is known what a start may take; the first has no limit."""
    factory = Factory(seconds=600)
    async with supervised(factory) as supervisor:
        assert now() == 600
        factory.seconds = 10_000
        factory.last.lose("crash")
        waiting = asyncio.create_task(text(supervisor))
        await asyncio.sleep(600 * 5 + 0.5)
        factory.seconds = 1
        assert await waiting == "0"
        assert now() == 600 + 1 + 5 * 600 + 2 + 1 + 1


@virtual
async def test_a_bug_in_what_is_told_is_not_silent() -> None:
    """Where no process will ever come again because of it, that is said."""

    class Deaf(Ear):
        def restarted(self, reason: EngineRestart) -> None:
            raise ZeroDivisionError

    ear, factory = Deaf(), Factory()
    async with supervised(factory, ear=ear) as supervisor:
        factory.last.lose("crash")
        with pytest.raises(Overloaded):
            await text(supervisor)
        assert "ZeroDivisionError" in ear.failed[0].message


class TestTime:
    def test_a_call_has_five_times_what_it_should_take(self) -> None:
        """By the measure of those before, and never less than the setting."""

        @virtual
        async def test() -> None:
            factory = Factory()
            async with supervised(factory) as supervisor:
                long = replace(task(), duration=10.0)
                for tasks in ([long], [long] * 4, [task()]):
                    await supervisor.decode(tasks)
                assert [within for _, within in factory.last.calls] == [HANG, 5 * 40, HANG]

        test()

    def test_a_call_that_hangs_is_a_loss(self) -> None:
        """Ended after that time, and its process replaced."""

        @virtual
        async def test() -> None:
            ear = Ear()
            async with supervised(Factory(), ear=ear) as supervisor:
                with pytest.raises(EngineLost) as loss:
                    await supervisor.decode([replace(task(), duration=1000.0)])
                assert (loss.value.cause, now()) == ("hang", 1 + HANG)
                assert await text(supervisor) == "0"
                assert ear.restarts == ["hang"]

        test()

    def test_a_slow_engine_is_known_by_its_self_test(self) -> None:
        """So that the first full batch on a slow machine does not count as hung."""
        pace = Pace()
        assert pace.expected(100) == 0
        pace.add(11, 22)
        assert pace.expected(240) == pytest.approx(480)
        for _ in range(40):
            pace.add(240, 240)
        assert pace.expected(240) == pytest.approx(240, rel=0.01)


class TestSeveral:
    @staticmethod
    def gpus(**options: object) -> list[Factory]:
        return [Factory(GPU, **options) for _ in range(2)]  # type: ignore[arg-type]

    def test_there_is_one_for_each_gpu(self) -> None:
        """After the first all load at once; their workers add up."""

        @virtual
        async def test() -> None:
            factories = [Factory(replace(GPU, num_workers=2)) for _ in range(4)]
            ear = Ear()
            supervisor = Supervisor(
                factories, SupervisionLimits(HANG), ear, on_change=ear.ups.append, on_failed=ear.failed.append
            )
            info = await supervisor.open()
            assert (info.num_workers, now(), ear.ups) == (8, 2, [1, 2, 3, 4])
            await supervisor.close()

        test()

    def test_without_a_gpu_there_is_one_alone(self) -> None:
        """Two would have the same cores."""

        @virtual
        async def test() -> None:
            factories = Factory(), Factory()
            async with supervised(*factories):
                assert [len(factory.made) for factory in factories] == [1, 0]

        test()

    def test_calls_go_to_whichever_is_free(self) -> None:
        """Two at a time on two; the third waits for the first that is done."""

        @virtual
        async def test() -> None:
            factories = self.gpus()
            async with supervised(*factories) as supervisor:
                await asyncio.gather(*(text(supervisor, n) for n in range(3)))
                assert now() == 2 + 2
                assert sorted(len(factory.last.calls) for factory in factories) == [1, 2]

        test()

    def test_one_of_two_is_enough(self) -> None:
        """While one is started again, and for ever where that comes to nothing, calls go to the other."""

        @virtual
        async def test() -> None:
            ear, (first, second) = Ear(), self.gpus()
            async with supervised(first, second, ear=ear) as supervisor:
                first.failures = [EngineLost("no such device")] * 20
                first.last.lose("cuda")
                await asyncio.sleep(0)
                await asyncio.gather(*(text(supervisor, n) for n in range(50)))
                assert len(second.last.calls) == 50
                await asyncio.sleep(1000)
                assert (min(ear.ups[1:]), ear.failed, len(first.made)) == (1, [], 2)
                assert {later - earlier for earlier, later in pairwise(first.began[8:])} == {31}

        test()

    def test_two_that_come_to_nothing_are_the_end(self) -> None:
        """But only when neither is up nor has starts left."""

        @virtual
        async def test() -> None:
            ear, factories = Ear(), self.gpus()
            async with supervised(*factories, ear=ear) as supervisor:
                for factory in factories:
                    factory.failures = [EngineLost("no")] * 100
                    factory.last.lose("cuda")
                with pytest.raises(Overloaded):
                    await text(supervisor)
                assert len(ear.failed) == 1
                assert all(len(factory.began) >= 5 for factory in factories)

        test()

    def test_a_second_that_does_not_load_is_an_error(self) -> None:
        """In its own words; the first is ended with all."""

        @virtual
        async def test() -> None:
            first, second = self.gpus()
            second.failures = [ModelUnavailable("GPU 1 has no memory")]
            with pytest.raises(ModelUnavailable, match="GPU 1"):
                async with supervised(first, second):
                    pass

        test()


class TestClosing:
    @pytest.mark.parametrize("error", [EngineLost("died"), EngineFailure("self-test")])
    def test_a_first_start_that_fails_is_an_error(self, error: AsrError) -> None:
        """The service does not start: that is for a person to see."""

        @virtual
        async def test() -> None:
            factory = Factory()
            factory.failures = [error]
            with pytest.raises(StartupError, match=error.message):
                async with supervised(factory):
                    pass
            assert len(factory.began) == 1

        test()

    def test_it_ends_whatever_goes_on(self) -> None:
        """In a call, while one waits, while a process is started: who waits is told, and nothing is left."""

        @virtual
        async def test() -> None:
            for delay in (0.0, 0.5, 1.0, 1.5, 2.0, 2.5):
                ear, factory = Ear(), Factory(ends={7: Crash()})
                async with supervised(factory, ear=ear) as supervisor:
                    calls = [asyncio.create_task(text(supervisor, n)) for n in (7, 0)]
                    await asyncio.sleep(delay)
                errors = await asyncio.gather(*calls, return_exceptions=True)
                assert {type(error) for error in errors} <= {EngineLost, Draining, str}
                assert ear.failed == []

        test()

    def test_a_caller_that_leaves_takes_nothing_with_it(self) -> None:
        """Its call ends by itself, and its place is free for the next."""

        @virtual
        async def test() -> None:
            ear, factory = Ear(), Factory()
            async with supervised(factory, ear=ear) as supervisor:
                gone, stays = (asyncio.create_task(text(supervisor, n)) for n in (1, 2))
                await asyncio.sleep(0.5)
                gone.cancel()
                assert await stays == "2"
                assert (now(), ear.restarts, len(factory.last.calls)) == (3, [], 2)

        test()


SIZE = 8
ENDS = EngineLost, EngineFailure, DeadlineExceeded, Overloaded


class Chaos:
    """A queue over a supervisor over processes that end at random; every caller must end, and innocents well."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.poison = {100 + n: Crash() for n in range(self.chance.randrange(3))}
        workers = self.chance.choice([1, 1, 2])
        info = replace(GPU, num_workers=workers)
        self.factories = [Factory(info, dict(self.poison)) for _ in range(self.chance.choice([1, 2]))]
        self.outcomes: Counter[str] = Counter()
        self.ear = Ear()

    async def live(self) -> None:
        async with supervised(*self.factories, ear=self.ear) as supervisor:
            queue: BatchingQueue[DecodingTask, DecodingResult] = BatchingQueue(
                supervisor.decode,
                key=lambda _: 0,
                max_batch_size=SIZE,
                max_queue_size=1000,
                ready=supervisor.ready,
            )
            count = sum(factory.info.num_workers for factory in self.factories)
            workers = [asyncio.create_task(queue.run()) for _ in range(count)]
            killer = asyncio.create_task(self._kill())
            numbers = [*range(1, 30), *self.poison]
            self.chance.shuffle(numbers)
            clients = [asyncio.create_task(self._ask(queue, number)) for number in numbers]
            await asyncio.gather(*clients)
            killer.cancel()
            queue.close()
            await asyncio.gather(*workers)
            assert (queue.depth, queue.requests_running, queue.requests_waiting) == (0, 0, 0)

    async def _kill(self) -> None:
        while True:
            await asyncio.sleep(self.chance.expovariate(1 / 30))
            self.chance.choice(self.factories).last.lose(self.chance.choice(["crash", "hang", "cuda"]))

    async def _ask(self, queue: BatchingQueue[DecodingTask, DecodingResult], number: int) -> None:
        await asyncio.sleep(self.chance.uniform(0, 20))
        served: Served[DecodingResult] | AsrError
        try:
            served = await queue.submit(task(number), flow=Flow(), cost=1, deadline=now() + 3000)
        except ENDS as error:
            served = error
        if isinstance(served, Served):
            assert served.result.text == str(number)
            self.outcomes["ok"] += 1
        else:
            self.outcomes["poison" if number in self.poison else f"innocent: {served!r}"] += 1


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_whatever_ends_every_caller_is_answered(seed: int) -> None:
    """Processes die at random and by what they are given; nobody waits for ever or gets another's answer."""
    chaos = Chaos(seed)
    run_virtually(chaos.live())
    assert chaos.outcomes.total() == 29 + len(chaos.poison)
    assert chaos.outcomes["poison"] == len(chaos.poison)
    assert chaos.outcomes["ok"] >= 25 or chaos.ear.failed, "few are lost while the engine is not given up"


@pytest.mark.parametrize("size", [2, 8, 16, 64])
@pytest.mark.parametrize("place", [0, 1, -1])
def test_one_that_ends_every_process_costs_nobody_else(size: int, place: int) -> None:
    """In a batch of any size: its mates are answered, it is not, and the engine is not given up."""

    async def main() -> None:
        ear, factory = Ear(), Factory(ends={1: Crash()})
        numbers = [0] * size
        numbers[place] = 1
        pace = Pace()
        pace.add(1, 1)
        async with supervised(factory, ear=ear, pace=pace) as supervisor:
            queue: BatchingQueue[DecodingTask, DecodingResult] = BatchingQueue(
                supervisor.decode, key=lambda _: 0, max_batch_size=size, max_queue_size=99, ready=supervisor.ready
            )
            asks = [
                asyncio.create_task(queue.submit(task(number), flow=Flow(), cost=1, deadline=3000.0))
                for number in numbers
            ]
            await asyncio.sleep(0)
            worker = asyncio.create_task(queue.run())
            outcomes = await asyncio.gather(*asks, return_exceptions=True)
            queue.close()
            await worker
        assert [isinstance(outcome, EngineLost) for outcome in outcomes] == [bool(number) for number in numbers]
        assert ear.failed == []
        assert len(ear.restarts) <= size.bit_length() + 1

    run_virtually(main())
