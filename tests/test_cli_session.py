"""`gitmem session`: what is typed, what is printed, under which session doors write, and exports that go elsewhere."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from gitmem import Memory, UnknownRevisionError
from gitmem.exchange import export
from gitmem.recipes import Gate, Sessions
from gitmem.runs.naming import Whole
from gitmem.workflow.workplace import Workplace
from tests.commands import gitmem
from tests.foreign import commit_files, run_git
from tests.terminal import Terminal


@pytest.fixture(autouse=True)
def _as_ann_in_an_empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITMEM_AGENT", "ann")


def done(*argv: str, **options: Any) -> str:
    result = gitmem(*argv, **options)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def as_json(*argv: str) -> Any:
    return json.loads(done(*argv, "--json"))


def started(*topic: str) -> str:
    return done("session", "start", *topic).removesuffix("\n")


def session_of(key: str) -> str | None:
    found: str | None = as_json("retrieve", key, "--entry")["session"]
    return found


# --- under which session doors write


def test_start_prints_the_name_and_nothing_else() -> None:
    """`ID=$(gitmem session start docs)`; a topic needs no quotes."""
    name = started("Docs", "refactor")
    assert name.startswith("session-2")
    assert name.endswith("-docs-refactor")
    second = gitmem("session", "start")
    assert second.stdout.count("\n") == 1
    assert f"`gitmem session end {name}` ends it" in second.stderr
    made = as_json("session", "start", "x")
    assert (made["state"], made["topic"], made["active"]) == ("running", "x", True)


def test_what_is_written_while_a_session_is_active_belongs_to_it() -> None:
    """Until somebody leaves it; whoever names another one is believed."""
    name = started("x")
    done("store", "k", "1")
    assert session_of("k") == name
    done("store", "k", "2", "--session", "other")
    assert session_of("k") == "other"
    assert done("session", "leave") == f"left {name}\n"
    done("store", "k", "3")
    assert session_of("k") is None
    again = gitmem("session", "leave")
    assert (again.exit_code, again.stdout, again.stderr) == (0, "", "hint: no session was active\n")
    assert as_json("session", "leave") == {"session": None}
    assert done("session", "resume", "x") == f"{name} is active\n"
    done("store", "k", "4")
    assert session_of("k") == name


def test_a_variable_that_goes_first_is_told() -> None:
    """Else whoever starts a session writes under another one, and wonders."""
    here = {"GITMEM_SESSION": "mine"}
    begun = gitmem("session", "start", "x", env=here)
    name = begun.stdout.strip()
    assert f"GITMEM_SESSION names mine here, and goes first: `export GITMEM_SESSION={name}`" in begun.stderr
    assert "GITMEM_SESSION" in gitmem("session", "resume", "x", env=here).stderr
    assert "GITMEM_SESSION" not in gitmem("session", "resume", "x", env={"GITMEM_SESSION": name}).stderr
    assert gitmem("session", "start", "--session", "y").exit_code == 2


@pytest.mark.parametrize("how", ["active", "named", "variable"])
def test_a_run_and_its_agents_write_under_the_session(how: str, tmp_path: Path, monkeypatch) -> None:
    """Whoever takes the session back, or looks at it, means the run too."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    name = started("x")
    if how != "active":
        done("session", "leave")
    command = json.dumps([sys.executable, "-m", "gitmem", "store", "k", "1"])
    agent = f"[agents.small]\ncommand = {command}\n"
    (tmp_path / "plan.toml").write_text(f'name = "try"\n{agent}[[task]]\nname = "one"\nagent = "small"\nprompt = ""\n')
    options = ["--session", name] if how == "named" else []
    env = {"GITMEM_SESSION": name} if how == "variable" else {}
    assert f"({name})" in done("run", "plan.toml", *options, env=env)
    with Memory.open(create=False) as memory:
        assert {one.session for one in memory.history("k", namespace="coordination")} == {name}
        assert {record.session for record in memory.log(limit=3)} == {name}
    again = gitmem("run", "plan.toml", *options, env=env)
    assert f"{name} cannot have it, or had one before" in again.stderr
    assert gitmem("run", "--verify", name).exit_code == 0


