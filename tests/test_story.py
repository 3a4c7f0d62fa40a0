"""Learning across sessions, as two people live it: their own machines, a bare repository between them, and `gitmem`.

Anna runs a plan, learns two patterns, ends her session. Ben, on another copy, recalls them, applies them to another
package, tells how that went, ends his. Anna goes on meanwhile. Then Ben compares the two sessions, takes his back, and
both look at what is left. Nothing here but real processes and the command line; the story is played once, and each test
looks at one thing that it told.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.teams import PLANS, TINY, TOP, install

PLAN = str(PLANS / "handoff" / "plan.toml")
PRIVATE, TWICE = "pattern/documentation/private-modules", "pattern/testing/count-twice"
STEPS = ["handoff/step1/research-complete", "handoff/step2/implementation-complete", "handoff/step3/testing-complete"]


@dataclass
class Desk:
    """One person at a machine of their own: a folder, a home, a name in git."""

    folder: Path
    tools: Path

    def __post_init__(self) -> None:
        self.folder.mkdir()
        (self.folder / ".gitconfig").write_text(f"[user]\nname = {self.name}\nemail = {self.name}@example.org\n")

    @property
    def name(self) -> str:
        """Who sits there."""
        return self.folder.name

    def types(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """One command line, which ends as it should."""
        environment = {
            "PATH": f"{self.tools}:{os.environ['PATH']}",
            "PYTHONPATH": f"{TOP}:{self.tools}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(self.folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "LANG": "C.UTF-8",
        }
        done = subprocess.run(
            words, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=120,
        )  # fmt: skip
        told = f"{self.name}$ {' '.join(words)}\n{done.stdout}{done.stderr}"
        assert done.returncode == code, told
        assert "Traceback" not in done.stderr, told
        return done

    def gitmem(self, *words: str, code: int = 0) -> str:
        """What it prints."""
        return self.types("gitmem", *words, code=code).stdout

    def json(self, *words: str, code: int = 0) -> Any:
        """The same for programs."""
        return json.loads(self.gitmem(*words, "--json", code=code))


@dataclass
class Story:
    """What was told on the way, by a name for each thing."""

    anna: Desk
    ben: Desk
    hub: Path
    first: str = ""
    second: str = ""
    told: dict[str, Any] = field(default_factory=dict)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """The story, played to its end."""
    folder = tmp_path_factory.mktemp("story")
    tools = folder / "tools"
    tools.mkdir()
    for name, words in (("python3", ""), ("gitmem", "-m gitmem ")):
        (tools / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words}"$@"\n')
        (tools / name).chmod(0o755)
    install(tools, "tiny", TINY)
    hub = folder / "hub.git"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(hub)], check=True)
    story = Story(Desk(folder / "anna", tools), Desk(folder / "ben", tools), hub)
    for chapter in (_anna_learns, _ben_applies, _anna_goes_on, _ben_looks_back, _ben_takes_it_back, _both_look):
        chapter(story)
    return story


def _anna_learns(story: Story) -> None:
    """Session one: a plan's agents at work, two patterns, an entry in the journal."""
    anna, told = story.anna, story.told
    anna.gitmem("init")
    anna.gitmem("remote", "add", "origin", "../hub.git")
    anna.gitmem("store", "project/package", "click", "-n", "coordination")
    story.first = anna.gitmem("session", "start", "directory of click").strip()
    told["run"] = anna.types("gitmem", "run", PLAN)
    told["verified"] = anna.gitmem("run", "--verify", story.first)
    anna.gitmem("pattern", "learn", PRIVATE, "Leave modules out whose name begins with an underscore",
                "--lesson", "Half of the names in them are imported elsewhere")  # fmt: skip
    anna.gitmem("pattern", "learn", TWICE, "Count public names a second time, with tokens alone, and compare",
                "--lesson", "Decorated functions were missed by the first count")  # fmt: skip
    anna.gitmem("journal", "add", "The directory leaves private modules out", "--type", "decision", "--tags", "docs")
    told["end of one"] = anna.json("session", "end")
    told["steps of one"] = {key: anna.json("retrieve", key, "-n", "coordination") for key in STEPS}
    anna.gitmem("sync")


