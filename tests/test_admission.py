"""Who may come in, and what those hear who may not."""

import random
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_api.admission import Admission, AdmissionLimits, refusal_of
from asr_api.errors import Overloaded, RateLimited, TooManyRequests

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


class Trickle:
    """An upload; `slow` says how it comes."""

    def __init__(self, *, slow: bool = True) -> None:
        self.slow = slow
        self.ended = False

    def give_way(self) -> None:
        self.ended = True


def test_slow_uploads_take_no_places_until_they_are_read() -> None:
    """Whoever comes has the place of one whose body does not come; what was read counts again."""
    books = admission()
    with books.place() as first, books.place() as second:
        assert refusal(books.check).code == "queue_full"
        with first.uploading(Trickle()), second.uploading(Trickle(slow=False)):
            assert (books.taken, books.running) == (1, 2)
            with books.place():
                assert refusal(books.check).code == "queue_full"
                assert (books.taken, books.running) == (2, 3)
        assert books.taken == 2
    assert books.running == 0


def test_where_there_are_too_many_slow_uploads_the_oldest_ends() -> None:
    """Four times as many requests as there are places; the end of one that was told to go changes nothing more."""
    books, slow = admission(), [Trickle() for _ in range(9)]
    with ExitStack() as places:
        for trickle in slow:
            place = places.enter_context(books.place("a"))
            places.enter_context(place.uploading(trickle))
        assert [trickle.ended for trickle in slow] == [True] + [False] * 8
        assert (books.taken, books.running) == (0, 8)
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


PER_KEY = AdmissionLimits(max_requests=4, max_seconds=100, timeout=60, max_requests_per_key=2, max_seconds_per_key=50)


def test_q8_a_key_has_so_many_requests() -> None:
    """Q8: the flooder hears 429 while there is room for others, and is let in again when one of its own ends."""
    books = Admission(PER_KEY, lambda: None)
    with books.place("loud"):
        with books.place("loud"):
            error = refusal(lambda: books.place("loud").__enter__())
            assert (type(error), error.status, error.code) == (RateLimited, 429, "rate_limit_exceeded")
            assert error.message == "with this API key 2 requests are in progress, which is the limit"
            assert error.retry_after is not None
            with books.place("calm"):
                assert books.running == 3
        with pytest.raises(ZeroDivisionError), books.place("loud"):
            raise ZeroDivisionError
    assert books.running == 0


def test_q8_a_key_has_so_many_seconds_of_audio() -> None:
    """Q8: its own audio is counted, also what turned out longer than it said; others have what is left."""
    books = Admission(PER_KEY, lambda: None)
    with books.hold(30, "loud") as hold:
        assert isinstance(refusal(lambda: books.hold(21, "loud").__enter__()), RateLimited)
        with books.hold(20, "loud"), books.hold(45, "calm"):
            assert isinstance(refusal(lambda: books.place("loud").__enter__()), RateLimited)
            with books.place("calm"):
                pass
        books.settle(hold, 60)
        assert isinstance(refusal(lambda: books.place("loud").__enter__()), RateLimited)
        books.settle(hold, 10)
        with books.place("loud"), books.hold(40, "loud"):
            assert books.seconds == 50
    with books.hold(90, "loud"):
        assert books.seconds == 90
    assert books.seconds == 0


def test_q8_the_flooder_is_told_so_even_where_all_is_full() -> None:
    """Q8: 429 says that waiting for others would not help; who is within its limit hears 503."""
    books = Admission(PER_KEY, lambda: None)
    with books.place("a"), books.place("a"), books.place("b"), books.place("c"):
        assert refusal(lambda: books.place("a").__enter__()).status == 429
        assert refusal(lambda: books.place("b").__enter__()).status == 503


def test_without_keys_no_key_has_a_limit() -> None:
    """What comes without a name is bounded by the whole alone."""
    books = Admission(PER_KEY, lambda: None)
    with books.place(), books.place(), books.place(), books.hold(40), books.hold(40):
        assert (books.running, books.seconds) == (3, 80)


@given(st.lists(st.tuples(st.sampled_from(["", "a", "b"]), st.floats(0, 200), st.floats(0, 200)), max_size=30))
def test_q8_the_books_of_the_keys_add_up(requests: list[tuple[str, float, float]]) -> None:
    """Whatever comes and whatever it turns out to be, nothing is left in the books at the end."""
    books = Admission(PER_KEY, lambda: None)
    with ExitStack() as stack:
        for tenant, claimed, found in requests:
            try:
                stack.enter_context(books.place(tenant))
                books.settle(stack.enter_context(books.hold(claimed, tenant)), found)
            except Overloaded:
                continue
    assert books.running == 0
    assert books.seconds == pytest.approx(0, abs=1e-6)
    with books.place("a"), books.place("b"), books.hold(50, "a"):
        pass
