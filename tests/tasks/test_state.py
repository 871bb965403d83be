"""The life of a task, over every pair of standing and report, and over every order of reports."""

from itertools import product
from typing import get_args

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from service.tasks.state import (
    FINAL,
    MOVES,
    STATES,
    Move,
    Report,
    Standing,
    State,
    is_final,
    is_terminal,
    moves_for,
    next_move,
)

REPORTS: tuple[Report, ...] = get_args(Report)
STANDINGS = [Standing(*parts) for parts in product(STATES, (False, True), (False, True))]
PAIRS = list(product(STANDINGS, REPORTS))


@pytest.mark.parametrize("report", REPORTS)
def test_every_report_has_an_answer_in_every_standing(report: Report) -> None:
    answers = [next_move(standing, report) for standing in STANDINGS]

    assert all(answer is None or answer.state in STATES for answer in answers)
    assert (report in MOVES) is (report != "hint")


def test_a_final_state_is_never_left() -> None:
    left = [(at, report) for at, report in PAIRS if is_final(at.state) and _state_after(at, report) != at.state]

    assert left == []


def test_a_success_is_told_once() -> None:
    told = [(at, report) for at, report in PAIRS if at.state == "succeeded" and next_move(at, report) is not None]

    assert told == []


@pytest.mark.parametrize("state", ["failed", "canceled"])
@pytest.mark.parametrize("report", ["finished", "errored"])
def test_an_end_that_we_declared_takes_the_upstreams_word_once(state: State, report: Report) -> None:
    first = next_move(Standing(state, reported=False, current=True), report)
    second = next_move(Standing(state, reported=True, current=True), report)

    assert first == Move(state, "task.result_late")
    assert second is None


def test_images_of_an_older_attempt_are_kept_since_they_are_paid_for() -> None:
    for state in set(STATES) - FINAL:
        assert next_move(Standing(state, False, current=False), "finished") == Move("succeeded", "task.succeeded")


def test_an_older_attempt_says_nothing_else_about_the_latest() -> None:
    for state, report in product(STATES, set(REPORTS) - {"finished"}):
        assert next_move(Standing(state, False, current=False), report) is None


def test_only_what_is_provably_not_taken_is_queued_again() -> None:
    assert {report for at, report in PAIRS if _moves_to(at, report, "queued")} == {"not_taken"}


def test_only_a_queued_task_is_ever_sent() -> None:
    assert {at.state for at, report in PAIRS if _moves_to(at, report, "submitting")} == {"queued"}


def test_an_unknown_outcome_never_leads_back_to_sending() -> None:
    """Its only way to the queue is the word of the process that made the call: provably not taken."""
    reachable = {_state_after(Standing("unknown", False, True), report) for report in set(REPORTS) - {"not_taken"}}

    assert reachable == {"unknown", "processing", "succeeded", "failed", "canceled"}


def test_the_table_for_sql_says_what_the_function_says() -> None:
    for report in REPORTS:
        table = dict(moves_for(report))
        assert {at: next_move(at, report) for at in STANDINGS if next_move(at, report)} == table


def _state_after(at: Standing, report: Report) -> State:
    move = next_move(at, report)
    return at.state if move is None else move.state


def _moves_to(at: Standing, report: Report, state: State) -> bool:
    move = next_move(at, report)
    return move is not None and move.state == state and at.state != state


class TaskLife(RuleBasedStateMachine):
    """Any reports in any order, current and stale, to one task."""

    def __init__(self) -> None:
        super().__init__()
        self.state: State = "submitting"
        self.reported = False
        self.ends: list[str] = []
        self.late = 0
        self.sends = 1
        self.takings_back = 0

    @rule(report=st.sampled_from(REPORTS), current=st.booleans())
    def tell(self, report: Report, current: bool) -> None:
        self._apply(next_move(Standing(self.state, self.reported, current), report), report)

    @precondition(lambda self: self.state in {"processing", "unknown"})
    @rule(report=st.sampled_from(["finished", "errored", "gave_up", "deadline_passed"]))
    def end(self, report: Report) -> None:
        self._apply(next_move(Standing(self.state, self.reported, True), report), report)

    def _apply(self, move: Move | None, report: Report) -> None:
        if move is None:
            return
        self.sends += move.state == "submitting"
        self.takings_back += move.state == "queued"
        self.late += move.event == "task.result_late"
        self.ends += [move.event] if move.event in {"task.succeeded", "task.failed", "task.canceled"} else []
        self.reported = self.reported or is_terminal(report)
        self.state = move.state

    @invariant()
    def one_end_is_told_at_most(self) -> None:
        assert len(self.ends) == (1 if is_final(self.state) else 0)

    @invariant()
    def a_late_result_is_told_at_most_once_and_never_after_a_success(self) -> None:
        assert self.late <= (self.state in {"failed", "canceled"})

    @invariant()
    def each_further_send_needs_a_proof_that_the_last_was_not_taken(self) -> None:
        assert self.sends <= 1 + self.takings_back


TaskLife.TestCase.settings = settings(max_examples=300, stateful_step_count=30, suppress_health_check=list(HealthCheck))
TestTaskLife = TaskLife.TestCase
