"""Import and export: nothing of a source is lost, invented or brought twice, and the report says what became of it."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gitmem import InvalidKeyError, InvalidPatternError, InvalidValueError, Memory, MissingKeyError, StorageError
from gitmem.exchange import ImportReport, arrivals, export, import_file
from tests.conftest import Clock, Git

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "imports"
CLAUDE_FLOW = FIXTURES / "claude-flow-2.7.35" / "memory.db"
RUFLO = FIXTURES / "ruflo-3.43" / "export.json"
LATER = datetime(2026, 12, 1, tzinfo=UTC)  # after all times of the two stores
SESSION = "session-cf-1795330306057-m8ms"
T0 = 1_760_000_000
SCHEMA = (
    "create table memory_entries (id integer primary key autoincrement, key text, value text, namespace text,"
    " metadata text, created_at integer, updated_at integer, accessed_at integer, ttl integer, expires_at integer)"
)

Rows = list[dict[str, Any]]


@pytest.fixture
def memory(tmp_path: Path, clock: Clock) -> Iterator[Memory]:
    with Memory.open(tmp_path / "memory", agent="importer", clock=clock, durability="fast") as opened:
        yield opened


@pytest.fixture
def second(tmp_path: Path, clock: Clock) -> Iterator[Memory]:
    with Memory.open(tmp_path / "second", agent="importer", clock=clock, durability="fast") as opened:
        yield opened


@pytest.fixture
def store(tmp_path: Path) -> Callable[[Rows], Path]:
    """Writes a claude-flow store with these rows; what a row leaves out is as that tool would have it."""

    def write(rows: Rows, name: str = "memory.db") -> Path:
        path = tmp_path / name
        with closing(sqlite3.connect(path)) as db:
            fill(db, rows)
        return path

    return write


def fill(db: sqlite3.Connection, rows: Rows) -> None:
    db.execute(SCHEMA)
    for row in rows:
        filled = {"namespace": "ns", "value": "text", "metadata": None, "updated_at": T0} | row
        names = ", ".join(filled)
        marks = ", ".join(
            f"cast({mark} as text)" if isinstance(cell, bytearray) else mark
            for mark, cell in zip("?" * len(filled), filled.values(), strict=True)
        )
        db.execute(f"insert into memory_entries ({names}) values ({marks})", tuple(filled.values()))
    db.commit()


def ruflo_file(path: Path, entries: Rows, **members: Any) -> Path:
    document = {"schema": "ruflo-memory-export/v1", "count": len(entries), "entries": entries} | members
    path.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    return path


def write_lines(path: Path, lines: Any) -> Path:
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return path


def contents(memory: Memory) -> dict[tuple[str, str], Any]:
    return {
        (namespace, key): memory.retrieve(key, namespace=namespace)
        for namespace in memory.namespaces()
        for key in memory.list(namespace=namespace)
    }


def as_gitmem_reads(text: str) -> Any:
    """What a text of another tool becomes, said a second time: an object or a list, else the text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, dict | list) else text


def log(git: Git, memory: Memory, form: str) -> list[str]:
    return git(memory.path / ".git", "log", "--reverse", f"--format={form}").splitlines()


def sums_up(report: ImportReport) -> bool:
    return report.entries == report.stored + report.unchanged + len(report.refused)


# --- the real stores


def test_the_real_claude_flow_store_comes_in_whole(memory: Memory, clock: Clock, git: Git) -> None:
    """The first command of the README; every value is compared with what the database says."""
    clock.now = LATER
    report = import_file(memory, CLAUDE_FLOW)
    assert report == ImportReport("claude-flow", 39, 3, 39, 0, 1, [], [])
    with closing(sqlite3.connect(f"{CLAUDE_FLOW.as_uri()}?mode=ro&immutable=1", uri=True)) as db:
        rows = db.execute("select namespace, key, value, updated_at, expires_at from memory_entries").fetchall()
    expected = {(space, key): as_gitmem_reads(value) for space, key, value, _, expires in rows if expires is None}
    assert len(expected) == 38
    assert contents(memory) == expected
    assert len(memory.namespaces()) == 5
    for space, key, _, updated, expires in rows:
        if expires is None:
            entry = memory.entry(key, namespace=space)
            assert (entry.time.timestamp(), entry.agent, entry.session) == (updated, "mcp-server", SESSION)
            assert entry.expires is None
    git(memory.path / ".git", "fsck", "--strict")


def test_original_times_and_sources_are_in_plain_git(memory: Memory, clock: Clock, git: Git) -> None:
    """A person audits with `git log`: the author is who stored it then, the committer who imported it now."""
    clock.now = LATER
    import_file(memory, CLAUDE_FLOW)
    assert log(git, memory, "%an %at %cn %ct")[1:] == [
        f"mcp-server 1795330306 importer {int(LATER.timestamp())}",
        f"mcp-server 1795330307 importer {int(LATER.timestamp())}",
        f"gitmem {int(LATER.timestamp())} gitmem {int(LATER.timestamp())}",
    ]
    trailers = log(git, memory, "%(trailers:separator=%x2C,only)")
    assert trailers[1] == f"Agent: mcp-server,Session: {SESSION},Imported-From: claude-flow"
    assert trailers[3] == "Agent: gitmem"


