"""The checker finds every broken promise, and nothing in a run without one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.faults.ledger import Ledger, read_all
from tests.redis.chaos.checker import LATE_SECONDS, PROMISES, check
from tests.redis.chaos.ledger import Effect, Intent, Outcome, Run, ServerLedger


@dataclass
class Story:
    """One call that went well; tests change what is to have gone wrong."""

    key: str = ""
    style: str = "thread"
    intents: list[Intent] = field(default_factory=list[Intent])
    outcomes: list[Outcome] = field(default_factory=list[Outcome])
    runs: list[Run] = field(default_factory=list[Run])
    effects: list[Effect] = field(default_factory=list[Effect])

    def __post_init__(self) -> None:
        self.intents.append(Intent("c", 0, self.style, self.key, 7))
        self.outcomes.append(Outcome("c", 0, "ok", "c", "r", 7, 0.1, 10.0, ""))
        self.runs.append(Run("c", "r", self.key, 1, 1))
        self.effects.append(Effect("c", "r", self.key))

    def told(self, **changes: object) -> None:
        self.outcomes[0] = replace(self.outcomes[0], **changes)  # type: ignore[arg-type]

    def broken(self) -> set[str]:
        found = check(self.intents, self.outcomes, self.runs, self.effects)
        assert found.kept is not any(found.broken.values())
        return {name for name, calls in found.broken.items() if calls}


@pytest.mark.parametrize("key", ["", "k"])
def test_a_call_that_went_well_breaks_nothing(key: str) -> None:
    assert Story(key).broken() == set()


def test_honest_failures_break_nothing() -> None:
    unknown = Story()
    unknown.told(code="outcome_unknown")
    nobody = Story()
    nobody.told(code="service_unavailable")
    nobody.runs, nobody.effects = [], []

    assert unknown.broken() == nobody.broken() == set()


def broken_stories() -> dict[str, Story]:
    stories = {name: Story() for name in PROMISES}
    stories["lost_acknowledged"].effects = []
    stories["lost_event"].told(code="accepted")
    stories["lost_event"].effects = []
    stories["wrong_caller"].told(reply_call="d", reply_run="s")
    stories["wrong_caller"].effects.append(Effect("d", "s", ""))
    stories["wrong_type"].told(reply_n=8)
    stories["duplicate_effect"] = Story("k")
    stories["duplicate_effect"].effects.append(Effect("c", "s", "k"))
    stories["second_run"].runs.append(Run("c", "s", "", 1, 2))
    stories["silent_unknown"].told(code="connection_error")
    stories["unnamed_failure"].told(code="internal_error")
    stories["never_ended"].outcomes = []
    stories["late"].told(seconds=10.0 + LATE_SECONDS + 1)
    stories["missing"] = Story("k")
    stories["missing"].told(code="timeout")
    return stories


@pytest.mark.parametrize(("name", "story"), broken_stories().items())
def test_each_broken_promise_is_found_and_no_other(name: str, story: Story) -> None:
    assert story.broken() == {name}


def test_a_result_that_did_not_fit_its_model_is_a_wrong_type() -> None:
    story = Story()
    story.told(code="wrong_type")

    assert story.broken() == {"wrong_type"}


def test_a_key_runs_again_only_for_a_reason() -> None:
    again = Story("k")
    again.runs.append(Run("c", "s", "k", 1, 2))
    assert again.broken() == {"second_run"}

    taken_over = Story("k")
    taken_over.runs.append(Run("c", "s", "k", 2, 2))
    assert taken_over.broken() == set()

    retried = Story("k")
    retried.intents.append(Intent("c", 1, "thread", "k", 7))
    retried.outcomes.insert(0, Outcome("c", 1, "timeout", "", "", 0, 10.0, 10.0, ""))
    retried.runs.append(Run("c", "s", "k", 1, 2))
    assert retried.broken() == set()


def test_an_event_runs_again_only_after_a_death() -> None:
    event = Story(style="event")
    event.told(code="accepted")
    event.runs.append(Run("c", "s", "", 1, 2))
    event.effects.append(Effect("c", "s", ""))
    assert event.broken() == {"second_run", "duplicate_effect"}

    event.runs[1] = Run("c", "s", "", 2, 2)
    assert event.broken() == set()


def test_the_ledgers_bring_back_what_was_written(tmp_path: Path) -> None:
    story = Story("k")
    callers, server = Ledger(tmp_path / "ledger", Intent, Outcome), ServerLedger(tmp_path / "ledger")
    callers.note(*story.intents, *story.outcomes)
    callers.close()
    first, second = server.begin("c", "k", 1, 1), server.begin("c", "k", 2, 1)

    assert server.take_effect("c", first, "k") == server.take_effect("c", second, "k") == first
    server.close()
    assert read_all(tmp_path / "ledger", Intent) == story.intents
    assert read_all(tmp_path / "ledger", Outcome) == story.outcomes
    assert [run.run for run in read_all(tmp_path / "ledger", Run)] == [first, second]
    assert read_all(tmp_path / "ledger", Effect) == [Effect("c", first, "k")]
