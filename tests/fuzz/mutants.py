"""Files that were whole once: mutant number n is the same on every machine with the same libav."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from asr_api.transcription import AudioOptions
from tests.fuzz.anatomy import Field, fields, with_checksums

HEAD = 256
"""Bytes at the begin of a file that are damaged more often than others."""

OPTIONS: Mapping[AudioOptions, int] = {
    AudioOptions(): 80,
    AudioOptions(vad=False): 10,
    AudioOptions(denoise=True): 5,
    AudioOptions(normalize=True): 3,
    AudioOptions(vad=False, denoise=True, normalize=True): 2,
}
"""What is asked for along with a file, by how often of a hundred times."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """`seed` is the name of what it was made of, `steps` what was done to that."""

    number: int
    seed: str
    steps: tuple[str, ...]
    data: bytes
    options: AudioOptions


class Nursery:
    """Makes mutants of seeds."""

    def __init__(self, seeds: Mapping[str, bytes]) -> None:
        self._seeds = dict(seeds)
        self._fields = {name: fields(name, data) for name, data in seeds.items()}

    def mutant(self, number: int) -> Mutant:
        """The seeds take turns; a mutant has one to four faults, mostly one."""
        chance = random.Random(number)
        names = list(self._seeds)
        seed = names[number % len(names)]
        surgery = _Surgery(chance, self._seeds[seed], self._fields[seed], self._seeds[chance.choice(names)])
        steps = chance.choices(list(STEPS), list(STEPS.values()), k=chance.choice((1, 1, 1, 2, 2, 4)))
        for step in steps:
            step(surgery)
        data = bytes(surgery.data)
        if seed == "ogg" and chance.random() < 0.8:
            data = with_checksums(data)
        (options,) = chance.choices(list(OPTIONS), list(OPTIONS.values()))
        return Mutant(number, seed, tuple(step.__name__ for step in steps), data, options)


class _Surgery:
    """A file under treatment. Its fields lie where they lay in the seed, which may be elsewhere by now."""

    def __init__(self, chance: random.Random, data: bytes, fields: list[Field], donor: bytes) -> None:
        self.chance = chance
        self.data = bytearray(data)
        self.fields = fields
        self.donor = donor

    def place(self) -> int:
        """Somewhere in the file: at a field, near the begin, or anywhere."""
        size = len(self.data)
        where = self.chance.random()
        if where < 0.4:
            return min(self.chance.choice(self.fields).offset, size)
        return self.chance.randrange(min(HEAD, size) + 1 if where < 0.6 else size + 1)

    def run(self) -> slice:
        """A stretch of the file, as often short as long."""
        begin = self.place()
        return slice(begin, begin + int(2 ** self.chance.uniform(0, 11)))


def flip_bits(surgery: _Surgery) -> None:
    for _ in range(surgery.chance.choice((1, 1, 2, 8))):
        place = surgery.place()
        if place < len(surgery.data):
            surgery.data[place] ^= 1 << surgery.chance.randrange(8)


def overwrite(surgery: _Surgery) -> None:
    """Chance bytes, or one and the same, where others stood."""
    where = surgery.run()
    size = len(surgery.data[where])
    filler = surgery.chance.choice((bytes(size), b"\xff" * size, surgery.chance.randbytes(size)))
    surgery.data[where] = filler


def truncate(surgery: _Surgery) -> None:
    del surgery.data[surgery.place() :]


def delete(surgery: _Surgery) -> None:
    del surgery.data[surgery.run()]


def insert(surgery: _Surgery) -> None:
    place = surgery.place()
    surgery.data[place:place] = surgery.chance.randbytes(int(2 ** surgery.chance.uniform(0, 9)))


def duplicate(surgery: _Surgery) -> None:
    """A stretch comes again, there or elsewhere, up to eight times."""
    where = surgery.run()
    place = surgery.chance.choice((where.start, surgery.place()))
    surgery.data[place:place] = surgery.data[where] * surgery.chance.choice((1, 1, 2, 8))


def splice(surgery: _Surgery) -> None:
    """The first part of this file, then the last of another, or the whole of it."""
    begin = surgery.chance.choice((0, surgery.chance.randrange(len(surgery.donor))))
    surgery.data[surgery.place() :] = surgery.donor[begin:]


def lie(surgery: _Surgery) -> None:
    """A field says what cannot be."""
    field = surgery.chance.choice(surgery.fields)
    where = slice(field.offset, field.offset + field.width)
    value = _lie(surgery.chance, int.from_bytes(surgery.data[where], field.order), 8 * field.width)
    surgery.data[where] = value.to_bytes(field.width, field.order)


def _lie(chance: random.Random, truth: int, bits: int) -> int:
    top = (1 << bits) - 1
    lies = (
        0, 1, top, top - 1, top - 8, top >> 1, (top >> 1) + 1, truth + 1, truth - 1, 2 * truth, truth // 2,
        truth ^ (1 << chance.randrange(bits)), -truth, chance.randrange(256), chance.randrange(top + 1),
    )  # fmt: skip
    return chance.choice(lies) & top


STEPS: Mapping[Callable[[_Surgery], None], int] = {
    lie: 8, flip_bits: 3, overwrite: 2, truncate: 1, delete: 2, insert: 1, duplicate: 2, splice: 1,
}  # fmt: skip
"""What is done to a seed, by how often."""
