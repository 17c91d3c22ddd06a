"""Who goes next: fair between tenants in seconds of audio, and between requests."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from asr_api.batching import BatchingQueue
from asr_api.scheduling import Entry, Flow, Schedule
from tests.clocks import run_virtually

BATCH_SECONDS = 2.0


def entry(name: str, flow: Flow, cost: float = 1.0, key: str = "k") -> Entry[str, None]:
    return Entry(name, key, cost, flow, 0.0, _Unawaited())  # type: ignore[arg-type]


class _Unawaited:
    """Stands where a schedule never looks: entries' futures are the queue's business."""


def add_all(schedule: Schedule[str, None], *names: str, tenant: str = "", cost: float = 1.0, key: str = "k") -> None:
    """Entries of one request."""
    flow = Flow(tenant)
    for name in names:
        schedule.add(entry(name, flow, cost, key))


def drain(schedule: Schedule[str, None], size: int = 1) -> list[str]:
    order = []
    while batch := schedule.take(size):
        order += [taken.item for taken in batch]
    return order


def test_requests_of_a_tenant_alternate() -> None:
    """Each request's n-th chunk waits for the n-th of the others, not for all of them."""
    schedule: Schedule[str, None] = Schedule()
    add_all(schedule, "a0", "a1", "a2")
    add_all(schedule, "b0", "b1")
    add_all(schedule, "c0")
    assert drain(schedule) == ["a0", "b0", "c0", "a1", "b1", "a2"]


def test_tenants_share_by_seconds_of_audio() -> None:
    """A tenant with chunks of 30 s gets one for every three of 10 s of another's, however many it has sent."""
    schedule: Schedule[str, None] = Schedule()
    for n in range(4):
        add_all(schedule, f"A{n}", tenant="A", cost=30)
    for n in range(9):
        add_all(schedule, f"B{n}", tenant="B", cost=10)
    order = drain(schedule)
    assert order[:8] == ["A0", "B0", "B1", "B2", "A1", "B3", "B4", "B5"]


def test_a_tenant_with_many_requests_gets_no_more_than_one_with_few() -> None:
    """Ten requests against one: every other chunk is the one's."""
    schedule: Schedule[str, None] = Schedule()
    for n in range(10):
        add_all(schedule, f"many{n}", tenant="many")
    add_all(schedule, "few0", "few1", "few2", tenant="few")
    assert [name.startswith("few") for name in drain(schedule)[:6]] == [False, True] * 3


def test_a_tenant_that_was_away_has_no_claim() -> None:
    """Idle time is not saved up: who comes back shares from then on."""
    schedule: Schedule[str, None] = Schedule()
    add_all(schedule, "b", tenant="B")
    assert drain(schedule) == ["b"]
    add_all(schedule, *(f"a{n}" for n in range(20)), tenant="A")
    assert [taken.item for taken in schedule.take(10)] == [f"a{n}" for n in range(10)]
    add_all(schedule, *(f"b{n}" for n in range(5)), tenant="B")
    assert [name[0] for name in drain(schedule)[:4]].count("b") <= 3


def test_a_key_is_taken_from_the_first_and_filled_in_fair_turn() -> None:
    """A batch has one key; who shares it rides along, whoever's request it is."""
    schedule: Schedule[str, None] = Schedule()
    add_all(schedule, "x0", "x1", key="x")
    add_all(schedule, "y0", key="y")
    add_all(schedule, "x2", key="x", tenant="B")
    assert [taken.item for taken in schedule.take(8)] == ["x0", "x2", "x1"]
    assert drain(schedule) == ["y0"]


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "take", "withdraw"]),
        st.sampled_from("ABC"),
        st.sampled_from("xyz"),
        st.floats(0.1, 30),
        st.integers(1, 5),
    ),
    max_size=80,
)


