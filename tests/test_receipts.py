"""Receipts: what was told under a session is noted, as it was told and once; and where a version went."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitmem import Memory, MissingKeyError, StorageError, UnknownRevisionError, WaitTimeoutError
from gitmem.receipts import noting
from gitmem.receipts.noting import FILE, Unnoted
from gitmem.recipes.reasoning import Patterns
from gitmem.vault import Unreadable
from tests.conftest import Clock, Git
from tests.processes import PATIENCE, linux

SESSION = "session-1"


@pytest.fixture
def opened(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., Memory]]:
    """Opens the same memory again and again, each time as another process would."""
    memories: list[Memory] = []

    def another(agent: str = "reader", session: str | None = SESSION, **options: Any) -> Memory:
        place = {"clock": clock, "durability": "fast", **options}
        memories.append(Memory.open(tmp_path / "here", agent=agent, session=session, **place))
        return memories[-1]

    yield another
    for memory in memories:
        memory.close()


@pytest.fixture
def writer(opened: Callable[..., Memory]) -> Memory:
    """Whoever writes, under no session; the memory notes what is read."""
    memory = opened("writer", None)
    memory.settings.set("audit_reads", True)
    return memory


def record(memory: Memory) -> Path:
    return memory.path / "local" / FILE


def told(memory: Memory, **wanted: Any) -> list[tuple[str, str, int | None]]:
    """Who was told which version of what."""
    return [(one.agent, one.key, one.version) for one in memory.reads(**wanted)]


# --- what is noted

READS: dict[str, Callable[[Memory], object]] = {
    "retrieve": lambda memory: memory.retrieve("a"),
    "retrieve-elsewhere": lambda memory: memory.bind(namespace="other").retrieve("a", namespace="default"),
    "entry": lambda memory: memory.entry("a"),
    "search": lambda memory: memory.search("a*"),
    "search-where": lambda memory: memory.search("**", where="state == 'bad'"),
    "search-all": lambda memory: memory.search("a", all_namespaces=True),
    "find": lambda memory: memory.find("bad"),
    "wait-for": lambda memory: memory.wait_for("a", timeout=0),
    "wait-for-all": lambda memory: memory.wait_for_all(["a"], timeout=0),
    "wait-for-any": lambda memory: memory.wait_for_any(["nope", "a", "b"], timeout=0),
    "wait-until": lambda memory: memory.wait_until(lambda view: view.retrieve("a"), timeout=0),
    "wait-where": lambda memory: memory.wait_for("a", until="state == 'bad'", timeout=0),
    "transaction": lambda memory: within(memory, lambda tx: tx.retrieve("a")),
    "at": lambda memory: memory.at(memory.snapshot).retrieve("a"),
    "at-twice": lambda memory: memory.at(memory.snapshot).at("HEAD").entry("a"),
    "watch": lambda memory: [*memory.watch("a", since="HEAD~2").so_far()],
    "show": lambda memory: memory.show([memory.bind(session=None).entry("a")]),
}
SILENT: dict[str, Callable[[Memory], object]] = {
    "list": lambda memory: memory.list(),
    "search-keys": lambda memory: memory.search_keys("**"),
    "search-nothing": lambda memory: memory.search("**", where="state == 'good'"),
    "missing": lambda memory: memory.retrieve("nope", None),
    "history": lambda memory: memory.history("a"),
    "log": lambda memory: memory.log(),
    "diff": lambda memory: memory.diff("HEAD~1"),
    "blame": lambda memory: memory.blame("a"),
    "reads": lambda memory: [*memory.reads()],
    "trace": lambda memory: memory.trace("a", 1),
    "staged": lambda memory: within(memory, lambda tx: (tx.store("a", "mine"), tx.retrieve("a"))),
    "no-session": lambda memory: memory.bind(session=None).retrieve("a"),
}


def within(memory: Memory, work: Callable[[Any], object]) -> None:
    with memory.transaction() as tx:
        work(tx)


@pytest.mark.parametrize("name", READS)
def test_what_a_verb_gives_under_a_session_is_noted(
    name: str, writer: Memory, opened: Callable[..., Memory], clock: Clock
) -> None:
    """An agent that was told a bad version in any way is found by it."""
    writer.store("a", {"state": "good"})
    entry = writer.store("a", {"state": "bad"})
    writer.store("b", 1)
    reader = opened()
    READS[name](reader)
    found = [one for one in writer.reads() if one.version == 2]
    (receipt,) = found
    assert (receipt.namespace, receipt.key, receipt.revision) == ("default", "a", entry.revision)
    assert (receipt.agent, receipt.session, receipt.time) == ("reader", SESSION, clock.now)
    assert told(writer) == [("reader", "a", 2)]


@pytest.mark.parametrize("name", SILENT)
def test_what_tells_no_present_value_is_not_noted(name: str, writer: Memory, opened: Callable[..., Memory]) -> None:
    """A list of keys is no value, an account of the history is an auditor's, one's own draft is no news."""
    writer.store("a", {"state": "bad"})
    SILENT[name](opened())
    assert told(writer) == []


def test_while_nobody_asks_for_it_nothing_is_noted(opened: Callable[..., Memory]) -> None:
    """The setting is off where nothing is said; then a read tests one attribute, and makes no file."""
    memory = opened()
    memory.store("a", 1)
    memory.retrieve("a")
    assert memory._reader().witness is None
    assert not record(memory).exists()


def test_the_setting_holds_from_its_commit_on(writer: Memory, opened: Callable[..., Memory]) -> None:
    """Whoever has the memory open when somebody turns it on, or off, need not open it again."""
    reader = opened()
    writer.store("a", 1)
    reader.retrieve("a")
    writer.settings.set("audit_reads", False)
    writer.store("a", 2)
    reader.retrieve("a")
    writer.settings.set("audit_reads", True)
    writer.store("a", 3)
    reader.retrieve("a")
    assert told(writer) == [("reader", "a", 1), ("reader", "a", 3)]


def test_the_past_is_noted_if_reads_are_noted_now(opened: Callable[..., Memory]) -> None:
    """What was agreed on then does not matter: the agent is told today."""
    memory = opened()
    old = memory.store("a", "old")
    memory.settings.set("audit_reads", True)
    memory.store("a", "new")
    memory.at(old.revision).retrieve("a")
    assert told(memory) == [("reader", "a", 1)]


def test_a_wait_that_ends_in_vain_has_told_nothing(writer: Memory, opened: Callable[..., Memory]) -> None:
    """A version that did not meet the condition never reached the agent."""
    writer.store("a", {"state": "working"})
    with pytest.raises(WaitTimeoutError):
        opened().wait_for("a", until="state == 'done'", timeout=0)
    assert told(writer) == []


def test_a_function_that_judges_is_told_what_it_judges(writer: Memory, opened: Callable[..., Memory]) -> None:
    """It is the agent's own code: what it saw may be anywhere by now."""
    writer.store("a", {"state": "working"})
    with pytest.raises(WaitTimeoutError):
        opened().wait_for("a", until=lambda entry: entry.value["state"] == "done", timeout=0)
    assert told(writer) == [("reader", "a", 1)]


