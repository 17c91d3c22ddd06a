"""Who may come in: bounded by requests and by seconds of audio, refused before anything is read."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import fsum
from typing import Protocol

from asr_api.errors import Overloaded, RateLimited, TooManyRequests

LONGEST_RETRY = 120.0
"""Seconds of `Retry-After` at most: OpenAI's client does not retry at all above it."""

UNMEASURED_RETRY = 5.0
"""Seconds of `Retry-After` while nothing is known of the throughput."""

SLOW_UPLOADS = 4
"""How many times `max_requests` there may be with the uploads that are slow, which hold up to 1 MiB of memory each."""

JITTER = 0.25
"""How far `Retry-After` is spread to both sides, so that refused clients do not come back together."""


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """`max_seconds` is of audio that waits or is decoded, `timeout` what a request has from arrival to answer.

    The limits per key are of one tenant; 0 means that there is none.
    """

    max_requests: int
    max_seconds: float
    timeout: float
    max_requests_per_key: int = 0
    max_seconds_per_key: float = 0.0


class Upload(Protocol):
    """A body that is being read: whether it comes so slowly that others may have its place, and its end."""

    @property
    def slow(self) -> bool: ...

    def give_way(self) -> None: ...


class Place:
    """The room of one request; `upload` is what it is doing with it while its body comes."""

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        self._upload: Upload | None = None

    @contextmanager
    def uploading(self, upload: Upload) -> Iterator[None]:
        """Say that all there is of the request is a body that comes."""
        self._upload = upload
        try:
            yield
        finally:
            self._upload = None

    @property
    def slow(self) -> bool:
        """Whether a slow upload has it: that counts for nothing until its body is there."""
        return self._upload is not None and self._upload.slow

    def give_way(self) -> None:
        """End the upload."""
        if self._upload is not None:
            self._upload.give_way()


class Hold:
    """The audio of one request that is still to be done, in seconds, and whose it is."""

    def __init__(self, seconds: float, tenant: str) -> None:
        self.seconds = seconds
        self.tenant = tenant


