"""A memory against a plain model of it: two dictionaries and lists of versions, through everything that happens.

Each step is done to both; after each step one of several openings must tell what the model tells: the keys, their
values, the numbers of their versions and their tokens. Steps that must change nothing (reopening, gc, a lost index)
change nothing in the model. At the end: every key's whole history, git's own check, and the shape of the tree.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gitmem import ABSENT, Entry, KeyExistsError, Memory, MissingKeyError, StaleError, WriteIdError
from gitmem.codec import encode
from gitmem.globs import compile_glob
from gitmem.keys import digits, directory_name, leaf_name
from tests.conftest import Clock
from tests.foreign import commit_files, paths_of, run_git

KeyId = tuple[str, str]
WIDE = [f"wide/{number}" for number in range(131)]
NAMESPACES = ["default", "b.json"]
KEYS = ["a", "a/b", "a.json/b", "con", "wide", "wide/0", "wide/7", "~x/é"]
GLOBS = ["**", "a/**", "wide/*", "*", "nothing"]
VALUES: list[Any] = [None, 0, 1, 1.0, True, "x", [], [1], {}, {"n": 1}, {"n": 2, "l": [0]}]

namespaces = st.sampled_from(NAMESPACES)
keys = st.tuples(namespaces, st.sampled_from(KEYS))
values = st.sampled_from(VALUES)
ttls = st.none() | st.integers(1, 20)


class Model:
    """What a memory holds, said plainly. A key in `values` that has expired is absent, but still lies in the tree."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.values: dict[KeyId, Any] = {}
        self.texts: dict[KeyId, bytes] = {}
        self.expiries: dict[KeyId, datetime] = {}
        self.versions: dict[KeyId, list[Any]] = {}

    def expired(self, key: KeyId) -> bool:
        return key in self.expiries and self.expiries[key] <= self.clock.now

    def present(self, key: KeyId) -> bool:
        return key in self.values and not self.expired(key)

    def state(self) -> dict[KeyId, Any]:
        return {key: value for key, value in self.values.items() if self.present(key)}

    def instant(self, ttl: int | None) -> datetime | None:
        return None if ttl is None else self.clock.now + timedelta(seconds=ttl)

    def put(self, key: KeyId, value: Any, expires: datetime | None) -> None:
        """An expired key is deleted first."""
        if key in self.values and self.expired(key):
            self.drop(key)
        self.put_text(key, value, encode(value))
        self.expiries.pop(key, None)
        if expires is not None:
            self.expiries[key] = expires

    def put_text(self, key: KeyId, value: Any, text: bytes) -> None:
        """Another text is a version, even of an equal value: versions are about blobs."""
        if key not in self.values or self.texts[key] != text:
            self.versions.setdefault(key, []).append(value)
        self.values[key], self.texts[key] = value, text

    def drop(self, key: KeyId) -> None:
        self.versions[key].append(ABSENT)
        del self.values[key]
        self.expiries.pop(key, None)

    def kept(self, key: KeyId) -> datetime | None:
        """The expiry that a change of the value keeps."""
        return self.expiries.get(key) if self.present(key) else None