def test_a_value_that_expired_since_was_told_all_the_same(
    writer: Memory, opened: Callable[..., Memory], clock: Clock
) -> None:
    """What is gone now was there when it was read."""
    writer.store("a", 1, ttl=10)
    reader = opened()
    reader.retrieve("a")
    clock.advance(20)
    with pytest.raises(MissingKeyError):
        reader.retrieve("a")
    assert told(writer) == [("reader", "a", 1)]


def test_a_value_that_expires_while_it_is_told_was_told(tmp_path: Path, clock: Clock) -> None:
    """The clock goes on between reading and noting."""

    class Hurried(Clock):
        def __call__(self) -> datetime:
            self.advance(20)
            return self.now

    with Memory.open(tmp_path, clock=clock) as memory:
        memory.settings.set("audit_reads", True)
        memory.store("a", 1, ttl=30)
    with Memory.open(tmp_path, clock=Hurried(clock.now), agent="reader", session=SESSION) as reader:
        assert reader.entry("a").value == 1
        assert told(reader) == [("reader", "a", 1)]


def test_what_is_shown_later_is_noted_as_it_was_read(writer: Memory, opened: Callable[..., Memory]) -> None:
    """Who chooses among many entries shows a few of them, and others write meanwhile."""
    writer.store("a", 1)
    reader = opened()
    found = reader.bind(session=None).search("**")
    writer.store("a", 2)
    reader.show(found)
    assert told(writer) == [("reader", "a", 1)]


