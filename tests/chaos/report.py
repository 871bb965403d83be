"""The figures of a run as a table, and below it every promise that was broken, with the ids."""

from collections import Counter
from collections.abc import Iterator, Sequence

from tests.chaos.plan import Plan
from tests.chaos.run import Findings
from tests.chaos.verdict import Violation, by_promise

IDS_SHOWN = 20
CHARACTERS_SHOWN = 200


def table(plan: Plan, findings: Findings) -> str:
    """What happened and what became of it."""
    rows = [("seed", str(plan.seed)), *_blows(findings), *_upstream(findings), *_clients(findings), *_ends(findings)]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in rows)


def complaints(found: Sequence[Violation]) -> str:
    """Every broken promise; empty when all were kept."""
    lines = []
    for promise, ids in by_promise(found):
        lines.append(f"  BROKEN: {promise} ({len(ids)})")
        lines += [f"    {each[:CHARACTERS_SHOWN]}" for each in ids[:IDS_SHOWN]]
        lines += ["    …"] if len(ids) > IDS_SHOWN else []
    return "\n".join(lines)


def _blows(findings: Findings) -> Iterator[tuple[str, str]]:
    yield "processes killed (SIGKILL)", str(findings.fallen["kill"])
    yield "processes frozen past the lease", str(findings.fallen["freeze"])
    yield "seconds", f"{findings.seconds:.0f}"


def _upstream(findings: Findings) -> Iterator[tuple[str, str]]:
    ledger = findings.ledger
    statuses = Counter(create["status"] for create in ledger["creates"])
    yield "creates charged", f"{ledger['creates_total']} ({_listed(statuses)})"
    yield "refused or cut, by reason", _listed(Counter(ledger["refused"]))
    yield "most open at once", str(ledger["highest_open"])
    yield "callbacks", f"{ledger['callbacks_sent']} sent, {ledger['callbacks_lost']} lost"
    yield "polls, lists", f"{ledger['polls']}, {ledger['lists']}"


def _clients(findings: Findings) -> Iterator[tuple[str, str]]:
    purchases = findings.evidence.purchases
    yield "orders", str(len(findings.evidence.orders))
    yield "acknowledged", str(len(purchases.acknowledged))
    yield "answers to clients", _listed(purchases.answers)


def _ends(findings: Findings) -> Iterator[tuple[str, str]]:
    evidence = findings.evidence
    yield "tasks", _listed(Counter(" ".join(filter(None, (t["state"], t["error_code"]))) for t in evidence.tasks))
    yield "events", _listed(Counter(event["type"] for event in evidence.events))
    yield "events heard", ", ".join(f"{name} {len(heard)}" for name, heard in evidence.heard.items())
    yield "promises broken", str(len(findings.violations))


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"
