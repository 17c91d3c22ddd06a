"""Whatever the OpenAPI document allows, and much that it does not, gets an answer that the document has."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from asr_api.http import create_http_app

from .fakes import FakeService

APP = create_http_app(FakeService())
schema = schemathesis.openapi.from_asgi("/openapi.json", APP)

CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.mark.filterwarnings("default")
@schema.parametrize()
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_answers_are_those_of_the_document(case: Any) -> None:
    """No 5xx, no status, type or body that is not documented."""
    case.call_and_validate(checks=CHECKS)
