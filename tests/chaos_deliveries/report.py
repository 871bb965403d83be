"""The figures of a run as a table, with what each fault cost."""

from collections import Counter
from collections.abc import Iterator
from statistics import median

from tests.chaos_deliveries.plan import FAULT_KINDS, Plan
from tests.chaos_deliveries.run import Findings
from tests.chaos_deliveries.throughput import back_after_s, rate_before


def table(plan: Plan, findings: Findings) -> str:
    """What happened and what became of it."""
    rows = [("seed", str(plan.seed)), *_figures(findings), *_faults(findings)]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in rows)


def duplicates(findings: Findings) -> int:
    """How often a subscriber took what it had taken before."""
    return sum(len(moments) - 1 for moments in findings.evidence.taken().values())


def _figures(findings: Findings) -> Iterator[tuple[str, str]]:
    evidence = findings.evidence
    states = Counter(row["state"] for row in evidence.results)
    treated = Counter(receipt.how for receipt in evidence.receipts)
    yield "seconds", f"{findings.ended_at_s - findings.began_at_s:.0f}"
    yield "events", f"{len(evidence.events)}, {len(evidence.acknowledged)} of them acknowledged"
    yield "deliveries", ", ".join(f"{state} {count}" for state, count in sorted(states.items()))
    yield "requests", ", ".join(f"{how} {count}" for how, count in sorted(treated.items()))
    yield "duplicates", str(duplicates(findings))
    yield "left over", str(len(evidence.deliveries_left))
    yield "promises broken", str(len(findings.violations))


def _faults(findings: Findings) -> Iterator[tuple[str, str]]:
    """Per kind: how many, how long, and the time from their begin to 95 % of the throughput before.

    Without the subscriber that goes for good half-way: what it no longer takes is no loss of throughput.
    """
    evidence = findings.evidence
    moments = sorted(taken[0] for (name, _), taken in evidence.taken().items() if name != evidence.gone)
    ends = [fault.began_s for fault in evidence.faults[1:]] + [findings.ended_at_s]
    spans = list(zip(evidence.faults, ends, strict=True))
    for kind in FAULT_KINDS:
        of_kind = [(fault, until_s) for fault, until_s in spans if fault.kind == kind]
        if not of_kind:
            continue
        back = [back_after_s(moments, fault.began_s, until_s) for fault, until_s in of_kind]
        lasted = median(fault.ended_s - fault.began_s for fault, _ in of_kind)
        before = median(rate_before(moments, fault.began_s) for fault, _ in of_kind)
        yield (
            f"{kind}, {len(of_kind)} x {lasted:.1f} s",
            f"{before:.0f}/s before, 95 % again after {', '.join(_shown(each) for each in back)}",
        )


def _shown(back_s: float | None) -> str:
    return "- (not before the next fault)" if back_s is None else f"{back_s:.1f} s"