# --- its end


def test_end_shows_what_the_session_did_and_leaves_it() -> None:
    """The active one, when none is named; a second end is refused, and so is one of nothing."""
    name = started("x")
    done("store", "k", "1")
    told = done("session", "end", "--status", "failed").splitlines()
    assert told[0] == f"{name}  failed"
    assert "keys\t+ default\tk\tann" in told
    with Memory.open(create=False) as memory:
        assert memory.active_session is None
        assert memory.retrieve(f"session/{name}/summary", namespace="coordination")["keys"]["created"] == 1
    for argv, code, said in (
        (["end"], 2, "no session is named, and none is active"),
        (["end", name], 4, f"`gitmem session resume {name}` goes on with it"),
        (["end", "nope"], 3, "no commit names a session 'nope'"),
        (["end", name, "--status", "well"], 2, "'well' is not one of"),
    ):
        refused = gitmem("session", *argv)
        assert (refused.exit_code, refused.stdout, said in refused.stderr) == (code, "", True), refused.stderr


def test_who_is_active_in_a_session_that_others_ended_is_told_the_way_out() -> None:
    """Another copy may have ended it; here it is still the active one."""
    name = started("x")
    with Memory.open(create=False) as memory:
        Sessions(memory).end(name)
    refused = gitmem("session", "end")
    assert (refused.exit_code, "hint: `gitmem session leave`" in refused.stderr) == (4, True)


def test_another_session_that_is_ended_leaves_the_active_one_alone() -> None:
    """Somebody may tidy up."""
    first, second = started("one"), started("two")
    done("session", "end", "one")
    done("store", "k", "1")
    assert session_of("k") == second
    assert [one["active"] for one in as_json("session", "list")] == [True, False]
    assert as_json("session", "show", first)["state"] == "done"


def test_clean_deletes_the_session_s_own_keys_alone() -> None:
    """At the end, or later; what there is to say of it stays."""
    first = started("one")
    done("store", "k", "1")
    before = done("session", "end").replace("agents\tann\t2 commits", "agents\tann\t4 commits")
    cleaned = gitmem("session", "end", first, "--clean")
    assert (cleaned.exit_code, cleaned.stderr) == (0, "3 keys of its own deleted; the history keeps them\n")
    assert done("list", "session/", "-n", "coordination") == ""
    assert done("retrieve", "k") == "1\n"
    assert done("session", "show", first).replace("3 commits", "4 commits") == before
    started("two")
    done("session", "end", "--clean")
    assert done("list", "session/", "-n", "coordination") == ""
    assert [one["topic"] for one in as_json("session", "list")] == ["two", "one"]


def test_the_end_asks_for_what_became_of_recalled_patterns() -> None:
    """The next run should know what helped; nothing is asked of those that somebody told."""
    name = started("x")
    for key in ("a/one", "a/two"):
        done("pattern", "learn", key, "tokens are rotated")
    done("pattern", "recall", "tokens")
    done("pattern", "outcome", "a/two", "success")
    ended = gitmem("session", "end")
    wanted = f"hint: did it help? `gitmem pattern outcome pattern/a/one success --session {name}`, or failure\n"
    assert ended.stderr == wanted
    done("pattern", "outcome", "a/one", "failure", "--session", name)
    assert as_json("session", "show", name)["summary"]["patterns"]["without_outcome"] == []


def test_a_run_that_is_at_work_is_not_ended() -> None:
    """It would go on writing, and say itself how it ended."""
    name = started("x")
    with Memory.open(create=False) as memory:
        with Workplace.of(memory, name).lock_runner():
            refused = gitmem("session", "end")
            assert (refused.exit_code, "is at work" in refused.stderr) == (4, True)
        assert Sessions(memory).one(name).is_open
    done("session", "end")


