"""The running gateway against its own OpenAPI document: whatever is sent, no 5xx, no answer that is not in it."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    missing_required_header,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from service.app import Role, create_app
from service.settings import Settings
from tests.support.gateway import ALPHA_KEY, Gateway, auth

# Left out: `positive_data_acceptance`. Whether a value fits is the catalogue's to say, which no schema can hold.
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    missing_required_header,
    unsupported_method,
    ignored_auth,
]
LONGEST_WAIT_S = 60
schema = schemathesis.openapi.from_dict(create_app(Settings(), Role.ALL).openapi())


@pytest.fixture
def base_url(gateway: Gateway) -> str:
    return gateway.url


@schema.parametrize()
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_one_that_the_document_names(case: schemathesis.Case, base_url: str) -> None:
    wait_briefly(case)
    case.call_and_validate(base_url=base_url, headers=auth(ALPHA_KEY), checks=CHECKS, timeout=30)


def wait_briefly(case: schemathesis.Case) -> None:
    """A request may be held open for a minute; one tenth of a second says as much about its answer."""
    wait = (case.query or {}).get("wait")
    if isinstance(wait, int | float) and 0 < wait <= LONGEST_WAIT_S:
        case.query["wait"] = 0.1