def test_what_had_expired_is_history_and_absent_now(memory: Memory, clock: Clock) -> None:
    """A lock of last year must not come back to life, and yet nobody may say that it never was."""
    clock.now = LATER
    assert import_file(memory, CLAUDE_FLOW).expired == 1
    with pytest.raises(MissingKeyError):
        memory.retrieve("locks/build", namespace="coordination")
    deletion, stored = memory.history("locks/build", namespace="coordination")
    assert (stored.value, stored.operation, stored.expires) == (
        "ci-runner-7", "created", datetime.fromtimestamp(1795330366, UTC)
    )  # fmt: skip
    assert (deletion.operation, deletion.agent) == ("deleted", "gitmem")


def test_a_ttl_that_still_runs_is_kept(memory: Memory, clock: Clock) -> None:
    """The lock holds until its instant, here as there."""
    clock.now = datetime.fromtimestamp(1795330365, UTC)
    assert import_file(memory, CLAUDE_FLOW).expired == 0
    entry = memory.entry("locks/build", namespace="coordination")
    assert (entry.value, entry.expires) == ("ci-runner-7", datetime.fromtimestamp(1795330366, UTC))
    clock.advance(1)
    assert memory.retrieve("locks/build", None, namespace="coordination") is None


def test_the_real_ruflo_export_comes_in_whole(memory: Memory, clock: Clock) -> None:
    """Times are milliseconds there; one that was read as seconds would lie 50,000 years ahead."""
    clock.now = LATER
    report = import_file(memory, RUFLO)
    assert (report.form, report.entries, report.stored, report.refused) == ("ruflo", 39, 39, [])
    entries = json.loads(RUFLO.read_text("utf-8"))["entries"]
    assert contents(memory) == {(e["namespace"], e["key"]): as_gitmem_reads(e["value"]) for e in entries}
    for entry in entries:
        here = memory.entry(entry["key"], namespace=entry["namespace"])
        assert (here.time.timestamp(), here.agent, here.session) == (entry["updatedAt"] // 1000, "ruflo", None)


@pytest.mark.parametrize("source", [CLAUDE_FLOW, RUFLO], ids=["claude-flow", "ruflo"])
def test_importing_twice_is_importing_once(source: Path, memory: Memory, clock: Clock) -> None:
    """Who is not sure whether an import went through, simply runs it again; expired entries included."""
    clock.now = LATER
    first = import_file(memory, source)
    head = memory.snapshot
    clock.advance(5)
    again = import_file(memory, source)
    assert (again.stored, again.commits, again.unchanged) == (0, 0, 39)
    assert again.expired == first.expired
    assert memory.snapshot == head


def test_an_import_that_is_repeated_does_not_undo_later_work(memory: Memory, clock: Clock) -> None:
    """What was imported is in the history already; the agent's newer value stays."""
    clock.now = LATER
    import_file(memory, CLAUDE_FLOW)
    memory.store("user-preferences", {"theme": "light"}, namespace="default")
    memory.delete("empty", namespace="default")
    report = import_file(memory, CLAUDE_FLOW)
    assert (report.stored, report.unchanged) == (0, 39)
    assert memory.retrieve("user-preferences", namespace="default") == {"theme": "light"}
    assert memory.retrieve("empty", None, namespace="default") is None


# --- values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, 1.0, true]}', {"a": [1, 1.0, True]}),
        (' \n[1]\t', [1]),
        ("[]", []),
        ("true", "true"),
        ("1", "1"),
        ("", ""),
        ("null", "null"),
        ('"{\\"a\\": 1}"', '"{\\"a\\": 1}"'),
        ('{"a": "{\\"b\\": 1}"}', {"a": '{"b": 1}'}),
        ('{"a": 1, "a": 2}', '{"a": 1, "a": 2}'),
        ("[NaN]", "[NaN]"),
        ("[1e999]", "[1e999]"),
        ('["\\ud800"]', '["\\ud800"]'),
        ("[" * 201 + "]" * 201, "[" * 201 + "]" * 201),
        ("[" * 5000, "[" * 5000),
        ("{not json", "{not json"),
        ("[1] and more", "[1] and more"),
    ],
)
def test_json_that_hides_in_text_is_found_once(text: str, value: Any, memory: Memory, store) -> None:
    """Objects and lists were JSON before a tool put them in a string; all else was text and stays it."""
    report = import_file(memory, store([{"key": "k", "value": text}]))
    assert (report.stored, report.refused) == (1, [])
    assert json.dumps(memory.retrieve("k", namespace="ns")) == json.dumps(value)


def test_a_value_that_is_too_large_is_refused_alone(memory: Memory, store) -> None:
    """The rest goes on, and the reason names the size."""
    path = store([{"key": "large", "value": "x" * (16 << 20)}, {"key": "small"}])
    report = import_file(memory, path)
    assert (report.stored, len(report.refused)) == (1, 1)
    where, reason = report.refused[0]
    assert "ns/large" in where
    assert str(16 << 20) in reason
    assert memory.list(namespace="ns") == ["small"]


# --- names