# --- looking


def test_list_is_readable_however_many_there_are() -> None:
    """The newest first, twenty for people and all for programs; the active one is marked."""
    with Memory.open(durability="fast", agent="bob") as memory:
        names = [Sessions(memory).start(str(number)).id for number in range(23)]
        memory.activate(names[3])
        memory.bind(session=names[3]).store("k", 1)
    told = gitmem("session", "list")
    lines = [line.split("\t") for line in told.stdout.splitlines()]
    assert (len(lines), told.stderr) == (20, "hint: there are more: `gitmem session list --limit 200`\n")
    newest = next(line for line in lines if line[0].startswith(names[3]))
    assert (newest[0], newest[1], newest[4:]) == (f"{names[3]}*", "running", ["2 commits", "bob"])
    assert newest[2].endswith(" ago")
    assert len(as_json("session", "list")) == 23
    assert len(as_json("session", "list", "--limit", "2")) == 2
    assert gitmem("session", "list", "--limit", "30").stderr == ""
    failed = gitmem("session", "list", "--state", "failed")
    assert (failed.stdout, failed.stderr) == ("", "hint: no session is failed\n")
    done("session", "end", names[5], "--status", "failed")
    assert [one["session"] for one in as_json("session", "list", "--state", "failed")] == [names[5]]


@pytest.mark.parametrize(
    ("state", "told"),
    [("runing", "did you mean running?"), ("Done", "did you mean done?"),
     ("bogus", "there are running, done, failed, interrupted, abandoned")],
)  # fmt: skip
def test_a_state_that_no_session_can_be_in_is_a_slip_of_the_keyboard(state: str, told: str) -> None:
    """An empty list would be believed."""
    started("x")
    for options in ([], ["--json"], ["--limit", "0"]):
        assert gitmem("session", "list", "--state", state, *options).stderr == f"hint: no session is {state}: {told}\n"
    assert gitmem("session", "list", "--state", "failed").stderr == "hint: no session is failed\n"


def test_show_answers_what_an_auditor_asks() -> None:
    """What changed, by whom, what was decided, what is open."""
    done("store", "old", "1")
    name = started("x")
    done("store", "old", "2", "--agent", "coder")
    done("store", "old", "3", "--agent", "tester")
    done("store", "new", "1", "-n", "coordination")
    done("delete", "new", "-n", "coordination")
    done("gate", "request", "planning", "--agent", "coder")
    done("gate", "request", "release", "--agent", "coder")
    done("gate", "approve", "planning", "--agent", "boss")
    done("journal", "add", "Use JWT", "--type", "decision")
    done("config", "audit_reads", "true")
    done("retrieve", "old", "--agent", "coder")
    done("session", "leave")
    told = done("session", "show", "x").splitlines()
    assert "reads\tcoder\t1 key here" in told
    assert any(line.startswith("settings\tconfig audit_reads true\tann at ") for line in told)
    assert told[0] == f"{name}  running"
    assert "about\ttopic\tx" in told
    assert "agents\tcoder\t3 commits\t3 keys" in told
    assert "keys\t3 created, 1 changed, 1 as before" in told
    assert "keys\t~ default\told\tcoder, tester (2 versions)" in told
    assert "keys\t= coordination\tnew\tann (2 versions)" in told
    assert any(line.startswith("decided\tgate\tplanning\tapproved, by boss at ") for line in told)
    assert any(line.startswith("decided\tdecision\tUse JWT\tann at ") for line in told)
    assert any(line.startswith("open\tgate\tcheckpoint/gates/release\tpending, by coder") for line in told)
    shown = as_json("session", "show", "x")
    assert shown["summary"]["keys"] == {"created": 3, "changed": 1, "deleted": 0}
    assert {one["key"]: one["agents"] for one in shown["changes"]}["old"] == ["coder", "tester"]
    assert [one["kind"] for one in shown["open"]] == ["gate"]


