"""A stream of server-sent events, as it came over the wire."""

import json
from dataclasses import dataclass

from asr_api.conformance.answer import Answer, text_of
from asr_api.conformance.verdict import Broken, expect, shown

DONE_MARK = "[DONE]"
DELTA, DONE = "transcript.text.delta", "transcript.text.done"

Event = dict[str, object]


@dataclass(frozen=True, slots=True)
class Stream:
    """`names` are the fields that its lines have (`data`, `event`; a comment has none), `data` those of its frames."""

    names: frozenset[str]
    data: tuple[str, ...]

    @classmethod
    def of(cls, answer: Answer) -> "Stream":
        """Raises Broken unless the answer is a stream of events with a 200."""
        answer.accepted()
        expect(answer.content_type == "text/event-stream", f"{answer.content_type}: {shown(answer.text)}")
        fields = [line.partition(":") for line in answer.text.splitlines() if line and not line.startswith(":")]
        data = tuple(value.removeprefix(" ") for name, _, value in fields if name == "data")
        return cls(frozenset(name for name, _, _ in fields), data)

    def events(self) -> list[Event]:
        """The JSON objects before `[DONE]`. Raises Broken where one is none."""
        found = []
        for data in self.data:
            if data.startswith(DONE_MARK):
                break
            found.append(_object(data))
        return found

    def deltas(self) -> list[str]:
        return [text_of(event, "delta") for event in self.events() if event.get("type") == DELTA]

    def done(self) -> Event:
        """The one event that ends the transcript. Raises Broken where there is none, or several."""
        found = [event for event in self.events() if event.get("type") == DONE]
        expect(len(found) == 1, f"{len(found)} events {DONE} among {_types(self.events())}")
        return found[0]

    def types(self) -> list[str]:
        return _types(self.events())


def _types(events: list[Event]) -> list[str]:
    return [str(event.get("type")) for event in events]


def _object(data: str) -> Event:
    try:
        event = json.loads(data)
    except ValueError:
        raise Broken(f"a frame that is not JSON: {shown(data)}") from None
    if not isinstance(event, dict):
        raise Broken(f"a frame that is no object: {shown(event)}")
    return event