def test_reserved_namespaces_are_renamed_and_listed(memory: Memory, store) -> None:
    """They are gitmem's own; the new names are free in the source, and the same ones at the next import."""
    spaces = ["conflicts", "imported-conflicts", "gitmem", "gitmem-x", "fine"]
    path = store([{"key": "k", "namespace": space, "value": space} for space in spaces])
    report = import_file(memory, path)
    assert sorted(report.renamed) == [
        ("conflicts", "imported-conflicts-2"),
        ("gitmem", "imported-gitmem"),
        ("gitmem-x", "imported-gitmem-x"),
    ]
    assert {space: memory.retrieve("k", namespace=space) for space in memory.namespaces()} == {
        "fine": "fine",
        "imported-conflicts": "imported-conflicts",
        "imported-conflicts-2": "conflicts",
        "imported-gitmem": "gitmem",
        "imported-gitmem-x": "gitmem-x",
    }
    again = import_file(memory, path)
    assert (again.stored, again.renamed) == (0, report.renamed)


@pytest.mark.parametrize("key", ["", "a//b", "/a", "a/", "a\nb", "a\x00b", "x" * 1025, "y" * 241, "\x1b[31m"])
def test_a_key_that_cannot_be_one_is_refused_with_the_reason(key: str, memory: Memory, store) -> None:
    """No key is bent into another one in silence."""
    report = import_file(memory, store([{"key": key}, {"key": "fine/key: with space"}]))
    assert report.stored == 1
    assert memory.list(namespace="ns") == ["fine/key: with space"]
    [(where, reason)] = report.refused
    assert where.startswith("row 1: ns/")
    assert where.isprintable()
    assert reason.startswith("its key cannot be one: ")
    assert sums_up(report)


def test_a_key_in_another_normal_form_is_renamed_unless_two_would_meet(memory: Memory, store) -> None:
    """Both forms look alike; one of them cannot be typed again. Two keys never become one."""
    path = store([
        {"key": "cafe\u0301", "value": "alone"},
        {"key": "re\u0301sume\u0301", "value": "decomposed"},
        {"key": "r\u00e9sum\u00e9", "value": "composed"},
        {"key": "n\u0303", "namespace": "space\u0301", "value": "both"},
    ])  # fmt: skip
    report = import_file(memory, path)
    assert sorted(report.renamed) == sorted([
        ("ns/cafe\u0301", "ns/caf\u00e9"), ("space\u0301", "spac\u00e9"), ("spac\u00e9/n\u0303", "spac\u00e9/\u00f1")
    ])  # fmt: skip
    assert contents(memory) == {
        ("ns", "caf\u00e9"): "alone", ("ns", "r\u00e9sum\u00e9"): "composed", ("spac\u00e9", "\u00f1"): "both"
    }  # fmt: skip
    [(where, reason)] = report.refused
    assert where.startswith("row 2")
    assert "NFC" in reason
    assert import_file(memory, path).stored == 0


@pytest.mark.parametrize("namespace", ["a/b", "", "a\tb", "n" * 241])
def test_a_namespace_that_cannot_be_one_is_refused(namespace: str, memory: Memory, store) -> None:
    """Each of its entries is listed."""
    report = import_file(memory, store([{"key": "a", "namespace": namespace}, {"key": "b", "namespace": namespace}]))
    assert (report.stored, report.commits, len(report.refused)) == (0, 0, 2)
    assert memory.namespaces() == []


def test_names_of_a_source_cannot_forge_a_trailer(memory: Memory, store, git: Git) -> None:
    """Metadata are text of strangers; what is no legal name is left out, and the tool signs."""
    about = [
        {"sessionId": "s\nAgent: root", "storedBy": "a\n\nWrite-Id: x"},
        {"sessionId": "", "storedBy": "<root>"},
        {"sessionId": ["s"], "storedBy": 7},
        "no object",
    ]
    rows = [{"key": f"k{n}", "metadata": json.dumps(one), "updated_at": T0 + n} for n, one in enumerate(about)]
    rows += [{"key": "k8", "metadata": "{", "updated_at": T0 + 8}, {"key": "k9", "metadata": '{"storedBy": "coder"}'}]
    import_file(memory, store(rows))
    trailers = {*log(git, memory, "%(trailers:separator=%x2C,only)")[1:]}
    assert trailers == {"Agent: claude-flow,Imported-From: claude-flow", "Agent: coder,Imported-From: claude-flow"}


# --- times and sources


def test_there_is_one_commit_for_each_time_and_source_in_order_of_time(memory: Memory, store, git: Git) -> None:
    """The history reads like what happened, not like the table."""
    by = [json.dumps({"storedBy": name}) for name in ("anna", "ben")]
    rows = [
        {"key": f"k{n}", "updated_at": T0 + second, "metadata": by[who]}
        for n, (second, who) in enumerate([(2, 0), (1, 0), (1, 1), (1, 0), (2, 0), (0, 1)])
    ]
    report = import_file(memory, store(rows))
    assert report.commits == 4
    assert log(git, memory, "%an %at")[1:] == [f"ben {T0}", f"anna {T0 + 1}", f"ben {T0 + 1}", f"anna {T0 + 2}"]
    assert [len(record.changes) for record in memory.log()] == [2, 1, 2, 1, 0]


