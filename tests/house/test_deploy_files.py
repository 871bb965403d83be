"""What is deployed agrees with the code: settings, roles, probe paths, grace times and the restricted pod profile."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.__main__ import COMMANDS
from service.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
CLOSING_S = 15


def _texts() -> Iterator[tuple[str, str]]:
    yield "Dockerfile", DOCKERFILE
    for path in sorted(DEPLOY.rglob("*")):
        if path.is_file() and path.name != ".env":
            yield str(path.relative_to(ROOT)), path.read_text()


def _documents() -> list[dict[str, Any]]:
    return [
        document
        for path in sorted(DEPLOY.rglob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
        if document and "kind" in document and document["kind"] != "Kustomization"
    ]


def _of_kind(kind: str) -> list[dict[str, Any]]:
    return [document for document in _documents() if document["kind"] == kind]


def _env_file(path: Path) -> dict[str, str]:
    lines = path.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


TEXTS = dict(_texts())
COMPOSE: dict[str, Any] = yaml.safe_load(TEXTS["deploy/compose.yaml"])
BASE_SETTINGS = _env_file(DEPLOY / "base" / "settings.env")
PODS = {
    f"{document['kind']} {document['metadata']['name']}": document["spec"]["template"]["spec"]
    for document in _documents()
    if document["kind"] in {"Deployment", "Job"}
}
OUR_SERVICES = {name: service for name, service in COMPOSE["services"].items() if name != "postgres"}
SERVING = {name: pod for name, pod in PODS.items() if pod["containers"][0]["args"][0] in {"api", "worker"}}

every_text = pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
every_pod = pytest.mark.parametrize("pod", PODS.values(), ids=PODS.keys())
every_serving_pod = pytest.mark.parametrize("pod", SERVING.values(), ids=SERVING.keys())
every_compose_service = pytest.mark.parametrize("service", COMPOSE["services"].values(), ids=COMPOSE["services"].keys())


@every_text
def test_every_gateway_variable_is_a_setting(text: str) -> None:
    known = {f"GATEWAY_{name.upper()}" for name in Settings.model_fields}

    assert set(re.findall(r"GATEWAY_[A-Z0-9_]+", text)) <= known


@every_text
def test_no_image_is_tagged_latest(text: str) -> None:
    assert not re.search(r":\s*latest\b|:latest\b", text)


def test_no_image_names_a_registry_host() -> None:
    images = [pod["containers"][0]["image"] for pod in PODS.values()]
    images += [service["image"] for service in COMPOSE["services"].values()]
    images += re.findall(r"PYTHON_IMAGE=(\S+)", DOCKERFILE)

    assert [image for image in images if "/" in image] == []


def test_every_tag_of_the_image_is_the_version_of_the_project() -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    tags = re.findall(r"newTag: (\S+)|image: image-gateway:(\S+)|ARG VERSION=(\S+)", "\n".join(TEXTS.values()))

    assert version
    assert {"".join(tag) for tag in tags} == {version[1]}


@every_pod
def test_every_pod_runs_a_role_of_the_image(pod: dict[str, Any]) -> None:
    assert all(container["args"][0] in COMMANDS for container in pod["containers"])


def test_compose_runs_each_role_beside_postgres_17() -> None:
    assert set(COMPOSE["services"]) == {"postgres", "migrate", "api", "worker", "sandbox"}
    assert all(service["command"] == [name] and name in COMMANDS for name, service in OUR_SERVICES.items())
    assert COMPOSE["services"]["postgres"]["image"] == "postgres:17"


@every_compose_service
def test_every_compose_service_is_without_capabilities_and_on_a_read_only_root(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@every_compose_service
def test_compose_publishes_ports_on_this_machine_only(service: dict[str, Any]) -> None:
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_the_example_environment_names_what_compose_needs_and_holds_no_secret() -> None:
    example = _env_file(DEPLOY / ".env.example")
    secrets = {name: value for name, value in example.items() if not name.endswith("_PORT")}

    assert set(re.findall(r"\$\{([A-Z_]+)", TEXTS["deploy/compose.yaml"])) == set(example)
    assert set(secrets.values()) == {""}


@every_pod
def test_every_pod_meets_the_restricted_profile(pod: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


@every_pod
def test_every_pod_is_kept_from_the_cluster_api_and_from_injected_variables(pod: dict[str, Any]) -> None:
    assert pod["automountServiceAccountToken"] is False
    # A Service called `sandbox` or `gateway` would set SANDBOX_PORT or GATEWAY_PORT to tcp://...
    assert pod["enableServiceLinks"] is False


@every_pod
def test_every_pod_asks_for_memory_and_is_held_to_a_limit(pod: dict[str, Any]) -> None:
    resources = pod["containers"][0]["resources"]

    assert {"cpu", "memory"} <= resources["requests"].keys()
    assert "memory" in resources["limits"]


@every_serving_pod
def test_probes_ask_the_ops_paths_on_the_port_that_is_served(pod: dict[str, Any]) -> None:
    container = pod["containers"][0]
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}

    assert [probe["path"] for probe in probes.values()] == ["/livez", "/livez", "/readyz"]
    assert {probe["port"] for probe in probes.values()} == {"http"}
    assert container["ports"] == [{"name": "http", "containerPort": int(_image_variable("GATEWAY_PORT"))}]


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_the_ops_paths_are_served_by_the_code(path: str) -> None:
    assert any(f'"{path}"' in code.read_text() for code in (ROOT / "service" / "web").glob("*.py"))


@every_serving_pod
def test_a_paid_call_in_flight_outlives_the_stop_of_its_pod(pod: dict[str, Any]) -> None:
    submit_total_s, drain_timeout_s = _call_and_drain_s(BASE_SETTINGS)
    pre_stop = pod["containers"][0].get("lifecycle", {}).get("preStop", {"sleep": {"seconds": 0}})

    assert pod["terminationGracePeriodSeconds"] == submit_total_s + CLOSING_S
    assert submit_total_s < drain_timeout_s
    assert pre_stop["sleep"]["seconds"] + drain_timeout_s < pod["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("name", ["api", "worker"])
def test_a_paid_call_in_flight_outlives_the_stop_of_its_compose_service(name: str) -> None:
    service = OUR_SERVICES[name]
    submit_total_s, drain_timeout_s = _call_and_drain_s(service["environment"])

    assert service["stop_grace_period"] == f"{submit_total_s + CLOSING_S:g}s"
    assert submit_total_s < drain_timeout_s < submit_total_s + CLOSING_S


@every_serving_pod
def test_uploads_are_spooled_to_a_disk_that_is_larger_than_their_bound(pod: dict[str, Any]) -> None:
    mounted = {mount["mountPath"]: mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    volumes = {volume["name"]: volume["emptyDir"] for volume in pod["volumes"]}
    spool = volumes[mounted[_image_variable("GATEWAY_SPOOL_DIR")]]

    assert "medium" not in spool
    assert int(spool["sizeLimit"].removesuffix("Gi")) * 1024**3 > int(BASE_SETTINGS["GATEWAY_SPOOL_MAX_BYTES"])


def test_compose_spools_uploads_to_a_volume_on_disk() -> None:
    assert COMPOSE["volumes"]["spool"] is None
    for name in ("api", "worker"):
        assert OUR_SERVICES[name]["volumes"] == [f"spool:{_image_variable('GATEWAY_SPOOL_DIR')}"]


def test_only_the_callback_door_is_reachable_from_outside() -> None:
    ingresses = _of_kind("Ingress")
    rules = [rule for ingress in ingresses for rule in ingress["spec"]["rules"]]

    assert [path["path"] for rule in rules for path in rule["http"]["paths"]] == ["/callbacks/"]
    assert not any("defaultBackend" in ingress["spec"] for ingress in ingresses)
    assert {service["spec"].get("type", "ClusterIP") for service in _of_kind("Service")} == {"ClusterIP"}


def test_the_ingress_serves_the_host_of_the_public_url() -> None:
    [ingress] = _of_kind("Ingress")
    hosts = [rule["host"] for rule in ingress["spec"]["rules"]]

    assert BASE_SETTINGS["GATEWAY_PUBLIC_URL"] == f"https://{hosts[0]}"
    assert ingress["spec"]["tls"][0]["hosts"] == hosts


@pytest.mark.parametrize("kind", ["Service", "PodDisruptionBudget"])
def test_every_selector_finds_a_pod(kind: str) -> None:
    pods = [deployment["spec"]["template"]["metadata"]["labels"] for deployment in _of_kind("Deployment")]

    for document in _of_kind(kind):
        wanted = document["spec"]["selector"].get("matchLabels", document["spec"]["selector"])
        assert any(wanted.items() <= labels.items() for labels in pods), document["metadata"]["name"]


def test_the_migration_knows_the_database_and_no_other_secret() -> None:
    [job] = _of_kind("Job")
    [container] = job["spec"]["template"]["spec"]["containers"]

    assert [variable["name"] for variable in container["env"]] == ["GATEWAY_DATABASE_URL"]
    assert "envFrom" not in container


def test_the_secret_is_referred_to_and_not_committed() -> None:
    assert _of_kind("Secret") == []
    assert not any("secretGenerator" in text for name, text in TEXTS.items() if name.endswith(".yaml"))


def test_the_image_runs_as_the_numeric_user_that_the_pods_ask_for() -> None:
    users = {str(pod["securityContext"]["runAsUser"]) for pod in PODS.values()}

    assert set(re.findall(r"^USER (\d+):", DOCKERFILE, re.MULTILINE)) == users


def _call_and_drain_s(settings: dict[str, str]) -> tuple[float, float]:
    return float(settings["GATEWAY_SUBMIT_TOTAL_S"]), float(settings["GATEWAY_DRAIN_TIMEOUT_S"])


def _image_variable(name: str) -> str:
    [value] = re.findall(rf"\b{name}=(\S+)", DOCKERFILE)
    return str(value)
