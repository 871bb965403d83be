"""Nobody makes the gateway call where it must not: hostile addresses are refused when named and when dialled."""

from uuid import UUID

from service.settings import Settings
from service.subscribers.guard import Guard
from service.subscribers.sender import open_sender
from service.subscribers.target_url import TargetUrl, UnreadableUrl, read_target_url
from tests.journeys.native_orders import order
from tests.subscribers.dialling import dialled_addresses
from tests.subscribers.hostile_urls import FORBIDDEN_ADDRESSES, HOSTILE_URLS
from tests.support.database import Database
from tests.support.dns import NameServer, Resolver
from tests.support.gateway import Gateway, StartGateway
from tests.support.receiver import Receiver
from tests.support.waiting import eventually


def readable(url: str) -> TargetUrl | None:
    try:
        return read_target_url(url)
    except UnreadableUrl:
        return None


# An operator who has opened all that can be opened.
EVERYTHING = ("*", "0.0.0.0/0", "::/0", ".svc.cluster.local", "metadata.google.internal")
OPEN_TO_EVERYTHING = {"GATEWAY_OUTBOUND_ALLOW": ",".join(EVERYTHING)}
FORBIDDEN_URLS = tuple(f"http://[{each}]/" if ":" in each else f"http://{each}/" for each in FORBIDDEN_ADDRESSES)
# The names among them; what this machine's own resolver says about these is its own affair.
NAMES = tuple(sorted({target.host for target in map(readable, HOSTILE_URLS) if target and target.address is None}))
# Postgres keeps no NUL in a text, so a row cannot hold this one.
STORABLE_URLS = tuple(url for url in HOSTILE_URLS if "\x00" not in url)


def test_the_corpus_is_large_and_without_repetition() -> None:
    assert len(set(HOSTILE_URLS)) == len(HOSTILE_URLS) >= 150
    assert len(set(FORBIDDEN_ADDRESSES)) == len(FORBIDDEN_ADDRESSES) >= 35


def test_each_is_refused_at_registration_with_the_field_named(start_gateway: StartGateway) -> None:
    gateway = start_gateway(OPEN_TO_EVERYTHING, role="api")

    let_in = [url for url in HOSTILE_URLS if refused_fields(gateway, "/api/v1/subscriptions", {"url": url}) != ["url"]]
    let_in += [
        url for url in HOSTILE_URLS if refused_fields(gateway, "/api/v1/tasks", order(callback_url=url)) != CALLBACK
    ]

    assert let_in == []


CALLBACK = ["callback_url"]


def refused_fields(gateway: Gateway, path: str, body: dict[str, object]) -> list[str]:
    """The fields that a 422 names; empty for any other answer."""
    answer = gateway.alpha.post(path, json=body)
    return [each["field"] for each in answer.json()["errors"]] if answer.status_code == 422 else []


async def test_nothing_is_dialled_for_any_of_them() -> None:
    settings = Settings(outbound_allow=EVERYTHING)

    async with NameServer({name: [["169.254.169.254"]] for name in NAMES}) as names:
        with dialled_addresses() as dialled:
            async with open_sender(settings, Guard.of(settings), Resolver(names)) as sender:
                came = {
                    url: (await sender.send(url, {}, b"{}")).error_class for url in (*HOSTILE_URLS, *FORBIDDEN_URLS)
                }

    assert {url: error_class for url, error_class in came.items() if error_class != "guard"} == {}
    assert dialled == []


async def test_a_dialled_address_would_be_noticed(receiver: Receiver) -> None:
    settings = Settings(outbound_allow=("127.0.0.0/8",))

    with dialled_addresses() as dialled:
        async with open_sender(settings, Guard.of(settings)) as sender:
            await sender.send(receiver.url, {}, b"{}")

    assert [address[0] for address in dialled] == ["127.0.0.1"]  # type: ignore[index]


def test_a_row_that_holds_one_is_stopped_by_the_worker(start_gateway: StartGateway, own_database: Database) -> None:
    gateway = start_gateway(OPEN_TO_EVERYTHING)
    ids = [subscribed(gateway, number) for number in range(len(STORABLE_URLS))]
    # As somebody with a way to the database could do.
    own_database.execute(
        "UPDATE subscriptions s SET url = slipped.url FROM unnest($1::uuid[], $2::text[]) AS slipped (id, url) "
        "WHERE slipped.id = s.id",
        ids,
        list(STORABLE_URLS),
    )

    gateway.alpha.post("/api/v1/tasks", json=order()).raise_for_status()
    attempts = eventually(lambda: attempts_at(own_database, STORABLE_URLS), timeout_s=30)

    wrong = {url: error_class for url, error_class in attempts.items() if error_class != "guard"}
    assert {url for url in wrong if (target := readable(url)) is None or target.host not in NAMES} == set()
    assert set(wrong.values()) <= {"dns"}
    assert "Task exception was never retrieved" not in gateway.program.log()


def subscribed(gateway: Gateway, number: int) -> UUID:
    made = gateway.alpha.post("/api/v1/subscriptions", json={"url": f"http://10.255.255.254/{number}"})
    return UUID(made.raise_for_status().json()["id"])


def attempts_at(database: Database, urls: tuple[str, ...]) -> dict[str, str] | None:
    """The class of the first failure at each URL, once there is one for all of them."""
    rows = database.rows(
        """
        SELECT s.url, a.error_class FROM delivery_attempts a
        JOIN deliveries d ON d.id = a.delivery_id JOIN subscriptions s ON s.id = d.subscription_id
        """
    )
    found = {row["url"]: row["error_class"] for row in rows}
    return found if found.keys() == set(urls) else None
