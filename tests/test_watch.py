"""Events: the path rule on wilful graphs, and what is an event, and what is none."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitmem import ABSENT, InvalidPatternError, Memory, UnknownRevisionError
from gitmem.watch.events import Event
from gitmem.watch.way import way
from tests.conftest import Clock
from tests.events import applied, bunches, graphs, plant
from tests.foreign import SYMLINK, commit_files, run_git
from tests.reference import Node, Reference

Git = Callable[..., str]
_names = (f"graph-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def land(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Memory]:
    """A memory in which one graph beside the other is planted."""
    with Memory.open(tmp_path_factory.mktemp("land"), durability="fast") as memory:
        yield memory


@pytest.fixture
def memory(tmp_path: Path, clock: Clock) -> Iterator[Memory]:
    with Memory.open(tmp_path, agent="coder", session="monday", clock=clock) as memory:
        yield memory


def events_of(memory: Memory, since: str, **options: object) -> list[Event]:
    with memory.watch(since=since, **options) as watch:  # type: ignore[arg-type]
        return [event for bunch in watch.so_far() for event in bunch]


# --- the path


@given(nodes=graphs())
@settings(max_examples=60)
def test_the_way_is_the_rule(land: Memory, nodes: list[Node]) -> None:
    """The rule of the design, word for word, for each pair of commits: from the head backwards, at a merge the first
    parent from which the cursor is reachable. From whatever lies on the way, the way is the rest."""
    oids = [bytes.fromhex(oid) for oid in plant(land, next(_names), nodes)]
    truth, objects, index = Reference(nodes), land.vault.objects, land.vault.index

    def rule(since: int, head: int) -> list[int]:
        if since == head:
            return []
        parent = next(one for one in nodes[head].parents if since in truth.ancestors(one))
        return [*rule(since, parent), head]

    for since, head in itertools.product(range(len(nodes)), repeat=2):
        found = way(objects, index, oids[since], oids[head])
        if since not in truth.ancestors(head):
            assert found is None
            continue
        assert found is not None
        steps = rule(since, head)
        assert [step.commit for step in found] == [oids[place] for place in steps]
        assert [step.parent for step in found] == [oids[place] for place in [since, *steps][:-1]]
        for taken, place in enumerate(steps, 1):
            assert way(objects, index, oids[place], oids[head]) == found[taken:]


@given(nodes=graphs(most=8))
@settings(max_examples=40)
def test_resuming_at_any_event_gives_exactly_the_rest(land: Memory, nodes: list[Node]) -> None:
    """Applied to the state at the cursor, the events give the state at the head: none is lost, none comes twice."""
    name = next(_names)
    oids, truth = plant(land, name, nodes), Reference(nodes)
    branch, head = land.bind(branch=name), len(nodes) - 1
    for since in truth.ancestors(head):
        events = events_of(branch, oids[since], all_namespaces=True)
        assert applied(nodes[since].state, events) == nodes[head].state
        delivered = bunches(events)
        for taken, bunch in enumerate(delivered, 1):
            rest = events_of(branch, bunch[0].revision, all_namespaces=True)
            assert rest == [event for later in delivered[taken:] for event in later]


@given(nodes=graphs(), data=st.data())
@settings(max_examples=40)
def test_a_head_that_moves_and_a_consumer_that_is_killed(land: Memory, nodes: list[Node], data: st.DataObject) -> None:
    """The head goes on to any descendant, merges taken in from either side; the consumer stops in the midst of a
    commit, and another begins at its last revision. What all of them applied is the state."""
    name = next(_names)
    oids, truth = plant(land, name, nodes), Reference(nodes)
    branch, at = land.bind(branch=name), 0
    run_git(land.vault.repository.git_dir, "update-ref", f"refs/heads/{name}", oids[at])
    watch = branch.watch(all_namespaces=True)
    state, told, pending = dict(nodes[0].state), [], []
    while descendants := [place for place in range(at + 1, len(nodes)) if at in truth.ancestors(place)]:
        at = data.draw(st.sampled_from(descendants))
        run_git(land.vault.repository.git_dir, "update-ref", f"refs/heads/{name}", oids[at])
        for bunch in watch.so_far():
            pending = bunch
            if data.draw(st.booleans()):  # killed before it was done with this commit
                before = told[-1] if told else oids[0]
                watch, pending = branch.watch(since=before, all_namespaces=True), []
                break
            state = applied(state, pending)
            told.append(bunch[-1].revision)
    for bunch in watch.so_far():
        state = applied(state, bunch)
        told.append(bunch[-1].revision)
    assert state == nodes[at].state
    assert len(set(told)) == len(told)


def test_what_was_ours_comes_one_by_one_after_a_fast_forward(memory: Memory) -> None:
    """Somebody merged our line into theirs and we moved on to that: by first parents, whoever was told of our first
    commits would be told of theirs, and of ours once more."""
    folder = memory.vault.repository.git_dir
    base = memory.store("base", 0).revision
    theirs = memory.branch("theirs").store("theirs", 1).revision
    ours = [memory.store(f"ours/{number}", number).revision for number in range(3)]
    tree = run_git(folder, "merge-tree", "--write-tree", theirs, ours[2]).strip()
    merged = run_git(folder, "commit-tree", tree, "-p", theirs, "-p", ours[2], "-m", "merge").strip()
    run_git(folder, "update-ref", "refs/heads/main", merged)

    def told(since: str) -> list[tuple[str, str]]:
        return [(event.key, event.revision) for event in events_of(memory, since)]

    assert told(ours[0]) == [("ours/1", ours[1]), ("ours/2", ours[2]), ("theirs", merged)]
    assert told(base) == [("theirs", theirs), *((f"ours/{number}", merged) for number in range(3))]
    assert told(theirs) == told(base)[1:]


def test_what_a_merge_brought_in_comes_once_at_the_merge(memory: Memory) -> None:
    """Under its own revision, so that resuming there is possible; what the branch did before is its own affair."""
    side = memory.branch("side")
    start = memory.store("mine", 1).revision
    for number in range(3):
        side.store("same", number)
    side.store("other", 1)
    merged = memory.merge("side").revision
    found = events_of(memory, start)
    assert [(event.key, event.revision, event.last) for event in found] == [
        ("other", merged, False),
        ("same", merged, True),
    ]
    assert [event.new.value for event in found if event.new] == [1, 2]
    assert events_of(memory, merged) == []


# --- cursors


def test_a_cursor_beside_the_history_is_an_error(memory: Memory) -> None:
    """Guessing where to go on would lose events; the message says what to do."""
    side = memory.branch("side")
    beside = side.store("a", 1).revision
    memory.store("b", 1)
    with pytest.raises(UnknownRevisionError, match="not in the history of main") as raised:
        memory.watch(since=beside)
    assert raised.value.revision == beside
    assert "gitmem log" in raised.value.hint
    with pytest.raises(UnknownRevisionError):
        memory.watch(since="0" * 40)


def test_a_history_that_is_rewritten_ends_the_watch(memory: Memory) -> None:
    """What was planned before is still delivered; then the consumer is told, and told again."""
    first = memory.store("a", 1).revision
    watch = memory.watch()
    second = memory.store("a", 2).revision
    assert [event.revision for event in watch.next_commit(0)] == [second]
    run_git(memory.vault.repository.git_dir, "update-ref", "refs/heads/main", first)
    for _ in range(2):
        with pytest.raises(UnknownRevisionError):
            watch.next_commit(0)
    assert watch.revision == second


def test_the_revision_to_resume_from_is_before_what_was_not_delivered(memory: Memory) -> None:
    """Whoever took half of a commit's events gets all of them again, rather than none of the rest."""
    start = memory.snapshot
    watch = memory.watch()
    with memory.transaction() as tx:
        tx.store("a", 1)
        tx.store("b", 1)
    assert next(watch).key == "a"
    assert watch.revision == start
    assert next(watch).key == "b"
    assert watch.revision == memory.snapshot
    memory.store("c", 1)
    assert watch.revision != memory.snapshot


