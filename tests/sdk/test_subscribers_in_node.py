"""Subscribers in Node verify what a gateway sends: with the public libraries, and with the documented verifier."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.subscribers.documented_verifiers import REFUSED, Notification, code_of, delivered, forged, genuine, run
from tests.support.gateway import Gateway
from tests.support.receiver import Receiver

pytestmark = pytest.mark.sdk

PACKAGES = ("standardwebhooks@1", "svix@1")

CALL = """
const all = JSON.parse(process.getBuiltinModule("node:fs").readFileSync(0, "utf8"));
const said = {};
for (const [name, given] of Object.entries(all)) {
  try {
    said[name] = verify(given.secret, given.headers, Buffer.from(given.body, "base64")).type;
  } catch (error) {
    said[name] = "refused";
  }
}
console.log(JSON.stringify(said));
"""
WITH_LIBRARY = """
const { Webhook } = require("%s");
const verify = (secret, headers, body) => new Webhook(secret).verify(body.toString("utf8"), headers);
"""
VERIFIERS = {
    "standardwebhooks": WITH_LIBRARY % "standardwebhooks",
    "svix": WITH_LIBRARY % "svix",
    "documented": code_of("js"),
}


@pytest.fixture(scope="module")
def node_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("node")
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, *PACKAGES]
    subprocess.run(command, cwd=folder, check=True)
    return folder


@pytest.fixture
def place(verifier: str, node_project: Path, tmp_path: Path) -> Path:
    """Where nothing is installed, for the documented one: it must do with what Node has."""
    return tmp_path if verifier == "documented" else node_project


def said_by(verifier: str, place: Path, notifications: Mapping[str, Notification]) -> dict[str, str]:
    kind = ["--input-type=module"] if verifier == "documented" else []
    return run(["node", *kind, "-e", VERIFIERS[verifier] + CALL], place, notifications)


@pytest.mark.parametrize("verifier", VERIFIERS)
def test_a_node_subscriber_accepts_what_the_gateway_sends(
    verifier: str, place: Path, gateway: Gateway, receiver: Receiver
) -> None:
    sent = delivered(gateway, receiver)

    said = said_by(verifier, place, genuine(sent))

    assert said == dict.fromkeys(genuine(sent), "task.succeeded")


@pytest.mark.parametrize("verifier", VERIFIERS)
def test_a_node_subscriber_refuses_what_is_not_the_gateways(
    verifier: str, place: Path, gateway: Gateway, receiver: Receiver
) -> None:
    sent = delivered(gateway, receiver)

    said = said_by(verifier, place, forged(sent))

    assert said == dict.fromkeys(forged(sent), REFUSED)
