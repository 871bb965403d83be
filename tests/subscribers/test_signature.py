"""What a subscriber relies on when it verifies a notification; the public libraries are the judges."""

import base64
from datetime import UTC, datetime
from uuid import UUID

import pytest
import standardwebhooks
import svix
from hypothesis import given
from hypothesis import strategies as st

from service.subscribers.signature import new_signing_secret, signed_headers, webhook_id

# Without a zone, as the strategy wants them; the test reads them as UTC.
EARLIEST, LATEST = datetime.fromisoformat("2020-01-01"), datetime.fromisoformat("2100-01-01")
EVENT_ID = UUID("0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b")
BODY = b'{"type":"task.succeeded","data":{"prompt":"\xc3\xbcber"}}'


def test_the_public_standardwebhooks_library_verifies_a_notification() -> None:
    secret = new_signing_secret()

    headers = signed_headers([secret], webhook_id(EVENT_ID), datetime.now(UTC), BODY)

    assert standardwebhooks.Webhook(secret).verify(BODY, headers)["type"] == "task.succeeded"


def test_the_public_svix_library_verifies_a_notification() -> None:
    secret = new_signing_secret()

    headers = signed_headers([secret], webhook_id(EVENT_ID), datetime.now(UTC), BODY)

    svix.Webhook(secret).verify(BODY, headers)


def test_during_a_rotation_the_old_and_the_new_secret_both_verify() -> None:
    old, new = new_signing_secret(), new_signing_secret()

    headers = signed_headers([new, old], webhook_id(EVENT_ID), datetime.now(UTC), BODY)

    for secret in (old, new):
        standardwebhooks.Webhook(secret).verify(BODY, headers)
        svix.Webhook(secret).verify(BODY, headers)


def test_a_changed_body_does_not_verify() -> None:
    secret = new_signing_secret()

    headers = signed_headers([secret], webhook_id(EVENT_ID), datetime.now(UTC), BODY)

    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(secret).verify(BODY.replace(b"succeeded", b"failed"), headers)


def test_the_secret_of_another_subscription_does_not_verify() -> None:
    headers = signed_headers([new_signing_secret()], webhook_id(EVENT_ID), datetime.now(UTC), BODY)

    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(new_signing_secret()).verify(BODY, headers)


def test_secrets_are_random_and_have_32_bytes() -> None:
    secrets = {new_signing_secret() for _ in range(100)}

    assert len(secrets) == 100
    assert {len(base64.b64decode(secret.removeprefix("whsec_"))) for secret in secrets} == {32}


@given(st.text(st.characters(codec="utf-8")), st.datetimes(EARLIEST, LATEST))
def test_signatures_agree_with_the_public_library_on_any_text_and_time(body: str, at: datetime) -> None:
    secret = new_signing_secret()

    headers = signed_headers([secret], "evt_1", at.replace(tzinfo=UTC), body.encode())

    assert headers["webhook-signature"] == standardwebhooks.Webhook(secret).sign("evt_1", at, body)
