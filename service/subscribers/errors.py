"""Why something cannot be done to a subscription, a delivery or a recovery as it stands: each a 409 of its own."""

from service.errors import Conflict


class TooManySubscriptions(Conflict):
    """The client has as many subscriptions as it may have; delete one first."""

    code, title = "too_many_subscriptions", "Too many subscriptions"


class RotationUnderWay(Conflict):
    """Two secrets sign already, and a third would be one too many: say in `keep` which goes on signing."""

    code, title = "rotation_under_way", "Rotation under way"


class SubscriptionGone(Conflict):
    """The subscription was deleted, so nothing can be sent to it; make a new one, and recover it since a time."""

    code, title = "subscription_gone", "Subscription gone"


class SubscriptionDisabled(Conflict):
    """The subscription is disabled; make it active again first (`PATCH` with `"state": "active"`)."""

    code, title = "subscription_disabled", "Subscription disabled"


class EventGone(Conflict):
    """The event is older than events are kept; `GET /api/v1/tasks/{id}` still tells how its task ended."""

    code, title = "event_gone", "Event gone"


class RecoveryRunning(Conflict):
    """A recovery of this subscription is running already; wait for its end or cancel it."""

    code, title = "recovery_running", "Recovery running"


class RecoveryEnded(Conflict):
    """The recovery has ended: there is nothing left to cancel."""

    code, title = "recovery_ended", "Recovery ended"


class SecretUnreadable(Conflict):
    """No key of GATEWAY_ENCRYPTION_KEYS opens this secret; rotate it, or have the operator add the key."""

    code, title = "secret_unreadable", "Secret unreadable"
