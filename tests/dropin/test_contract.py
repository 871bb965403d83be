"""Whatever a client sends, the gateway's answer has the keys and the types that the image API's has."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
import pytest

from tests.dropin.contract_cases import ANSWERED, REFUSED, TASK, Case
from tests.dropin.orders import create, ended
from tests.support.gateway import ALPHA_KEY, Gateway
from tests.support.sandbox import API_KEY, Sandbox

# A number or null at any time: nobody can go by it.
EITHER_WAY = frozenset({"progress"})
ERROR_KEYS = {"success": "true or false", "message": "text", "error": "text", "code": "text"}


@dataclass(slots=True)
class Side:
    """One of the two that are asked, with a task in the state that a case needs."""

    client: httpx.Client
    key: str
    sandbox: Sandbox
    task_ids: dict[str, str] = field(default_factory=dict)

    def ask(self, case: Case) -> httpx.Response:
        """Send the case's request, its task made first."""
        task_id = self._task(case.task) if case.task else ""
        self.sandbox.moods(dict(case.moods))
        sent = {name: self._with_task(value, task_id) for name, value in case.sent.items()}
        headers = {**self._auth(case.key), **sent.pop("headers", {})}
        return self.client.request(case.method, case.path.replace(TASK, task_id), headers=headers, **sent)

    def _task(self, status: str) -> str:
        self.sandbox.moods({"stuck": {"next": int(status == "doing")}, "task_error": {"next": int(status == "error")}})
        self.client.headers["xi-api-key"] = self.key
        task_id = str(create(self.client)["task_id"])
        if status != "doing":
            assert ended(self.client, task_id)["status"] == status
        del self.client.headers["xi-api-key"]
        return task_id

    def _with_task(self, value: Any, task_id: str) -> Any:
        is_task = isinstance(value, dict) and value.get("task_ids") == [TASK]
        return {"task_ids": [task_id]} if is_task else value

    def _auth(self, form: str | None) -> dict[str, str]:
        return {
            "bearer": {"Authorization": f"Bearer {self.key}"},
            "xi-api-key": {"xi-api-key": self.key},
            "bare": {"Authorization": self.key},
            "wrong": {"Authorization": f"Bearer {self.key}x"},
        }.get(form or "", {})


@pytest.fixture
def sides(gateway: Gateway, sandbox: Sandbox) -> Iterator[tuple[Side, Side]]:
    """The image API itself and the gateway before it."""
    with httpx.Client(base_url=sandbox.url, timeout=30, trust_env=False) as direct:
        yield Side(direct, API_KEY, sandbox), Side(gateway.anonymous, ALPHA_KEY, sandbox)


def shape(value: Any, key: str = "") -> Any:
    """The keys and types of a JSON value; of a list those of its first item."""
    if key in EITHER_WAY:
        return "number or null"
    if isinstance(value, dict):
        return {name: shape(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    if isinstance(value, bool):
        return "true or false"
    return {int: "number", float: "number", str: "text"}.get(type(value), "null")


@pytest.mark.parametrize("case", ANSWERED, ids=lambda case: case.name)
def test_an_answer_has_the_keys_and_types_of_the_image_apis(sides: tuple[Side, Side], case: Case) -> None:
    direct, through = (side.ask(case) for side in sides)

    assert direct.status_code == through.status_code == 200, through.text
    assert shape(through.json()) == shape(direct.json())


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_an_error_has_the_status_of_the_image_apis_and_both_texts(sides: tuple[Side, Side], case: Case) -> None:
    direct, through = (side.ask(case) for side in sides)

    assert through.status_code == (case.gateway or direct.status_code), f"{direct.text}\n{through.text}"
    assert through.headers["Content-Type"] == "application/json"
    failure = through.json()
    assert {name: shape(failure[name]) for name in ERROR_KEYS} == ERROR_KEYS
    assert failure["success"] is False
    assert failure["message"] == failure["error"]
    told = {name: shape(value) for name, value in direct.json().items()}
    assert told.items() <= {name: shape(value) for name, value in failure.items()}.items()


def test_the_model_list_is_the_image_apis_own(gateway: Gateway, sandbox: Sandbox) -> None:
    through = gateway.alpha.get("/v1i/models")

    assert orjson.loads(through.content) == sandbox.api.get("/v1i/models").json()


def test_the_table_has_at_least_forty_requests() -> None:
    assert len({case.name for case in (*ANSWERED, *REFUSED)}) >= 40
