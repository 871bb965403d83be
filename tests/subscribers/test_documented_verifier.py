"""The verifier that the documentation gives to subscribers in Python accepts what the gateway sends, and no more."""

import sys
from pathlib import Path

import standardwebhooks
import svix

from tests.subscribers.documented_verifiers import MAX_LINES, REFUSED, code_of, delivered, forged, genuine, run
from tests.support.gateway import Gateway
from tests.support.receiver import Receiver

CALL = """
import sys

def outcome(given):
    try:
        return verify(given["secret"], given["headers"], base64.b64decode(given["body"]))["type"]
    except ValueError:
        return "refused"

print(json.dumps({name: outcome(given) for name, given in json.load(sys.stdin).items()}))
"""


def alone(code: str) -> list[str]:
    """A Python in which nothing is installed."""
    return [sys.executable, "-I", "-S", "-c", code]


def test_the_documented_verifier_accepts_what_the_gateway_sends(
    gateway: Gateway, receiver: Receiver, tmp_path: Path
) -> None:
    sent = delivered(gateway, receiver)

    said = run(alone(code_of("python") + CALL), tmp_path, genuine(sent))

    assert said == dict.fromkeys(genuine(sent), "task.succeeded")


def test_the_documented_verifier_refuses_what_is_not_the_gateways(
    gateway: Gateway, receiver: Receiver, tmp_path: Path
) -> None:
    sent = delivered(gateway, receiver)

    said = run(alone(code_of("python") + CALL), tmp_path, forged(sent))

    assert said == dict.fromkeys(forged(sent), REFUSED)


def test_the_documented_verifiers_are_short() -> None:
    assert len(code_of("python").splitlines()) <= MAX_LINES
    assert len(code_of("js").splitlines()) <= MAX_LINES


def test_the_public_libraries_verify_what_the_gateway_sends(gateway: Gateway, receiver: Receiver) -> None:
    sent = delivered(gateway, receiver)

    assert standardwebhooks.Webhook(sent.secret).verify(sent.body, dict(sent.headers))["type"] == "task.succeeded"
    svix.Webhook(sent.secret).verify(sent.body, dict(sent.headers))
