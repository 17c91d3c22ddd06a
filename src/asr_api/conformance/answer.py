"""What a server answered to one request, read without trust."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from asr_api.conformance.verdict import Broken, expect, shown

ENVELOPE = frozenset({"message", "type", "param", "code"})
"""The keys of OpenAI's error object, all required (`ErrorResponse` of its OpenAPI document)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers in lower case and body of an answer."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", "replace")

    @property
    def content_type(self) -> str:
        """The media type alone, in lower case."""
        return self.headers.get("content-type", "").split(";")[0].strip().lower()

    def accepted(self) -> "Answer":
        """This answer. Raises Broken unless its status is 200."""
        expect(self.status == 200, f"{self.status}: {shown(self.text)}")
        return self

    def json(self) -> dict[str, object]:
        """The JSON object of a 200. Raises Broken where there is none."""
        return self.accepted()._body()

    def refused(self, *statuses: int) -> dict[str, object]:
        """The error object of a refusal with one of the statuses, in OpenAI's envelope. Raises Broken."""
        expect(self.status in statuses, f"{self.status}: {shown(self.text)}")
        error = self._body().get("error")
        if not isinstance(error, dict):
            raise Broken(f"{self.status} without an object under `error`: {shown(self.text)}")
        missing = ENVELOPE - error.keys()
        expect(not missing, f"an error without {_listed(missing)}: {shown(error)}")
        expect(isinstance(error["message"], str) and error["message"] != "", f"message={shown(error['message'])}")
        expect(isinstance(error["type"], str), f"type={shown(error['type'])}")
        for key in ("param", "code"):
            expect(error[key] is None or isinstance(error[key], str), f"{key}={shown(error[key])}")
        return error

    def refused_for(self, *params: str) -> None:
        """Raises Broken unless this is a 400 whose `param`, or at least its message, names one of the fields."""
        error = self.refused(400)
        said = str(error["param"] or error["message"])
        expect(any(param in said for param in params), f"an error that names no such field: {shown(error)}")

    def _body(self) -> dict[str, object]:
        try:
            body = json.loads(self.content)
        except ValueError:
            raise Broken(f"{self.content_type or 'a body'} that is not JSON: {shown(self.text)}") from None
        if not isinstance(body, dict):
            raise Broken(f"JSON that is no object: {shown(body)}")
        return body


def text_of(body: Mapping[str, object], key: str) -> str:
    """The string under a key. Raises Broken where it is none."""
    value = body.get(key)
    if not isinstance(value, str):
        raise Broken(f"{key}={shown(value)}" if key in body else f"no `{key}` among {_listed(body.keys())}")
    return value


def objects_of(body: Mapping[str, object], key: str) -> list[dict[str, object]]:
    """The list of objects under a key. Raises Broken where it is none."""
    value = body.get(key)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise Broken(f"{key}={shown(value)}" if key in body else f"no `{key}` among {_listed(body.keys())}")
    return value


def number_of(body: Mapping[str, object], key: str) -> float:
    """The number under a key. Raises Broken where it is none, and a string of digits is none."""
    value = body.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Broken(f"{key}={shown(value)}" if key in body else f"no `{key}` among {_listed(body.keys())}")
    return float(value)


def absent(body: Mapping[str, object], key: str) -> None:
    """Raises Broken unless the key is left out or null, which OpenAI's clients read alike."""
    expect(body.get(key) is None, f"`{key}` as well: {shown(body.get(key))}")


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