def test_since_takes_what_every_revision_takes(memory: Memory) -> None:
    """A session, an id's beginning, HEAD~1; exclusive."""
    memory.store("a", 1)
    memory.bind(session="tuesday").store("b", 1)
    last = memory.store("c", 1)
    assert [event.key for event in events_of(memory, "tuesday")] == ["c"]
    assert [event.key for event in events_of(memory, "HEAD~2")] == ["b", "c"]
    assert events_of(memory, last.revision[:10]) == []


# --- what is an event


def test_an_event_says_who_what_when_and_what_was_before(memory: Memory, clock: Clock) -> None:
    """Everything that the design names, in Python and as JSON."""
    start = memory.snapshot
    first = memory.store("a", [1])
    clock.advance(60)
    second = memory.bind(agent="tester", session=None).store("a", [2])
    memory.delete("a")
    created, modified, deleted = events_of(memory, start)
    assert (created.operation, created.old, created.new) == ("created", None, first)
    assert (modified.old, modified.new, modified.agent, modified.session) == (first, second, "tester", None)
    assert (modified.time, modified.revision) == (clock.now, second.revision)
    assert (deleted.operation, deleted.old, deleted.new) == ("deleted", second, None)
    assert json.loads(json.dumps(modified.to_json())) == {
        "namespace": "default",
        "key": "a",
        "operation": "modified",
        "revision": second.revision,
        "agent": "tester",
        "session": None,
        "time": "2026-02-02T12:01:00Z",
        "old": first.to_json(),
        "new": second.to_json(),
        "last": True,
    }


