"""Where notifications may go: the table of hostile spellings, and what an operator's allow-list opens."""

from ipaddress import ip_address

import pytest

from service.errors import InvalidRequest
from service.settings import Settings
from service.subscribers.guard import Guard
from tests.subscribers.hostile_urls import FORBIDDEN_ADDRESSES, HOSTILE_URLS

CLUSTER = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", ".svc.cluster.local")
EVERYTHING = ("*", "0.0.0.0/0", "::/0", ".svc.cluster.local")


def guard(*allow: str) -> Guard:
    return Guard.of(Settings(outbound_allow=allow))


@pytest.mark.parametrize("url", HOSTILE_URLS)
def test_a_hostile_url_is_refused_whatever_else_is_allowed(url: str) -> None:
    for allowed in (CLUSTER, EVERYTHING):
        with pytest.raises(InvalidRequest) as refusal:
            guard(*allowed).check_url(url)

        assert refusal.value.fields[0].field == "callback_url"


@pytest.mark.parametrize("address", FORBIDDEN_ADDRESSES)
def test_a_forbidden_address_is_not_dialled_whatever_name_led_to_it(address: str) -> None:
    assert not guard(*EVERYTHING).address_allowed(ip_address(address), "billing.svc.cluster.local")


@pytest.mark.parametrize(
    ("url", "stored"),
    [
        ("http://billing.shop.svc.cluster.local:8080/hook", "http://billing.shop.svc.cluster.local:8080/hook"),
        ("http://billing/hook?of=images", "http://billing/hook?of=images"),
        ("http://my_service:8080", "http://my_service:8080/"),
        ("https://10.1.2.3/hook", "https://10.1.2.3/hook"),
        ("http://[fd12:3456::7]:9000/hook", "http://[fd12:3456::7]:9000/hook"),
        ("HTTP://Billing.SVC.Cluster.Local./Hook", "http://billing.svc.cluster.local/Hook"),
        ("https://bücher.example/hook", "https://xn--bcher-kva.example/hook"),
        ("http://[FD12:3456:0:0::7]/", "http://[fd12:3456::7]/"),
    ],
)
def test_addresses_of_a_cluster_are_accepted_in_their_one_spelling(url: str, stored: str) -> None:
    assert guard(*CLUSTER).check_url(url) == stored


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111"])
def test_public_addresses_are_closed_unless_all_of_them_are_opened(address: str) -> None:
    assert not guard(*CLUSTER).address_allowed(ip_address(address), "partner.example")
    assert guard("*").address_allowed(ip_address(address), "partner.example")


def test_an_allowed_name_may_lead_to_a_public_address_but_not_into_the_cluster() -> None:
    hooks = guard("hooks.partner.example")

    assert hooks.address_allowed(ip_address("8.8.8.8"), "hooks.partner.example")
    assert not hooks.address_allowed(ip_address("8.8.8.8"), "other.partner.example")
    assert not hooks.address_allowed(ip_address("10.0.0.7"), "hooks.partner.example")


def test_a_suffix_allows_the_names_below_it_only() -> None:
    partner = guard(".partner.example")

    assert partner.check_url("https://a.b.partner.example/")
    for url in ("https://partner.example/", "https://evilpartner.example/", "https://a.partner.example.evil.example/"):
        with pytest.raises(InvalidRequest):
            partner.check_url(url)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::ffff:127.0.0.1"])
def test_loopback_is_open_only_where_a_loopback_network_is_listed(address: str) -> None:
    assert guard("127.0.0.0/8").address_allowed(ip_address(address))
    assert not guard(*EVERYTHING).address_allowed(ip_address(address))
    assert not guard(*CLUSTER).address_allowed(ip_address(address))


def test_localhost_is_open_only_where_a_loopback_network_is_listed() -> None:
    assert guard("127.0.0.0/8").check_url("http://localhost:9000/hook") == "http://localhost:9000/hook"
    with pytest.raises(InvalidRequest):
        guard(*EVERYTHING).check_url("http://localhost:9000/hook")


@pytest.mark.parametrize("address", ["::ffff:10.0.0.7", "64:ff9b::10.0.0.7", "2002:a00:7::1"])
def test_a_translated_address_is_judged_by_the_address_inside(address: str) -> None:
    assert guard("10.0.0.0/8").address_allowed(ip_address(address))
    assert not guard("*").address_allowed(ip_address(address))


def test_an_empty_allow_list_allows_nothing() -> None:
    for url in ("http://10.0.0.7/", "http://8.8.8.8/", "http://billing/", "http://localhost/"):
        with pytest.raises(InvalidRequest):
            guard().check_url(url)


def test_the_refusal_names_the_field_and_the_setting() -> None:
    with pytest.raises(InvalidRequest) as refusal:
        guard(*CLUSTER).check_url("http://8.8.8.8/", "url")

    assert refusal.value.fields[0].field == "url"
    assert "GATEWAY_OUTBOUND_ALLOW" in refusal.value.fields[0].message


async def test_a_name_that_leads_nowhere_allowed_can_be_refused_at_registration() -> None:
    with pytest.raises(InvalidRequest):
        await guard(*CLUSTER).check_lookup("http://localhost/hook", "url")
    await guard("127.0.0.0/8", "::1/128").check_lookup("http://localhost/hook", "url")


async def test_a_name_that_cannot_be_looked_up_now_is_left_to_the_dial() -> None:
    await guard(*CLUSTER).check_lookup("http://no-such-name.invalid/hook", "url")
