"""The checker finds every broken promise, and nothing in a run without one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.faults.ledger import Ledger, read_all
from tests.grpc.chaos.checker import LATE_SECONDS, PROMISES, Books, check
from tests.grpc.chaos.ledger import KINDS, Answer, Effect, Order, Receipt, Run, Stream


@dataclass
class Story:
    """One command that went well; tests change what is to have gone wrong."""

    orders: list[Order] = field(default_factory=lambda: [Order("c", 0, "completed", "a", 1.0)])
    answers: list[Answer] = field(default_factory=lambda: [Answer("c", 0, "completed", True, 100, "r", 0.1, 5.0, "")])
    streams: list[Stream] = field(default_factory=lambda: [Stream("a", 100), Stream("a", 900), Stream("b", 150)])
    receipts: list[Receipt] = field(default_factory=lambda: [Receipt("c", "a", "a", 100, 500)])
    runs: list[Run] = field(default_factory=lambda: [Run("c", "r", "a", 100, 1.5)])
    effects: list[Effect] = field(default_factory=lambda: [Effect("c", "r")])

    def told(self, **changes: object) -> Story:
        self.answers[-1] = replace(self.answers[-1], **changes)  # type: ignore[arg-type]
        return self

    def again(self, **changes: object) -> Story:
        """A further attempt, of which the caller was told as of the one before but for what changes."""
        attempt = len(self.orders)
        self.orders.append(replace(self.orders[0], attempt=attempt, at=1.0 + attempt))
        self.answers.append(replace(self.answers[-1], attempt=attempt))
        return self.told(**changes)

    def waits_for(self, style: str) -> Story:
        self.orders[0] = replace(self.orders[0], style=style)
        return self

    def never_ran(self) -> Story:
        self.runs, self.effects = [], []
        return self

    def broken(self) -> set[str]:
        books = Books(self.orders, self.answers, self.streams, self.receipts, self.runs, self.effects)
        found = check(books)
        assert found.kept is not any(found.broken.values())
        return {name for name, commands in found.broken.items() if commands}


HONEST = {
    "completed": Story(),
    "acknowledged": Story().waits_for("acknowledged").told(outcome="acknowledged", run=""),
    "unknown though it ran": Story().told(outcome="outcome_unknown", run=""),
    "timed out though it ran": Story().told(outcome="timed_out", run=""),
    "delivered and lost": Story().told(outcome="delivered", run="").never_ran(),
    "not connected": Story().told(outcome="not_connected", may_have_run=False, run="").never_ran(),
    "no server": Story().told(outcome="service_unavailable", may_have_run=False, run="").never_ran(),
    "completed at the second attempt, by the stored answer": (
        Story().told(outcome="outcome_unknown", run="").again(outcome="completed", run="r", epoch=900)
    ),
    "not connected at first, and run at the second attempt": (
        replace(Story(), runs=[Run("c", "r", "a", 100, 2.5)])
        .told(outcome="not_connected", may_have_run=False)
        .again(outcome="completed", may_have_run=True)
    ),
    "still in flight at the second attempt": (
        Story().told(outcome="outcome_unknown").again(outcome="application_error", may_have_run=False).again(
            outcome="completed", run="r"
        )
    ),
}  # fmt: skip


@pytest.mark.parametrize("story", HONEST.values(), ids=HONEST)
def test_an_honest_answer_breaks_nothing(story: Story) -> None:
    assert story.broken() == set()


def broken_stories() -> dict[str, Story]:
    stories = {name: Story() for name in PROMISES}
    stories["false_done"].effects = []
    stories["false_acknowledged"].waits_for("acknowledged").told(outcome="acknowledged").never_ran()
    stories["too_soon"].told(outcome="acknowledged")
    stories["wrong_answer"].told(run="of another command")
    stories["second_run"].runs.append(Run("c", "s", "a", 900, 2.5))
    stories["wrong_agent"].receipts[0] = Receipt("c", "b", "a", 150, 500)
    stories["superseded"].receipts[0] = Receipt("c", "a", "a", 100, 901)
    stories["false_unrun"].told(outcome="not_connected", may_have_run=False)
    stories["unnamed"].told(outcome="internal_error")
    stories["never_ended"].answers = []
    stories["late"].told(seconds=5.0 + LATE_SECONDS + 1)
    stories["missing"].told(outcome="timed_out").again()
    return stories


@pytest.mark.parametrize(("name", "story"), broken_stories().items())
def test_each_broken_promise_is_found_and_no_other(name: str, story: Story) -> None:
    assert story.broken() == {name}


def test_less_plain_cases_are_found_too() -> None:
    other_stream = Story().told(epoch=900)
    stamped_for_another = Story(receipts=[Receipt("c", "a", "b", 100, 500)])
    run_by_another = Story(runs=[Run("c", "r", "b", 100, 1.5)])
    before_it_was_tried_again = (
        Story().told(outcome="not_connected", may_have_run=False).again(outcome="completed", may_have_run=True)
    )
    not_noted = Story(streams=[], receipts=[Receipt("c", "a", "a", 100, 901), Receipt("d", "a", "a", 900, 1)])

    assert other_stream.broken() == {"wrong_answer"}
    assert stamped_for_another.broken() == run_by_another.broken() == {"wrong_agent"}
    assert before_it_was_tried_again.broken() == {"false_unrun"}
    assert not_noted.broken() == {"superseded"}


def test_the_ledger_brings_back_what_was_written(tmp_path: Path) -> None:
    story = Story()
    rows = (*story.orders, *story.answers, *story.streams, *story.receipts, *story.runs, *story.effects)
    for row in rows:
        ledger = Ledger(tmp_path / "ledger", *KINDS)
        ledger.note(row)
        ledger.close()

    assert [row for kind in KINDS for row in read_all(tmp_path / "ledger", kind)] == list(rows)