def test_what_does_not_fit_is_counted() -> None:
    """--all shows the rest."""
    name = started("x")
    with Memory.open(create=False, session=name) as memory, memory.transaction("many") as tx:
        for number in range(100):
            tx.store(f"k/{number:03}", number)
    told = done("session", "show").splitlines()
    assert "keys\t… and 85 more: --all shows them" in told
    assert sum(line.startswith("keys\t+") for line in told) == 15
    assert sum(line.startswith("keys\t+") for line in done("session", "show", "--all").splitlines()) == 100


def test_on_a_terminal_it_is_one_screen() -> None:
    """However much there is of everything."""
    with Memory.open(durability="fast", namespace="coordination") as memory:
        name = Sessions(memory).start("x").id
        for number in range(30):
            mine = memory.bind(session=name, agent=f"agent-{number:02}")
            mine.store(f"swarm/{number}/status", "working")
            Gate(mine, f"g{number}").request()
    with Terminal("session", "show", name) as person:
        said, code = person.end()
    assert code == 0
    lines = said.splitlines()
    assert len(lines) <= 48
    assert lines[0].startswith("\x1b[33m" + name)
    assert "… and 23 more: --all shows them" in said


def test_a_taken_back_session_says_so() -> None:
    """Else its report would be believed."""
    name = started("x")
    done("store", "k", "1")
    done("session", "end")
    done("undo", name)
    assert done("session", "show", name).startswith(f"{name}  done, undone by ")
    assert done("session", "list").split("\t")[1] == "done, undone"
    assert as_json("session", "show", name)["undone_by"] is not None


def test_log_shows_the_commits_of_one_session() -> None:
    """As `gitmem log --of` does."""
    name = started("x")
    done("store", "k", "1")
    done("store", "other", "1", "--session", "other")
    assert done("session", "log") == done("log", "--of", name)
    assert [one["session"] for one in as_json("session", "log", "x")] == [name, name]
    assert len(as_json("session", "log", "--limit", "1")) == 1


def test_nobody_s_text_reaches_the_terminal_raw() -> None:
    """Names, topics, artifacts and what agents say of themselves come from anybody."""
    bad = "\x1b[2J\u202e"
    with Memory.open(durability="fast", namespace="coordination") as memory:
        memory.bind(session="a\u202eb").store("k", 1)
        name = Sessions(memory).start("x\u202ey").id
        mine = memory.bind(session=name)
        for key in ("phase", "progress", "artifacts-created"):
            mine.store(f"session/{name}/{key}", bad)
        mine.store("swarm/coder/status", bad)
    for argv in (["list"], ["show", name], ["show", "a\u202eb"], ["compare", name, "a\u202eb"]):
        with Terminal("session", *argv, NO_COLOR="1") as person:
            said, code = person.end()
        assert code == 0, said
        assert "\x1b" not in said
        assert "\u202e" not in said


# --- comparing


def two_runs() -> tuple[str, str]:
    """Two sessions that did nearly the same, on keys of their own and on shared ones."""
    names = []
    for topic, coverage in (("one", 85), ("two", 91)):
        names.append(started(topic))
        done("store", "shared/state", json.dumps({"coverage": coverage, "name": "x", "same": 1}))
        done("store", f"session/{names[-1]}/progress", json.dumps({"steps": coverage}), "-n", "coordination")
        done("store", f"only-{topic}", "1")
        done("store", "alike", "1" if topic == "one" else "2")
        done("store", "alike", "3")
        done("session", "end")
    return names[0], names[1]


