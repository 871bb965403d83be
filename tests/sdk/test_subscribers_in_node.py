"""Subscribers in Node verify our notifications with the public library and nothing of ours."""

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.subscribers.signature import new_signing_secret, signed_headers

pytestmark = pytest.mark.sdk

BODY = '{"type":"task.succeeded","note":"grüße, 画像"}'
VERIFY = """
const { Webhook } = require("standardwebhooks");
const given = JSON.parse(require("fs").readFileSync(0, "utf8"));
const event = new Webhook(given.secret).verify(given.body, given.headers);
console.log(event.type);
"""


@pytest.fixture(scope="module")
def node_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("node")
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, "standardwebhooks@1"]
    subprocess.run(command, cwd=folder, check=True)
    return folder


def verify(node_project: Path, secret: str, headers: dict[str, str], body: str) -> subprocess.CompletedProcess[str]:
    given = json.dumps({"secret": secret, "headers": headers, "body": body})
    return subprocess.run(
        ["node", "-e", VERIFY], cwd=node_project, input=given, capture_output=True, text=True, check=False
    )


def test_the_public_node_library_verifies_a_notification(node_project: Path) -> None:
    secret = new_signing_secret()
    headers = signed_headers([secret], "evt_1", datetime.now(UTC), BODY.encode())

    verified = verify(node_project, secret, headers, BODY)

    assert verified.stdout.strip() == "task.succeeded", verified.stderr


def test_it_refuses_a_notification_that_was_changed_on_the_way(node_project: Path) -> None:
    secret = new_signing_secret()
    headers = signed_headers([secret], "evt_1", datetime.now(UTC), BODY.encode())

    refused = verify(node_project, secret, headers, BODY.replace("succeeded", "failed"))

    assert refused.returncode != 0
    assert "WebhookVerificationError" in refused.stderr
