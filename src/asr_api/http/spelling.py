"""The ways in which clients spell the fields of a form, all read as one.

Every field may be written `x` or `x[]`; arrays also repeated, as a JSON array or with commas;
objects as `x[key]` or as a JSON object. OpenAI's clients send brackets, curl's users whatever they
know from elsewhere.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import from_json
from starlette.datastructures import FormData, UploadFile

from asr_api.errors import InvalidRequest

SHOWN = 64
"""Characters of a field's name that a refusal repeats."""

Sent = tuple[str, str | UploadFile]
"""A part that was sent for a field: the key in its brackets, and its text or file."""

_NAME = re.compile(r"([^\[]+)(?:\[(.*)\])?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Spelling:
    """A field of one value. `aliases` are other names for it; where `null` is true that text counts as absent."""

    aliases: tuple[str, ...] = ()
    null: bool = False

    def value(self, name: str, sent: Sequence[Sent]) -> object:
        """What was sent for the field `name`, at least once. Raises InvalidRequest where that is too often."""
        if len(sent) > 1:
            raise _repeated(name)
        return sent[0][1]


@dataclass(frozen=True, slots=True)
class Files(Spelling):
    """Files, one a part; a text is never taken apart to be one."""

    def value(self, name: str, sent: Sequence[Sent]) -> object:
        return [item for _, item in sent]


@dataclass(frozen=True, slots=True)
class Array(Spelling):
    """An array; with `commas` a text that is no JSON array is split at them, else it is one element."""

    commas: bool = True

    def value(self, name: str, sent: Sequence[Sent]) -> object:
        return [element for _, item in sent for element in self._elements(item)]

    def _elements(self, item: str | UploadFile) -> list[object]:
        if isinstance(item, str) and item.startswith("["):
            found = _json(item)
            return found if isinstance(found, list) else [item]
        return [part.strip() for part in item.split(",")] if isinstance(item, str) and self.commas else [item]


@dataclass(frozen=True, slots=True)
class Object(Spelling):
    """An object, or a text that stands for one."""

    def value(self, name: str, sent: Sequence[Sent]) -> object:
        members = dict(sent)
        if len(members) < len(sent) or ("" in members and len(members) > 1):
            raise _repeated(name)
        whole = members.get("")
        if whole is None:
            return members
        return _json(whole) if isinstance(whole, str) and whole.startswith("{") else whole


def values_of(form_type: type[BaseModel], data: FormData) -> dict[str, object]:
    """What was sent, by the names under which `form_type` validates it; other names are left as they are.

    How a field is spelt is said by a Spelling among its annotations. An empty text counts as absent.
    Raises InvalidRequest (`invalid_value`) where a field that has one value was sent more than once.
    """
    spellings = {_key(name, field): _spelling(field) for name, field in form_type.model_fields.items()}
    names = {alias: name for name, spelling in spellings.items() for alias in (name, *spelling.aliases)}
    known: dict[str, list[Sent]] = {}
    unknown: dict[str, object] = {}
    for wire, item in _sent(data):
        name, key = _place(wire, names, spellings)
        if not name:
            unknown.setdefault(wire, item)
        elif not (spellings[name].null and item == "null"):
            known.setdefault(name, []).append((key, item))
    return {name: spellings[name].value(name, sent) for name, sent in known.items()} | unknown


def _sent(data: FormData) -> list[tuple[str, str | UploadFile]]:
    return [(name, item) for name, item in data.multi_items() if item != ""]


def _key(name: str, field: FieldInfo) -> str:
    return field.validation_alias if isinstance(field.validation_alias, str) else name


def _spelling(field: FieldInfo) -> Spelling:
    return next((note for note in field.metadata if isinstance(note, Spelling)), Spelling())


def _place(wire: str, names: Mapping[str, str], spellings: Mapping[str, Spelling]) -> tuple[str, str]:
    """The field that a part's name means, and the key in its brackets; no field where it means none."""
    found = _NAME.fullmatch(wire)
    name, key = (names.get(found[1], ""), found[2] or "") if found else ("", "")
    return (name, key) if name and (not key or isinstance(spellings[name], Object)) else ("", "")


def _json(text: str) -> object:
    """The value that a JSON text has; the text itself where it is none."""
    try:
        return from_json(text)
    except ValueError:
        return text


def _repeated(name: str) -> InvalidRequest:
    return InvalidRequest(f"{name[:SHOWN]} is sent more than once", param=name[:SHOWN], code="invalid_value")