def test_of_the_patterns_that_were_looked_through_only_the_recalled_are_noted(
    writer: Memory, opened: Callable[..., Memory]
) -> None:
    """Fifty are ranked, five are told."""
    patterns = Patterns(writer)
    for name in ("one", "two", "three"):
        patterns.learn(f"auth/{name}", "refresh the tokens")
    chosen = Patterns(opened()).recall("refresh tokens", limit=1)
    assert [one.entry.key for one in chosen] == [key for _, key, _ in told(writer, namespace="reasoning-bank")]
    assert len(chosen) == 1


# --- once


def test_a_version_is_noted_once_however_often_it_is_read(writer: Memory, opened: Callable[..., Memory]) -> None:
    """Polling fills no disk: the file stays as it is while nothing is written."""
    writer.store("a", 1)
    reader = opened()
    reader.retrieve("a")
    size = record(writer).stat().st_size
    for _ in range(50):
        reader.retrieve("a")
        reader.entry("a")
        reader.bind(namespace="other").retrieve("a", namespace="default")
        reader.search("**")
        reader.wait_for("a", timeout=0)
    assert record(writer).stat().st_size == size


def test_a_version_is_told_once_though_others_write_in_between(writer: Memory, opened: Callable[..., Memory]) -> None:
    """A newer head is no newer version of the key."""
    writer.store("a", 1)
    reader = opened()
    for turn in range(5):
        reader.retrieve("a")
        writer.store("b", turn)
        reader.entry("a")
        reader.search("a")
    assert told(writer) == [("reader", "a", 1)]


@pytest.mark.parametrize("verb", ["retrieve", "entry", "search"])
def test_the_same_bytes_again_are_another_version(verb: str, writer: Memory, opened: Callable[..., Memory]) -> None:
    """Good, bad, good: the reader of the first and the third has read two versions, and not the second."""
    reader = opened()
    for value in ("good", "bad", "good"):
        writer.store("a", value)
        if value == "good":
            getattr(reader, verb)("a")
            writer.store("b", value)
            getattr(reader, verb)("a")
    assert told(writer) == [("reader", "a", 1), ("reader", "a", 3)]


def test_whoever_asks_for_entries_again_and_again_fills_no_disk(
    writer: Memory, opened: Callable[..., Memory]
) -> None:
    """An entry says which version it is: nothing need be noted for the same one at a newer head."""
    writer.store("a", 1)
    reader = opened()
    reader.entry("a")
    size = record(writer).stat().st_size
    for turn in range(5):
        writer.store("b", turn)
        reader.entry("a")
        reader.search("a")
        reader.wait_for("a", timeout=0)
    assert record(writer).stat().st_size == size


def test_the_present_and_the_past_are_read_in_turns_at_the_price_of_two_lines(
    writer: Memory, opened: Callable[..., Memory]
) -> None:
    """As whoever compares them does, again and again."""
    old = writer.store("a", 1)
    writer.store("a", 2)
    reader = opened()
    for _ in range(5):
        reader.retrieve("a")
        reader.at(old.revision).retrieve("a")
    assert len(record(writer).read_bytes().splitlines()) == 2
    assert told(writer) == [("reader", "a", 2), ("reader", "a", 1)]


def test_agents_and_sessions_of_one_process_are_told_apart(writer: Memory, opened: Callable[..., Memory]) -> None:
    """A program that speaks for several agents shares what it has read, not who was told."""
    writer.store("a", 1)
    memory = opened()
    for agent, session in (("x", "s1"), ("y", "s1"), ("x", "s2"), ("x", "s1")):
        memory.bind(agent=agent, session=session).retrieve("a")
    assert [(one.agent, one.session) for one in writer.reads()] == [("x", "s1"), ("y", "s1"), ("x", "s2")]


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["store", "delete", "retrieve", "entry", "search", "open"]),
        st.sampled_from(["a", "b", "c/d"]),
        st.integers(0, 1),
    ),
    max_size=25,
)


@given(actions=ACTIONS)
def test_after_anything_the_receipts_are_what_was_told(tmp_path_factory: pytest.TempPathFactory, actions: Any) -> None:
    """Against a slow account, kept by asking an unaudited memory for the key's version at each read."""
    place = tmp_path_factory.mktemp("any")
    with Memory.open(place, durability="fast") as plain:
        plain.settings.set("audit_reads", True)
        reader, account, mine = Memory.open(place, agent="r", session="s"), [], set()
        for verb, key, value in actions:
            if verb == "store":
                plain.store(key, value)
            elif verb == "delete":
                plain.delete_matching(key)
            elif verb == "open":
                reader.close()
                reader, mine = Memory.open(place, agent="r", session="s"), set()
            else:
                getattr(reader, verb)(key, **({} if verb == "search" else {"default": None}))
                entry = plain.entry(key, None)
                if entry is not None and (key, entry.revision) not in mine:
                    mine.add((key, entry.revision))
                    account.append((key, entry.version, entry.revision))
        reader.close()
        assert [(one.key, one.version, one.revision) for one in plain.reads()] == account


