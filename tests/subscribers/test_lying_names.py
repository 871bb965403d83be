"""Host names that lie: what a name led to when it was registered says nothing, the address that is dialled decides."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from service.errors import InvalidRequest
from service.settings import Settings
from service.subscribers.guard import Guard
from service.subscribers.retry import Answer as Came
from service.subscribers.sender import Sender, open_sender
from tests.subscribers.dialling import dialled_addresses
from tests.support.dns import Answer, NameServer, Resolver
from tests.support.receiver import Receiver

CLUSTER = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", ".svc.cluster.local")
NAME = "hooks.partner.example"
ALLOWED, METADATA = "10.1.2.3", "169.254.169.254"


@asynccontextmanager
async def names(**answers: Sequence[Answer]) -> AsyncIterator[NameServer]:
    """A name server on which `hooks.partner.example` has these answers, one after the other."""
    async with NameServer({NAME: answers.pop("partner"), **answers}) as server:
        yield server


@asynccontextmanager
async def sender_asking(server: NameServer, *allow: str) -> AsyncIterator[Sender]:
    settings = Settings(outbound_allow=allow, delivery_timeout_s=5)
    async with open_sender(settings, Guard.of(settings), Resolver(server)) as sender:
        yield sender


async def send(server: NameServer, *allow: str, url: str = f"http://{NAME}/hook") -> Came:
    async with sender_asking(server, *allow) as sender:
        return await sender.send(url, {}, b"{}")


async def test_a_name_that_answers_differently_the_second_time_passes_registration_and_is_not_dialled() -> None:
    async with names(partner=[[ALLOWED], [METADATA]]) as server:
        guard = Guard.of(Settings(outbound_allow=CLUSTER), server.look_up)
        await guard.check_lookup(f"http://{NAME}/hook", "url")

        with dialled_addresses() as dialled:
            came = await send(server, *CLUSTER)

        assert (came.status, came.error_class) == (None, "guard")
        assert dialled == []
        assert server.asked[NAME] == 2


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param([METADATA], id="metadata"),
        pytest.param(["127.0.0.1"], id="loopback"),
        pytest.param(["0.0.0.0"], id="unspecified"),
        pytest.param(["::1"], id="loopback of IPv6"),
        pytest.param(["::ffff:169.254.169.254"], id="mapped"),
        pytest.param(["64:ff9b::a9fe:a9fe"], id="NAT64"),
        pytest.param(["2002:a9fe:a9fe::1"], id="6to4"),
        pytest.param(["fd00:ec2::254"], id="metadata inside of an allowed network"),
        pytest.param(["8.8.8.8"], id="a public address that nobody opened"),
        pytest.param(["8.8.8.8", METADATA, "127.0.0.1"], id="several, all closed"),
    ],
)
async def test_a_name_that_leads_only_to_closed_addresses_is_refused_and_not_dialled(answer: Answer) -> None:
    async with names(partner=[answer]) as server:
        guard = Guard.of(Settings(outbound_allow=CLUSTER), server.look_up)

        with pytest.raises(InvalidRequest):
            await guard.check_lookup(f"http://{NAME}/hook", "url")
        with dialled_addresses() as dialled:
            came = await send(server, *CLUSTER)

        assert came.error_class == "guard"
        assert dialled == []


@pytest.mark.parametrize("hidden", ["metadata.google.internal", "innocent.example"])
async def test_another_name_behind_an_allowed_one_changes_nothing(hidden: str) -> None:
    async with names(partner=[[hidden]], **{hidden: [[METADATA]]}) as server:
        with dialled_addresses() as dialled:
            came = await send(server, NAME, "*", *CLUSTER)

        assert came.error_class == "guard"
        assert dialled == []


async def test_an_allowed_name_does_not_open_the_cluster() -> None:
    async with names(partner=[["billing.shop.svc.cluster.local"]], **{SERVICE: [[ALLOWED]]}) as server:
        with dialled_addresses() as dialled:
            came = await send(server, NAME, "*")

        assert came.error_class == "guard"
        assert dialled == []


SERVICE = "billing.shop.svc.cluster.local"


async def test_of_several_addresses_only_the_allowed_ones_are_dialled(receiver: Receiver) -> None:
    port = receiver.url.split(":")[2].partition("/")[0]
    async with names(partner=[[METADATA, "127.0.0.1", "8.8.8.8"]]) as server:
        with dialled_addresses() as dialled:
            came = await send(server, "127.0.0.0/8", url=f"http://{NAME}:{port}/hook")

    assert came.status == 204
    assert {address[0] for address in dialled} == {"127.0.0.1"}  # type: ignore[index]
    assert receiver.received()[0].headers["Host"] == f"{NAME}:{port}"


async def test_a_service_of_the_cluster_is_called_by_its_name(receiver: Receiver) -> None:
    port = receiver.url.split(":")[2].partition("/")[0]
    async with NameServer({SERVICE: [["127.0.0.1"]]}) as server:
        allow = ("127.0.0.0/8", ".svc.cluster.local")
        guard = Guard.of(Settings(outbound_allow=allow), server.look_up)
        url = guard.check_url(f"http://{SERVICE}:{port}/hook", "url")
        await guard.check_lookup(url, "url")

        came = await send(server, *allow, url=url)

    assert came.status == 204
    assert len(receiver.received()) == 1


@pytest.mark.parametrize("address", ["10.96.0.12", "172.20.1.7", "192.168.7.7", "fd12:3456::7"])
async def test_addresses_that_services_of_a_cluster_have_are_dialled(address: str) -> None:
    async with NameServer({SERVICE: [[address]]}) as server:
        settings = Settings(outbound_allow=CLUSTER, delivery_connect_timeout_s=0.05, delivery_timeout_s=0.1)
        with dialled_addresses() as dialled:
            async with open_sender(settings, Guard.of(settings), Resolver(server)) as sender:
                came = await sender.send(f"http://{SERVICE}/hook", {}, b"{}")

    assert [each[0] for each in dialled] == [address]  # type: ignore[index]
    assert came.error_class != "guard"


async def test_a_connection_that_is_made_anew_is_judged_anew(receiver: Receiver) -> None:
    port = receiver.url.split(":")[2].partition("/")[0]
    async with names(partner=[["127.0.0.1"], [METADATA]]) as server:
        first = await send(server, "127.0.0.0/8", url=f"http://{NAME}:{port}/hook")
        second = await send(server, "127.0.0.0/8", url=f"http://{NAME}:{port}/hook")

    assert (first.status, second.error_class) == (204, "guard")
    assert len(receiver.received()) == 1


async def test_a_name_that_does_not_exist_is_of_class_dns_and_left_to_the_dial() -> None:
    async with NameServer({}) as server:
        await Guard.of(Settings(outbound_allow=CLUSTER), server.look_up).check_lookup(f"http://{NAME}/", "url")

        came = await send(server, *CLUSTER)

    assert came.error_class == "dns"
