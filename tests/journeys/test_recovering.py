"""Recovering a subscription: what it never got is sent, once, at a pace, and whoever asked can see how far it is."""

from uuid import UUID

from tests.journeys.after_the_fact import happened, ids, moment_after, over, shown, waiting
from tests.journeys.orders import create, ended
from tests.journeys.recoveries import done, hold, recover
from tests.journeys.subscribers import path_of, subscribe
from tests.support.gateway import Gateway, StartGateway
from tests.support.receiver import Receiver
from tests.support.waiting import eventually


def webhook_ids(receiver: Receiver) -> list[str]:
    return sorted(received.headers["webhook-id"] for received in receiver.received())


def names(events: list[UUID]) -> list[str]:
    return sorted(shown(event) for event in events)


def test_a_subscription_made_too_late_gets_what_happened_before(gateway: Gateway, receiver: Receiver) -> None:
    events = happened(gateway.database, 5)
    subscription = subscribe(gateway.alpha, receiver.url)

    recovery = done(gateway.alpha, recover(gateway.alpha, subscription))

    receiver.wait_for(5)
    assert webhook_ids(receiver) == names(events)
    assert (recovery["state"], recovery["events_total"], recovery["deliveries_made"]) == ("done", 5, 5)
    assert (recovery["events_looked_at"], recovery["estimated_end_at"]) == (5, None)
    assert recovery["created_at"] <= recovery["ended_at"]


def test_what_arrived_or_is_still_on_its_way_is_left_out(gateway: Gateway, receiver: Receiver) -> None:
    subscription = subscribe(gateway.alpha, receiver.url)
    delivered, dead, undone, lost = (happened(gateway.database) for _ in range(4))
    over(gateway.database, delivered, subscription)
    over(gateway.database, dead, subscription, state="dead")
    waiting(gateway.database, undone, subscription)

    recovery = done(gateway.alpha, recover(gateway.alpha, subscription))

    receiver.wait_for(2)
    assert webhook_ids(receiver) == names(dead + lost)
    assert (recovery["events_looked_at"], recovery["deliveries_made"]) == (4, 2)


def test_with_only_failed_off_all_is_sent_again(gateway: Gateway, receiver: Receiver) -> None:
    subscription = subscribe(gateway.alpha, receiver.url)
    events = happened(gateway.database, 3)
    over(gateway.database, events, subscription)

    done(gateway.alpha, recover(gateway.alpha, subscription, only_failed=False))

    receiver.wait_for(3)
    assert webhook_ids(receiver) == names(events)


def test_only_what_the_subscription_wants_is_sent(gateway: Gateway, receiver: Receiver) -> None:
    wanted = create(gateway.alpha, client_reference="mine")
    for task in (wanted, create(gateway.alpha, client_reference="another's")):
        ended(gateway.alpha, task["id"])
    happened(gateway.database, kind="task.processing")
    happened(gateway.database, client="beta")
    subscription = subscribe(gateway.alpha, receiver.url, filter={"client_reference": ["mine"]})

    recovery = done(gateway.alpha, recover(gateway.alpha, subscription))

    [received] = receiver.wait_for(1)
    assert wanted["id"].encode() in received.body
    assert recovery["deliveries_made"] == 1


def test_the_subscription_of_a_callback_url_gets_only_its_own_tasks(gateway: Gateway, receiver: Receiver) -> None:
    task = create(gateway.alpha, callback_url=receiver.url)
    ended(gateway.alpha, task["id"])
    ended(gateway.alpha, create(gateway.alpha)["id"])
    receiver.wait_for(1)
    eventually(lambda: ids(gateway.alpha, state="delivered"), what="the delivery is stored as delivered")

    inline = {"id": task["callback"]["subscription_id"]}
    recovery = done(gateway.alpha, recover(gateway.alpha, inline, only_failed=False))

    again = receiver.wait_for(2)[1]
    assert task["id"].encode() in again.body
    assert recovery["deliveries_made"] == 1


def test_since_and_until_are_the_bounds(gateway: Gateway, receiver: Receiver) -> None:
    subscription = subscribe(gateway.alpha, receiver.url)
    happened(gateway.database)
    since = moment_after()
    events = happened(gateway.database, 2)
    until = moment_after()
    happened(gateway.database)

    recovery = done(gateway.alpha, recover(gateway.alpha, subscription, since=since, until=until))

    receiver.wait_for(2)
    assert webhook_ids(receiver) == names(events)
    assert recovery["events_total"] == 2


def test_a_dry_run_counts_and_sends_nothing(gateway: Gateway, receiver: Receiver) -> None:
    subscription = subscribe(gateway.alpha, receiver.url)
    over(gateway.database, happened(gateway.database, 3), subscription)
    happened(gateway.database, 4)

    preview = recover(gateway.alpha, subscription, dry_run=True)

    assert (preview.status_code, preview.json()["events_total"], preview.json()["deliveries"]) == (200, 7, 4)
    assert gateway.alpha.get(path_of(subscription, "recoveries")).json()["items"] == []
    assert gateway.database.value("SELECT count(*) FROM deliveries") == 0
    assert receiver.received() == []


def test_a_canceled_recovery_sends_no_more(gateway: Gateway, receiver: Receiver) -> None:
    subscription = subscribe(gateway.alpha, receiver.url)
    started = hold(gateway, recover(gateway.alpha, subscription))
    path = f"{started.headers['Location']}/cancel"

    first, second = gateway.alpha.post(path), gateway.alpha.post(path)

    assert (first.status_code, first.json()["state"]) == (200, "canceled")
    assert second.json()["ended_at"] == first.json()["ended_at"] is not None
    assert gateway.database.value("SELECT count(*) FROM recoveries WHERE state = 'running'") == 0


def test_the_recovery_of_a_deleted_subscription_ends(gateway: Gateway, receiver: Receiver) -> None:
    subscription = subscribe(gateway.alpha, receiver.url)
    hold(gateway, recover(gateway.alpha, subscription))
    gateway.alpha.delete(path_of(subscription)).raise_for_status()

    gateway.database.execute("UPDATE recoveries SET next_at = now()")

    eventually(lambda: gateway.database.value("SELECT state FROM recoveries") == "canceled", what="it is canceled")


def test_recoveries_are_forgotten_when_their_events_are(start_gateway: StartGateway, receiver: Receiver) -> None:
    gateway = start_gateway()
    subscription = subscribe(gateway.alpha, receiver.url)
    old, young = (done(gateway.alpha, recover(gateway.alpha, subscription)) for _ in range(2))
    gateway.database.execute(
        "UPDATE recoveries SET ended_at = now() - interval '31 days' WHERE id = $1", UUID(old["id"])
    )
    gateway.program.stop()

    gateway.start_again()

    def left() -> list[str]:
        listed = gateway.alpha.get(path_of(subscription, "recoveries")).json()["items"]
        return [item["id"] for item in listed]

    assert eventually(lambda: left() == [young["id"]], what="the old one is gone")
