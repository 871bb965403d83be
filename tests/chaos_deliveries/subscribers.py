"""The receiving process as the run sees it: how its subscribers behave, and what came to each."""

from dataclasses import dataclass
from typing import Any

import httpx

from tests.chaos_deliveries.receiver import How
from tests.support.processes import Programs

RECEIVING = r"receiving on (http://\S+)"


@dataclass(frozen=True, slots=True)
class Receipt:
    """One request to a subscriber: when (monotonic seconds), to whom, how it was treated, and its headers."""

    at_s: float
    name: str
    how: How
    webhook_id: str
    timestamp: str
    signature: str

    @property
    def is_taken(self) -> bool:
        """Whether it was answered with 2xx."""
        return self.how in {"well", "slow"}


class Subscribers:
    """All subscribers; one process serves them."""

    def __init__(self, programs: Programs) -> None:
        program = programs.start("receiver", ["tests.chaos_deliveries.receiver"], {})
        address = program.wait_for_line(RECEIVING)[1]
        self._client = httpx.Client(base_url=address, timeout=30, trust_env=False)
        self._receipts: list[Receipt] = []

    def open(self, name: str) -> str:
        """A new one; its URL."""
        return f"http://127.0.0.1:{self._ask(f'/open/{name}')}/{name}"

    def behave(self, name: str, how: How) -> None:
        """Let one of them behave like that from now on."""
        self._ask(f"/behave/{name}/{how}")

    def receipts(self) -> list[Receipt]:
        """All that came so far, in the order of arrival."""
        self._receipts += [Receipt(*each) for each in self._ask(f"/ledger/{len(self._receipts)}")]
        return list(self._receipts)

    def close(self) -> None:
        """Close the way to them."""
        self._client.close()

    def _ask(self, path: str) -> Any:
        return self._client.get(path).raise_for_status().json()
