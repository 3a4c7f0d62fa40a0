"""gc, doctor, import and export as a person types them; what they do is tested with `maintenance` and `exchange`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gitmem import Memory
from tests.commands import gitmem

pytestmark = pytest.mark.usefixtures("empty_folder")

DATA = Path(__file__).parents[1] / "fixtures" / "imports"


# --- gc and doctor


def test_gc_deletes_what_has_expired_and_packs(clock: Any) -> None:
    """One command for both, and it says what it did."""
    memory = Memory.open(clock=clock)
    memory.store("lock", 1, ttl=1)  # expired long ago, for the real clock
    memory.store("kept", 1)
    told = gitmem("gc").stdout
    assert told.startswith("1 expired key deleted\n")
    assert " loose objects packed, 0 left; packs: 0 before, " in told
    report = json.loads(gitmem("gc", "--json", "--full").stdout)
    assert (report["expired"], report["packs_after"], report["trouble"]) == ([], 1, "")
    assert json.loads(gitmem("history", "lock", "--json").stdout)[0]["operation"] == "deleted"
    assert gitmem("gc", "--auto").exit_code == 0


def test_a_memory_that_is_well_is_called_healthy() -> None:
    """The exit code is for scripts, the sentence for people."""
    gitmem("store", "a", "1")
    result = gitmem("doctor")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "the memory is healthy"
    assert json.loads(gitmem("doctor", "--json").stdout)["ok"] is True


def test_a_memory_that_is_damaged_is_not() -> None:
    """An object that cannot be read is an error, and exit 1."""
    entry = json.loads(gitmem("store", "a", "1", "--json").stdout)
    path = Path(".gitmem/.git/objects", entry["revision"][:2], entry["revision"][2:])
    path.chmod(0o644)
    path.write_bytes(b"damaged")
    result = gitmem("doctor")
    assert result.exit_code == 1
    assert any(line.startswith("error: ") for line in result.stdout.splitlines())


@pytest.fixture
def lockjaw(monkeypatch: pytest.MonkeyPatch) -> None:
    """A doctor who finds one thing, and asks before he mends it."""

    def finding(repaired: bool) -> SimpleNamespace:
        hint = "removed it" if repaired else "run `gitmem doctor --repair`\nor wait"
        return SimpleNamespace(
            severity="error", code="lock", message="a lock\nthat nobody holds", hint=hint, repaired=repaired
        )

    def doctor(where: Any, *, repair: bool, confirm: Any) -> SimpleNamespace:
        repaired = repair and confirm("remove\x1b it?")
        return SimpleNamespace(findings=(finding(repaired),), ok=repaired, to_json=lambda: {"ok": repaired})

    monkeypatch.setitem(sys.modules, "gitmem.maintenance", SimpleNamespace(doctor=doctor))  # type: ignore[arg-type]


@pytest.mark.usefixtures("lockjaw")
def test_a_finding_is_told_with_its_next_step() -> None:
    """On lines of its own: the message is in parts what others wrote."""
    result = gitmem("doctor")
    assert result.exit_code == 1
    assert result.stdout == (
        "error: a lock\\nthat nobody holds\n  hint: run `gitmem doctor --repair`\n  hint: or wait\n"
        "the memory is damaged\n"
    )


@pytest.mark.usefixtures("lockjaw")
@pytest.mark.parametrize(
    ("argv", "typed", "code"),
    [
        (["--repair"], "y\n", 0),
        (["--repair"], "n\n", 1),
        (["--repair"], "", 1),
        (["--repair", "--yes"], "", 0),
        (["--yes"], "", 1),
        (["--repair", "--yes", "--json"], "", 0),
    ],
)
def test_what_only_a_person_can_judge_is_asked(argv: list[str], typed: str, code: int) -> None:
    """Another program may hold the lock; without an answer nothing is removed."""
    result = gitmem("doctor", *argv, input=typed)
    assert result.exit_code == code
    assert ("remove\\u001b it? [y/N]" in result.stderr) is (argv == ["--repair"])
    assert ("  repaired: removed it\n" in result.stdout) is (code == 0 and "--json" not in argv)


# --- import and export


def test_what_was_exported_can_be_imported_again() -> None:
    """With every version, its time, its agent and its session."""
    gitmem("store", "a/b", "1", "--agent", "one", "--session", "s")
    gitmem("store", "a/b", '{"text": "é\\u2028"}', "--agent", "two")
    gitmem("store", "c", "1", "-n", "x", "--agent", "one")
    gitmem("delete", "c", "-n", "x", "--agent", "one")
    lines = gitmem("export", "--history").stdout
    assert [json.loads(line)["operation"] for line in lines.splitlines()] == [
        "created", "modified", "created", "deleted",
    ]  # fmt: skip
    Path("out.jsonl").write_text(lines, encoding="utf-8", newline="\n")
    assert gitmem("import", "out.jsonl", "--store", "other").exit_code == 0
    again = gitmem("export", "--history", "--store", "other").stdout
    same = ["namespace", "key", "value", "version", "agent", "session", "time", "operation"]
    assert [{name: json.loads(line)[name] for name in same} for line in again.splitlines()] == [
        {name: json.loads(line)[name] for name in same} for line in lines.splitlines()
    ]


def test_an_export_can_be_narrowed_and_kept_in_a_file() -> None:
    """By namespace, by a glob; the file is JSON lines like stdout."""
    gitmem("store", "a/b", "1", "-n", "x")
    gitmem("store", "a/c", "1")
    gitmem("store", "d", "1")
    assert [json.loads(line)["key"] for line in gitmem("export", "a/*").stdout.splitlines()] == ["a/b", "a/c"]
    assert [json.loads(line)["key"] for line in gitmem("export", "-n", "x", "--json").stdout.splitlines()] == ["a/b"]
    assert gitmem("export", "-o", "out.jsonl").stdout == ""
    assert Path("out.jsonl").read_text("utf-8") == gitmem("export").stdout


def test_an_import_says_what_it_took_and_what_not() -> None:
    """What was refused stands there with its reason, and the exit code says so."""
    Path("folder").mkdir()
    Path("folder", "a.json").write_text("1")
    Path("folder", "b.json").write_text("{")
    result = gitmem("import", "folder", "-n", "x")
    assert result.exit_code == 1
    first, second, third = result.stdout.splitlines()
    assert first == "folder: 2 entries, 1 commit"
    assert second == "1 stored, 0 unchanged"
    assert third.startswith("refused: b.json")
    assert gitmem("retrieve", "a", "-n", "x").stdout == "1\n"
    report = json.loads(gitmem("import", "folder", "-n", "x", "--json").stdout)
    assert (report["unchanged"], len(report["refused"])) == (1, 1)


def test_an_older_tool_s_memory_is_taken_in() -> None:
    """The main job: what users already have."""
    result = gitmem("import", str(next(DATA.glob("claude-flow-2*/*.db"))))
    assert result.exit_code == 0
    assert result.stdout.startswith("claude-flow: ")
    assert "coordination" in gitmem("namespaces").stdout


def test_a_source_that_is_not_there_or_nothing_known_is_told() -> None:
    """Nothing is written, and the next step is named."""
    Path("bad.json").write_text('{"a": [')
    assert gitmem("import", "nowhere").exit_code == 2
    result = gitmem("import", "bad.json")
    assert result.exit_code == 7
    assert "\nhint: " in result.stderr