def test_the_later_of_two_entries_of_one_key_wins_and_both_are_versions(memory: Memory, tmp_path: Path) -> None:
    """Ruflo lists the newest first; the order of the file says nothing."""
    entries = [
        {"namespace": "ns", "key": "k", "value": "new", "updatedAt": 1000 * T0 + 900},
        {"namespace": "ns", "key": "k", "value": "old", "updatedAt": 1000 * T0 + 100},
    ]
    path = ruflo_file(tmp_path / "export.json", entries)
    assert import_file(memory, path).commits == 2
    assert [version.value for version in memory.history("k", namespace="ns")] == ["new", "old"]
    assert import_file(memory, path).stored == 0
    assert memory.retrieve("k", namespace="ns") == "new"


def test_the_times_of_ruflo_are_milliseconds_however_small(memory: Memory, tmp_path: Path) -> None:
    """The unit is the form's, not a guess from the number."""
    entry = {"namespace": "ns", "key": "k", "value": "v", "createdAt": 7_000, "updatedAt": None}
    import_file(memory, ruflo_file(tmp_path / "x", [entry]))
    assert memory.entry("k", namespace="ns").time.timestamp() == 7


def test_an_entry_without_a_time_is_as_old_as_its_creation_or_new(memory: Memory, clock: Clock, store) -> None:
    """A missing time is no reason to lose a value."""
    import_file(memory, store([
        {"key": "a", "updated_at": None, "created_at": T0 - 5}, {"key": "b", "updated_at": None},
        {"key": "c", "updated_at": "2025-10-09 08:53:20"}, {"key": "d", "updated_at": 1000 * T0},
    ]))  # fmt: skip
    times = {key: memory.entry(key, namespace="ns").time for key in memory.list(namespace="ns")}
    at = datetime.fromtimestamp(T0, UTC)
    assert times == {"a": datetime.fromtimestamp(T0 - 5, UTC), "b": clock.now, "c": at, "d": at}


# --- damaged sources


def test_a_corrupt_row_is_refused_and_the_rest_goes_on(memory: Memory, store) -> None:
    """One bad row must not keep the other ten thousand out."""
    rows: Rows = [
        {"key": "no-value", "value": None},
        {"key": "blob", "value": b"\x00\x01"},
        {"key": "latin", "value": bytearray(b"caf\xe9")},
        {"key": None},
        {"key": b"blob"},
        {"key": bytearray(b"\xff")},
        {"key": "no-namespace", "namespace": None},
        {"key": "time", "updated_at": "yesterday"},
        {"key": "aeon", "updated_at": -1},
        {"key": "expiry", "expires_at": b"x"},
        {"key": "fine"},
    ]
    report = import_file(memory, store(rows))
    assert (report.entries, report.stored) == (11, 1)
    reasons = {int(where.split(":")[0].removeprefix("row ")): reason for where, reason in report.refused}
    assert reasons == {
        1: "its value is missing",
        2: "its value is a blob, not text",
        3: "its value is not UTF-8",
        4: "its key is missing",
        5: "its key is a blob, not text",
        6: "its key is not UTF-8",
        7: "its namespace is missing",
        8: "its updated_at is no time",
        9: "its updated_at is no time between 1970 and 9999",
        10: "its expires_at is no time",
    }
    assert memory.list(namespace="ns") == ["fine"]


def test_a_corrupt_element_of_a_ruflo_file_is_refused_and_the_rest_goes_on(memory: Memory, tmp_path: Path) -> None:
    """The same for the other tool's file."""
    good = {"namespace": "ns", "key": "fine", "value": "v", "updatedAt": 1000 * T0}
    broken: list[Any] = [
        "text", None, [], {**good, "key": 5}, {**good, "updatedAt": True}, {"namespace": "ns", "key": "empty"}
    ]  # fmt: skip
    report = import_file(memory, ruflo_file(tmp_path / "x", [*broken, good]))
    assert [where.split(":")[0] for where, _ in report.refused] == [f"entries[{n}]" for n in range(len(broken))]
    assert sums_up(report)
    assert contents(memory) == {("ns", "fine"): "v"}