def test_a_pattern_and_a_namespace_choose(memory: Memory) -> None:
    """The final one of those that were chosen is marked: a consumer of few keys can resume as well."""
    start = memory.snapshot
    with memory.transaction() as tx:
        for key in ("swarm/a/status", "swarm/b/status", "swarm/c/log"):
            tx.store(key, 1)
        tx.store("swarm/a/status", 2, namespace="team")
    found = events_of(memory, start, pattern="swarm/*/status")
    assert [(event.key, event.last) for event in found] == [("swarm/a/status", False), ("swarm/b/status", True)]
    assert [event.namespace for event in events_of(memory, start, namespace="team")] == ["team"]
    everything = events_of(memory, start, all_namespaces=True)
    assert [event.namespace for event in everything] == ["default"] * 3 + ["team"]
    assert events_of(memory, start, pattern="swarm") == []
    with pytest.raises(InvalidPatternError):
        memory.watch("a[")


def test_each_branch_has_its_own_events(memory: Memory) -> None:
    """A memory that is bound to a branch watches that branch."""
    side = memory.branch("feature/side")
    watch = side.watch()
    memory.store("main", 1)
    side.store("side", 1)
    assert [event.key for event in watch.next_commit(0)] == ["side"]
    assert watch.next_commit(0) == []


def test_a_directory_that_is_split_or_joined_gives_no_events(memory: Memory) -> None:
    """129 files move to other paths when the 129th key comes, and back when it goes: one key changed."""
    with memory.transaction() as tx:
        for number in range(128):
            tx.store(f"wide/{number}", number)
    before = memory.snapshot
    memory.store("wide/128", 128)
    assert [event.key for event in events_of(memory, before)] == ["wide/128"]
    between = memory.snapshot
    memory.delete("wide/128")
    assert [event.operation for event in events_of(memory, between)] == ["deleted"]
    assert len(events_of(memory, before)) == 2


