"""Who may come in, and what those hear who may not."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_api.admission import Admission, AdmissionLimits, refusal_of
from asr_api.errors import Overloaded, TooManyRequests

LIMITS = AdmissionLimits(max_requests=2, max_seconds=100, timeout=60)


def admission(rate: float | None = None, **options: type[Overloaded]) -> Admission:
    return Admission(LIMITS, lambda: rate, chance=random.Random(1), **options)


def refusal(enter: Callable[[], object]) -> Overloaded:
    with pytest.raises(Overloaded) as caught:
        enter()
    return caught.value


def test_places_are_counted_and_given_back() -> None:
    """One request more than the limit is refused; an ended one leaves its place, however it ended."""
    books = admission()
    with books.place():
        with books.place():
            error = refusal(lambda: books.place().__enter__())
            assert (error.code, error.status) == ("queue_full", 503)
        with pytest.raises(ZeroDivisionError), books.place():
            raise ZeroDivisionError
        assert books.running == 1
    assert books.running == 0


def test_seconds_of_audio_are_bounded() -> None:
    """What does not fit is refused, and nobody is let in while there is no room at all."""
    books = admission()
    with books.hold(60):
        assert "60 s of audio wait" in refusal(lambda: books.hold(41).__enter__()).message
        with books.hold(40):
            assert books.seconds == 100
            assert "the limit is 100 s" in refusal(lambda: books.place().__enter__()).message
    assert books.seconds == 0


def test_what_is_longer_than_all_the_room_fits_when_it_is_alone() -> None:
    """A long file is served, just not beside others."""
    books = admission()
    with books.hold(5000):
        assert books.seconds == 5000


def test_done_audio_makes_room() -> None:
    """Seconds leave the books as chunks are finished; a file that was longer than it said is booked as it is."""
    books = admission()
    with books.hold(60) as hold, books.hold(10):
        books.settle(hold, 15)
        assert books.seconds == 25
        books.settle(hold, 300)
        assert books.seconds == 310
    assert books.seconds == 0


def test_a_deadline_that_cannot_be_met_is_refused_at_arrival() -> None:
    """Better no at once than no after a minute: what waits, by the measured throughput, takes too long."""
    books = admission(rate=1.0)
    with books.hold(61):
        assert refusal(lambda: books.place().__enter__()).code == "deadline_unreachable"
    with books.hold(59), books.place():
        pass


def test_retry_after_is_what_waits_by_the_throughput_spread() -> None:
    """Refused clients do not come back all at once."""
    books = admission(rate=10.0)
    with books.hold(100):
        waits = [books.retry_after() for _ in range(50)]
    assert all(7.5 <= wait <= 12.5 for wait in waits)
    assert max(waits) - min(waits) > 2


@given(st.floats(0, 1e6), st.one_of(st.none(), st.floats(0.001, 1e4)))
def test_retry_after_is_always_one_that_clients_obey(seconds: float, rate: float | None) -> None:
    """Between no less than a moment and 120 s, measured or not."""
    books = admission(rate)
    with books.hold(seconds):
        assert 0.7 < books.retry_after() <= 120


def test_the_status_of_a_refusal_is_a_setting() -> None:
    """503 is OpenAI's word for it, 429 that of others."""
    assert (refusal_of(503), refusal_of(429)) == (Overloaded, TooManyRequests)
    books = admission(refusal=TooManyRequests)
    with books.place(), books.place():
        error = refusal(lambda: books.place().__enter__())
        assert (error.status, error.copy().status, error.copy().retry_after) == (429, 429, error.retry_after)