def test_compare_is_a_table_for_people() -> None:
    """Both runs, how much they share, numbers with their difference, what only one has."""
    first, second = two_runs()
    told = done("session", "compare", "one", "two").splitlines()
    assert [line.split("\t")[:2] for line in told[:2]] == [["A", first], ["B", second]]
    assert told[2] == "4 keys in both: 2 differ, 2 the same; 1 only in A, 1 only in B"
    assert told[3:] == [
        "differs\tcoordination\tsession/{session}/progress\t/steps\t85\t91\t+6",
        "differs\tdefault\tshared/state\t/coverage\t85\t91\t+6",
        "only A\tdefault\tonly-one\tcreated",
        "only B\tdefault\tonly-two\tcreated",
    ]
    with Terminal("session", "compare", "one", "two") as person:
        said, _ = person.end()
    assert "~ default shared/state" in said


def test_compare_is_json_for_programs() -> None:
    """With the exit code that was asked for."""
    first, second = two_runs()
    found = as_json("session", "compare", first, second)
    assert (found["a"], found["b"], found["differ"]) == (first, second, True)
    assert {one["key"]: one["same"] for one in found["pairs"]} == {
        "alike": True, "shared/state": False, "session/{session}/phase": True, "session/{session}/progress": False,
    }  # fmt: skip
    assert gitmem("session", "compare", "one", "two").exit_code == 0
    assert gitmem("session", "compare", "one", "two", "--exit-code").exit_code == 1
    assert gitmem("session", "compare", "one", "two", "alike", "--exit-code").exit_code == 0
    assert gitmem("session", "compare", "one", "one", "--exit-code").exit_code == 0
    whole = as_json("session", "compare", "one", "two", "session/**")
    assert "session/{session}/metadata" in {one["key"] for one in whole["pairs"]}


def test_two_runs_that_did_the_same_do_not_differ() -> None:
    """When each was, and how long it took, is no difference."""
    for topic in ("one", "two"):
        started(topic)
        done("store", "k", "1" if topic == "one" else "2")
        done("store", "k", "3")
        done("session", "end")
    assert gitmem("session", "compare", "one", "two", "--exit-code").exit_code == 0
    done("store", "k", "1")
    done("store", "k", "3", "--session", "plain")
    for pair in (("plain", "two"), ("two", "plain")):
        found = as_json("session", "compare", *pair)
        alone = [one["key"] for one in [*found["only_a"], *found["only_b"]]]
        assert [key.rpartition("/")[2] for key in alone] == ["phase"]


def test_compare_takes_revisions_and_ranges_too() -> None:
    """A run need not be a session; what names nothing is exit 3."""
    first, _ = two_runs()
    with Memory.open(create=False) as memory:
        facts = {one.session: one for one in memory.sessions()}
    whole = f"{facts[first].first}~1..{facts[first].last}"
    assert gitmem("session", "compare", "one", whole, "shared/**", "--exit-code").exit_code == 0
    assert gitmem("session", "compare", facts[first].last, "two").exit_code == 0
    for bad in ("nope", "nope..HEAD", "session"):
        refused = gitmem("session", "compare", bad, "two")
        assert (refused.exit_code, "\nhint: " in refused.stderr) == (3, True), refused.stderr


@pytest.mark.parametrize("name", ["main", "HEAD", "side", "v1", "id", "a..b"])
def test_a_session_is_a_session_whatever_else_has_its_name(name: str, tmp_path: Path) -> None:
    """An agent may call it as it likes; a branch of that name is asked for by other commands."""
    done("store", "before", "0", "--session", "other")
    with Memory.open(create=False) as memory:
        session = memory.snapshot if name == "id" else name
        memory.branch("side")
        run_git(memory.path / ".git", "tag", "v1", "main")
    for key in "ab":
        done("store", key, "1", "--session", session)
    done("store", "after", "0", "--session", "other")
    assert {one["key"] for one in as_json("session", "show", session)["changes"]} == {"a", "b"}
    assert {one["key"] for one in as_json("session", "compare", session, "other")["only_a"]} == {"a", "b"}
    assert [one["changes"][0]["key"] for one in as_json("session", "log", session)] == ["b", "a"]
    assert [json.loads(line)["key"] for line in done("session", "export", session).splitlines()] == ["a", "b"]
    assert as_json("session", "end", session)["summary"]["keys"]["created"] == 2
    with Memory.open(create=False) as memory, pytest.raises(UnknownRevisionError):
        memory.effect(Whole("nobody"))