def wrong_sources(folder: Path) -> dict[str, Path]:
    made = {name: folder / name for name in ("cut.db", "sliced.db", "other.db", "cut.json", "v2.json", "empty", "text")}
    whole = CLAUDE_FLOW.read_bytes()
    made["cut.db"].write_bytes(whole[: len(whole) // 2])
    made["sliced.db"].write_bytes(whole[:100])
    with closing(sqlite3.connect(made["other.db"])) as db:
        db.execute("create table notes (key text)")
    made["cut.json"].write_bytes(RUFLO.read_bytes()[:-40])
    made["v2.json"].write_text('{"schema": "ruflo-memory-export/v2", "entries": []}')
    made["empty"].write_bytes(b"")
    made["text"].write_text("key,value\n")
    lines = [json.dumps({"namespace": "ns", "key": f"k{n}", "value": n}) for n in range(3)]
    made["cut.jsonl"] = folder / "cut.jsonl"
    made["cut.jsonl"].write_text("\n".join(lines)[:-5])
    made["missing"] = folder / "missing"
    made["repository"] = folder / "repository"
    (made["repository"] / "objects").mkdir(parents=True)
    (made["repository"] / "HEAD").touch()
    for name, text in {
        "no-list.json": '{"schema": "ruflo-memory-export/v1", "entries": {}}',
        "no-entries.json": '{"schema": "ruflo-memory-export/v1"}',
        "more.json": '{"schema": "ruflo-memory-export/v1", "entries": []} more',
        "comma.json": '{"schema": "ruflo-memory-export/v1", "entries": [1,]}',
        "other.json": '{"entries": []}',
        "object.json": '{"a": 1}',
    }.items():
        made[name] = folder / name
        made[name].write_text(text)
    return made


WRONG = (
    "cut.db sliced.db other.db cut.json v2.json empty text cut.jsonl missing repository no-list.json no-entries.json"
    " more.json comma.json other.json object.json"
)


@pytest.mark.parametrize("name", WRONG.split())
def test_a_source_that_is_not_whole_or_of_no_known_form_writes_nothing(name: str, memory: Memory, tmp_path: Path):
    """Half an import that looks like a whole one is the worst outcome; the error names the file."""
    path = wrong_sources(tmp_path)[name]
    head = memory.snapshot
    with pytest.raises(InvalidValueError) as caught:
        import_file(memory, path)
    assert str(path) in str(caught.value)
    assert caught.value.hint.startswith("expected ")
    assert memory.snapshot == head


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="there is no name for an open pipe here")
@pytest.mark.parametrize("form", [None, "gitmem"])
def test_a_pipe_is_told_to_become_a_file_first(form: str | None, memory: Memory) -> None:
    """A source is read twice: `… | gitmem import /dev/stdin` cannot be."""
    end, other = os.pipe()
    os.write(other, b'{"key": "k", "value": 1}\n')
    os.close(other)
    with pytest.raises(InvalidValueError, match="is neither a regular file nor a folder") as caught:
        import_file(memory, Path(f"/dev/fd/{end}"), form=form)
    os.close(end)
    assert "save a pipe to a file" in caught.value.hint


def test_a_form_that_is_named_must_be_the_sources(memory: Memory, tmp_path: Path) -> None:
    """`form` is for sources that cannot be told apart, not a way around the checks."""
    for form, path in [("claude-flow", RUFLO), ("ruflo", CLAUDE_FLOW), ("gitmem", RUFLO), ("folder", RUFLO)]:
        with pytest.raises(InvalidValueError):
            import_file(memory, path, form=form)
    with pytest.raises(InvalidValueError, match="unknown"):
        import_file(memory, RUFLO, form="csv")
    (tmp_path / "none.jsonl").touch()
    assert import_file(memory, tmp_path / "none.jsonl", form="gitmem").entries == 0


# --- the database's surroundings


@pytest.mark.parametrize("live", [True, False])
def test_a_write_ahead_log_counts_and_no_trace_is_left(live: bool, memory: Memory, tmp_path: Path) -> None:
    """What the other tool wrote last lies beside the file, whether it still runs or was killed."""
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir()
    with closing(sqlite3.connect(there / "memory.db")) as db:
        db.execute("pragma journal_mode = wal")
        db.execute("pragma wal_autocheckpoint = 0")
        fill(db, [{"key": "in-the-log"}])
        here.mkdir()
        for name in ("memory.db", "memory.db-wal"):
            shutil.copyfile(there / name, here / name)
        folder = there if live else here
        before = {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith("-shm")}
        assert import_file(memory, folder / "memory.db").stored == 1
        after = {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith("-shm")}
        assert after == before
        assert live or sorted(os.listdir(folder)) == ["memory.db", "memory.db-wal"]
    assert memory.list(namespace="ns") == ["in-the-log"]


def test_a_database_in_wal_mode_without_a_log_gets_none(memory: Memory, tmp_path: Path) -> None:
    """SQLite itself would leave two files beside it, or fail in a folder that cannot be written."""
    folder = tmp_path / "there"
    folder.mkdir()
    with closing(sqlite3.connect(folder / "memory.db")) as db:
        db.execute("pragma journal_mode = wal")
        fill(db, [{"key": "k"}])
    assert os.listdir(folder) == ["memory.db"]
    assert import_file(memory, folder / "memory.db").stored == 1
    assert os.listdir(folder) == ["memory.db"]


def test_a_transaction_that_was_cut_off_does_not_count(memory: Memory, tmp_path: Path) -> None:
    """A journal beside the file undoes what a killed process had half written; the file itself stays as it is."""
    path = tmp_path / "there.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        fill(db, [{"key": f"k{n}", "value": "before " * 200} for n in range(50)])
        db.execute("pragma cache_size = 1")
        db.execute("begin")
        db.execute("update memory_entries set value = 'half written'")
        copy = tmp_path / "copy.db"
        shutil.copyfile(path, copy)
        shutil.copyfile(f"{path}-journal", f"{copy}-journal")
        db.execute("rollback")
    before = copy.read_bytes()
    assert import_file(memory, copy).stored == 50
    assert {*contents(memory).values()} == {"before " * 200}
    assert copy.read_bytes() == before


# --- a folder


def test_a_folder_of_json_files_becomes_keys(memory: Memory, tmp_path: Path, git: Git) -> None:
    """Each file is an entry or is listed; links are not followed out of the folder."""
    folder = tmp_path / "folder"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / ".git").mkdir()
    values = {"top": 1, "a/list": [1.0, "é"], "a/b/deep": {"x": None}, "a/b": "a file beside its folder"}
    for number, (key, value) in enumerate(values.items()):
        path = folder / f"{key}.json"
        path.write_text(json.dumps(value, indent=7))
        os.utime(path, (T0 + number, T0 + number))
    (folder / "README.md").write_text("# no")
    (folder / "bad.json").write_text('{"a": 1, "a": 2}')
    (folder / ".git" / "x.json").write_text("1")
    (folder / "latin.json").write_bytes(b'"\xe9"')
    (tmp_path / "secret.json").write_text('"secret"')
    (folder / "link.json").symlink_to(tmp_path / "secret.json")
    (folder / "up").symlink_to(tmp_path)
    report = import_file(memory, folder, namespace="docs")
    assert contents(memory) == {("docs", key): value for key, value in values.items()}
    assert dict(report.refused) == {
        ".git/": "skipped: a hidden folder",
        "README.md": "skipped: no .json file",
        "link.json": "skipped: a symbolic link",
        "up": "skipped: a symbolic link",
        "bad.json: docs/bad": "it is no value: two members of one name",
        "latin.json: docs/latin": "it is no value: byte 1 is not UTF-8",
    }
    assert (report.form, report.stored, sums_up(report)) == ("folder", 4, True)
    assert log(git, memory, "%an %at")[1:] == [f"importer {T0 + n}" for n in range(4)]
    assert import_file(memory, folder, namespace="docs").stored == 0