@settings(max_examples=300, deadline=None)
@given(OPERATIONS)
def test_nothing_is_lost_or_doubled(operations: list[tuple[str, str, str, float, int]]) -> None:
    """Whatever is added, taken and withdrawn: depth and cost tell what waits, and a batch has one key."""
    schedule: Schedule[str, None] = Schedule()
    waiting: dict[str, Entry[str, None]] = {}
    for number, (operation, tenant, key, cost, size) in enumerate(operations):
        if operation == "add":
            waiting[str(number)] = entry(str(number), Flow(tenant), cost, key)
            schedule.add(waiting[str(number)])
        elif operation == "take":
            batch = schedule.take(size)
            assert len({taken.key for taken in batch}) <= 1
            assert len(batch) >= min(1, len(waiting))
            for taken in batch:
                del waiting[taken.item]
        elif waiting:
            schedule.withdraw(waiting.pop(next(iter(waiting))))
        assert schedule.depth == len(waiting)
        assert {one.item for one in schedule.waiting()} == waiting.keys()
        assert abs(schedule.cost - sum(one.cost for one in waiting.values())) < 1e-6
    assert len(drain(schedule, 3)) == len(waiting)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("xyz"), st.integers(0, 3)), min_size=1, max_size=40), st.integers(1, 4))
def test_no_key_starves(arrivals: list[tuple[str, int]], size: int) -> None:
    """However many entries of other keys keep coming, one that waits goes after at most as many batches as were
    before it."""
    schedule: Schedule[str, None] = Schedule()
    for number, (key, _) in enumerate(arrivals):
        add_all(schedule, str(number), key=key)
    add_all(schedule, "lonely", key="lonely")
    batches = 0
    while "lonely" not in [taken.item for taken in schedule.take(size)]:
        add_all(schedule, f"late{batches}", key="x")
        batches += 1
        assert batches <= len(arrivals) + 1


async def _short_beside_long(files: int, chunks: int, max_batch_size: int) -> tuple[float, float]:
    """Seconds that a short clip waits which comes while the engine is at work on long files."""
    loop = asyncio.get_running_loop()

    async def decode(items: object) -> list[str]:
        assert isinstance(items, list)
        await asyncio.sleep(BATCH_SECONDS)
        return [str(item) for item in items]

    queue: BatchingQueue[str, str] = BatchingQueue(
        decode, key=lambda _: 0, max_batch_size=max_batch_size, max_queue_size=10_000
    )
    worker = asyncio.create_task(queue.run())

    async def file(number: int) -> None:
        flow, places = Flow(), asyncio.Semaphore(2 * max_batch_size)

        async def chunk(n: int) -> None:
            async with places:
                await queue.submit(f"{number}.{n}", flow=flow, cost=30, deadline=1e9)

        await asyncio.gather(*(chunk(n) for n in range(chunks)))

    files_at_work = [asyncio.create_task(file(number)) for number in range(files)]
    await asyncio.sleep(7.3 * BATCH_SECONDS)
    arrived = loop.time()
    await queue.submit("short", flow=Flow(), cost=3, deadline=1e9)
    waited = loop.time() - arrived
    await asyncio.gather(*files_at_work)
    queue.close()
    await worker
    return waited, loop.time()


def test_a_short_clip_waits_two_batches_beside_ten_files_of_two_hours() -> None:
    """With ten 2-hour files queued, a 3 s clip is answered within two batch times of its arrival."""
    waited, ended = run_virtually(_short_beside_long(files=10, chunks=240, max_batch_size=16))
    assert waited <= 2 * BATCH_SECONDS
    assert ended >= 150 * BATCH_SECONDS


async def _delayed(delay: float, arrivals: list[float]) -> tuple[list[int], list[float]]:
    """Sizes of the batches, and when each began, with a free worker and items at given times."""
    loop = asyncio.get_running_loop()
    sizes: list[int] = []
    begins: list[float] = []

    async def decode(items: object) -> list[str]:
        assert isinstance(items, list)
        sizes.append(len(items))
        begins.append(loop.time())
        return [str(item) for item in items]

    queue: BatchingQueue[str, str] = BatchingQueue(
        decode, key=lambda _: 0, max_batch_size=8, max_queue_size=99, max_queue_delay=delay
    )
    worker = asyncio.create_task(queue.run())

    async def arrive(time: float) -> None:
        await asyncio.sleep(time)
        await queue.submit("x", flow=Flow(), cost=1, deadline=1e9)

    await asyncio.gather(*map(arrive, arrivals))
    queue.close()
    await worker
    return sizes, begins


def test_the_delay_counts_from_the_oldest_arrival() -> None:
    """Items at 0, 0.03 and 0.06 s share the batch of 0.1 s; one at 0.15 s waits for its own time."""
    sizes, begins = run_virtually(_delayed(0.1, [0.0, 0.03, 0.06, 0.15]))
    assert sizes == [3, 1]
    assert [round(begin, 3) for begin in begins] == [0.1, 0.25]
