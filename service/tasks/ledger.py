"""What a report makes a task cost: pieces of the statement that moves the task, so that money and state never part.

`tasks.credits` is at every moment the sum of the task's entries (NULL: none yet). It is read from the locked row, since
a sum over the ledger could miss an entry that another process commits while we wait for the lock. It counts as
the price of the task once that has ended. Each report says what the task costs now; the entry is the difference.
"""

from collections.abc import Mapping

from service.tasks.state import Report

# What is known already stands; else what the upstream named when it took the task.
_STANDS = "COALESCE(f.cost_before, f.estimate)"
_NAMED = "COALESCE(CAST(:credits AS numeric), f.cost_before, f.estimate)"
# A queued task was never sent, or provably not taken.
_UNLESS_QUEUED = "CASE WHEN f.from_state = 'queued' THEN 0 ELSE {cost} END"

_COSTS: Mapping[Report, str] = {
    "finished": _NAMED,
    "errored": "0",  # the upstream gives back what a failed task was charged
    "refused": "0",
    "not_taken_finally": "0",
    "canceled": _UNLESS_QUEUED.format(cost=_NAMED),
    "deadline_passed": _UNLESS_QUEUED.format(cost=_STANDS),
}
_KINDS: Mapping[Report, str] = {
    "finished": "CASE WHEN n.cost_before IS NULL THEN 'charge' ELSE 'correction' END",
    "errored": "'refund'",
    "canceled": "CASE WHEN n.credits < n.cost_before THEN 'refund' ELSE 'charge' END",
    "gave_up": "'estimate'",
    "gone": "'estimate'",
    "deadline_passed": "'estimate'",
}


def cost_sql(report: Report) -> str:
    """The task's cost after such a report, from a row `f` with moved, from_state, cost_before and estimate."""
    return f"CASE WHEN f.moved THEN {_COSTS.get(report, _STANDS)} ELSE {_STANDS} END"


def entry_sql(report: Report) -> str:
    """A CTE's body: the entry that brings the ledger of row `n` to its credits, when they have changed.

    It has the id of the report that caused it. Binds: report_id.
    """
    return f"""
    INSERT INTO ledger (id, task_id, client, kind, credits)
    SELECT :report_id, n.id, n.client, {_KINDS.get(report, "'charge'")}, n.credits - COALESCE(n.cost_before, 0)
    FROM new n WHERE n.credits <> COALESCE(n.cost_before, 0)"""