def test_a_folder_goes_where_the_memory_is_bound_to(memory: Memory, tmp_path: Path) -> None:
    """Unless a namespace is named, which has to be one that callers may write."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "k.json").write_text("1")
    import_file(memory.bind(namespace="bound", session="s-1"), tmp_path / "folder")
    assert memory.entry("k", namespace="bound").session == "s-1"
    for name in ("conflicts", "gitmem-x", "a/b"):
        with pytest.raises(InvalidKeyError):
            import_file(memory, tmp_path / "folder", namespace=name)


# --- gitmem's own export


def lived_in(memory: Memory, clock: Clock) -> None:
    """Some history: overwritten, deleted, brought back, expiring, renewed, swept, in sessions, with odd names."""
    anna, ben = memory.bind(agent="anna", session="s-1"), memory.bind(agent="ben", namespace="other")
    anna.store("a/status", {"n": 1})
    ben.store("naïve – ключ: 1", [1, 1.0, True, -0.0, None, "\u2028"])
    clock.advance(10)
    anna.store("a/status", {"n": 2})
    anna.store("lock", "one", ttl=60)
    anna.store("lease", "two", ttl=600)
    clock.advance(30)
    anna.store("lease", "two", ttl=6000)
    ben.delete("naïve – ключ: 1")
    clock.advance(60)
    anna.store("lock", "three")
    ben.store("naïve – ключ: 1", "back")
    deep: Any = 1
    for _ in range(200):
        deep = [deep]
    memory.store("deep", deep)
    with memory.transaction() as tx:
        tx.store("a/status", {"n": 3})
        tx.delete("deep")
        tx.store("b", "")


def without_ids(lines: Any) -> list[dict[str, Any]]:
    return [{name: line[name] for name in line if name not in ("revision", "snapshot")} for line in lines]


def test_an_export_with_history_is_the_same_history_elsewhere(memory, second, clock: Clock, tmp_path: Path, git: Git):
    """Versions, deletions, agents, sessions, times and expiries all come again; only the ids are others."""
    lived_in(memory, clock)
    lines = list(export(memory, history=True))
    assert [line["operation"] for line in lines].count("deleted") == 3
    assert [line["operation"] for line in lines].count("renewed") == 1
    report = import_file(second, write_lines(tmp_path / "x.jsonl", lines))
    assert (report.form, report.stored, report.expired, report.refused) == ("gitmem", len(lines), 0, [])
    assert json.dumps(without_ids(export(second, history=True))) == json.dumps(without_ids(lines))
    assert contents(second) == contents(memory)
    assert second.entry("lease").expires == memory.entry("lease").expires
    trees = [git(one.path / ".git", "rev-parse", "main^{tree}") for one in (memory, second)]
    assert trees[0] == trees[1]
    again = import_file(second, tmp_path / "x.jsonl")
    assert (again.stored, again.commits) == (0, 0)


def test_an_export_without_history_is_the_same_state_elsewhere(memory, second, clock: Clock, tmp_path: Path) -> None:
    """Each key once, oldest first, with who stored it and when."""
    lived_in(memory, clock)
    lines = list(export(memory))
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)
    assert import_file(second, write_lines(tmp_path / "x.jsonl", lines)).stored == len(lines) == 5
    drop = ("revision", "snapshot", "version")
    there, here = ([{n: one[n] for n in one if n not in drop} for one in export(m)] for m in (memory, second))
    assert here == there


def test_a_longer_export_brings_only_what_is_new(memory, second, clock: Clock, tmp_path: Path) -> None:
    """Exports can be carried over again and again; also where a value returned to what it was."""
    memory.store("k", "A")
    memory.store("k", "B")
    import_file(second, write_lines(tmp_path / "1", export(memory, history=True)))
    memory.store("k", "A")
    memory.delete("k")
    report = import_file(second, write_lines(tmp_path / "2", export(memory, history=True)))
    assert (report.unchanged, report.stored) == (2, 2)
    assert without_ids(export(second, history=True)) == without_ids(export(memory, history=True))


def test_export_gives_what_was_chosen(memory: Memory, clock: Clock) -> None:
    """A namespace, a glob, both; an unknown namespace is empty, a malformed glob an error."""
    lived_in(memory, clock)
    assert {line["namespace"] for line in export(memory, namespace="other")} == {"other"}
    assert [line["key"] for line in export(memory, glob="a/*", history=True)] == ["a/status"] * 3
    assert [line["value"]["n"] for line in export(memory, glob="a/*", history=True)] == [1, 2, 3]
    assert list(export(memory, namespace="nobody")) == []
    with pytest.raises(InvalidPatternError):
        export(memory, glob="[")


def test_what_expired_is_not_exported_as_present(memory: Memory, clock: Clock) -> None:
    """An expired key is absent to every verb; its versions stay in the history."""
    memory.store("lock", 1, ttl=5)
    clock.advance(5)
    assert list(export(memory)) == []
    assert [line["value"] for line in export(memory, history=True)] == [1]


def test_lines_keep_their_order_whatever_their_times_say(memory: Memory, tmp_path: Path) -> None:
    """Clocks of machines differ; the order of an export is that of the commits."""
    lines = [
        {"namespace": "ns", "key": "k", "value": "first", "time": "2025-10-09T10:00:00Z"},
        {"namespace": "ns", "key": "k", "value": "last", "time": "2025-10-09T09:00:00Z"},
    ]
    import_file(memory, write_lines(tmp_path / "x", lines))
    assert memory.retrieve("k", namespace="ns") == "last"


def test_a_bad_line_is_refused_and_the_rest_goes_on(memory: Memory, tmp_path: Path) -> None:
    """Empty lines are nothing; a byte order mark before the first one is no part of it."""
    good = '{"key": "a", "value": 1}'
    bad = ["no json", '{"key": "b"}', '{"key": "c", "value": 1, "value": 2}', '{"key": "d", "value": NaN}', "[]"]
    bad += ['{"key": "e", "value": 1, "operation": "moved"}', '{"key": "f", "value": 1, "expires": "soon"}']
    text = "\ufeff" + "\r\n\n".join([good, *bad, '{"namespace": "x", "key": "z", "value": {}}']) + "\n"
    (tmp_path / "x").write_text(text, encoding="utf-8", newline="")
    report = import_file(memory.bind(namespace="mine"), tmp_path / "x")
    assert (report.stored, len(report.refused), sums_up(report)) == (2, len(bad), True)
    assert contents(memory) == {("mine", "a"): 1, ("x", "z"): {}}


# --- many, at once, and beside others


def many(count: int) -> Rows:
    return [{"key": f"deep/{n % 3}/{n}", "value": f"value {n}", "updated_at": T0 + n} for n in range(count)]


def test_an_import_makes_the_trees_that_stores_make(memory, second, store, git: Git) -> None:
    """Same keys, same tree: wide directories too, whoever wrote them."""
    import_file(memory, store(many(500)))
    with second.transaction() as tx:
        for row in many(500):
            tx.store(row["key"], row["value"], namespace="ns")
    trees = [git(one.path / ".git", "rev-parse", "main^{tree}") for one in (memory, second)]
    assert trees[0] == trees[1]
    assert [version.version for version in memory.history("deep/0/0", namespace="ns")] == [1]


def test_a_large_import_comes_in_packs(memory: Memory, store, git: Git, monkeypatch) -> None:
    """Chunk by chunk, none of it loose; half a million loose objects would make a memory unusable."""
    monkeypatch.setattr(arrivals, "CHUNK_COMMITS", 40)
    report = import_file(memory, store(many(100)))
    assert (report.commits, report.stored) == (100, 100)
    assert contents(memory) == {("ns", row["key"]): row["value"] for row in many(100)}
    found = dict(line.split(": ") for line in git(memory.path / ".git", "count-objects", "-v").splitlines())
    assert (found["packs"], found["count"]) == ("3", "3")  # loose: what every memory begins with
    assert git(memory.path / ".git", "fsck", "--strict") == ""


def test_trees_that_no_cache_kept_are_read_from_the_open_pack(memory, second, store, git: Git, monkeypatch) -> None:
    """A chunk's directories may outgrow every cache before its pack is finished."""
    path = store(many(200))
    import_file(second, path)
    monkeypatch.setattr(memory.vault.objects, "keep_tree", lambda *_: None)
    monkeypatch.setattr("gitmem.packfile._RECENT_BYTES", {"tree": 2000, "blob": 0})
    import_file(memory, path)
    trees = [git(one.path / ".git", "rev-parse", "main^{tree}") for one in (memory, second)]
    assert trees[0] == trees[1]
    assert memory.vault.objects.pending == []


