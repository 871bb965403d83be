"""The table of requests that sandbox and gateway have to answer alike, and where their statuses differ."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from tests.dropin.orders import CREATE, MODEL, WISH
from tests.journeys.native_orders import picture

PRICE, DELETE = "/v1i/task/price", "/v1/task/delete"
NO_RESOLUTIONS = "gpt-image-1.5"
UNKNOWN = "01a0bd29-8f2e-7cc3-98c4-dc0c0c07398f"
TASK = "{task}"


@dataclass(frozen=True, slots=True)
class Case:
    """One request. `task` is the status of a task whose id stands for `{task}`; `gateway` a status of its own."""

    name: str
    method: str
    path: str
    sent: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    task: Literal["doing", "done", "error"] | None = None
    gateway: int | None = None
    key: str | None = "bearer"
    moods: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


def json(name: str, changes: Mapping[str, Any], **more: Any) -> Case:
    """A create in JSON; None takes a field away."""
    fields = {key: value for key, value in {**WISH, **changes}.items() if value is not None}
    return Case(f"create: {name}", "POST", CREATE, {"json": fields}, **more)


def form(name: str, changes: Mapping[str, str], *files: tuple[Any, ...]) -> Case:
    """A create as a form: multipart with files, urlencoded without."""
    sent = {"data": {**WISH, **changes}} | ({"files": [("assets", each) for each in files]} if files else {})
    return Case(f"create: {name}", "POST", CREATE, sent)


def raw(name: str, path: str, content: bytes, content_type: str, **more: Any) -> Case:
    return Case(name, "POST", path, {"content": content, "headers": {"Content-Type": content_type}}, **more)


def price(name: str, fields: Mapping[str, Any], **more: Any) -> Case:
    return Case(f"price: {name}", "POST", PRICE, {"json": fields}, **more)


def get(name: str, path: str, **more: Any) -> Case:
    return Case(name, "GET", path, **more)


IMAGE, ONE = picture(), {"prompt": "Paint @img1"}

ANSWERED = (
    get("models", "/v1i/models"),
    get("models, key in xi-api-key", "/v1i/models", key="xi-api-key"),
    get("models, bare key in Authorization", "/v1i/models", key="bare"),
    get("balance", "/v1/credits"),
    get("health", "/v1/health-check"),
    price("defaults", {"model_id": MODEL}),
    price("parameters in their object", {"model_id": MODEL, "model_parameters": {"resolution": "4K"}, "assets": 2}),
    price("parameters at top level", {"model_id": MODEL, "aspect_ratio": "1:1", "resolution": "4K"}),
    price("keys that nothing reads", {"model_id": MODEL, "prompt": "A cat", "user": 7, "enhance": True}),
    price("the count in digits", {"model_id": MODEL, "generations_count": "2"}),
    json("flat JSON", {"aspect_ratio": "16:9", "resolution": "2K"}),
    json("parameters in an object", {"model_parameters": {"aspect_ratio": "16:9", "seed": 7}}),
    json("parameters as JSON in a string", {"model_parameters": '{"aspect_ratio": "16:9"}'}),
    json("two images, as a number", {"generations_count": 2}),
    json("two images, as digits", {"generations_count": "2"}),
    json("a seed at top level", {"seed": 42}),
    json("keys that nothing reads", {"style": "bold", "user": {"id": 7}}),
    json("an empty receive_url", {"receive_url": ""}),
    json("a receive_url", {"receive_url": "http://127.0.0.1:9/hook"}),
    form("urlencoded", {"generations_count": "1", "resolution": "2K"}),
    form("urlencoded with JSON in a field", {"model_parameters": '{"resolution": "2K", "seed": 3}'}),
    form("one reference", ONE, ("a.png", IMAGE)),
    form("a reference without a type", ONE, ("a.png", IMAGE, "")),
    form("a reference without an extension", ONE, ("photo", IMAGE, "application/octet-stream")),
    form("three references", {"prompt": "@img1 @img2 @img3"}, *[(f"{n}.png", picture()) for n in range(3)]),
    get("poll: doing", "/v1/task/{task}", task="doing"),
    get("poll: done", "/v1/task/{task}", task="done"),
    get("poll: error", "/v1/task/{task}", task="error"),
    get("full poll: doing", "/v1/task/{task}/full", task="doing"),
    get("full poll: done", "/v1/task/{task}/full", task="done"),
    get("v3 poll: done", "/v3/task/{task}", task="done"),
    get("v3 poll: error", "/v3/task/{task}", task="error"),
    get("list", "/v1/tasks?type=imagen2&page=1&limit=20", task="done"),
    get("list without parameters", "/v1/tasks", task="doing"),
    get("list: a page behind the last", "/v1/tasks?page=9&limit=1", task="done"),
    get("list: another type", "/v1/tasks?type=tts", task="done"),
    Case("delete: a running task", "POST", DELETE, {"json": {"task_ids": [TASK]}}, task="doing"),
    Case("delete: an ended task", "POST", DELETE, {"json": {"task_ids": [TASK]}}, task="done"),
    Case("delete: nobody's task", "POST", DELETE, {"json": {"task_ids": ["none", UNKNOWN]}}),
)

REFUSED = (
    get("models without a key", "/v1i/models", key=None),
    get("poll without a key", f"/v1/task/{UNKNOWN}", key=None),
    get("health with a wrong key", "/v1/health-check", key="wrong"),
    Case("create without a key", "POST", CREATE, {"json": WISH}, key=None),
    get("poll: nobody's task", f"/v1/task/{UNKNOWN}"),
    get("poll: no id at all", "/v1/task/abc"),
    get("full poll: nobody's task", f"/v1/task/{UNKNOWN}/full"),
    get("v3 poll: nobody's task", f"/v3/task/{UNKNOWN}"),
    get("no such path", "/v1/nothing"),
    get("no such path under v1i", "/v1i/task/none"),
    get("a create by GET", CREATE),
    Case("a list by POST", "POST", "/v1/tasks"),
    get("list: no page 0", "/v1/tasks?page=0"),
    get("list: a page in words", "/v1/tasks?page=one"),
    get("list: too long a page", "/v1/tasks?limit=101"),
    json("no prompt", {"prompt": None}),
    json("an empty prompt", {"prompt": "  "}),
    json("too long a prompt", {"prompt": "x" * 4001}),
    json("no model", {"model_id": None}),
    json("an unknown model", {"model_id": "dall-e-9"}, gateway=400),
    json("too many images", {"generations_count": 5}),
    json("no image", {"generations_count": "0"}),
    json("a count in words", {"generations_count": "two"}),
    json("a ratio that the model has not", {"aspect_ratio": "17:1"}),
    json("a resolution where the model has none", {"model_id": NO_RESOLUTIONS, "resolution": "2K"}),
    json("an unknown parameter", {"model_parameters": {"steps": 30}}),
    json("parameters that are no JSON", {"model_parameters": "{"}),
    json("parameters that are a list", {"model_parameters": "[1]"}),
    json("a seed in words", {"seed": "random"}),
    json("a reference without its file", {"prompt": "Paint @img1"}),
    json("a receive_url that is none", {"receive_url": "ftp:/hook"}),
    form("a file without its reference", {}, ("a.png", IMAGE)),
    form("a file that is no image", ONE, ("a.png", b"words, words, words")),
    form("an empty file", ONE, ("a.png", b"")),
    form("files for a model that takes none", {**ONE, "model_id": "recraft-v4.1"}, ("a.png", IMAGE)),
    json("no credit left", {}, moods={"models_patch": {MODEL: {"credits": 10**9}}}),
    raw("create: broken JSON", CREATE, b'{"prompt": ', "application/json"),
    raw("create: a JSON list", CREATE, b"[]", "application/json"),
    raw("create: a form that breaks off", CREATE, b"--b\r\nConte", "multipart/form-data; boundary=b"),
    raw("create: a form without a boundary", CREATE, b"--b--", "multipart/form-data"),
    raw("create: plain text", CREATE, b"A cat, please", "text/plain"),
    price("no model", {}),
    price("an unknown model", {"model_id": "dall-e-9"}, gateway=400),
    price("a wrong parameter", {"model_id": MODEL, "resolution": "9K"}),
    price("a negative number of files", {"model_id": MODEL, "assets": -1}),
    price("files themselves", {"model_id": MODEL, "assets": ["a.png"]}),
    raw("price: broken JSON", PRICE, b"{", "application/json"),
    raw("delete: broken JSON", DELETE, b"{", "application/json"),
    Case("delete: no ids", "POST", DELETE, {"json": {}}),
    Case("delete: one id outside of a list", "POST", DELETE, {"json": {"task_ids": UNKNOWN}}),
)