class Machine(RuleBasedStateMachine):
    """The steps. `who` chooses one of three openings: two ordinary ones, and one without the lock."""

    @initialize(wide=st.booleans())
    def lay(self, wide: bool) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="gitmem-model-"))
        self.clock = Clock(datetime(2026, 2, 2, 12, tzinfo=UTC))
        self.model = Model(self.clock)
        self.memories = [self.open(lock) for lock in (True, True, False)]
        self.tokens: dict[KeyId, str] = {}
        self.seen: list[Entry] = []
        self.writes: dict[str, tuple[Any, Entry]] = {}
        self.past: dict[str, dict[KeyId, Any]] = {}
        self.turn = 0
        self.shapely = True
        if wide:
            self.widen(0, "default", 0)

    def open(self, lock: bool) -> Memory:
        return Memory.open(self.folder, agent="model", durability="fast", clock=self.clock, lock=lock)

    @property
    def git_dir(self) -> Path:
        return self.memories[0].path / ".git"

    def written(self, key: KeyId, value: Any, expires: datetime | None, entry: Entry) -> Entry:
        """Note a write that was acknowledged with this entry."""
        before = len(self.model.versions.get(key, []))
        self.model.put(key, value, expires)
        self.acknowledged(key, entry, new=len(self.model.versions[key]) > before)
        assert (encode(entry.value), entry.expires) == (encode(value), expires)
        self.seen.append(entry)
        return entry

    def acknowledged(self, key: KeyId, entry: Entry, *, new: bool) -> None:
        assert (entry.namespace, entry.key) == key
        assert entry.version == len(self.model.versions[key])
        assert (self.tokens.get(key) != entry.revision) is new
        self.tokens[key] = entry.revision

    # --- the verbs ---

    @rule(who=st.integers(0, 2), key=keys, value=values, ttl=ttls)
    def store(self, who: int, key: KeyId, value: Any, ttl: int | None) -> None:
        entry = self.memories[who].store(key[1], value, ttl=ttl, namespace=key[0])
        self.written(key, value, self.model.instant(ttl), entry)

    @rule(who=st.integers(0, 2), key=keys, value=values, ttl=ttls)
    def create(self, who: int, key: KeyId, value: Any, ttl: int | None) -> None:
        def act() -> Entry:
            return self.memories[who].create(key[1], value, ttl=ttl, namespace=key[0])

        if self.model.present(key):
            with pytest.raises(KeyExistsError):
                act()
        else:
            self.written(key, value, self.model.instant(ttl), act())

    @precondition(lambda self: self.seen)
    @rule(who=st.integers(0, 2), value=values, pick=st.integers(0, 10**6), form=st.integers(0, 3), absent=st.booleans())
    def store_if(self, who: int, value: Any, pick: int, form: int, absent: bool) -> None:
        """`expect=` with a token that may be an old one: it holds if and only if it is the last version's."""
        entry = self.seen[-1 - pick % min(len(self.seen), 8)]
        key = (entry.namespace, entry.key)
        token = [entry, entry.revision, entry.version, entry.snapshot][form]
        holds = self.model.present(key) and self.tokens[key] == entry.revision
        if absent:
            token, holds = ABSENT, not self.model.present(key)

        def act() -> Entry:
            return self.memories[who].store(entry.key, value, expect=token, namespace=entry.namespace)

        if holds:
            self.written(key, value, None, act())
        else:
            with pytest.raises(StaleError):
                act()

    @precondition(lambda self: self.seen)
    @rule(who=st.integers(0, 2), key=keys, value=values, pick=st.integers(0, 10**6))
    def store_guarded(self, who: int, key: KeyId, value: Any, pick: int) -> None:
        claim = self.seen[-1 - pick % min(len(self.seen), 8)]
        other = (claim.namespace, claim.key)

        def act() -> Entry:
            return self.memories[who].store(key[1], value, guard=claim, namespace=key[0])

        if self.model.present(other) and self.tokens[other] == claim.revision:
            self.written(key, value, None, act())
        else:
            with pytest.raises(StaleError):
                act()

    @rule(who=st.integers(0, 2), key=keys, value=values, default=st.booleans())
    def update(self, who: int, key: KeyId, value: Any, default: bool) -> None:
        options = {"default": "nothing"} if default else {}

        def act() -> Entry:
            return self.memories[who].update(key[1], lambda old: [old, value], namespace=key[0], **options)

        if not self.model.present(key) and not default:
            with pytest.raises(MissingKeyError):
                act()
            return
        old = self.model.values[key] if self.model.present(key) else "nothing"
        if len(encode(old)) < 200:
            self.written(key, [old, value], self.model.kept(key), act())

    @rule(who=st.integers(0, 2), key=keys, number=st.integers(0, 2))
    def patch(self, who: int, key: KeyId, number: int) -> None:
        expires = self.model.kept(key)
        old = self.model.values[key] if self.model.present(key) else {}
        new = {**(old if isinstance(old, dict) else {}), "n": number}
        entry = self.memories[who].patch(key[1], {"n": number}, default={}, namespace=key[0])
        self.written(key, new, expires, entry)

    @rule(who=st.integers(0, 2), key=keys, value=values)
    def append(self, who: int, key: KeyId, value: Any) -> None:
        old = self.model.values[key] if self.model.present(key) else []
        if isinstance(old, list) and len(encode(old)) < 200:
            expires = self.model.kept(key)
            entry = self.memories[who].append(key[1], value, namespace=key[0])
            self.written(key, [*old, value], expires, entry)

    @rule(
        who=st.integers(0, 2),
        namespace=namespaces,
        some=st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True),
    )
    def delete(self, who: int, namespace: str, some: list[str]) -> None:
        def act() -> list[Any]:
            return self.memories[who].delete(*some, namespace=namespace)

        if all(self.model.present((namespace, key)) for key in some):
            self.gone(namespace, sorted(some), act())
        else:
            with pytest.raises(MissingKeyError):
                act()

    @rule(who=st.integers(0, 2), namespace=namespaces, glob=st.sampled_from(GLOBS))
    def delete_matching(self, who: int, namespace: str, glob: str) -> None:
        found = self.memories[who].delete_matching(glob, namespace=namespace)
        matches = compile_glob(glob).matches
        expected = [key for name, key in sorted(self.model.state()) if name == namespace and matches(key)]
        self.gone(namespace, expected, found)

    def gone(self, namespace: str, some: list[str], deletions: list[Any]) -> None:
        assert [one.key for one in deletions] == some
        for deletion in deletions:
            key = (namespace, deletion.key)
            self.model.drop(key)
            self.acknowledged(key, deletion, new=True)
            assert (deletion.value, deletion.operation) == (ABSENT, "deleted")

    @rule(who=st.integers(0, 2), key=keys, number=st.integers(1, 6))
    def restore(self, who: int, key: KeyId, number: int) -> None:
        past = self.model.versions.get(key, [])
        if number > len(past):
            return
        value = past[number - 1]
        found = self.memories[who].restore(key[1], version=number, namespace=key[0])
        if value is not ABSENT:
            self.model.put(key, value, None)
        elif self.model.present(key):
            self.model.drop(key)
        for one in found:
            assert one.version == len(self.model.versions[key])
            self.tokens[key] = one.revision

    @rule(who=st.integers(0, 2), name=st.sampled_from("123"), key=keys, value=values, ttl=ttls)
    def store_once(self, who: int, name: str, key: KeyId, value: Any, ttl: int | None) -> None:
        request = (key, encode(value), ttl)

        def act() -> Entry:
            return self.memories[who].store(key[1], value, ttl=ttl, write_id=name, namespace=key[0])

        if name not in self.writes:
            self.writes[name] = (request, self.written(key, value, self.model.instant(ttl), act()))
        elif self.writes[name][0] == request:
            assert act() == self.writes[name][1]
        else:
            with pytest.raises(WriteIdError):
                act()

    @rule(who=st.integers(0, 2), some=st.dictionaries(keys, values, min_size=1, max_size=4), gone=keys, ttl=ttls)
    def transaction(self, who: int, some: dict[KeyId, Any], gone: KeyId, ttl: int | None) -> None:
        memory = self.memories[who]
        removes = self.model.present(gone) and gone not in some
        with memory.transaction() as tx:
            for (namespace, key), value in some.items():
                tx.store(key, value, ttl=ttl, namespace=namespace)
            if removes:
                tx.delete(gone[1], namespace=gone[0])
        for key, value in some.items():
            self.model.put(key, value, self.model.instant(ttl))
            self.tokens[key] = memory.entry(key[1], namespace=key[0]).revision
        if removes:
            self.model.drop(gone)
            self.tokens[gone] = memory.history(gone[1], limit=1, namespace=gone[0])[0].revision

    @rule(who=st.integers(0, 2), namespace=namespaces, value=values)
    def widen(self, who: int, namespace: str, value: Any) -> None:
        """A directory becomes wide; the next `delete_matching` makes it narrow again."""
        self.transaction(who, {(namespace, key): value for key in WIDE}, (namespace, "nothing"), None)

    @rule(seconds=st.integers(1, 15))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)

    # --- what others do to the repository ---

    @rule(key=keys, value=values | st.none().map(lambda _: ABSENT))
    def foreign_change(self, key: KeyId, value: Any) -> None:
        """A person edits, adds or removes a key's file: wherever it lies, else where it would without buckets."""
        path, *others = self.paths(key)
        removed: dict[str, bytes | None] = dict.fromkeys(others)
        if value is ABSENT:
            if key not in self.model.values:
                return
            commit_files(self.git_dir, {**removed, path: None}, time=self.now)
            self.model.versions[key].append(ABSENT)
            del self.model.values[key]  # its expiry stays behind, and would count again if the file came back
        else:
            text = json.dumps(value).encode()
            commit_files(self.git_dir, {**removed, path: text}, time=self.now)
            self.model.put_text(key, value, text)
        self.shapely = False
        self.tokens[key] = self.memories[0].history(key[1], limit=1, namespace=key[0])[0].revision

    def paths(self, key: KeyId) -> list[str]:
        """Where the key's file lies, perhaps more than once; where it would lie in narrow directories, if nowhere."""
        *folders, leaf = [key[0], *key[1].split("/")]
        plain = "/".join([directory_name(name).decode() for name in folders] + [leaf_name(leaf).decode()])
        return [path for path in paths_of(self.git_dir) if _flat(path) == plain] or [plain]

    def path_of(self, key: KeyId) -> str:
        """The same, after a store has removed what lay there a second time."""
        found = self.paths(key)
        if len(found) > 1:
            self.store(0, key, self.model.values[key], None)
            if len(self.paths(key)) > 1:  # an equal value was no commit
                self.store(0, key, "mended", None)
            found = self.paths(key)
        assert len(found) == 1
        return found[0]

    @property
    def now(self) -> int:
        return int(self.clock.now.timestamp())

    @rule(number=st.integers(0, 3))
    def foreign_file(self, number: int) -> None:
        commit_files(self.git_dir, {"README.md": b"%d" % number, "default/notes.txt": b"%d" % number}, time=self.now)

    @rule(namespace=namespaces, key=st.sampled_from(KEYS), copy=st.booleans())
    def foreign_shape(self, namespace: str, key: str, copy: bool) -> None:
        """A key's file is moved, or copied, into the bucket where a wide directory would have it, or out of it.

        Moving changes nothing; nor does a copy, even of other content, that lies where the key does not belong.
        """
        old = self.path_of((namespace, key))
        if (namespace, key) not in self.model.values:
            return
        folder, leaf = old.rsplit("/", 1)
        top, last = folder.rsplit("/", 1) if "/" in folder else ("", folder)
        bucketed = len(last) == 2 and last[0] == "~"
        new = f"{top}/{leaf}" if bucketed else f"{folder}/~{digits(key.rsplit('/', 1)[-1])[0]}/{leaf}"
        body = run_git(self.git_dir, "show", f"main:{old}").encode()
        siblings = [one for name, one in self.model.values if name == namespace and one.startswith("wide/")]
        belongs = bucketed is (key.startswith("wide/") and len(siblings) > 128)
        copied = b'"another"' if belongs else body
        commit_files(self.git_dir, {new: copied} if copy else {old: None, new: body}, time=self.now)
        self.shapely = False

    @rule(who=st.integers(0, 2))
    def reopen(self, who: int) -> None:
        self.memories[who].close()
        self.memories[who] = self.open(lock=who < 2)

    @rule(whole=st.booleans())
    def lose_the_index(self, whole: bool) -> None:
        """Deleted, or overwritten with garbage, while it is open."""
        derived = self.memories[0].path / "derived"
        if whole:
            shutil.rmtree(derived, ignore_errors=True)
        else:
            (derived / "index.sqlite3").unlink(missing_ok=True)

    @rule(full=st.booleans())
    def gc(self, full: bool) -> None:
        self.memories[0].gc(full=full)

    @rule(command=st.sampled_from([["gc", "-q"], ["repack", "-adq"], ["pack-refs", "--all"], ["prune-packed", "-q"]]))
    def git_gc(self, command: list[str]) -> None:
        run_git(self.git_dir, *command)

    # --- what must be true ---

    @invariant()
    def tells_what_the_model_tells(self) -> None:
        memory = self.memories[self.turn % 3]
        self.turn += 1
        state = self.model.state()
        entries = memory.search("**", all_namespaces=True)
        assert [(one.namespace, one.key) for one in entries] == sorted(state)
        for entry in entries:
            key = (entry.namespace, entry.key)
            assert encode(entry.value) == encode(state[key])
            assert (entry.version, entry.revision) == (len(self.model.versions[key]), self.tokens[key])
            assert entry.expires == self.model.expiries.get(key)
        assert memory.namespaces() == sorted({namespace for namespace, _ in state})
        if memory.snapshot not in self.past:
            self.past[memory.snapshot] = state

    @rule(who=st.integers(0, 2), pick=st.integers(0, 10**6))
    def look_back(self, who: int, pick: int) -> None:
        revisions = list(self.past)
        if revisions:
            revision = revisions[pick % len(revisions)]
            entries = self.memories[who].at(revision).search("**", all_namespaces=True)
            found = {(one.namespace, one.key): encode(one.value) for one in entries}
            assert found == {key: encode(value) for key, value in self.past[revision].items()}

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            try:
                self.check_history()
            finally:
                for memory in self.memories:
                    memory.close()
                shutil.rmtree(self.folder, ignore_errors=True)

    def check_history(self) -> None:
        memory = self.open(lock=True)
        for (namespace, key), versions in self.model.versions.items():
            told = memory.history(key, namespace=namespace)
            assert [one.version for one in told] == list(range(len(versions), 0, -1))
            assert [_text(one.value) for one in reversed(told)] == [_text(value) for value in versions]
        memory.close()
        assert run_git(self.git_dir, "fsck", "--strict", "--no-dangling") == ""
        assert not list((memory.path / "local").glob("publish-*")) + list((memory.path / "local").glob("free-*"))
        if self.shapely:
            self.check_shape(memory)

    def check_shape(self, memory: Memory) -> None:
        """The same keys give the same tree, whatever was done on the way."""
        with Memory.open(self.folder / "fresh", durability="fast", clock=self.clock) as fresh:
            with fresh.transaction() as tx:
                for (namespace, key), value in self.model.values.items():
                    tx.store(key, value, namespace=namespace)
            ours, theirs = paths_of(self.git_dir), paths_of(fresh.path / ".git")
            kept = {path for path in ours if not path.startswith("~gitmem") and path.endswith(".json")}
            assert {path: ours[path] for path in kept} == {p: theirs[p] for p in theirs if p.endswith(".json")}


def _flat(path: str) -> str:
    """The path without its buckets."""
    return "/".join(part for part in path.split("/") if not (len(part) == 2 and part[0] == "~"))


def _text(value: Any) -> bytes:
    return b"absent" if value is ABSENT else encode(value)


QUICK = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)


def test_a_memory_is_what_its_model_says() -> None:
    """Whatever happens to it, in whatever order."""
    run_state_machine_as_test(Machine, settings=QUICK)


@pytest.mark.soak
def test_a_memory_is_what_its_model_says_for_long() -> None:
    """The same, for minutes: `pytest -m soak tests/model`."""
    run_state_machine_as_test(Machine, settings=settings(QUICK, max_examples=600, stateful_step_count=60))
