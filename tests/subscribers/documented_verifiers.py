"""The verifiers of docs/verifying-webhooks.md, run as a subscriber runs them, and what each must accept or refuse."""

import base64
import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from service.subscribers.signature import new_signing_secret, signed_headers
from tests.journeys.native_orders import created, ended
from tests.support.gateway import Gateway
from tests.support.postgres import ROOT
from tests.support.receiver import Receiver

DOCUMENT = ROOT / "docs" / "verifying-webhooks.md"
MAX_LINES = 30
REFUSED = "refused"


@dataclass(frozen=True)
class Notification:
    """What a subscriber holds when it verifies: its secret, the headers in lower case, and the body."""

    secret: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def event_type(self) -> str:
        """What a verifier must find in it."""
        return str(json.loads(self.body)["type"])

    def with_headers(self, **changed: str) -> "Notification":
        """The same under other headers, underscores for hyphens."""
        headers = {name.replace("_", "-"): value for name, value in changed.items()}
        return Notification(self.secret, {**self.headers, **headers}, self.body)

    def without(self, header: str) -> "Notification":
        """The same with a header less."""
        return Notification(
            self.secret, {name: value for name, value in self.headers.items() if name != header}, self.body
        )

    def signed(self, secrets: Sequence[str], age: timedelta = timedelta()) -> "Notification":
        """The same, signed anew by these secrets so long ago."""
        at = datetime.now(UTC) - age
        return Notification(self.secret, signed_headers(secrets, self.headers["webhook-id"], at, self.body), self.body)


def delivered(gateway: Gateway, receiver: Receiver) -> Notification:
    """What a gateway sends to a subscriber of its when a task has ended."""
    made = gateway.alpha.post("/api/v1/subscriptions", json={"url": receiver.url}).raise_for_status().json()
    ended(gateway.alpha, created(gateway.alpha)["id"])
    [request] = receiver.wait_for(1)
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Notification(made["secret"], headers, request.body)


def genuine(sent: Notification) -> dict[str, Notification]:
    """What a verifier accepts, by the reason."""
    other = new_signing_secret()
    return {
        "as it was sent": sent,
        "signed by two secrets, of which ours is the second": sent.signed([other, sent.secret]),
        "signed by two secrets, of which ours is the first": sent.signed([sent.secret, other]),
        "beside a version that is not known": sent.with_headers(
            webhook_signature=f"v1a,AAAA {sent.headers['webhook-signature']} v2,AAAA"
        ),
        "four minutes old": sent.signed([sent.secret], timedelta(minutes=4)),
    }


def forged(sent: Notification) -> dict[str, Notification]:
    """What a verifier refuses, by the reason."""
    signature = sent.headers["webhook-signature"].removeprefix("v1,")
    return {
        "the body was changed": Notification(sent.secret, sent.headers, sent.body.replace(b"succeeded", b"failed")),
        "the body was written anew": Notification(
            sent.secret, sent.headers, json.dumps(json.loads(sent.body)).encode()
        ),
        "another secret signed": sent.signed([new_signing_secret()]),
        "the id was changed": sent.with_headers(webhook_id="evt_0"),
        "the time was changed": sent.with_headers(webhook_timestamp=str(int(sent.headers["webhook-timestamp"]) + 1)),
        "it is six minutes old": sent.signed([sent.secret], timedelta(minutes=6)),
        "it is from the future": sent.signed([sent.secret], timedelta(minutes=-6)),
        "the version is not v1": sent.with_headers(webhook_signature=f"v2,{signature}"),
        "the signature has no version": sent.with_headers(webhook_signature=signature),
        "the signature is empty": sent.with_headers(webhook_signature="v1,"),
        "the signature is cut": sent.with_headers(webhook_signature=f"v1,{signature[:20]}"),
        "the signature is no base64": sent.with_headers(webhook_signature="v1,ü!?"),
        "the time is no number": sent.with_headers(webhook_timestamp="now"),
        **{f"{name} is missing": sent.without(name) for name in sent.headers if name.startswith("webhook-")},
    }


def code_of(language: str) -> str:
    """The block of the document in that language."""
    found = re.search(rf"```{language}\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert found is not None, f"{DOCUMENT.name} has no code in {language}"
    return found[1]


def run(command: Sequence[str], folder: Path, notifications: Mapping[str, Notification]) -> dict[str, str]:
    """What the verifier says to each: the event's type, or that it refuses."""
    given = {
        name: {"secret": each.secret, "headers": dict(each.headers), "body": base64.b64encode(each.body).decode()}
        for name, each in notifications.items()
    }
    done = subprocess.run(
        command, cwd=folder, input=json.dumps(given), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))
