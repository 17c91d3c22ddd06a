"""Whatever the OpenAPI document allows, and much that it does not, gets an answer that the document has."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from asr_api.http import create_http_app

from .fakes import FakeService

APP = create_http_app(FakeService())
allowed = schemathesis.openapi.from_asgi("/openapi.json", APP)
allowed.config.generation.update(modes=[GenerationMode.POSITIVE])


def without_files(document: Any) -> Any:
    """The document with text in the place of files, which schemathesis 4.32 cannot always break: its validator
    knows no `Binary`.
    """
    if isinstance(document, dict):
        return {name: without_files(one) for name, one in document.items() if (name, one) != ("format", "binary")}
    return [without_files(one) for one in document] if isinstance(document, list) else document


broken = schemathesis.openapi.from_dict(without_files(APP.openapi()))
broken.app = APP
broken.config.generation.update(modes=[GenerationMode.NEGATIVE])

CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


LIMITS = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@pytest.mark.filterwarnings("default")
@allowed.parametrize()
@LIMITS
def test_answers_are_those_of_the_document(case: Any) -> None:
    """No 5xx, no status, type or body that is not documented."""
    case.call_and_validate(checks=CHECKS)


@pytest.mark.filterwarnings("default")
@broken.parametrize()
@LIMITS
def test_answers_to_what_the_document_does_not_allow_are_in_it(case: Any) -> None:
    """Neither is there one to what nobody should send."""
    case.call_and_validate(checks=CHECKS)
