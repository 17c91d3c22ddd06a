"""What `prompt` and `hotwords` do for names that the model gets wrong, and where nobody says them.

python -m tools.accuracy.prompts            # the repository's recordings
python -m tools.accuracy.prompts --full     # Debian's prompts too
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import jiwer
from benchmarks.harness.clips import Clip
from benchmarks.harness.report import tell
from benchmarks.harness.table import markdown
from benchmarks.harness.words import normalise

from asr_api.calibration.bootstrap import Interval, difference, error_rate

from .clips import MODEL, recordings
from .command import alone
from .heard import Heard
from .report import spread
from .service import Service, serving
from .sides import CONCURRENCY

NAMES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"en": ("Asterisk", "Digium", "PBX"), "ru": ("Астериск", "Дигиум", "введите")}
)
"""What callers of these prompts would hand over: two names, and a word of the trade. The Russian one means "enter",
and `base` takes each of the 18 of them in the prompts of 2.5 to 14 s for another word.
"""
SENTENCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "en": "Digium makes Asterisk, the open source PBX.",
        "ru": "Введите номер. Компания Дигиум разработала телефонную станцию Астериск.",
    }
)
OTHERS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "en": (
            *("Montague", "Capulet", "Mercutio", "Benvolio", "Tybalt", "Lysander", "Demetrius", "Hermia", "Oberon"),
            *("Titania", "Prospero", "Miranda", "Caliban", "Gonzalo", "Trinculo", "Stephano", "Polonius", "Laertes"),
            *("Ophelia", "Horatio", "Guildenstern", "Fortinbras", "Desdemona", "Iago", "Cassio", "Roderigo", "Goneril"),
            *("Regan", "Cordelia", "Banquo", "Macduff", "Malvolio", "Orsino", "Viola", "Sebastian", "Shylock"),
        ),
        "ru": (
            *("Онегин", "Ленский", "Ларина", "Печорин", "Грушницкий", "Чичиков", "Манилов", "Ноздрев", "Плюшкин"),
            *("Базаров", "Кирсанов", "Одинцова", "Раскольников", "Мармеладов", "Свидригайлов", "Лужин", "Болконский"),
            *("Безухов", "Ростова", "Курагин", "Каренина", "Вронский", "Левин", "Облонский", "Обломов", "Штольц"),
        ),
    }
)
"""A long list of names that nobody says in these recordings: of Shakespeare's, and of Russian novels'."""
LONGEST = 15.0
"""Seconds of a recording without names at most."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A way of telling the service of names: a field, and its text in each language; or none."""

    name: str
    field: str
    texts: Mapping[str, str] | None

    def fields(self, language: str) -> dict[str, str]:
        return {self.field: self.texts[language]} if self.texts else {}


def _listed(*lists: Mapping[str, Sequence[str]]) -> dict[str, str]:
    return {language: ", ".join(name for each in lists for name in each[language]) for language in NAMES}


NOTHING = "nothing"
WAYS = (
    Asked(NOTHING, field="", texts=None),
    Asked("prompt: a sentence with the names", "prompt", SENTENCES),
    Asked("hotwords: the names", "hotwords", _listed(NAMES)),
    Asked("prompt: the names, left open", "prompt", _listed(NAMES)),
    Asked("hotwords: other names, then the names", "hotwords", _listed(OTHERS, NAMES)),
    Asked("hotwords: other names only", "hotwords", _listed(OTHERS)),
)


@dataclass(frozen=True, slots=True)
class Reading:
    """One transcript: names said and names found in it, errors in the other words, and listed names nobody said."""

    clip: Clip
    heard: Heard
    said: int
    found: int
    words: int
    errors: int
    invented: int

    @classmethod
    def of(cls, clip: Clip, heard: Heard) -> "Reading":
        names = {normalise(name, clip.language) for name in NAMES[clip.language]}
        listed = names | {normalise(name, clip.language) for name in OTHERS[clip.language]}
        text, transcript = (normalise(each, clip.language) for each in (clip.text, heard.text))
        said, written = Counter(text.split()), Counter(transcript.split())
        others = [word for word in text.split() if word not in names]
        return cls(
            clip,
            heard,
            said=sum(said[name] for name in names),
            found=sum(min(said[name], written[name]) for name in names),
            words=len(others),
            errors=_errors_beside(text, transcript, names),
            invented=sum(max(0, written[name] - said[name]) for name in listed),
        )