def test_what_is_no_change_of_a_value_is_no_event(memory: Memory) -> None:
    """An expiry renewed, a policy, a foreign file, a link, a bucket's folder by hand, a stored value that was there."""
    entry = memory.store("a", 1, ttl=100)
    start = memory.snapshot
    memory.store("a", 1, ttl=200, expect=entry)
    assert memory.store("a", 1, ttl=200).revision == entry.revision
    files = {"README.md": b"hello\n", "default/note.txt": b"x\n", "default/link.json": (SYMLINK, b"a.json")}
    commit_files(memory.vault.repository.git_dir, files)
    policy = b"format = 1\n[[merge]]\nkeys = \"a\"\nat = \"\"\nrule = \"latest\"\n"
    commit_files(memory.vault.repository.git_dir, {"gitmem.toml": policy})
    watch = memory.watch(since=start, all_namespaces=True)
    assert list(watch.so_far()) == []
    assert watch.revision == memory.snapshot


def test_the_end_of_an_expired_key_is_an_event_when_it_is_committed(memory: Memory, clock: Clock) -> None:
    """Expiry itself writes nothing; the next write there deletes it first, in a commit of its own."""
    entry = memory.store("a", 1, ttl=10)
    clock.advance(11)
    assert events_of(memory, entry.revision) == []
    memory.store("a", 2)
    deleted, created = events_of(memory, entry.revision)
    assert (deleted.operation, deleted.old, created.operation) == ("deleted", entry, "created")
    assert deleted.last


def test_a_file_that_is_no_value_does_not_end_the_stream(memory: Memory) -> None:
    """Somebody's bad file is told as what it is; whatever comes after it comes."""
    start = memory.snapshot
    commit_files(memory.vault.repository.git_dir, {"default/bad.json": b"{", "default/good.json": b"1\n"})
    commit_files(memory.vault.repository.git_dir, {"default/bad.json": b"2\n"})
    bad, good, mended = events_of(memory, start)
    assert bad.new is not None
    assert good.new is not None
    assert mended.old is not None
    assert (bad.new.value, good.new.value, mended.old.value, mended.operation) == (ABSENT, 1, ABSENT, "modified")
    assert bad.to_json()["new"]["value"] is None


def test_a_gitmem_toml_that_says_nothing_does_not_end_the_stream(memory: Memory) -> None:
    """Whoever mends it has to be told as well, and what was stored meanwhile: as the log tells it."""
    start, git_dir = memory.snapshot, memory.vault.repository.git_dir
    commit_files(git_dir, {"gitmem.toml": b"format = = 1\n", "default/a.json": b"1\n"})
    commit_files(git_dir, {"gitmem.toml": None, "default/b.json": b"2\n"})
    commit_files(git_dir, {"gitmem.toml": b"format = 1\n", "default/b.json": b"3\n"})
    found = [(one.key, one.old and one.old.value, one.new and one.new.value) for one in events_of(memory, start)]
    assert found == [("a", None, 1), ("b", None, 2), ("b", 2, 3)]


def test_a_second_file_for_a_key_is_told_by_the_rule_of_reading(memory: Memory) -> None:
    """Another tool merged by path: the canonical file counts, so the other one is no event."""
    entry = memory.store("a", 1)
    digit = run_git(memory.vault.repository.git_dir, "rev-parse", "main")  # a commit to come back to
    commit_files(memory.vault.repository.git_dir, {"default/~c/a.json": b"9\n"})  # sha256("a") begins with c
    found = events_of(memory, digit.strip())
    assert memory.retrieve("a") == entry.value
    assert found == []


def test_events_are_those_of_the_log(memory: Memory) -> None:
    """On a line without merges the stream, the log and the diff say the same."""
    start = memory.snapshot
    for number in range(30):
        memory.store(f"k/{number % 4}", number)
        if number % 5 == 4:
            memory.delete(f"k/{number % 4}")
    told = [(event.revision, event.key, event.operation) for event in events_of(memory, start)]
    logged = [
        (record.revision, change.key, change.operation)
        for record in reversed(memory.log(since=start))
        for change in record.changes
    ]
    assert told == logged