def _ben_applies(story: Story) -> None:
    """Session two, on another copy: what was learned is recalled, applied to another package, and judged."""
    ben, told = story.ben, story.told
    ben.gitmem("clone", "../hub.git", ".")
    story.second = ben.gitmem("session", "start", "directory of tiny").strip()
    told["recalled"] = ben.json("pattern", "recall", "which public names of private modules do we count?")
    ben.gitmem("store", "project/package", "tiny", "-n", "coordination")
    ben.gitmem("run", PLAN)
    ben.gitmem("pattern", "outcome", PRIVATE, "success")
    ben.gitmem("journal", "add", "Why is an overloaded function counted once?", "--type", "question")
    told["end of two"] = ben.types("gitmem", "session", "end")
    told["asked"] = ben.json("session", "show", story.second)["summary"]["patterns"]
    command = told["end of two"].stderr.split("`")[1].replace("success", "failure")  # as the hint says, or failure
    ben.types(*shlex.split(command), "--lesson", "Tokens alone miss what an if hides")


def _anna_goes_on(story: Story) -> None:
    """Meanwhile, on the other copy and in no session: work that is not Ben's to take back."""
    anna, ben = story.anna, story.ben
    anna.gitmem("pattern", "outcome", PRIVATE, "success", "--lesson", "Also for click 8")
    anna.gitmem("store", "project/owner", "anna", "-n", "coordination")
    for desk in (ben, anna, ben):
        desk.gitmem("sync")
    story.told["counted"] = ben.json("pattern", "show", PRIVATE)


def _ben_looks_back(story: Story) -> None:
    """The two sessions side by side."""
    ben, told, both = story.ben, story.told, (story.first, story.second)
    told["compared"] = ben.json("session", "compare", *both)
    told["table"] = ben.gitmem("session", "compare", *both, "handoff/**", "--exit-code", code=1)
    told["diff"] = ben.json("diff", *both, "handoff/**")
    told["same"] = ben.gitmem("session", "compare", story.first, story.first, "--exit-code")


def _ben_takes_it_back(story: Story) -> None:
    """His session, and nothing else: seen first, then done."""
    ben, told = story.ben, story.told
    before = ben.gitmem("log", "--limit", "1")
    told["dry run"] = ben.json("undo", story.second, "--dry-run")
    assert ben.gitmem("log", "--limit", "1") == before
    told["undone"] = ben.json("undo", story.second)
    told["commit"] = ben.json("log", "--limit", "1")
    told["again"] = ben.types("gitmem", "undo", story.second)
    told["since one"] = ben.json("diff", story.first)


def _both_look(story: Story) -> None:
    """At what is left, each at their own desk."""
    for desk in (story.ben, story.anna):
        desk.gitmem("sync")
        story.told[f"{desk.name} sees"] = {
            "package": desk.gitmem("retrieve", "project/package", "-n", "coordination"),
            "owner": desk.gitmem("retrieve", "project/owner", "-n", "coordination"),
            "steps": {key: desk.json("retrieve", key, "-n", "coordination") for key in STEPS},
            "patterns": {key: desk.json("pattern", "show", key) for key in (PRIVATE, TWICE)},
            "one": desk.json("session", "show", story.first),
            "two": desk.json("session", "show", story.second),
            "conflicts": desk.json("conflicts"),
            "head": desk.json("log", "--limit", "1")[0]["revision"],
        }


# --- session one


def test_the_run_belongs_to_the_session_that_was_active(story: Story) -> None:
    """Whoever looks at the session, or takes it back, means the run of its agents too."""
    assert story.told["run"].stdout.startswith(f"run {story.first}\n")
    assert story.told["verified"].startswith(f"{story.first}: everything that a task waits for")
    agents = story.told["end of one"]["summary"]["agents"]
    assert {"anna", "research", "implement", "test", "gitmem-run"} == agents.keys()