@dataclass(frozen=True, slots=True)
class Row:
    """One way of asking, in one language, on recordings with names and on those without."""

    way: str
    language: str
    named: Sequence[Reading]
    plain: Sequence[Reading]

    @property
    def found(self) -> int:
        return sum(one.found for one in self.named)

    @property
    def invented(self) -> int:
        """Names of the list that were written where nobody says them."""
        return sum(one.invented for one in (*self.named, *self.plain))

    @property
    def errors(self) -> int:
        """In the words that are no names."""
        return sum(one.errors for one in (*self.named, *self.plain))

    def less(self, other: "Row") -> Interval:
        """Errors in the words that are no names, less those of the other way."""
        readings = list(zip((*self.named, *self.plain), (*other.named, *other.plain), strict=True))
        ours, theirs = [one.errors for one, _ in readings], [one.errors for _, one in readings]
        return difference(ours, theirs, [one.words for one, _ in readings])


@dataclass(frozen=True, slots=True)
class Found:
    """All ways in all languages; the first of a language is that of telling nothing."""

    rows: Sequence[Row]

    @property
    def missed(self) -> list[str]:
        """Hotwords that do not help with the names that they list, or cost other words by more than chance explains."""
        return [
            f"{row.language}, {row.way}: {fault}"
            for row in self.rows
            if row.way == "hotwords: the names"
            for fault, holds in self._faults(row)
            if holds
        ]

    def _faults(self, row: Row) -> Iterator[tuple[str, bool]]:
        nothing = self._nothing(row.language)
        yield f"{row.found} names right, {nothing.found} without", row.found < nothing.found
        yield f"{spread(row.less(nothing))} more errors in other words", row.less(nothing).low > 0

    def _nothing(self, language: str) -> Row:
        return next(row for row in self.rows if (row.language, row.way) == (language, NOTHING))

    def __str__(self) -> str:
        header = (
            *("told", "language", "names right", "names invented"),
            *("other words, where names are said: errors %", "where none is said", "less nothing, all recordings"),
        )
        counts = [
            f"{row.language}: {len(row.named)} recordings with {sum(one.said for one in row.named)} names and "
            f"{sum(one.words for one in row.named)} other words, {len(row.plain)} without names and with "
            f"{sum(one.words for one in row.plain)} words.\n"
            for row in self.rows
            if row.way == NOTHING
        ]
        return "\n".join([*counts, markdown(header, [self._cells(row) for row in self.rows])])

    def _cells(self, row: Row) -> list[str]:
        less = spread(row.less(self._nothing(row.language))) if row.way != NOTHING else "-"
        said = sum(one.said for one in row.named)
        rates = [spread(_rate(own)) for own in (row.named, row.plain)]
        return [row.way, row.language, f"{row.found} of {said}", str(row.invented), *rates, less]

    def as_json(self) -> dict[str, object]:
        return {
            f"{row.language}, {row.way}": [
                {"file": one.clip.path.name, "said": one.clip.text, "heard": one.heard.text, "invented": one.invented}
                for one in (*row.named, *row.plain)
            ]
            for row in self.rows
        }


def measure(full: bool, every: int = 16) -> Found:
    """All recordings with names, and of Debian's without any each `every`-th.

    Raises NoPackages, ServerFailed and httpx2.HTTPError.
    """
    clips = [clip for clip in recordings(full) if clip.language in NAMES]
    with serving(MODEL, "int8", 5, CONCURRENCY) as service:
        return Found([row for language in NAMES for row in _rows(service, language, clips, every if full else 1)])


def _rows(service: Service, language: str, clips: Sequence[Clip], every: int) -> Iterator[Row]:
    own = [clip for clip in clips if clip.language == language]
    named = [clip for clip in own if Reading.of(clip, Heard("", language)).said]
    plain = [clip for clip in own if clip not in named and clip.seconds <= LONGEST][::every]
    for way in WAYS:
        tell(f"{len(named)} recordings with names and {len(plain)} without, {language}, {way.name}")
        heard = service.hear([*named, *plain], words=False, **way.fields(language))
        readings = [Reading.of(*pair) for pair in zip([*named, *plain], heard, strict=True)]
        row = Row(way.name, language, readings[: len(named)], readings[len(named) :])
        tell(f"  {row.found} names right, {row.invented} invented, {row.errors} other words wrong")
        yield row


def _rate(readings: Sequence[Reading]) -> Interval:
    return error_rate([one.errors for one in readings], [one.words for one in readings])


def _errors_beside(text: str, transcript: str, names: set[str]) -> int:
    """Words wrong, missing or added, those left out that stand where a name was said."""
    aligned = jiwer.process_words(text, transcript)
    said, written = aligned.references[0], aligned.hypotheses[0]
    errors = 0
    for one in aligned.alignments[0]:
        if one.type == "insert":
            errors += sum(word not in names for word in written[one.hyp_start_idx : one.hyp_end_idx])
        elif one.type != "equal":
            errors += sum(word not in names for word in said[one.ref_start_idx : one.ref_end_idx])
    return errors


if __name__ == "__main__":
    alone("prompts")