# --- the file


def test_processes_share_the_file_and_lose_no_line(writer: Memory) -> None:
    """Agents are processes: each appends with one call, so no line is torn or covered by another's."""
    keys = [f"k{number}" for number in range(100)]
    with writer.transaction() as tx:
        for key in keys:
            tx.store(key, key * 50)
    code = (
        "import sys; from gitmem import Memory\n"
        "with Memory.open(sys.argv[1], agent=sys.argv[2], session='s') as memory:\n"
        "    for key in memory.list(): memory.retrieve(key)\n"
    )
    agents = [f"agent-{number}" for number in range(4)]
    running = [subprocess.Popen([sys.executable, "-c", code, str(writer.path), agent]) for agent in agents]
    assert [one.wait(PATIENCE) for one in running] == [0, 0, 0, 0]
    assert sorted(told(writer)) == sorted((agent, key, 1) for agent in agents for key in keys)


@pytest.fixture
def most() -> Iterator[int]:
    """How many bytes a file may have while the test runs."""
    resource = pytest.importorskip("resource")
    limits, most = resource.getrlimit(resource.RLIMIT_FSIZE), 1 << 30
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, limits[1]))
    yield most
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_on_a_full_disk_reading_goes_on_with_one_warning(
    writer: Memory, opened: Callable[..., Memory], most: int
) -> None:
    """The audit is worth less than the work: but whoever relies on it has to hear."""
    writer.store("a", 1)
    writer.store("b", 2)
    record(writer).touch()
    os.truncate(record(writer), most)  # no byte more: as on a disk that is full
    reader = opened()
    with pytest.warns(Unnoted, match="File too large") as warned:
        assert (reader.retrieve("a"), reader.retrieve("b"), reader.entry("a").value) == (1, 2, 1)
    assert len(warned) == 1
    record(writer).unlink()
    reader.retrieve("a")
    assert told(writer) == [("reader", "a", 1)]  # what could not be noted is noted as soon as it can be


def test_where_the_file_cannot_be_made_reading_goes_on(writer: Memory, opened: Callable[..., Memory]) -> None:
    """As on a disk that nobody may write to."""
    writer.store("a", 1)
    record(writer).mkdir()
    with pytest.warns(Unnoted, match="is not being noted"):
        assert opened().retrieve("a") == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with a name")
@pytest.mark.parametrize("kind", ["pipe", "read", "device"])
def test_what_is_no_file_holds_nobody_up(writer: Memory, opened: Callable[..., Memory], kind: str) -> None:
    """A pipe would wait for its other end, a device swallow what is noted, or have no end."""
    writer.store("a", 1)
    if kind == "device":
        record(writer).symlink_to(os.devnull)
    else:
        os.mkfifo(record(writer))
    end = os.open(record(writer), os.O_RDONLY | os.O_NONBLOCK) if kind == "read" else None
    reader = opened()
    with pytest.warns(Unnoted, match="is not being noted") as warned:
        assert (reader.retrieve("a"), reader.entry("a").value) == (1, 1)
    assert len(warned) == 1
    with pytest.raises(StorageError, match="no regular file"):
        told(writer)
    if end is not None:
        os.close(end)


