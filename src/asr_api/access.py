"""API keys: who asks, known by name, and who only guesses."""

import hmac
import re
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from ipaddress import IPv6Address, IPv6Network, ip_address
from pathlib import Path
from typing import Self

from asr_api.settings import InvalidSettings

UNNAMED = "default"
"""The name of keys that are given without one."""

MOST_FAILURES = 10
"""Failures of one address within `WINDOW` seconds that are answered as such."""

WINDOW = 60.0

MOST_ADDRESSES = 10_000
"""Addresses whose failures are remembered, about 1 kB each."""

_NAME = re.compile(r"[a-z0-9_-]{1,32}")
_KEY = re.compile(r"[!-~]{6,512}")


class ApiKeys:
    """The keys that requests may carry, false where there are none and none is wanted.

    Only SHA-256 digests are kept. Several keys may share a name, so that one can replace another
    while both are in use.
    """

    def __init__(self, keys: Iterable[tuple[str, str]] = ()) -> None:
        """Take pairs of name and key. Raises InvalidSettings where two names share a key."""
        self._names: dict[bytes, str] = {}
        for name, key in keys:
            first = self._names.setdefault(sha256(key.encode()).digest(), name)
            if first != name:
                raise InvalidSettings(f"the API keys {first} and {name} are the same; give each its own")

    @classmethod
    def load(cls, listed: str, file: str) -> Self:
        """The keys of the settings `api_keys` and `api_keys_file`, both of which may be empty.

        Raises InvalidSettings naming the entry or line that is wrong, never what stands there.
        """
        return cls([*_listed(listed), *_filed(file)])

    def __bool__(self) -> bool:
        return bool(self._names)

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._names.values())

    def name_of(self, token: bytes) -> str | None:
        """The name of the key that `token` is, None where it is none.

        Takes as long for a wrong token as for a right one: digests are compared in constant time,
        and always all of them.
        """
        digest, found = sha256(token).digest(), None
        for known, name in self._names.items():
            found = name if hmac.compare_digest(known, digest) else found
        return found


class Failures:
    """The failed attempts of each address in the last minute, a sliding window each.

    Remembers the `addresses` that failed last, so that nobody can fill the memory; `clock` counts seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, addresses: int = MOST_ADDRESSES) -> None:
        self._clock = clock
        self._addresses = addresses
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._times)

    def note(self, address: str) -> float:
        """Note a failure of this address: 0 within the limit, else the seconds until one is within it again.

        Those above the limit are not noted themselves, so that the wait has an end.
        """
        now, times = self._clock(), self._of(network_of(address))
        if len(times) >= MOST_FAILURES and times[0] + WINDOW > now:
            return times[0] + WINDOW - now
        times.append(now)
        return 0.0

    def _of(self, network: str) -> deque[float]:
        times = self._times.setdefault(network, deque(maxlen=MOST_FAILURES))
        self._times.move_to_end(network)
        if len(self._times) > self._addresses:
            self._times.popitem(last=False)
        return times


def network_of(address: str) -> str:
    """What one client has: an IPv4 address, or the /64 of an IPv6 address; other text as it is."""
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if not isinstance(ip, IPv6Address):
        return str(ip)
    return str(ip.ipv4_mapped or IPv6Network((int(ip) >> 64 << 64, 64)))


def _listed(text: str) -> Iterator[tuple[str, str]]:
    """`name:key,name:key` or `key`, as a variable has it."""
    entries = [entry.strip() for entry in text.split(",")]
    if text and not any(entries):
        raise InvalidSettings("ASR_API_KEYS has no key; leave it empty to serve without keys")
    for number, entry in enumerate(entries, 1):
        if entry:
            name, separator, key = entry.partition(":")
            pair = (name, key) if separator else (UNNAMED, entry)
            yield _checked(*pair, f"ASR_API_KEYS, entry {number}")


def _filed(file: str) -> Iterator[tuple[str, str]]:
    """A file's lines of `name:key` or `name=key`; `#` begins a comment line."""
    lines = [line.strip() for line in _text_of(file).splitlines()] if file else []
    entries = [(number, line) for number, line in enumerate(lines, 1) if line and not line.startswith("#")]
    if file and not entries:
        raise InvalidSettings(f"ASR_API_KEYS_FILE: {file} has no key")
    for number, line in entries:
        name, *key = re.split("[:=]", line, maxsplit=1)
        yield _checked(name.strip(), "".join(key).strip(), f"ASR_API_KEYS_FILE: {file}, line {number}")


def _text_of(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidSettings(f"ASR_API_KEYS_FILE: cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise InvalidSettings(f"ASR_API_KEYS_FILE: {file} is not UTF-8 text") from None  # the cause has the bytes


def _checked(name: str, key: str, place: str) -> tuple[str, str]:
    if not _NAME.fullmatch(name):
        raise InvalidSettings(f"{place}: the name before the key must be 1 to 32 of a-z, 0-9, _ and -")
    if not _KEY.fullmatch(key):
        raise InvalidSettings(f"{place}: a key must be 6 to 512 visible ASCII characters")
    return name, key
