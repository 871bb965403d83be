"""Settings of notifications: how they are sent and kept, and where they may go."""

from pydantic import Field

from service.settings.kinds import Seconds, Secrets, Texts
from service.settings.tasks import TaskSettings


class NotificationSettings(TaskSettings):
    """What subscriptions and the delivery loop need."""

    encryption_keys: Secrets = Field(
        (),
        description="Keys of secrets at rest, 32 characters or more, comma-separated; the first encrypts, all decrypt.",
    )
    subscriptions_max_per_client: int = Field(
        1000, ge=1, description="Most subscriptions of one client; those of callback URLs do not count."
    )
    delivery_timeout_s: Seconds = Field(15.0, le=30, description="Longest wait for a subscriber's answer.")
    delivery_connect_timeout_s: Seconds = Field(5.0, description="Longest wait for a connection to a subscriber.")
    delivery_max_in_flight: int = Field(256, ge=1, description="Notifications that one process sends at once.")
    delivery_subscription_max_in_flight: int = Field(
        32, ge=1, description="Most notifications under way to one subscription, over all processes."
    )
    delivery_breaker_max_failures: int = Field(
        5, ge=1, description="After so many failures in a row a subscription rests, then is tried one at a time."
    )
    delivery_breaker_first_s: Seconds = Field(5.0, description="Its first rest; each next one is twice as long.")
    delivery_breaker_max_s: Seconds = Field(300.0, description="Its longest rest.")
    delivery_disable_after_s: Seconds = Field(
        432_000.0, description="A subscription that has only failed for this long is disabled, with an event about it."
    )
    recover_per_s: Seconds = Field(500.0, description="Most events a second that one recover job sends again.")
    event_keep_days: int = Field(
        30, ge=7, description="Events and the results of their deliveries are kept this long; longer than any is tried."
    )
    attempt_keep_days: int = Field(30, ge=1, description="Single attempts at delivery are kept this long.")
    outbound_allow: Texts = Field(
        ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", ".svc.cluster.local"),
        description="Networks and host suffixes that notifications may go to; `*` allows every public address.",
    )
