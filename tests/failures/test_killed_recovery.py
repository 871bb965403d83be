"""A worker that recovers a subscription is killed (-9): another goes on, and not one delivery is missing or doubled."""

from tests.failures.killed_recovery import KilledRecovery
from tests.failures.test_crash_windows import locked, wait_until_blocked
from tests.journeys.after_the_fact import happened, shown
from tests.journeys.subscribers import path_of, subscribe
from tests.support.gateway import Gateway, StartGateway
from tests.support.receiver import Receiver
from tests.support.waiting import eventually

EVENTS = 800
# Portions of 400 events: there are some before, between and after the kills.
PACE = {"GATEWAY_RECOVER_PER_S": "400"}


def test_killed_twice_on_its_way_a_recovery_sends_each_missing_event_once(
    start_gateway: StartGateway, receiver: Receiver
) -> None:
    api = start_gateway(role="api")
    subscription = subscribe(api.alpha, receiver.url)

    recovered = KilledRecovery(api, lambda: start_gateway(PACE, role="worker")).run(
        subscription, EVENTS, kill_at=(0.2, 0.6), within_s=60
    )

    assert recovered.wrong == []
    assert recovered.recovery["deliveries_made"] == len(recovered.missing) == EVENTS * 7 // 10
    assert {each.headers["webhook-id"] for each in receiver.received()} == {shown(each) for each in recovered.missing}


def test_killed_in_the_middle_of_a_portion_nothing_of_it_is_there(
    start_gateway: StartGateway, receiver: Receiver
) -> None:
    api, worker = start_gateway(role="api"), start_gateway(role="worker")
    subscription = subscribe(api.alpha, receiver.url)
    events = happened(api.database, 10)
    with locked(api, "LOCK TABLE deliveries IN SHARE MODE"):
        started = api.alpha.post(path_of(subscription, "recover"), json={"since": "2020-01-01T00:00:00Z"})
        wait_until_blocked(api)
        worker.program.kill()
    eventually(lambda: idle(api), what="the killed worker's transaction is gone")
    left = api.alpha.get(started.headers["Location"]).json()

    worker.start_again()

    receiver.wait_for(len(events))
    done = eventually(lambda: ended(api, started.headers["Location"]), what="the recovery ends")
    assert (left["state"], left["events_looked_at"], left["deliveries_made"]) == ("running", 0, 0)
    assert (done["events_looked_at"], done["deliveries_made"]) == (10, 10)
    assert sorted(each.headers["webhook-id"] for each in receiver.received()) == sorted(map(shown, events))


def test_two_workers_share_a_recovery_and_make_each_delivery_once(
    start_gateway: StartGateway, receiver: Receiver
) -> None:
    api = start_gateway(role="api")
    subscription = subscribe(api.alpha, receiver.url)
    pace = {"GATEWAY_RECOVER_PER_S": "1000"}
    start_gateway(pace, role="worker")

    recovered = KilledRecovery(api, lambda: start_gateway(pace, role="worker")).run(
        subscription, EVENTS, kill_at=(), within_s=60
    )

    assert recovered.wrong == []


def ended(api: Gateway, location: str) -> dict[str, object] | None:
    recovery = api.alpha.get(location).json()
    return recovery if recovery["state"] == "done" else None


def idle(api: Gateway) -> bool:
    """Whether nobody else is in a transaction on this database."""
    others = (
        "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start < now()"
    )
    return bool(api.database.value(f"SELECT count(*) = 0 {others} AND query LIKE '%recoveries%'"))