def test_the_end_of_a_session_tells_what_it_did(story: Story) -> None:
    """Counted from git: who wrote how much, what is new, what was learned and noted."""
    summary = story.told["end of one"]["summary"]
    assert (summary["topic"], summary["status"]) == ("directory of click", "done")
    assert summary["agents"]["anna"]["keys"] == 3
    assert summary["agents"]["test"] == {"commits": 1, "keys": 1}
    assert summary["keys"] == {"created": 9, "changed": 0, "deleted": 0}  # results and states of three tasks, and hers
    assert summary["patterns"] == {"learned": [PRIVATE, TWICE], "recalled": [], "without_outcome": []}
    assert [one["type"] for one in summary["journal"]] == ["decision"]


# --- session two


def test_another_copy_recalls_what_was_learned(story: Story) -> None:
    """Both patterns, the nearer one first, and each says why it was chosen."""
    recalled = story.told["recalled"]
    assert [one["key"] for one in recalled] == [PRIVATE, TWICE]
    assert recalled[0]["value"]["lessons_learned"] == ["Half of the names in them are imported elsewhere"]
    assert all(one["reasons"] for one in recalled)
    assert recalled[0]["value"]["sessions_used"] == [story.first]


def test_the_end_of_a_session_asks_for_what_nobody_told(story: Story) -> None:
    """One outcome was told before the end; the other is asked for, with the command that tells it of this session."""
    command = f"gitmem pattern outcome {TWICE} success --session {story.second}"
    assert story.told["end of two"].stderr == f"hint: did it help? `{command}`, or failure\n"
    assert story.told["asked"] == {"learned": [], "recalled": [PRIVATE, TWICE], "without_outcome": [TWICE]}
    left = story.told["ben sees"]["two"]["open"]
    assert [one["key"] for one in left if one["kind"] == "pattern"] == []


def test_outcomes_of_two_copies_both_count(story: Story) -> None:
    """Anna and Ben told theirs apart, of one pattern."""
    value = story.told["counted"]["value"]
    assert (value["successes"], value["failures"], value["success_rate"]) == (2, 0, 100)
    assert value["lessons_learned"] == ["Half of the names in them are imported elsewhere", "Also for click 8"]
    assert value["sessions_used"] == [story.first, story.second]


# --- looking back


def test_two_sessions_are_compared_key_by_key(story: Story) -> None:
    """Also the keys that carry the session's own name; numbers with their difference."""
    compared = story.told["compared"]
    pairs = {one["key"]: one for one in compared["pairs"]}
    assert set(STEPS) | {PRIVATE, TWICE, "session/{session}/plan"} <= pairs.keys()
    assert [pairs[key]["same"] for key in ("session/{session}/plan", "swarm/test/status")] == [True, True]
    members = {one["pointer"]: one for one in pairs[STEPS[0]]["members"]}
    assert (members["/package"]["a"], members["/package"]["b"]) == ("click", "tiny")
    assert {one["pointer"]: one["difference"] for one in pairs[PRIVATE]["members"]}["/successes"] == 1
    assert [one["key"].split("/")[0] for one in compared["only_a"]] == ["journal"]
    assert [one["key"].split("/")[0] for one in compared["only_b"]] == ["journal", "project"]


def test_a_program_learns_from_the_exit_code_whether_they_differ(story: Story) -> None:
    """1 and a table; 0 for a session and itself."""
    assert "3 keys in both: 3 differ" in story.told["table"]
    assert "0 differ" in story.told["same"]
    changed = {one["key"]: {member["pointer"] for member in one["members"]} for one in story.told["diff"]}
    assert list(changed) == STEPS
    assert "/package" in changed[STEPS[0]]


# --- taking back


