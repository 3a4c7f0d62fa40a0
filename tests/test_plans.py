"""The plans of fixtures/plans run for real, and everything that they promise is there and right."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plan_checks import CHECKS
from tests.teams import APPROVED, BARE, PLANS, TINY, Team, gitmem, parsed


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Team:
    """A team with a memory of its own; the package is click until it installs another."""
    return Team(tmp_path, monkeypatch)


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_a_plan_keeps_its_promises(name: str, team: Team) -> None:
    """Twice in one memory, on two packages: everything that was promised is there, right, and in the right order."""
    for package, approve in (("click", lambda: team.decide("approve")), ("tiny", team.approve_plainly)):
        if package == "tiny":
            team.package("tiny", TINY)
        team.run(name, beside=approve if name == "docs-refactor" else lambda: None)
        assert set(team.states(name).values()) == {"done"}
        CHECKS[name](team.memory, package)
        gitmem("run", "--verify", team.session())
        assert _by_tasks(team.written(), name) == {task.name: set(task.writes) for task in parsed(name).tasks}


def test_the_same_with_coding_agents(team: Team) -> None:
    """The example is the exercise: only the command lines differ, and how long they may take."""
    theirs, ours = parsed("coding-agents"), parsed("exercise")
    patient = [task._replace(timeout=3600) for task in ours.tasks]
    assert theirs.tasks == tuple(patient)
    assert {agent.command[0] for agent in theirs.agents} == {"claude", "codex"}
    printed = gitmem("run", "--dry-run", str(PLANS / "coding-agents" / "plan.toml"))
    places = [printed.index(task.name) for task in theirs.tasks]
    assert places == sorted(places)
    assert team.memory.list() == []


def test_a_plan_for_nothing_is_rejected(team: Team) -> None:
    """The reviewer says why, and nobody carries out what was not approved."""
    team.package("bare", BARE)
    assert "there is nothing to write about bare" in team.run("checkpoints", code=6)
    states = team.states("checkpoints")
    assert [states[name] for name in ("planner", "planning-reviewer")] == ["done", "done"]
    assert [states[name] for name in ("implementation-team", "devops")] == ["stopped", "stopped"]
    assert team.memory.list("checkpoint/phase2/") == []


def test_a_person_says_no(team: Team) -> None:
    """No guide is written from an architecture that was rejected."""
    feedback = "begin with commands"
    output = team.run("docs-refactor", beside=lambda: team.decide("reject", "--feedback", feedback), code=6)
    assert feedback in output
    assert team.memory.list("swarm/writer/") == []
    assert team.memory.entry(APPROVED).agent == "anna"


def test_a_package_that_is_not_there(team: Team) -> None:
    """The architect's log says so, and all who depend on him are stopped."""
    team.memory.store("project/package", "no_such_package")
    team.run("exercise", code=1)
    states = team.states("exercise")
    assert states.pop("architect") == "failed"
    assert set(states.values()) == {"stopped"}
    assert "no package" in gitmem("run", "--logs", team.session(), "architect")


def _by_tasks(written: dict[str, set[str]], name: str) -> dict[str, set[str]]:
    """What each task wrote, but for gates and for the pages that a deployment makes."""
    plan = parsed(name)
    apart = {gate.key for gate in plan.gates}
    return {
        task.name: {key for key in written.get(task.name, set()) - apart if not key.startswith("reference/")}
        for task in plan.tasks
    }