def test_the_file_may_be_deleted_at_any_time(
    writer: Memory, opened: Callable[..., Memory], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is found missing within a second, also by a process that has it open."""
    monkeypatch.setattr(noting, "_LOOK", 0.0)
    writer.store("a", 1)
    reader = opened()
    reader.retrieve("a")
    record(writer).unlink()
    assert told(writer) == []
    writer.store("a", 2)
    reader.retrieve("a")
    assert told(writer) == [("reader", "a", 2)]


@linux
def test_a_closed_memory_has_no_file_open(writer: Memory, opened: Callable[..., Memory]) -> None:
    """Where files must not stay open, `close` is the promise that none does."""
    writer.store("a", 1)
    reader = opened()
    reader.retrieve("a")
    files = [os.path.realpath(one) for one in Path("/proc/self/fd").iterdir()]
    reader.close()
    left = [os.path.realpath(one) for one in Path("/proc/self/fd").iterdir()]
    assert (str(record(writer)) in files, str(record(writer)) in left) == (True, False)
    reader.retrieve("a")


def test_it_is_this_machines_and_nobody_elses_to_read(
    writer: Memory, opened: Callable[..., Memory], tmp_path: Path
) -> None:
    """What an agent reads is told neither to other users nor to other copies."""
    writer.store("a", 1)
    opened().retrieve("a")
    assert record(writer).stat().st_mode & 0o077 == 0
    with Memory.clone(writer.path, tmp_path / "there") as copy:
        assert told(copy) == []
        assert copy.trace("a", 1).readers == ()


def test_a_line_that_was_cut_off_costs_no_other_line(writer: Memory, opened: Callable[..., Memory]) -> None:
    """A full disk takes half a line, and the next process appends to it."""
    writer.store("a", 1)
    writer.store("b", 1)
    opened().retrieve("a")
    whole = record(writer).read_bytes()
    record(writer).write_bytes(whole + whole[:70])
    opened("second").retrieve("b")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert told(writer) == [("reader", "a", 1), ("second", "b", 1)]


WHOLE = {"time": 1, "agent": "x", "session": "s", "namespace": "n", "keys": ["a"], "snapshot": "00" * 20}


@pytest.mark.parametrize(
    "line",
    [
        b"{}", b"[]", b"\xff", b"1", b'{"time": 1}', b'{"time":"now"}', b'{"time":1e400}',
        json.dumps({**WHOLE, "keys": "a"}).encode(), json.dumps({**WHOLE, "snapshot": "00"}).encode(),
        json.dumps({**WHOLE, "agent": None}).encode(), json.dumps({**WHOLE, "again": 7}).encode(),
        *(json.dumps({**WHOLE, name: "\ud800"}).encode() for name in ("agent", "session", "namespace")),
        json.dumps({**WHOLE, "keys": ["a", "\udfff"]}).encode(),
    ],
    ids=range(15),
)  # fmt: skip
def test_a_line_that_is_none_is_left_out_and_told(writer: Memory, opened: Callable[..., Memory], line: bytes) -> None:
    """The file is plain text in a folder; one strange line hides nothing else."""
    writer.store("a", 1)
    record(writer).write_bytes(line + b"\n")
    opened().retrieve("a")
    with pytest.warns(Unreadable, match="^1 line of .* cannot be read"):
        assert told(writer) == [("reader", "a", 1)]


def test_a_receipt_outlives_the_history_it_speaks_of(writer: Memory, opened: Callable[..., Memory]) -> None:
    """After somebody rewrote the history, who read the key is still known; which version is not."""
    writer.store("a", 1)
    opened().retrieve("a")
    line = json.loads(record(writer).read_text())
    record(writer).write_text(json.dumps({**line, "snapshot": "12" * 20}).replace(" ", "") + "\n")
    (receipt,) = writer.reads()
    assert (receipt.key, receipt.version, receipt.revision) == ("a", None, None)
    assert receipt.to_json()["version"] is None


def test_receipts_are_chosen_by_session_agent_key_and_namespace(
    writer: Memory, opened: Callable[..., Memory]
) -> None:
    """A name that stands elsewhere in a line is no match."""
    for namespace in ("default", "a"):
        for key in ("a", "s1", "ä\u2028"):
            writer.store(key, 1, namespace=namespace)
    memory = opened()
    for agent, session in (("a", "s1"), ("s1", "a")):
        bound = memory.bind(agent=agent, session=session)
        bound.search("**", all_namespaces=True)
    everything = list(writer.reads())
    assert len(everything) == 12
    for wanted in ({"session": "s1"}, {"agent": "s1"}, {"key": "ä\u2028"}, {"namespace": "a"},
                   {"session": "a", "key": "a", "namespace": "default"}, {"agent": "nobody"}):  # fmt: skip
        chosen = [one for one in everything if all(getattr(one, name) == text for name, text in wanted.items())]
        assert list(writer.reads(**wanted)) == chosen


def test_a_search_of_thousands_is_few_lines(writer: Memory, opened: Callable[..., Memory]) -> None:
    """Keys that are read together share a line, as far as a line may be long."""
    with writer.transaction() as tx:
        for number in range(1200):
            tx.store(f"k{number:04}", number)
    assert len(opened().search("**")) == 1200
    assert len(record(writer).read_bytes().splitlines()) == 3
    assert len(told(writer)) == 1200


# --- traces


def test_a_trace_tells_who_was_told_a_version_and_what_they_wrote_then(
    writer: Memory, opened: Callable[..., Memory], clock: Clock
) -> None:
    """What an agent wrote before it read, in another session, or without having read, has another source."""
    early, misled, careful, late = (opened(name) for name in ("misled", "misled", "careful", "late"))
    early.store("early", 1)
    writer.store("plan", "good")
    careful.retrieve("plan")
    writer.store("plan", "bad")
    misled.retrieve("plan")
    clock.advance(5)
    misled.retrieve("plan")
    first, second = misled.store("x", 1), misled.store("y", 1)
    misled.bind(session="session-2").store("z", 1)
    careful.store("w", 1)
    late.retrieve("plan")
    opened("misled").retrieve("plan")  # again, from another process
    found = writer.trace("plan", 2)
    assert (found.version.value, found.version.version) == ("bad", 2)
    assert [(one.agent, one.session) for one in found.readers] == [("misled", SESSION), ("late", SESSION)]
    (reading, silent) = found.readers
    assert [one.revision for one in reading.commits] == [first.revision, second.revision]
    assert silent.commits == ()
    assert (silent.time - reading.time).total_seconds() == 5
    assert [one.agent for one in writer.trace("plan", 1).readers] == ["careful"]
    assert found.to_json()["readers"][0]["commits"][0]["message"] == "store default x"


def test_what_was_written_on_other_branches_is_told_too(writer: Memory, opened: Callable[..., Memory]) -> None:
    """A bad version does its harm wherever the agent goes on."""
    writer.store("plan", "bad")
    reader = opened()
    writer.branch("idea")
    reader.retrieve("plan")
    there = reader.bind(branch="idea").store("x", 1)
    here = reader.store("y", 1)
    (reading,) = writer.trace("plan", 1).readers
    assert {one.revision for one in reading.commits} == {there.revision, here.revision}


def test_whoever_reads_the_past_is_asked_for_what_he_wrote_since_then_not_since_that_past(
    writer: Memory, opened: Callable[..., Memory]
) -> None:
    """The version is old, the reading is not."""
    old = writer.store("plan", "bad")
    writer.store("plan", "good")
    reader = opened()
    past = reader.at(old.revision)
    reader.store("before", 1)
    past.retrieve("plan")
    after = reader.store("after", 1)
    (reading,) = writer.trace("plan", 1).readers
    assert [one.revision for one in reading.commits] == [after.revision]


def test_a_version_of_two_sides_is_traced_by_its_revision(writer: Memory, opened: Callable[..., Memory]) -> None:
    """Two concurrent versions may share a number: then the number is refused, and the revision tells."""
    writer.store("plan", {"one": 1})
    idea = writer.branch("idea")
    mine, theirs = writer.store("plan", {"one": 2}), idea.store("plan", {"one": 1, "two": 2})
    opened().retrieve("plan")
    opened("other", branch="idea").retrieve("plan")
    writer.merge("idea")
    with pytest.raises(UnknownRevisionError, match="ambiguous"):
        writer.trace("plan", 2)
    assert [one.agent for one in writer.trace("plan", mine.revision).readers] == ["reader"]
    assert [one.agent for one in writer.trace("plan", theirs.revision).readers] == ["other"]


def test_a_version_that_never_was_is_an_error(writer: Memory, git: Git) -> None:
    """An empty answer would look like nobody's having read it."""
    writer.store("plan", 1)
    with pytest.raises(UnknownRevisionError):
        writer.trace("plan", 7)
    with pytest.raises(UnknownRevisionError):
        writer.trace("nope", 1)


def test_a_branch_that_is_no_memory_hides_no_other(writer: Memory, opened: Callable[..., Memory], git: Git) -> None:
    """People push what they like to branches of their own."""
    writer.store("plan", 1)
    reader = opened()
    reader.retrieve("plan")
    made = reader.store("x", 1)
    bare = writer.path / ".git"
    tree = git(bare, "mktree").strip()
    git(bare, "update-ref", "refs/heads/aaa", git(bare, "commit-tree", "-m", "x", tree).strip())
    (reading,) = writer.trace("plan", 1).readers
    assert [one.revision for one in reading.commits] == [made.revision]
