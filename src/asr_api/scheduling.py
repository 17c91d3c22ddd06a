"""Which entries go next, and how many: fair between tenants and requests, pure decisions, no clock and no await.

Tenants (API keys) share the engine by what their entries cost, in seconds of audio; inside a
tenant requests do. So neither a long file nor a client with many of them keeps others waiting
(start-time fair queueing at both levels: Goyal, Vin and Cheng, 1996).
"""

import asyncio
from bisect import insort
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeAlias, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


RECOVERY = 32
"""Full batches without a fault after which the limit of a batch grows by one again."""

MEMORY = 0.95
"""How much of the measured throughput is kept at each call: about the last 20 count."""

FlowState = Literal["idle", "waiting", "running"]


@dataclass(slots=True)
class Flow:
    """The entries of one request of one tenant; `finish` is the virtual time at which its last one ends.

    `on_state` hears what becomes of the request as its entries wait and run.
    """

    tenant: str = ""
    on_state: Callable[[FlowState], None] | None = None
    finish: float = 0.0
    waiting: int = 0
    running: int = 0

    @property
    def state(self) -> FlowState:
        return "running" if self.running else "waiting" if self.waiting else "idle"


@dataclass(slots=True)
class Census:
    """How many flows have an entry running, and how many only wait."""

    waiting: int = 0
    running: int = 0

    def count(self, flow: Flow, *, waiting: int = 0, running: int = 0) -> None:
        """So many entries more of the flow wait and run."""
        before = flow.state
        flow.waiting += waiting
        flow.running += running
        if flow.state == before:
            return
        self.waiting += (flow.state == "waiting") - (before == "waiting")
        self.running += (flow.state == "running") - (before == "running")
        if flow.on_state is not None:
            flow.on_state(flow.state)


@dataclass(slots=True, eq=False)
class Entry(Generic[Item, Result]):
    """One item on its way. `enqueued` is the loop's time; `future` ends when the item has its answer.

    `lost` says that the engine was lost while it had this entry alone.
    """

    item: Item
    key: Hashable
    cost: float
    flow: Flow
    enqueued: float
    future: asyncio.Future[Result]
    queued: bool = False
    lost: bool = False


Place: TypeAlias = tuple[float, int, Entry[Item, Result]]
"""Where an entry stands in its tenant's line: its virtual start, then its arrival."""


@dataclass(slots=True)
class Tenant(Generic[Item, Result]):
    """The waiting entries of one tenant by key, and how much of the engine it has had, as a virtual time."""

    served: float = 0.0
    clock: float = 0.0
    lines: dict[Hashable, list[Place[Item, Result]]] = field(default_factory=dict)

    def add(self, entry: Entry[Item, Result], arrival: int) -> None:
        start = max(self.clock, entry.flow.finish)
        entry.flow.finish = start + entry.cost
        insort(self.lines.setdefault(entry.key, []), (start, arrival, entry))

    def first(self) -> tuple[float, int]:
        """Virtual start and arrival of the entry that is first."""
        return min(line[0][:2] for line in self.lines.values())

    def first_key(self) -> Hashable:
        return min(self.lines.items(), key=lambda item: item[1][0][:2])[0]

    def pop(self, key: Hashable) -> Entry[Item, Result]:
        line = self.lines[key]
        start, _, entry = line.pop(0)
        self.clock = max(self.clock, start)
        self.served += entry.cost
        if not line:
            del self.lines[key]
        return entry

    def remove(self, entry: Entry[Item, Result]) -> None:
        line = [place for place in self.lines[entry.key] if place[2] is not entry]
        if line:
            self.lines[entry.key] = line
        else:
            del self.lines[entry.key]


@dataclass(slots=True)
class Schedule(Generic[Item, Result]):
    """All that waits. A batch takes its key from the entry that is first, and is filled in fair turn.

    Tenants are kept for good, with what they have had: their names must be a closed set.
    """

    depth: int = 0
    cost: float = 0.0
    _arrivals: int = 0
    _clock: float = 0.0
    _tenants: dict[str, Tenant[Item, Result]] = field(default_factory=dict)

    def add(self, entry: Entry[Item, Result]) -> None:
        """Put an entry in line. A tenant that was away has no claim for that time."""
        tenant = self._tenants.setdefault(entry.flow.tenant, Tenant())
        if not tenant.lines:
            tenant.served = max(tenant.served, self._clock)
        self._arrivals += 1
        tenant.add(entry, self._arrivals)
        entry.queued = True
        self.depth += 1
        self.cost += entry.cost

    def take(self, size: int) -> list[Entry[Item, Result]]:
        """Remove and return at most `size` entries of one key; empty when nothing waits."""
        waiting = [tenant for tenant in self._tenants.values() if tenant.lines]
        if not waiting:
            return []
        key = min(waiting, key=lambda tenant: (tenant.served, tenant.first())).first_key()
        batch: list[Entry[Item, Result]] = []
        while waiting and len(batch) < size:
            waiting = [tenant for tenant in waiting if key in tenant.lines]
            if waiting:
                batch.append(self._pop(min(waiting, key=lambda tenant: (tenant.served, tenant.lines[key][0][:2])), key))
        return batch

    def _pop(self, tenant: Tenant[Item, Result], key: Hashable) -> Entry[Item, Result]:
        self._clock = max(self._clock, tenant.served)
        entry = tenant.pop(key)
        self._count_out(entry)
        return entry

    def withdraw(self, entry: Entry[Item, Result]) -> bool:
        """Remove an entry whose caller has left, and say whether it still waited."""
        waited = entry.queued
        if waited:
            self._tenants[entry.flow.tenant].remove(entry)
            self._count_out(entry)
        return waited

    def waiting(self) -> Iterator[Entry[Item, Result]]:
        """The entries that wait, in no order. Copies as it goes, so that another thread may ask."""
        for tenant in list(self._tenants.values()):
            for line in list(tenant.lines.values()):
                yield from (entry for _, _, entry in list(line))

    def _count_out(self, entry: Entry[Item, Result]) -> None:
        entry.queued = False
        self.depth -= 1
        self.cost = self.cost - entry.cost if self.depth else 0.0


@dataclass(slots=True)
class BatchLimit:
    """The live bound of a batch: halved when the engine runs out of memory, one more after `RECOVERY` full batches."""

    most: int
    now: int = 0
    passed: int = 0

    def __post_init__(self) -> None:
        self.now = self.most

    def shrink(self, size: int) -> None:
        self.now, self.passed = max(1, size // 2), 0

    def grow(self, size: int) -> None:
        if self.now == self.most or size < self.now:
            return
        self.passed += 1
        if self.passed == RECOVERY:
            self.now, self.passed = self.now + 1, 0


@dataclass(slots=True)
class Throughput:
    """Cost served a second by one busy worker, recent calls counting most; None before the first."""

    served: float = 0.0
    busy: float = 0.0

    def add(self, cost: float, seconds: float) -> None:
        self.served = MEMORY * self.served + cost
        self.busy = MEMORY * self.busy + seconds

    @property
    def rate(self) -> float | None:
        return self.served / self.busy if self.busy else None