def test_a_race_that_is_lost_loses_nothing(tmp_path: Path, clock: Clock, store, git: Git, monkeypatch) -> None:
    """Somebody writes between the chunk's making and its publishing; it is made again, on top."""
    monkeypatch.setattr(arrivals, "CHUNK_COMMITS", 4)
    with (
        Memory.open(tmp_path / "memory", agent="importer", clock=clock, lock=False) as memory,
        Memory.open(tmp_path / "memory", agent="other", clock=clock, lock=False) as other,
    ):
        publish = memory.vault.repository.publish
        wins = iter(range(3))

        def late(branch: str, expected: bytes, new: bytes) -> bool:
            if next(wins, None) is not None:
                other.update("counter", lambda n: n + 1, default=0, namespace="ns")
                other.store("k1", "from another", namespace="ns")
                other.store("k2", "text", namespace="ns")
            return publish(branch, expected, new)

        monkeypatch.setattr(memory.vault.repository, "publish", late)
        rows = [{"key": f"k{n}", "updated_at": T0 + n} for n in range(10)]
        report = import_file(memory, store(rows))
        assert (report.stored, report.unchanged, report.commits) == (9, 1, 9)
        assert other.retrieve("counter", namespace="ns") == 3
        assert {f"k{n}" for n in range(10)} < {*other.list(namespace="ns")}
        assert [version.value for version in other.history("k1", namespace="ns")] == ["text", "from another"]
        git(memory.path / ".git", "fsck", "--strict")


