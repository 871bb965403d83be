"""Reads what a client wants of a subscription: its shape, and the rules that no single field can hold."""

from collections.abc import Mapping
from typing import Any, cast

from service.errors import FieldError, InvalidRequest
from service.settings import Settings
from service.subscribers.change import Changed
from service.subscribers.event_types import ENDED_EVENT_TYPES, TERMINAL_EVENT_TYPES, EventType
from service.subscribers.store import Subscription
from service.surfaces.native.subscription_shapes import SubscriptionChanges, SubscriptionFields, SubscriptionFilter
from service.web.body import shaped
from service.web.merge_patch import merged

_CHANGEABLE = ("url", "event_types", "filter", "description", "timeout_s", "max_in_flight", "rate_per_s")
_REMEDIES = {
    "callback_url": "is not a field here; did you mean `url`?",
    "events": "is not a field here; did you mean `event_types`?",
    "secret": "is made by the gateway and shown once in the answer; leave it out",
}
_REMEDIES_OF_CHANGES = {
    **_REMEDIES,
    "format": "cannot change, for what waits was made in that form; make another subscription",
    "secret": "changes by POST to `rotate-secret` of this subscription",
}


def read_fields(values: Mapping[str, object], settings: Settings) -> SubscriptionFields:
    """A new subscription as it was asked for. Raises UnknownField, InvalidRequest."""
    fields = shaped(SubscriptionFields, values, _REMEDIES)
    _refuse(*_misfits(fields), *_over_the_limit(fields.max_in_flight, settings))
    return fields


def read_changes(values: Mapping[str, object], settings: Settings) -> SubscriptionChanges:
    """Changes as they were asked for, not held against any subscription yet. Raises UnknownField, InvalidRequest."""
    changes = shaped(SubscriptionChanges, values, _REMEDIES_OF_CHANGES)
    _refuse(*_over_the_limit(changes.max_in_flight, settings))
    return changes


def changed(found: Subscription, values: Mapping[str, object]) -> Changed:
    """The subscription as it is to be when these changes, which have their shape, are merged in."""
    now = {name: getattr(found, name) for name in _CHANGEABLE}
    now |= {"event_types": list(found.event_types), "format": found.format}
    patch = {name: value for name, value in values.items() if name != "state"}
    fields = shaped(SubscriptionFields, cast(dict[str, object], merged(now, patch)), {})
    misfits = _misfits(fields)
    if found.inline and fields.url != found.url:
        misfits.append(FieldError("url", "is that of the tasks' `callback_url`; make a subscription of your own"))
    _refuse(*misfits)
    return Changed(
        url=fields.url,
        event_types=event_types_of(fields),
        filter=filter_of(fields.filter),
        description=fields.description,
        timeout_s=fields.timeout_s,
        max_in_flight=fields.max_in_flight,
        rate_per_s=fields.rate_per_s,
        state=shaped(SubscriptionChanges, values, {}).state if "state" in values else None,
    )


def event_types_of(fields: SubscriptionFields) -> tuple[EventType, ...]:
    """Those asked for, each once; else all that the format is meant for."""
    default = ENDED_EVENT_TYPES if fields.format == "upstream" else TERMINAL_EVENT_TYPES
    return tuple(dict.fromkeys(fields.event_types or default))


def filter_of(wanted: SubscriptionFilter | None) -> dict[str, Any] | None:
    """The filter as it is stored; None where it would let every task through."""
    members = {} if wanted is None else wanted.model_dump(exclude_none=True)
    return {name: value for name, value in members.items() if value} or None


def _misfits(fields: SubscriptionFields) -> list[FieldError]:
    if fields.format != "upstream":
        return []
    advice = f"cannot have the format `upstream`; it takes {', '.join(f'`{each}`' for each in ENDED_EVENT_TYPES)}"
    return [
        FieldError(f"event_types.{place}", advice)
        for place, event_type in enumerate(fields.event_types or ())
        if event_type not in ENDED_EVENT_TYPES
    ]


def _over_the_limit(max_in_flight: int | None, settings: Settings) -> list[FieldError]:
    most = settings.delivery_subscription_max_in_flight
    if max_in_flight is None or max_in_flight <= most:
        return []
    return [FieldError("max_in_flight", f"must be at most {most}, as the operator has set it")]


def _refuse(*wrong: FieldError) -> None:
    if wrong:
        raise InvalidRequest(*wrong)
