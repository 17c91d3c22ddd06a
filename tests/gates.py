"""An engine call that a test holds back until it lets go: time without sleeping."""

import asyncio
from collections.abc import Sequence

from asr_api.errors import EngineOutOfMemory


class Gate:
    """The `decode` of a queue under test: upper-cases its items, and records each batch.

    While held, calls wait. `faults` maps an item to the exception that its presence raises for
    the whole call; `refusals` to the exception that is the item's own answer. `short_by` answers
    are left out, one is added to those of a call of several where `extra_in_company`, and
    `memory` items are the most that a call has room for.
    """

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.faults: dict[str, Exception] = {}
        self.refusals: dict[str, Exception] = {}
        self.running = 0
        self.most_running = 0
        self.short_by = 0
        self.extra_in_company = False
        self.memory = 1000
        self._open = asyncio.Event()
        self._open.set()
        self._entered = asyncio.Condition()

    def hold(self) -> None:
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    async def entered(self, calls: int = 1) -> None:
        """Return when so many calls have begun."""
        async with self._entered:
            await self._entered.wait_for(lambda: len(self.batches) >= calls)

    async def __call__(self, items: Sequence[str]) -> Sequence[str | Exception]:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            async with self._entered:
                self.batches.append(list(items))
                self._entered.notify_all()
            await self._open.wait()
            return self._answers(items)
        finally:
            self.running -= 1

    def _answers(self, items: Sequence[str]) -> Sequence[str | Exception]:
        if len(items) > self.memory:
            raise EngineOutOfMemory("CUDA failed with error out of memory")
        for item in items:
            if item in self.faults:
                raise self.faults[item]
        if self.extra_in_company and len(items) > 1:
            return [*items, "one too many"]
        answers = [self.refusals.get(item, item.upper()) for item in items]
        return answers[: len(answers) - self.short_by]