# --- elsewhere


def test_an_exported_session_is_the_same_elsewhere(tmp_path: Path) -> None:
    """What it changed, who wrote it, what it decided; a second import brings nothing."""
    done("store", "k", "0")
    name = started("x")
    done("store", "k", "1", "--agent", "coder")
    done("store", "short", "1", "--ttl", "1000")
    done("store", "gone", "1")
    done("delete", "gone")
    done("gate", "approve", "planning", "--agent", "boss")
    done("store", "k", "2", "--session", "other")
    done("session", "end")
    path, there = str(tmp_path / "x.jsonl"), ("--store", str(tmp_path / "there"))
    assert done("session", "export", "x", "-o", path) == ""
    lines = [json.loads(line) for line in Path(path).read_text().splitlines()]
    assert {line["session"] for line in lines} == {name}
    assert [line["operation"] for line in lines if line["key"] == "gone"] == ["created", "deleted"]
    assert done("session", "export", "x") == Path(path).read_text()
    done("import", path, *there)
    here = as_json("session", "show", "x")
    copy = as_json("session", "show", "x", *there)
    assert copy["agents"] == here["agents"]
    assert copy["summary"]["gates"] == here["summary"]["gates"]
    same = ("session", "state", "topic", "start", "end", "duration", "phase")
    assert [copy[name] for name in same] == [here[name] for name in same]
    assert {(one["key"], tuple(one["agents"])) for one in copy["changes"]} == {
        (one["key"], tuple(one["agents"])) for one in here["changes"]
    }
    assert json.loads(done("retrieve", "k", "--json", *there)) == 1
    assert " 0 stored," in "\n" + done("import", path, *there).replace("\n", " ")


def test_what_is_no_value_is_missing_in_an_export_and_nothing_else(tmp_path: Path) -> None:
    """Whoever keeps it is told, by the exit code too."""
    for value in "12":
        done("store", "k", value, "--session", "s1")
    commit_files(tmp_path / ".gitmem" / ".git", {"default/k.json": b"{"}, message="by hand\n\nSession: s1")
    done("store", "later", "3", "--session", "s1")
    printed = gitmem("session", "export", "s1")
    assert [json.loads(line)["value"] for line in printed.stdout.splitlines()] == [1, 2, 3]
    assert printed.stderr.startswith("warning: version 3: ")
    assert printed.exit_code == 1


def test_an_export_may_leave_the_history_out() -> None:
    """Then it is what the session wrote and nobody has changed since."""
    for key, session in (("a", "one"), ("a", "two"), ("b", "one"), ("b", "one")):
        done("store", key, f'"{session}"', "--session", session, "--ttl", "100")
    with Memory.open(create=False) as memory:
        assert [(line["key"], line["value"]) for line in export(memory, session="one")] == [("b", "one")]
        assert [line["key"] for line in export(memory, session="two", history=True)] == ["a"]
        assert list(export(memory, session="one", glob="a")) == []


def test_what_is_not_there_is_not_exported(tmp_path: Path) -> None:
    """Nor is a file begun for it."""
    done("init")
    refused = gitmem("session", "export", "nope", "-o", str(tmp_path / "x"))
    assert (refused.exit_code, (tmp_path / "x").exists()) == (3, False)


@pytest.mark.parametrize("command", ["end", "list", "show", "log", "export", "leave", "resume"])
def test_a_look_where_there_is_no_memory_makes_none(command: str, tmp_path: Path) -> None:
    """Only `start` begins one."""
    refused = gitmem("session", command, *(["x"] if command == "resume" else []))
    assert (refused.exit_code, "\nhint: " in refused.stderr) == (1, True)
    assert list(tmp_path.iterdir()) == []
