"""Clients that come back find their work; clients that do not leave nothing behind. Time is virtual."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_api.errors import AsrError, DeadlineExceeded, EngineFailure, InvalidAudio, InvalidRequest, Overloaded
from asr_api.joining import Joining, Ticket

from .clocks import run_virtually

WINDOW = 30.0
FIRST = Ticket("", "speech", retries=0)
SECOND = replace(FIRST, retries=1)
KEYED = Ticket("", "speech", idempotency_key="k")
STUBBORN = Ticket("", "speech")


class Work:
    """Work that tells what a test has it tell, and ends when that says so; `runs` counts how often it began."""

    def __init__(self) -> None:
        self.runs = 0
        self.cancelled = 0
        self.tell: Callable[[str], None] = _ignore
        self.end: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def __call__(self, tell: Callable[[str], None]) -> str:
        self.runs += 1
        self.tell = tell
        try:
            return await asyncio.shield(self.end)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


class Rig:
    """A Joining, one work, and who asks for it."""

    def __init__(self) -> None:
        self.joined = 0
        self.joining: Joining[str, str] = Joining(WINDOW, 4, self._on_joined)
        self.work = Work()

    def _on_joined(self) -> None:
        self.joined += 1

    async def ask(self, ticket: Ticket, work: Work | None = None) -> "Asker":
        """A client that asks, once it waits."""
        asker = Asker(self.joining, ticket, work or self.work)
        await settled()
        return asker

    @property
    def kept(self) -> int:
        """How many works may still be joined."""
        return len(self.joining._works)


class Asker:
    """A client: what it `heard`, and the task that waits for its answer."""

    def __init__(self, joining: Joining[str, str], ticket: Ticket, work: Work) -> None:
        self.heard: list[str] = []
        self.task = asyncio.create_task(joining.run(ticket, work, self.heard.append))

    async def leave(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task

    async def error(self) -> BaseException:
        """What it is refused with."""
        await asyncio.wait([self.task])
        error = self.task.exception()
        assert error is not None
        return error


def _ignore(_: str) -> None:
    """Nobody listens."""


async def settled() -> None:
    """Let all that can go on go on: time stands still for it."""
    for _ in range(10):
        await asyncio.sleep(0)


def virtually(scenario: Callable[[Rig], Coroutine[None, None, None]]) -> None:
    async def run() -> None:
        await scenario(Rig())

    run_virtually(run())


@pytest.mark.parametrize(("first", "again"), [(FIRST, SECOND), (FIRST, replace(FIRST, retries=2)), (KEYED, KEYED)])
def test_a_retry_joins_running_work_and_hears_all_of_it(first: Ticket, again: Ticket) -> None:
    """Who asks again for the same, by count or by key, hears what was told before it came and what comes after."""

    async def scenario(rig: Rig) -> None:
        one = await rig.ask(first)
        rig.work.tell("a")
        two = await rig.ask(again)
        rig.work.tell("b")
        rig.work.end.set_result("done")
        assert [await one.task, await two.task] == ["done", "done"]
        assert (one.heard, two.heard) == (["a", "b"], ["a", "b"])
        assert (rig.work.runs, rig.joined, rig.kept) == (1, 1, 0)

    virtually(scenario)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (FIRST, FIRST),
        (STUBBORN, STUBBORN),
        (STUBBORN, SECOND),
        (FIRST, replace(SECOND, asked="other speech")),
        (FIRST, replace(SECOND, tenant="other")),
        (KEYED, replace(KEYED, tenant="other")),
        (KEYED, replace(KEYED, idempotency_key="l")),
        (KEYED, SECOND),
    ],
    ids=[
        "first requests", "clients that do not say", "work of one that does not retry", "another file",
        "another tenant", "another tenant's key", "another key", "a key is asked for by its key alone",
    ],
)  # fmt: skip
def test_what_is_not_a_retry_has_its_own_work(first: Ticket, second: Ticket) -> None:
    """Nobody is given the work of another request, and tenants never share."""

    async def scenario(rig: Rig) -> None:
        other = Work()
        one, two = await rig.ask(first), await rig.ask(second, other)
        rig.work.end.set_result("one")
        other.end.set_result("two")
        assert [await one.task, await two.task] == ["one", "two"]
        assert (rig.work.runs, other.runs, rig.joined, rig.kept) == (1, 1, 0, 0)

    virtually(scenario)


def test_a_key_stands_for_one_request() -> None:
    """Another body under a key in use is refused, and the work goes on."""

    async def scenario(rig: Rig) -> None:
        one = await rig.ask(KEYED)
        other = Work()
        error = await (await rig.ask(replace(KEYED, asked="other"), other)).error()
        assert isinstance(error, InvalidRequest)
        assert (error.status, error.code, other.runs) == (400, "idempotency_key_reused", 0)
        rig.work.end.set_result("done")
        assert await one.task == "done"

    virtually(scenario)


@pytest.mark.parametrize("ticket", [FIRST, SECOND, KEYED])
def test_work_that_was_left_is_kept_for_the_window(ticket: Ticket) -> None:
    """When the last who waits has left, the work has the window, and not a moment more."""

    async def scenario(rig: Rig) -> None:
        await (await rig.ask(ticket)).leave()
        await asyncio.sleep(WINDOW - 0.01)
        assert (rig.work.cancelled, rig.kept) == (0, 1)
        await asyncio.sleep(0.02)
        assert (rig.work.cancelled, rig.kept) == (1, 0)

    virtually(scenario)


def test_work_is_kept_while_somebody_waits() -> None:
    """One of two who wait may leave; the window begins with the last."""

    async def scenario(rig: Rig) -> None:
        one, two = await rig.ask(FIRST), await rig.ask(SECOND)
        await one.leave()
        rig.work.tell("a")
        await asyncio.sleep(10 * WINDOW)
        assert (rig.work.cancelled, two.heard, one.heard) == (0, ["a"], [])
        await two.leave()
        await asyncio.sleep(WINDOW + 0.01)
        assert (rig.work.cancelled, rig.kept) == (1, 0)

    virtually(scenario)


def test_coming_back_in_time_stops_the_end() -> None:
    """Each return within the window begins a new one, once its client has left too."""

    async def scenario(rig: Rig) -> None:
        await (await rig.ask(FIRST)).leave()
        for retries in (1, 2):
            await asyncio.sleep(WINDOW - 1)
            await (await rig.ask(replace(FIRST, retries=retries))).leave()
        await asyncio.sleep(WINDOW - 1)
        last = await rig.ask(replace(FIRST, retries=3))
        await asyncio.sleep(10 * WINDOW)
        rig.work.end.set_result("done")
        assert (await last.task, rig.work.runs, rig.joined, rig.kept) == ("done", 1, 3, 0)

    virtually(scenario)


def test_a_result_that_nobody_waited_for_is_kept_for_the_window() -> None:
    """Work that ends alone is found by who comes back in time, with all that it told."""

    async def scenario(rig: Rig) -> None:
        await (await rig.ask(FIRST)).leave()
        rig.work.tell("a")
        rig.work.end.set_result("done")
        await asyncio.sleep(WINDOW - 0.01)
        again = await rig.ask(SECOND)
        assert (await again.task, again.heard, rig.work.runs) == ("done", ["a"], 1)
        await asyncio.sleep(WINDOW + 0.01)
        assert rig.kept == 0

    virtually(scenario)


def test_who_comes_back_too_late_begins_anew() -> None:
    """After the window neither work nor result is there."""

    async def scenario(rig: Rig) -> None:
        await (await rig.ask(FIRST)).leave()
        rig.work.end.set_result("done")
        await asyncio.sleep(WINDOW + 0.01)
        assert rig.kept == 0
        again = await rig.ask(SECOND)
        assert (await again.task, rig.work.runs, rig.joined, rig.kept) == ("done", 2, 0, 0)

    virtually(scenario)


@pytest.mark.parametrize("error", [InvalidAudio("bad", param="file"), EngineFailure("broke")])
def test_each_who_waits_has_an_error_of_its_own(error: AsrError) -> None:
    """An error is told to all, as objects that share no traceback."""

    async def scenario(rig: Rig) -> None:
        one, two = await rig.ask(FIRST), await rig.ask(SECOND)
        rig.work.end.set_exception(error)
        told = [await one.error(), await two.error()]
        assert told[0] is not told[1]
        assert error not in told
        for copy in told:
            assert isinstance(copy, AsrError)
            assert (type(copy), copy.message, copy.code, copy.param) == (
                type(error), error.message, error.code, error.param,
            )  # fmt: skip
        assert rig.kept == 0

    virtually(scenario)


def test_bugs_are_told_as_they_are() -> None:
    """What nobody foresaw reaches all who wait."""

    async def scenario(rig: Rig) -> None:
        one, two = await rig.ask(FIRST), await rig.ask(SECOND)
        rig.work.end.set_exception(ZeroDivisionError("bug"))
        assert [str(await one.error()), str(await two.error())] == ["bug", "bug"]
        assert rig.kept == 0

    virtually(scenario)


@pytest.mark.parametrize("error", [DeadlineExceeded("late"), ZeroDivisionError("bug"), InvalidAudio("bad")])
def test_a_failure_that_nobody_heard_is_tried_again(error: Exception) -> None:
    """Only results are kept: who comes back after a failure has another try."""

    async def scenario(rig: Rig) -> None:
        await (await rig.ask(FIRST)).leave()
        rig.work.end.set_exception(error)
        await settled()
        assert rig.kept == 0
        better = Work()
        better.end.set_result("done")
        again = await rig.ask(SECOND, better)
        assert (await again.task, better.runs, rig.joined) == ("done", 1, 0)
        await asyncio.sleep(2 * WINDOW)

    virtually(scenario)


def test_clients_that_do_not_retry_end_their_work_with_them() -> None:
    """Work for nobody is not kept: it is cancelled at once, and was never shielded."""

    async def scenario(rig: Rig) -> None:
        await (await rig.ask(STUBBORN)).leave()
        assert (rig.work.cancelled, rig.kept) == (1, 0)

    virtually(scenario)


def test_an_equal_first_request_is_not_kept_beside_the_first() -> None:
    """Where two ask for the same for the first time, only the work of one can be found again."""

    async def scenario(rig: Rig) -> None:
        other = Work()
        one, two = await rig.ask(FIRST), await rig.ask(FIRST, other)
        await two.leave()
        assert (rig.work.cancelled, other.cancelled) == (0, 1)
        back = await rig.ask(SECOND)
        rig.work.end.set_result("done")
        assert (await back.task, await one.task, rig.joined) == ("done", "done", 1)

    virtually(scenario)


def test_without_a_window_work_ends_with_its_last_client() -> None:
    """A window of 0 keeps nothing for anybody."""

    async def scenario(rig: Rig) -> None:
        rig.joining = Joining(0.0, 4, rig._on_joined)
        await (await rig.ask(FIRST)).leave()
        await settled()
        assert (rig.work.cancelled, rig.kept) == (1, 0)

    virtually(scenario)


def test_only_so_many_works_are_kept_for_clients_that_left() -> None:
    """The one that was left first is given up for the next, and one that was come back to is not among them."""

    async def scenario(rig: Rig) -> None:
        works = [Work() for _ in range(6)]
        for number, work in enumerate(works):
            asker = await rig.ask(replace(FIRST, asked=number), work)
            await asker.leave()
            if number == 1:
                await rig.ask(replace(SECOND, asked=1), Work())
        await settled()
        assert [work.cancelled for work in works] == [1, 0, 0, 0, 0, 0]
        await rig.joining.close()

    virtually(scenario)


def test_close_ends_all() -> None:
    """At the end of the service nothing runs, waits or is kept: not even a timer."""

    async def scenario(rig: Rig) -> None:
        left, ended = Work(), Work()
        waits = await rig.ask(FIRST)
        await (await rig.ask(replace(FIRST, asked="left"), left)).leave()
        await (await rig.ask(replace(FIRST, asked="ended"), ended)).leave()
        ended.end.set_result("done")
        await settled()
        await rig.joining.close()
        assert (rig.work.cancelled, left.cancelled, rig.kept) == (1, 1, 0)
        refusal = await waits.error()
        assert isinstance(refusal, Overloaded)
        assert refusal.code == "draining"
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await asyncio.sleep(2 * WINDOW)

    virtually(scenario)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.sampled_from([FIRST, SECOND, KEYED, STUBBORN])),
        st.tuples(st.just("wait"), st.sampled_from([1.0, WINDOW - 1, WINDOW + 1])),
        st.tuples(st.sampled_from(["leave", "tell", "end", "fail"]), st.integers(0, 5)),
    ),
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_nothing_is_left_whatever_clients_do(steps: list[tuple[str, Ticket | float | int]]) -> None:
    """However clients ask, leave and return: who waits is answered, hears it in order, and nothing stays."""

    async def scenario(rig: Rig) -> None:
        crowd = Crowd(rig)
        for name, value in steps:
            await crowd.step(name, value)
        for work in crowd.works:
            crowd.end(work)
        await settled()
        assert all(asker.task.done() for asker in crowd.askers)
        assert all(asker.heard == sorted(asker.heard) for asker in crowd.askers)
        await asyncio.sleep(WINDOW + 1)
        assert rig.kept == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await asyncio.gather(*(asker.task for asker in crowd.askers), return_exceptions=True)

    virtually(scenario)


class Crowd:
    """Clients, each with work of its own for the case that it joins none."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.works: list[Work] = []
        self.askers: list[Asker] = []

    async def step(self, name: str, value: Ticket | float | int) -> None:
        if isinstance(value, Ticket):
            self.works.append(Work())
            self.askers.append(await self.rig.ask(value, self.works[-1]))
        elif isinstance(value, float):
            await asyncio.sleep(value)
        elif value < len(self.works):
            await self._next(name, self.works[value], self.askers[value])

    async def _next(self, name: str, work: Work, asker: "Asker") -> None:
        if name == "leave" and not asker.task.done():
            await asker.leave()
        elif name == "tell":
            work.tell(f"{asyncio.get_running_loop().time():09.1f}")
        elif name in ("end", "fail"):
            self.end(work, EngineFailure("broke") if name == "fail" else None)
        await settled()

    def end(self, work: Work, error: Exception | None = None) -> None:
        if work.end.done():
            return
        if error is None:
            work.end.set_result("done")
        else:
            work.end.set_exception(error)
            work.end.exception()  # there may be nobody who asks
