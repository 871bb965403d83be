"""When a listening connection is put to the test, and when its silence counts as deafness; pure."""

from dataclasses import dataclass


@dataclass(slots=True)
class Probe:
    """One is sent every `every_s` seconds and must be heard within `within_s`; moments are seconds of one clock."""

    every_s: float
    within_s: float
    next_at_s: float = 0.0
    sent_at_s: float | None = None  # None while no probe is under way

    def start(self, at_s: float) -> None:
        """Forget what was under way and send the next one at that moment."""
        self.next_at_s, self.sent_at_s = at_s, None

    def send(self, now_s: float) -> None:
        """One is under way from now on."""
        self.sent_at_s = now_s

    def hear(self, now_s: float) -> None:
        """It was heard."""
        self.start(now_s + self.every_s)

    @property
    def is_under_way(self) -> bool:
        """Whether one was sent and not heard yet."""
        return self.sent_at_s is not None

    def is_due(self, now_s: float) -> bool:
        """Whether to send one."""
        return self.sent_at_s is None and now_s >= self.next_at_s

    def is_overdue(self, now_s: float) -> bool:
        """Whether the one under way should have been heard by now."""
        return self.sent_at_s is not None and now_s >= self.sent_at_s + self.within_s

    def rest_s(self, now_s: float) -> float:
        """How long nothing is to be done."""
        next_at_s = self.next_at_s if self.sent_at_s is None else self.sent_at_s + self.within_s
        return max(0.0, next_at_s - now_s)