def test_an_import_that_broke_off_is_completed_by_the_next(memory: Memory, store, monkeypatch) -> None:
    """What was published stays, once; the rest follows. No half pack stays behind."""
    monkeypatch.setattr(arrivals, "CHUNK_COMMITS", 10)
    publish = memory.vault.repository.publish
    turns = iter([True, True])

    def full(branch: str, expected: bytes, new: bytes) -> bool:
        if next(turns, None) is None:
            raise StorageError("the disk is full", path="/")
        return publish(branch, expected, new)

    monkeypatch.setattr(memory.vault.repository, "publish", full)
    path = store(many(50))
    with pytest.raises(StorageError):
        import_file(memory, path)
    assert len(memory.list(namespace="ns")) == 20
    monkeypatch.undo()
    report = import_file(memory, path)
    assert (report.stored, report.unchanged) == (30, 20)
    assert contents(memory) == {("ns", row["key"]): row["value"] for row in many(50)}
    assert not list((memory.path / ".git" / "objects" / "pack").glob("tmp_*"))


def test_what_had_expired_here_is_deleted_before_it_is_overwritten(memory: Memory, clock: Clock, store) -> None:
    """The new holder of a lock must never continue the versions of the old one's claim."""
    memory.store("lock", "old", ttl=5, namespace="ns")
    clock.advance(5)
    report = import_file(memory, store([{"key": "lock", "value": "new"}]))
    assert (report.stored, report.commits) == (1, 2)
    operations = [version.operation for version in memory.history("lock", namespace="ns")]
    assert operations == ["created", "deleted", "created"]


def test_an_import_overwrites_and_the_history_keeps_what_was_there(memory: Memory, store) -> None:
    """The last write wins, as with a store; an expiry that the source does not know ends."""
    memory.store("k", "mine", ttl=500, namespace="ns")
    import_file(memory, store([{"key": "k", "value": "theirs"}]))
    assert memory.entry("k", namespace="ns").expires is None
    assert [version.value for version in memory.history("k", namespace="ns")] == ["theirs", "mine"]


def test_the_report_is_json(memory: Memory, store) -> None:
    """What the command line prints with --json."""
    report = import_file(memory, store([{"key": "a//b"}, {"key": "k", "namespace": "conflicts"}]))
    assert json.loads(json.dumps(report.to_json())) == {
        "form": "claude-flow", "entries": 2, "commits": 1, "stored": 1, "unchanged": 0, "expired": 0,
        "renamed": [{"from": "conflicts", "to": "imported-conflicts"}],
        "refused": [{"where": "row 1: ns/a//b", "reason": "its key cannot be one: a segment is empty"}],
    }  # fmt: skip
    assert not report.complete


NAMES = st.text(st.sampled_from("ab/é\u0301\n:%~. "), max_size=6) | st.sampled_from(["conflicts", "gitmem", None, b"x"])
ROWS = st.lists(
    st.fixed_dictionaries({
        "namespace": NAMES,
        "key": NAMES,
        "value": st.sampled_from(["", "text", '{"a": 1}', "[", None, b"\x00", "[1.0]"]),
        "updated_at": st.integers(T0, T0 + 3) | st.none(),
        "expires_at": st.integers(T0 - 5, T0 + 5) | st.none() | st.just(4_000_000_000),
    }),
    max_size=12,
    unique_by=lambda row: (row["namespace"], row["key"]),  # as that tool's own table has it
)  # fmt: skip


TWICE = {"namespace": ":", "key": "k", "value": "text", "updated_at": T0, "expires_at": T0 - 5}


@given(rows=ROWS)
@example(rows=[TWICE, TWICE])
@settings(max_examples=60)
def test_every_row_of_any_store_is_accounted_for(rows: Rows, tmp_path_factory) -> None:
    """Stored, unchanged or refused; what is there is what the last row of each key says; twice is once."""
    folder = tmp_path_factory.mktemp("any")
    clock = Clock(datetime.fromtimestamp(T0 + 100, UTC))
    with closing(sqlite3.connect(folder / "memory.db")) as db:
        fill(db, rows)
    with Memory.open(folder / "memory", agent="importer", clock=clock, durability="fast") as memory:
        report = import_file(memory, folder / "memory.db")
        assert (report.entries, sums_up(report)) == (len(rows), True)
        found = contents(memory)
        assert len(found) + report.expired <= report.stored
        again = import_file(memory, folder / "memory.db")
        assert (again.stored, again.commits, again.refused) == (0, 0, report.refused)
        assert (again.renamed, again.expired) == (report.renamed, report.expired)
        assert contents(memory) == found
    shutil.rmtree(folder)