class Admission:
    """The books of the service's load: `running` requests with `seconds` of audio still to be decoded.

    `rate` tells the seconds of audio that the engine decodes a second, None while it is unknown;
    `refusal` is the error that a client gets where there is no room. A tenant that has all that one key
    may have hears RateLimited instead, room or not; the tenant without a name has no limit of its own.

    Slow uploads take nobody's place: they count among all that there may be, `SLOW_UPLOADS` times as many
    as requests, and where that many are there, the oldest of them ends for whoever comes.
    Tenants are from a closed set: each is remembered.
    """

    def __init__(
        self,
        limits: AdmissionLimits,
        rate: Callable[[], float | None],
        *,
        refusal: type[Overloaded] = Overloaded,
        chance: random.Random | None = None,
    ) -> None:
        self._limits = limits
        self._rate = rate
        self._refusal = refusal
        self._chance = chance or random.Random()
        self._places: dict[Place, None] = {}
        self._running_of: Counter[str] = Counter()
        self._holds: dict[Hold, None] = {}

    @property
    def running(self) -> int:
        """All requests in progress."""
        return len(self._places)

    @property
    def taken(self) -> int:
        """Places that are taken, slow uploads not among them; they are looked for where it matters."""
        if self.running < self._limits.max_requests:
            return self.running
        return sum(not place.slow for place in self._places)

    @property
    def seconds(self) -> float:
        """Added up anew each time: a running sum of fractions would never come back to nothing.

        May be asked from any thread.
        """
        return fsum(hold.seconds for hold in list(self._holds))

    def check(self, tenant: str = "") -> None:
        """Raises Overloaded (or TooManyRequests, or RateLimited) where `place` would."""
        if tenant:
            self._check_tenant(tenant)
        self._check()

    @contextmanager
    def place(self, tenant: str = "") -> Iterator[Place]:
        """A place for one request of `tenant`. Raises Overloaded (or TooManyRequests, or RateLimited) at once
        where there is none.
        """
        self.check(tenant)
        if self.running >= SLOW_UPLOADS * self._limits.max_requests:
            self._end_a_slow_one()
        place = Place(tenant)
        self._places[place] = None
        self._running_of[tenant] += 1
        try:
            yield place
        finally:
            self._give_back(place)

    def _give_back(self, place: Place) -> None:
        """At the end of a request, which may have lost it before."""
        if place in self._places:
            del self._places[place]
            self._running_of[place.tenant] -= 1

    def _end_a_slow_one(self) -> None:
        """The oldest; there is one, for not all places are taken."""
        slow = next(place for place in self._places if place.slow)
        slow.give_way()
        self._give_back(slow)

    @contextmanager
    def hold(self, seconds: float, tenant: str = "") -> Iterator[Hold]:
        """Book the audio of a request that has a place, until the block ends.

        Raises Overloaded (or RateLimited) where it does not fit; what is longer than all the room fits
        when it is alone.
        """
        own, most = self._seconds_of(tenant), self._limits.max_seconds_per_key
        if tenant and most and own and own + seconds > most:
            raise self._limit(_too_much(own, seconds))
        if self.seconds and self.seconds + seconds > self._limits.max_seconds:
            raise self._refuse(_too_much(self.seconds, seconds), reason="budget")
        hold = Hold(seconds, tenant)
        self._holds[hold] = None
        try:
            yield hold
        finally:
            del self._holds[hold]

    def settle(self, hold: Hold, seconds: float) -> None:
        """Say what of a request's audio is still to be done; it may turn out more than was booked."""
        hold.seconds = max(0.0, seconds)

    def expected_wait(self) -> float | None:
        """Seconds until what waits now is done, by the measured throughput; None before the first measurement."""
        rate = self._rate()
        return self.seconds / rate if rate else None

    def retry_after(self) -> float:
        """Seconds after which there should be room, spread at random, at most `LONGEST_RETRY`."""
        wait = self.expected_wait()
        wait = UNMEASURED_RETRY if wait is None else wait
        return min(LONGEST_RETRY, max(1.0, wait) * self._chance.uniform(1 - JITTER, 1 + JITTER))

    def _seconds_of(self, tenant: str) -> float:
        return fsum(hold.seconds for hold in self._holds if hold.tenant == tenant)

    def _check_tenant(self, tenant: str) -> None:
        limits, running, seconds = self._limits, self._running_of[tenant], self._seconds_of(tenant)
        if limits.max_requests_per_key and running >= limits.max_requests_per_key:
            raise self._limit(f"{running} requests are in progress, which is the limit")
        if limits.max_seconds_per_key and seconds >= limits.max_seconds_per_key:
            raise self._limit(f"{seconds:.0f} s of audio wait, and the limit is {limits.max_seconds_per_key:g} s")

    def _limit(self, fact: str) -> RateLimited:
        return RateLimited(f"with this API key {fact}", retry_after=self.retry_after())

    def _check(self) -> None:
        if (taken := self.taken) >= self._limits.max_requests:
            raise self._refuse(f"{taken} requests are in progress, which is the limit")
        if self.seconds >= self._limits.max_seconds:
            fact = f"{self.seconds:.0f} s of audio wait, and the limit is {self._limits.max_seconds:g} s"
            raise self._refuse(fact, reason="budget")
        wait = self.expected_wait()
        if wait is not None and wait > self._limits.timeout:
            fact = f"what waits needs {wait:.0f} s, and a request has {self._limits.timeout:g} s"
            raise self._refuse(fact, reason="budget", code="deadline_unreachable")

    def _refuse(self, fact: str, *, reason: str = "queue_full", code: str | None = None) -> Overloaded:
        return self._refusal(fact, code=code, retry_after=self.retry_after(), reason=reason)


def refusal_of(status: int) -> type[Overloaded]:
    """The error with that status, 429 or 503."""
    return TooManyRequests if status == TooManyRequests.status else Overloaded


def _too_much(waiting: float, more: float) -> str:
    return f"{waiting:.0f} s of audio wait, which leaves no room for {more:.0f} s more"