def test_undo_tells_first_what_it_would_do(story: Story) -> None:
    """A dry run names the keys that the undo then changes, and writes nothing (checked while it was played)."""
    planned, undone = story.told["dry run"], story.told["undone"]
    assert (planned["revision"], planned["conflicts"], undone["conflicts"]) == (None, [], [])
    assert planned["changes"] == undone["changes"]
    keys = {one["key"] for one in undone["changes"]}
    assert keys >= {*STEPS, "project/package", PRIVATE, TWICE}
    assert not any(key.startswith("session/") for key in keys)


def test_undo_is_one_commit_that_says_what_it_undoes(story: Story) -> None:
    """For people in its subject; and a session that is undone already is not undone twice."""
    (commit,) = story.told["commit"]
    assert commit["revision"] == story.told["undone"]["revision"]
    assert commit["message"].startswith(f"undo {story.second}")
    assert commit["agent"] == "ben"
    assert story.told["again"].returncode == 0
    assert story.told["ben sees"]["head"] == commit["revision"]


@pytest.mark.parametrize("who", ["ben", "anna"])
def test_what_the_session_wrote_is_as_it_was_and_all_else_stays(story: Story, who: str) -> None:
    """On both copies, after a sync: the plan's results of session one, and what Anna did meanwhile."""
    seen = story.told[f"{who} sees"]
    assert (seen["package"], seen["owner"]) == ("click\n", "anna\n")
    assert seen["steps"] == story.told["steps of one"]
    private, twice = (seen["patterns"][key]["value"] for key in (PRIVATE, TWICE))
    assert (private["successes"], private["failures"]) == (1, 0)
    assert private["lessons_learned"] == ["Half of the names in them are imported elsewhere", "Also for click 8"]
    assert private["sessions_used"] == [story.first]
    assert (twice["successes"], twice["failures"]) == (0, 0)
    assert twice["lessons_learned"] == ["Decorated functions were missed by the first count"]
    assert seen["conflicts"] == []


def test_nothing_else_of_the_session_is_left(story: Story) -> None:
    """Since session one: what Anna did, and what session two says of itself. Not a state, not a note, not a lesson."""
    left = {f"{one['namespace']} {one['key']}": one["operation"] for one in story.told["since one"]}
    own = [name for name in left if name.startswith(f"coordination session/{story.second}/")]
    assert left.pop("coordination project/owner") == "created"
    assert left.pop(f"reasoning-bank {PRIVATE}") == "modified"
    assert sorted(left) == sorted(own)
    assert f"coordination session/{story.second}/summary" in own


@pytest.mark.parametrize("who", ["ben", "anna"])
def test_the_report_of_both_sessions_outlives_the_undo(story: Story, who: str) -> None:
    """What they did stays told; of the second one, that it was taken back, and by which commit."""
    seen = story.told[f"{who} sees"]
    assert seen["one"]["undone_by"] is None
    assert seen["two"]["undone_by"] == story.told["undone"]["revision"]
    assert seen["one"]["summary"]["keys"] == story.told["end of one"]["summary"]["keys"]
    assert seen["two"]["summary"]["patterns"]["recalled"] == [PRIVATE, TWICE]
    assert seen["two"]["summary"]["agents"].keys() == {"ben", "research", "implement", "test", "gitmem-run"}


def test_both_copies_are_one_and_sound(story: Story) -> None:
    """The same head at both desks and between them; git finds nothing wrong anywhere."""
    heads = {story.told[f"{who} sees"]["head"] for who in ("ben", "anna")}
    hub = subprocess.run(
        ["git", "-C", str(story.hub), "rev-parse", "main"], check=True, capture_output=True, text=True
    ).stdout.strip()
    assert heads == {hub}
    for place in (story.hub, *(desk.folder / ".gitmem" / ".git" for desk in (story.anna, story.ben))):
        checked = subprocess.run(
            ["git", "-C", str(place), "fsck", "--strict", "--full", "--no-dangling", "--no-progress"],
            capture_output=True, text=True,
        )  # fmt: skip
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
