"""A form as a model, and what its model says against it as one sentence about one field."""

import reprlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails
from starlette.datastructures import FormData

from asr_api.errors import InvalidRequest
from asr_api.http.spelling import SHOWN, values_of

_TAGGED = 3
"""How deep a member of an object is placed: field, kind of object, member."""


class Form(BaseModel):
    """The fields that an endpoint takes; `unserved` are those it knows and refuses, each with the reason."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, protected_namespaces=(), allow_inf_nan=False
    )
    unserved: ClassVar[Mapping[str, str]] = MappingProxyType({})

    @classmethod
    def read(cls, data: FormData) -> Self:
        """The form in `data`: fields in any order and spelling (see `spelling`).

        Raises InvalidRequest, which names the field at fault.
        """
        values = values_of(cls, data)
        for name in values:
            if reason := cls.unserved.get(name.removesuffix("[]")):
                raise _unserved(name.removesuffix("[]"), reason)
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise _refusal(cls, error.errors()[0]) from error


def _refusal(form_type: type[Form], fault: ErrorDetails) -> InvalidRequest:
    name, param, kind = str(fault["loc"][0])[:SHOWN], _param(fault["loc"]), fault["type"]
    if kind == "extra_forbidden":
        return _unknown(form_type, name, param)
    if kind == "missing":
        code = "missing_file" if name == "file" else "missing_required_parameter"
        return InvalidRequest(f"the field {param} is missing", param=param, code=code)
    if name == "file":
        return _wrong_file(kind)
    return InvalidRequest(f"{_shown(param, fault['input'])}: {_reason(fault)}", param=param, code="invalid_value")


def _param(place: tuple[int | str, ...]) -> str:
    """The field at fault: `x`, also for an element of the array `x`, or `x[key]`."""
    member = f"[{place[_TAGGED - 1]}]" if len(place) >= _TAGGED else ""
    return f"{place[0]}{member}"[:SHOWN]


def _unserved(name: str, reason: str) -> InvalidRequest:
    return InvalidRequest(f"{name} is not served: {reason}", param=name, code="unsupported_parameter")


def _unknown(form_type: type[Form], name: str, param: str) -> InvalidRequest:
    taken = ", ".join(field.alias or key for key, field in form_type.model_fields.items())
    whose = f"{name}" if param != name else f"this endpoint, which takes {taken}"
    return InvalidRequest(f"{param} is not a field of {whose}", param=param, code="unknown_parameter")


def _wrong_file(kind: str) -> InvalidRequest:
    if kind == "too_long":
        return InvalidRequest("one file is transcribed at a time here", param="file", code="multiple_files")
    return InvalidRequest("file must be a file part with a filename, not text", param="file", code="invalid_file")


def _shown(param: str, value: object) -> str:
    return f"{param}={reprlib.repr(value)}" if isinstance(value, str | int | float) else param


def _reason(fault: ErrorDetails) -> str:
    if fault["type"] == "too_long":  # pydantic speaks of tuples
        return f"it may have at most {fault['ctx']['max_length']} elements"
    return fault["msg"][:1].lower() + fault["msg"][1:]
