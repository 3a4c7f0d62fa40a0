"""What every memory must do, wherever it lies and however it is reached: the promises of the verbs, one by one.

A kind of memory runs it by a class of its own with a fixture `world` (see `test_memory.py`). A world gives the same
memory again and again, perhaps through a new opening each time; so a test asks it anew before every step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from gitmem import (
    ABSENT,
    ConflictError,
    Entry,
    GitmemError,
    InvalidKeyError,
    InvalidPatternError,
    InvalidValueError,
    KeyExistsError,
    Memory,
    MergeConflictError,
    MissingKeyError,
    StaleError,
    UnknownRevisionError,
    WriteIdError,
)
from tests.foreign import commit_files

VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 10**300, 1.0, -0.0, 1e-7, 1.5e300, "", "text", "é ☃ 𝄞", "\u0000\u001f\u2028", [], {},
    [[], {}, None], {"": {"": []}}, {"b": 1, "a": [1, 1.0, True, {"z": "\n"}]},
]  # fmt: skip
TOKENS: list[Callable[[Entry], Any]] = [
    lambda entry: entry,
    lambda entry: entry.revision,
    lambda entry: entry.revision[:12],
    lambda entry: entry.version,
    lambda entry: entry.snapshot,
]
BASES: list[Callable[[Entry], Any]] = [*TOKENS, lambda entry: replace(entry, value="forgotten")]
BAD_KEYS = ["", "/", "a//b", "/a", "a/", "a\nb", "\x7f", "\ud800", "e\u0301", "x" * 1025, 5, None]


class World:
    """One memory, asked for anew at each step; `open` gives others beside it on the same place."""

    def __init__(self, open_memory: Callable[..., Memory], clock: Any, *, renew: bool = False) -> None:
        self._open_memory = open_memory
        self._renew = renew
        self.clock = clock
        self._opened: list[Memory] = []
        self._kept = self.open()

    def open(self, **options: Any) -> Memory:
        """Another opening of the same memory."""
        self._opened.append(self._open_memory(**{"agent": "tester", "clock": self.clock} | options))
        return self._opened[-1]

    @property
    def memory(self) -> Memory:
        if self._renew:
            self._kept = self.open()
        return self._kept

    def close(self) -> None:
        for memory in self._opened:
            memory.close()


def raises(kind: type[GitmemError]) -> Any:
    """The error is of this kind, and names a culprit and a next step."""
    return pytest.raises(kind, check=lambda error: bool(error.message and error.hint))


class MemoryContract:
    """The promises. Every test stands for itself on a new memory."""

    # --- values ---

    def test_a_value_comes_back_exactly(self, world: World) -> None:
        """1, 1.0 and true are three values, and so are 0.0 and -0.0."""
        with world.memory.transaction() as tx:
            for number, value in enumerate(VALUES):
                tx.store(f"a/{number}", value)
        found = [world.memory.retrieve(f"a/{number}") for number in range(len(VALUES))]
        assert list(map(repr, found)) == [repr(_sorted(value)) for value in VALUES]

    def test_values_that_equal_only_in_python_are_new_versions(self, world: World) -> None:
        """JSON's types count: a store of 1.0 over 1 is a change."""
        values = [1, 1.0, True, 0, 0.0, -0.0, False]
        for value in values:
            world.memory.store("k", value)
        assert [repr(one.value) for one in world.memory.history("k")] == [repr(value) for value in reversed(values)]

    def test_what_was_read_is_a_copy(self, world: World) -> None:
        """Changing a value that was read, or passed, changes nothing else."""
        given = {"list": [1]}
        entry = world.memory.store("k", given)
        given["list"].append(2)
        entry.value["list"].append(3)
        world.memory.retrieve("k")["list"].append(4)
        world.memory.history("k")[0].value["list"].append(5)
        assert world.memory.retrieve("k") == {"list": [1]}

    def test_an_entry_says_where_it_was_read(self, world: World) -> None:
        """Everything that a later reader asks: who, when, in which session, which version, where."""
        memory = world.memory.bind(agent="coder", session="s-1", namespace="team")
        world.clock.advance(7)
        entry = memory.store("a/k", {"x": 1}, ttl=60)
        assert entry == world.memory.entry("a/k", namespace="team")
        assert entry == Entry(
            value={"x": 1}, namespace="team", key="a/k", version=1, revision=world.memory.snapshot,
            snapshot=world.memory.snapshot, agent="coder", session="s-1", time=world.clock.now,
            expires=world.clock.now + timedelta(seconds=60),
        )  # fmt: skip

    def test_a_store_that_changes_nothing_is_no_commit(self, world: World) -> None:
        """It returns the entry as it stands, its author included."""
        first = world.memory.store("k", {"a": 1, "b": [2]})
        again = world.memory.bind(agent="other").store("k", {"b": [2], "a": 1})
        assert again == first

    def test_a_missing_key_is_an_error_or_the_default(self, world: World) -> None:
        """None is a value, so it cannot stand for nothing."""
        world.memory.store("nothing", None)
        assert world.memory.retrieve("nothing", "default") is None
        assert world.memory.retrieve("missing", "default") == "default"
        assert world.memory.entry("missing", None) is None
        for verb in (world.memory.retrieve, world.memory.entry, world.memory.history, world.memory.blame):
            with raises(MissingKeyError) as caught:
                verb("missing")
            assert (caught.value.namespace, caught.value.key) == ("default", "missing")
            assert isinstance(caught.value, KeyError)

    # --- many keys ---

    def test_keys_are_listed_by_prefix_in_code_point_order(self, world: World) -> None:
        """A prefix is plain text, not a glob and not a folder."""
        swarm = ["swarm/re", "swarm/research", "swarm", "swarm/re/a", "swarm/re-1"]
        keys = [*swarm, "Z", "a", "é", "𝄞", "a.json", "a.json/b"]
        with world.memory.transaction() as tx:
            for key in keys:
                tx.store(key, key)
        assert world.memory.list() == sorted(keys)
        assert world.memory.list("swarm/re") == ["swarm/re", "swarm/re-1", "swarm/re/a", "swarm/research"]
        assert world.memory.list("swarm/re*") == []
        assert [world.memory.retrieve(key) for key in keys] == keys

    def test_namespaces_keep_keys_apart(self, world: World) -> None:
        """The same key in two of them is two keys; a namespace is there while it holds a key."""
        world.memory.store("k", 1)
        world.memory.store("k", 2, namespace="b")
        assert world.memory.namespaces() == ["b", "default"]
        world.memory.delete("k")
        assert world.memory.namespaces() == ["b"]
        assert world.memory.retrieve("k", namespace="b") == 2

    def test_search_finds_by_glob_and_by_condition(self, world: World) -> None:
        """Entries in the order of keys; a type error in the condition is no match."""
        for key, rate in {"a/x": 95, "a/y": "high", "a/b/x": 99, "x": 3}.items():
            world.memory.store(key, {"rate": rate})

        def found(pattern: str, **options: Any) -> list[str]:
            return [entry.key for entry in world.memory.search(pattern, **options)]

        assert found("*") == ["x"]
        assert found("a/*") == ["a/x", "a/y"]
        assert found("%x") == ["a/b/x", "a/x", "x"]
        assert found("**/x") == ["a/b/x", "a/x", "x"]
        assert found("**", where="rate > `90`") == ["a/b/x", "a/x"]
        assert found("**", limit=2, offset=1) == ["a/x", "a/y"]
        assert found("**", where="rate > `1`", limit=1, offset=1) == ["a/x"]
        assert world.memory.search_keys("a/**") == ["a/b/x", "a/x", "a/y"]
        assert world.memory.search("a/x") == [world.memory.entry("a/x")]

    def test_search_over_all_namespaces_names_each(self, world: World) -> None:
        """The order is that of namespaces first."""
        for namespace in ("b", "a"):
            for key in ("y", "x"):
                world.memory.store(key, 1, namespace=namespace)
        found = world.memory.search("*", all_namespaces=True, limit=3)
        assert [(one.namespace, one.key) for one in found] == [("a", "x"), ("a", "y"), ("b", "x")]

    def test_a_wide_directory_answers_like_a_narrow_one(self, world: World) -> None:
        """Its shape on the disk is nobody's business: every key is found, deleted and listed."""
        keys = [f"wide/{number}" for number in range(300)]
        with world.memory.transaction() as tx:
            for key in keys:
                tx.store(key, key)
        assert world.memory.list("wide/") == sorted(keys)
        world.memory.delete(*keys[:250])
        assert world.memory.list() == sorted(keys[250:])
        assert [world.memory.retrieve(key) for key in keys[250:]] == keys[250:]

    # --- conditions ---

    def test_create_needs_an_absent_key(self, world: World) -> None:
        """The error shows what is there."""
        entry = world.memory.create("k", 1)
        with raises(KeyExistsError) as caught:
            world.memory.create("k", 2)
        assert caught.value.current == entry
        world.memory.delete("k")
        assert world.memory.create("k", 3).version == 3

    def test_expect_holds_while_the_key_is_unchanged(self, world: World) -> None:
        """Other keys' commits do not count. A token may be an entry, a revision, its beginning, or a number."""
        entry = world.memory.store("k", 0)
        for number, token_of in enumerate(TOKENS, start=1):
            world.memory.store("other", number)
            entry = world.memory.store("k", number, expect=token_of(entry))
        assert (entry.version, entry.value) == (6, 5)

    @pytest.mark.parametrize("token_of", [TOKENS[0], TOKENS[3]], ids=["entry", "number"])
    def test_a_stale_expect_writes_nothing(self, world: World, token_of: Callable[[Entry], Any]) -> None:
        """And says what was expected and what is there; every conditional verb keeps to it."""
        world.memory.store("k", {"n": 1})
        entry = world.memory.entry("k")
        current = world.memory.store("k", {"n": 2})
        head = world.memory.snapshot
        token = token_of(entry)
        for one in TOKENS:
            with raises(StaleError):
                world.memory.store("k", 3, expect=one(entry))
        for verb in (
            lambda: world.memory.store("k", 3, expect=token),
            lambda: world.memory.update("k", lambda value: 3, expect=token),
            lambda: world.memory.patch("k", {"n": 3}, expect=token),
            lambda: world.memory.append("k", 3, expect=token),
            lambda: world.memory.delete("k", expect=token),
            lambda: world.memory.restore("k", version=1, expect=token),
            lambda: world.memory.store("other", 3, guard=entry),
            lambda: world.memory.create("other", 3, guard=[entry]),
            lambda: world.memory.delete_matching("**", guard=entry),
        ):
            with raises(StaleError) as caught:
                verb()
            assert caught.value.current == current
        assert world.memory.snapshot == head

    def test_equal_content_does_not_excuse_a_stale_token(self, world: World) -> None:
        """There and back again is two versions: no ABA."""
        entry = world.memory.store("k", 1)
        world.memory.store("k", 2)
        world.memory.store("k", 1)
        with raises(StaleError):
            world.memory.store("k", 1, expect=entry)

    def test_absent_is_a_token(self, world: World) -> None:
        """For a key that never was, and for one that was deleted; a deletion's own token does as well."""
        world.memory.store("k", 1, expect=ABSENT)
        with raises(StaleError):
            world.memory.store("k", 2, expect=ABSENT)
        (deletion,) = world.memory.delete("k")
        assert (deletion.operation, deletion.version, deletion.value) == ("deleted", 2, ABSENT)
        with raises(StaleError) as caught:
            world.memory.store("k", 2, expect=1)
        assert caught.value.current is ABSENT
        assert world.memory.store("k", 2, expect=deletion).version == 3
        world.memory.delete("k")
        assert world.memory.store("k", 3, expect=ABSENT).version == 5

    def test_a_token_that_names_nothing_is_an_error(self, world: World) -> None:
        """A typing error must not pass for a condition that holds."""
        world.memory.store("k", 1)
        for token in ("0" * 40, "no-such-thing", "", None, True, 1.0):
            with raises(UnknownRevisionError):
                world.memory.store("k", 2, expect=token)
        assert world.memory.retrieve("k") == 1

    def test_a_guard_holds_for_keys_that_are_not_written(self, world: World) -> None:
        """A fence: whoever lost the claim writes nothing more."""
        claim = world.memory.create("claim", "me")
        other = world.memory.create("other", 1)
        world.memory.store("work", 1, guard=[claim, other])
        world.memory.store("other", 2)
        with raises(StaleError) as caught:
            world.memory.store("work", 2, guard=[claim, other])
        assert caught.value.key == "other"
        assert world.memory.retrieve("work") == 1

    def test_a_guard_may_be_a_key_and_its_token(self, world: World) -> None:
        """Whoever was handed a token on paper has no entry; alone or among others, here or in another namespace."""
        claim = world.memory.create("claim", "me")
        far = world.memory.create("claim", "me", namespace="far")
        held = ("claim", claim.revision)
        for guard in (held, [held], ("far", "claim", far.revision), [held, ("far", "claim", far.revision), claim]):
            world.memory.store("work", 1, guard=guard)
        world.memory.store("elsewhere", 1, guard=("claim", far.revision), namespace="far")
        world.memory.delete("claim", namespace="far")
        for guard in (("far", "claim", far.revision), [held, ("far", "claim", 1)], ("claim", ABSENT)):
            with raises(StaleError):
                world.memory.store("work", 2, guard=guard)
        with raises(StaleError):
            world.memory.delete_matching("**", guard=("claim", far.revision), namespace="far")
        assert world.memory.retrieve("work") == 1

    def test_a_token_of_another_key_guards_nothing(self, world: World) -> None:
        """It would stand for the absence of a key, which holds wherever the key is misspelt."""
        token = world.memory.create("claim", "me").revision
        for guard in (("clam", token), ("far", "claim", token), ("claim", world.memory.log()[-1].revision)):
            with raises(UnknownRevisionError):
                world.memory.store("work", 1, guard=guard)
        world.memory.store("work", 1, guard=("clam", ABSENT))
        for guard in ("claim", [("claim",)], [token], [("claim", 5, token)]):
            with pytest.raises(TypeError, match="guard="):
                world.memory.store("work", 2, guard=guard)
        with raises(InvalidKeyError):
            world.memory.store("work", 2, guard=("claim/", token))
        assert world.memory.retrieve("work") == 1

    # --- changes ---

    def test_update_sees_the_value_and_keeps_the_expiry(self, world: World) -> None:
        """A missing key needs a default, which the function gets."""
        world.memory.store("n", 1, ttl=60)
        entry = world.memory.update("n", lambda value: value + 1)
        assert (entry.value, entry.expires) == (2, world.clock.now + timedelta(seconds=60))
        with raises(MissingKeyError):
            world.memory.update("m", lambda value: value)
        assert world.memory.update("m", lambda value: [*value, 1], default=[]).value == [1]

    def test_an_error_of_the_function_is_passed_on(self, world: World) -> None:
        """And nothing is written, nor is anything left locked."""
        world.memory.store("n", 1)
        with pytest.raises(ZeroDivisionError):
            world.memory.update("n", lambda value: value // 0)
        assert world.memory.update("n", lambda value: value + 1).version == 2

    def test_patch_takes_both_standards(self, world: World) -> None:
        """An object is a merge patch, a list a JSON patch; a failed test writes nothing."""
        world.memory.store("k", {"a": 1, "b": {"c": 2}}, ttl=60)
        assert world.memory.patch("k", {"a": None, "b": {"d": 3}}).value == {"b": {"c": 2, "d": 3}}
        entry = world.memory.patch("k", [{"op": "replace", "path": "/b/c", "value": 9}])
        assert (entry.value, entry.version) == ({"b": {"c": 9, "d": 3}}, 3)
        assert entry.expires == world.clock.now + timedelta(seconds=60)
        with raises(ConflictError):
            world.memory.patch("k", [{"op": "remove", "path": "/b/d"}, {"op": "test", "path": "/b/c", "value": 1}])
        assert world.memory.entry("k") == entry
        with raises(MissingKeyError):
            world.memory.patch("missing", {"a": 1})
        assert world.memory.patch("missing", {"a": 1}, default={"b": 2}).value == {"a": 1, "b": 2}

    def test_append_adds_one_element(self, world: World) -> None:
        """A missing key becomes a list; a place that is no list is an error."""
        assert world.memory.append("log", "a").value == ["a"]
        assert world.memory.append("log", ["b"]).value == ["a", ["b"]]
        world.memory.store("deep", {"list": []}, ttl=60)
        entry = world.memory.append("deep", 1, at="/list")
        assert (entry.value, entry.expires is None) == ({"list": [1]}, False)
        for pointer in ("/missing", "", "/list/0"):
            with raises(InvalidValueError):
                world.memory.append("deep", 2, at=pointer)
        with raises(MissingKeyError):
            world.memory.append("missing", 1, at="/list")

    def test_several_keys_are_deleted_together_or_not_at_all(self, world: World) -> None:
        """One commit; the first missing key is named."""
        world.memory.store("a", 1)
        world.memory.store("b", 2)
        with raises(MissingKeyError) as caught:
            world.memory.delete("a", "missing", "b")
        assert caught.value.key == "missing"
        assert world.memory.list() == ["a", "b"]
        gone = world.memory.delete("a", "b")
        assert [(one.key, one.operation, one.version) for one in gone] == [("a", "deleted", 2), ("b", "deleted", 2)]
        assert len({one.revision for one in gone}) == 1
        assert world.memory.list() == []

    def test_delete_matching_is_one_commit_and_may_find_nothing(self, world: World) -> None:
        """No hit is nothing to do, and no commit."""
        for key in ("s/a", "s/b", "t"):
            world.memory.store(key, 1)
        head = world.memory.snapshot
        assert [one.key for one in world.memory.delete_matching("s/**")] == ["s/a", "s/b"]
        assert world.memory.list() == ["t"]
        assert len(world.memory.log(since=head)) == 1
        head = world.memory.snapshot
        assert world.memory.delete_matching("s/**") == []
        assert world.memory.snapshot == head

    # --- time ---

    def test_an_expired_key_is_absent_to_every_verb(self, world: World) -> None:
        """The reader's clock is the judge, to the instant."""
        world.memory.store("k", [1], ttl=10)
        world.memory.store("stays", 1)
        world.clock.advance(9)
        assert world.memory.retrieve("k") == [1]
        world.clock.advance(1)
        assert world.memory.retrieve("k", None) is None
        assert world.memory.list() == ["stays"]
        assert [one.key for one in world.memory.search("**")] == ["stays"]
        for verb in (
            lambda: world.memory.update("k", lambda value: value),
            lambda: world.memory.patch("k", {}),
            lambda: world.memory.delete("k"),
        ):
            with raises(MissingKeyError):
                verb()
        assert world.memory.delete_matching("k") == []
        assert world.memory.append("k", 2).value == [2]

    def test_create_succeeds_on_an_expired_key_with_a_new_token(self, world: World) -> None:
        """The deletion is committed first, so the new holder never has the old token, and the old one is told."""
        old = world.memory.create("claim", "mine", ttl=5)
        world.clock.advance(5)
        new = world.memory.create("claim", "mine", ttl=5)
        assert [one.operation for one in world.memory.history("claim")] == ["created", "deleted", "created"]
        assert (new.version, new.revision != old.revision) == (3, True)
        with raises(StaleError):
            world.memory.store("work", 1, guard=old)

    def test_renewing_is_no_version(self, world: World) -> None:
        """The same value with a later expiry: the token, a claim's fence, survives."""
        claim = world.memory.store("claim", "me", ttl=5)
        world.clock.advance(3)
        renewed = world.memory.store("claim", "me", ttl=5, expect=claim)
        assert (renewed.revision, renewed.version) == (claim.revision, 1)
        assert renewed.expires == claim.expires + timedelta(seconds=3)
        assert renewed.snapshot != claim.snapshot
        world.clock.advance(4)
        world.memory.store("work", 1, guard=claim)
        world.clock.advance(1)
        for guard in (renewed, ("claim", claim.revision)):
            with raises(StaleError):
                world.memory.store("work", 2, guard=guard)
        assert len(world.memory.history("claim")) == 1

    def test_store_without_ttl_never_expires(self, world: World) -> None:
        """Even if the key did before: the expiry belongs to what was stored."""
        world.memory.store("k", 1, ttl=5)
        assert world.memory.store("k", 1).expires is None
        world.clock.advance(1000)
        assert world.memory.retrieve("k") == 1

    def test_a_fraction_of_a_second_rounds_up(self, world: World) -> None:
        """Nothing expires earlier than it was told, nor as soon as it is stored."""
        for ttl, seconds in ((0.000001, 1), (0.25, 1), (1, 1), (1.5, 2), (1e-300, 1)):
            entry = world.memory.store("k", 1, ttl=ttl)
            assert entry.expires == world.clock.now + timedelta(seconds=seconds)
        world.clock.advance(0.75)
        assert world.memory.store("k", 1, ttl=1).expires == world.clock.now + timedelta(seconds=1.25)

    def test_a_ttl_counts_from_the_write(self, world: World) -> None:
        """However long the block, or the wait for others: and the writer gets the entry that was written."""
        with world.memory.transaction() as tx:
            tx.store("k", 1, ttl=5)
            tx.create("l", 1, ttl=5)
            world.clock.advance(10)
        for key in ("k", "l"):
            assert world.memory.entry(key).expires == world.clock.now + timedelta(seconds=5)

        def hurried() -> datetime:
            world.clock.advance(2)
            return world.clock.now

        assert world.open(clock=hurried).store("k", 2, ttl=1).value == 2

    def test_a_ttl_is_a_positive_number_of_seconds(self, world: World) -> None:
        """Anything else is refused before anything is written."""
        head = world.memory.snapshot
        for ttl in (0, -1, float("nan"), float("inf"), 1e300, "60", True):
            for verb in (world.memory.store, world.memory.create):
                with raises(InvalidValueError):
                    verb("k", 1, ttl=ttl)
        assert world.memory.snapshot == head

    # --- the past ---

    def test_history_is_every_version_newest_first(self, world: World) -> None:
        """Deletions are versions, and the count goes on when a key comes back."""
        world.memory.store("k", 1)
        world.memory.store("other", 1)
        world.memory.bind(agent="b", session="s").store("k", 2)
        world.memory.delete("k")
        world.memory.store("k", 3)
        found = [(one.version, one.value, one.operation, one.agent) for one in world.memory.history("k")]
        assert found == [
            (4, 3, "created", "tester"),
            (3, ABSENT, "deleted", "tester"),
            (2, 2, "modified", "b"),
            (1, 1, "created", "tester"),
        ]
        assert world.memory.history("k", limit=2) == world.memory.history("k")[:2]
        assert world.memory.version("k", 2).value == 2
        assert world.memory.version("k", world.memory.history("k")[2].revision).value == 2
        with raises(UnknownRevisionError):
            world.memory.version("k", 5)

    def test_the_past_has_the_same_verbs(self, world: World) -> None:
        """A revision may be an id, its beginning, a session or a time."""
        world.clock.advance(10)
        then = world.memory.bind(session="first").store("k", 1, ttl=100)
        world.clock.advance(10)
        world.memory.store("k", 2)
        world.memory.store("new", 1)
        for name in (then.snapshot, then.snapshot[:10], "first", (world.clock.now - timedelta(seconds=5)).isoformat()):
            past = world.memory.at(name)
            assert past.entry("k") == then
            assert past.list() == ["k"]
            assert [one.value for one in past.search("**")] == [1]
            assert len(past.history("k")) == 1
        with raises(UnknownRevisionError):
            world.memory.at("never")

    def test_the_past_is_judged_by_its_own_clock(self, world: World) -> None:
        """What has expired by now was alive then."""
        world.memory.store("k", 1, ttl=5)
        head = world.memory.snapshot
        world.clock.advance(100)
        assert world.memory.list() == []
        assert world.memory.at(head).retrieve("k") == 1

    def test_restore_makes_a_new_version_of_an_old_one(self, world: World) -> None:
        """Of one key by its version, or of many as they were; absent then is deleted now."""
        world.memory.store("s/a", 1)
        world.memory.store("s/b", 1)
        then = world.memory.snapshot
        world.memory.store("s/a", 2)
        world.memory.delete("s/b")
        world.memory.store("s/c", 1)
        world.memory.store("t", 1)
        (restored,) = world.memory.restore("s/a", version=1)
        assert (restored.value, restored.version) == (1, 3)
        changed = world.memory.restore("s/**", at=then)
        assert [(one.key, one.operation) for one in changed] == [("s/b", "created"), ("s/c", "deleted")]
        assert {key: world.memory.retrieve(key) for key in world.memory.list()} == {"s/a": 1, "s/b": 1, "t": 1}
        assert world.memory.restore("s/**", at=then) == []
        with raises(UnknownRevisionError):
            world.memory.restore("s/a", version=99)

    def test_log_tells_who_changed_what(self, world: World) -> None:
        """Newest first, by session, agent, glob and namespace; `since` is exclusive."""
        world.memory.bind(agent="a", session="one").store("x", 1, message="begin")
        middle = world.memory.bind(agent="b", session="one").store("y/z", 2).snapshot
        world.memory.bind(agent="a", session="two").store("x", 3, namespace="other")

        def keys(**options: Any) -> list[list[str]]:
            return [[change.key for change in one.changes] for one in world.memory.log(**options)]

        assert keys()[:3] == [["x"], ["y/z"], ["x"]]
        assert keys(session="one") == [["y/z"], ["x"]]
        assert keys(agent="a") == [["x"], ["x"]]
        assert keys(glob="y/*") == [["y/z"]]
        assert keys(namespace="other") == [["x"]]
        assert keys(since=middle) == [["x"]]
        assert world.memory.log(session="one")[-1].message == "begin"
        (change,) = world.memory.log(limit=1)[0].changes
        assert (change.namespace, change.operation, change.before, change.after) == ("other", "created", ABSENT, 3)

    def test_diff_compares_two_states_key_by_key_and_member_by_member(self, world: World) -> None:
        """What changed and changed back is no difference."""
        world.memory.store("k", {"a": 1, "b": [1, 2]})
        world.memory.store("same", 1)
        before = world.memory.snapshot
        world.memory.store("same", 2)
        world.memory.store("same", 1)
        world.memory.store("k", {"a": 1, "b": [1, 3], "c": None})
        world.memory.store("new", 1)
        changes = world.memory.diff(before)
        assert [(one.key, one.operation) for one in changes] == [("k", "modified"), ("new", "created")]
        members = [(one.pointer, one.before, one.after) for one in changes[0].members]
        assert members == [("/b/1", 2, 3), ("/c", ABSENT, None)]
        assert [one.operation for one in world.memory.diff(world.memory.snapshot, before)] == ["modified", "deleted"]
        assert world.memory.diff(before, glob="n*") == changes[1:]

    def test_blame_names_the_version_of_each_member(self, world: World) -> None:
        """As git blames lines."""
        world.memory.store("k", {"a": 1, "b": {"c": 1, "d": []}})
        world.memory.store("k", {"a": 2, "b": {"c": 1, "d": []}})
        world.memory.store("k", {"a": 2, "b": {"c": 3, "d": []}, "e": {}})
        versions = {at: one.version for at, one in world.memory.blame("k").items()}
        assert versions == {"/a": 2, "/b/c": 3, "/b/d": 1, "/e": 3}

    # --- write ids ---

    def test_a_retry_returns_the_first_result(self, world: World) -> None:
        """Whatever has happened since: the first write was acknowledged, or could have been."""
        first = world.memory.store("k", 1, write_id="w-1", expect=ABSENT)
        world.memory.store("k", 2)
        assert world.memory.store("k", 1, write_id="w-1", expect=ABSENT) == first
        assert world.memory.retrieve("k") == 2
        for verb, key, value in (("append", "list", 1), ("patch", "k", []), ("create", "c", 1)):
            made = getattr(world.memory, verb)(key, value, write_id=f"w-{verb}")
            assert getattr(world.memory, verb)(key, value, write_id=f"w-{verb}") == made
        assert world.memory.retrieve("list") == [1]

    def test_a_write_id_always_commits(self, world: World) -> None:
        """Even if nothing changes: the retry must find it."""
        world.memory.store("k", 1)
        head = world.memory.snapshot
        world.memory.store("k", 1, write_id="w")
        assert world.memory.snapshot != head
        assert world.memory.entry("k").version == 1

    def test_a_write_id_for_something_else_is_refused(self, world: World) -> None:
        """Another key, value, verb or namespace; nothing is written."""
        world.memory.store("k", 1, write_id="w")
        head = world.memory.snapshot
        for verb in (
            lambda: world.memory.store("k", 2, write_id="w"),
            lambda: world.memory.store("k", 1.0, write_id="w"),
            lambda: world.memory.store("k2", 1, write_id="w"),
            lambda: world.memory.store("k", 1, write_id="w", namespace="other"),
            lambda: world.memory.store("k", 1, write_id="w", ttl=5),
            lambda: world.memory.create("k", 1, write_id="w"),
            lambda: world.memory.append("k", 1, write_id="w"),
        ):
            with raises(WriteIdError):
                verb()
        assert world.memory.snapshot == head

    # --- transactions ---

    def test_a_transaction_is_one_commit(self, world: World) -> None:
        """With its message as the subject; reads inside see what is staged, others do not."""
        world.memory.store("old", 1)
        with world.memory.transaction("close phase 1") as tx:
            tx.store("a", 1)
            tx.update("a", lambda value: value + 1)
            tx.append("list", "x")
            tx.patch("a", 3)
            tx.create("b", 1, namespace="other")
            tx.delete("old")
            assert (tx.retrieve("a"), tx.retrieve("old", None)) == (3, None)
            assert world.memory.list() == ["old"]
        assert world.memory.list() == ["a", "list"]
        record = world.memory.log(limit=1)[0]
        assert record.message == "close phase 1"
        assert [(one.namespace, one.key) for one in record.changes] == [
            ("default", "a"), ("default", "list"), ("default", "old"), ("other", "b"),
        ]  # fmt: skip

    def test_an_error_in_a_transaction_writes_nothing(self, world: World) -> None:
        """Whosever error it is."""
        head = world.memory.snapshot
        with pytest.raises(ZeroDivisionError), world.memory.transaction() as tx:
            tx.store("a", tx.store("b", 1) or 1 // 0)
        with raises(MissingKeyError), world.memory.transaction() as tx:
            tx.store("a", 1)
            tx.delete("missing")
        assert world.memory.snapshot == head

    def test_a_transaction_depends_on_what_it_expects(self, world: World) -> None:
        """Also on a key that it does not write, if that changes before the end."""
        entry = world.memory.store("gate", "approved")
        with world.memory.transaction() as tx:
            tx.expect("gate", entry)
            tx.store("a", 1)
        with raises(StaleError), world.memory.transaction() as tx:
            tx.expect("gate", entry)
            world.memory.store("gate", "rejected")
            tx.store("a", 2)
        assert world.memory.retrieve("a") == 1

    # --- merging with what others wrote ---

    def test_base_merges_with_what_was_written_since(self, world: World) -> None:
        """However the base is named; what it said is read from history."""
        world.memory.store("other", 1)
        for number, name_of in enumerate(BASES):
            key = f"k{number}"
            base = world.memory.store(key, {"a": 1, "b": 1, "l": [1]})
            world.memory.bind(agent="else").store(key, {"a": 2, "b": 1, "l": [1, 2]})
            world.memory.store("other", number)
            merged = world.memory.store(key, {"a": 1, "b": 2, "l": [0, 1], "c": {}}, base=name_of(base))
            assert merged.value == {"a": 2, "b": 2, "c": {}, "l": [0, 1, 2]}
            assert (merged.version, merged.agent) == (3, "tester")
            assert world.memory.entry(key) == merged

    def test_base_of_an_earlier_version_is_that_version(self, world: World) -> None:
        """A base named by an old version is not what stands there now, however late it was named."""
        first = world.memory.store("k", {"a": 1})
        world.memory.store("k", {"a": 1, "b": 1})
        old = world.memory.version("k", first.version)
        for name in (first, old, old.revision, old.version, world.memory.at(first.snapshot).entry("k")):
            with raises(MergeConflictError):
                world.memory.store("k", {"a": 1, "b": 3}, base=name)
        assert world.memory.store("k", {"a": 3}, base=old).value == {"a": 3, "b": 1}

    def test_base_that_is_still_there_is_a_plain_store(self, world: World) -> None:
        """Nothing to merge with: what was passed is stored, and the same again is no commit."""
        base = world.memory.store("k", {"a": 1, "b": 1})
        stored = world.memory.store("k", [1], base=base)
        assert (stored.value, stored.version) == ([1], 2)
        assert world.memory.store("k", [1], base=stored) == stored
        world.memory.store("k", [1, 2])
        assert world.memory.store("k", [1], base=stored).value == [1, 2]
        assert world.memory.entry("k").version == 3

    def test_base_absent_is_a_key_that_was_not_there(self, world: World) -> None:
        """Both added it: members and elements of both are kept."""
        assert world.memory.store("k", {"a": 1}, base=ABSENT).version == 1
        assert world.memory.store("k", {"b": 1}, base=ABSENT).value == {"a": 1, "b": 1}
        world.memory.store("l", ["x"])
        assert sorted(world.memory.store("l", ["y", "x"], base=ABSENT).value) == ["x", "y"]
        with raises(MergeConflictError) as caught:
            world.memory.store("k", 5, base=ABSENT)
        (one,) = caught.value.conflicts
        assert (one.pointer, one.base, one.ours, one.theirs) == ("", ABSENT, 5, {"a": 1, "b": 1})

    def test_a_conflict_writes_nothing_and_says_who_is_to_be_asked(self, world: World) -> None:
        """Who changed that very place, not who wrote last."""
        base = world.memory.store("k", {"a": 1, "b": 1, "l": [1, 2]})
        world.clock.advance(10)
        asked = world.memory.bind(agent="painter", session="s-9").store("k", {"a": 2, "b": 1, "l": [1, 2]})
        when = world.clock.now
        world.clock.advance(10)
        last = world.memory.bind(agent="last").store("k", {"a": 2, "b": 2, "l": [1, 2]})
        head = world.memory.snapshot
        with raises(MergeConflictError) as caught:
            world.memory.store("k", {"a": 3, "l": [1, 2, 3]}, base=base)
        found = [(one.pointer, one.base, one.ours, one.theirs, one.revision) for one in caught.value.conflicts]
        assert found == [("/a", 1, 3, 2, asked.revision), ("/b", 1, ABSENT, 2, last.revision)]
        first = caught.value.conflicts[0]
        assert (first.agent, first.session, first.time) == ("painter", "s-9", when)
        assert (caught.value.namespace, caught.value.key, caught.value.current) == ("default", "k", last)
        assert f"--base {last.revision[:12]}" in caught.value.hint
        assert world.memory.snapshot == head

    def test_a_conflict_with_the_first_version_names_it(self, world: World) -> None:
        """Where the base is absent there is no older version to compare the first one with."""
        first = world.memory.bind(agent="first").store("k", {"a": 1})
        world.memory.bind(agent="second").store("k", {"a": 1, "b": 1})
        with raises(MergeConflictError) as caught:
            world.memory.store("k", {"a": 2}, base=ABSENT)
        assert [one.revision for one in caught.value.conflicts] == [first.revision]

    def test_a_version_that_is_no_value_hides_no_conflict(self, world: World) -> None:
        """Another tool left it, and it was mended since: the place was changed by whoever mended it."""
        base = world.memory.store("k", {"a": 1})
        commit_files(world.memory.vault.repository.git_dir, {"default/k.json": b"{"})
        mended = world.memory.store("k", {"a": 2})
        with raises(MergeConflictError) as caught:
            world.memory.store("k", {"a": 3}, base=base)
        assert [one.revision for one in caught.value.conflicts] == [mended.revision]

    def test_an_entry_changed_in_place_is_still_its_own_base(self, world: World) -> None:
        """As people write it: read, change what was read, store it with what was read."""
        entry = world.memory.store("k", {"a": 1, "l": []})
        world.memory.store("k", {"a": 1, "l": ["theirs"]})
        entry.value["l"].append("ours")
        merged = world.memory.store("k", entry.value, base=entry)
        assert merged.value == {"a": 1, "l": ["ours", "theirs"]}

    def test_a_deletion_against_a_change_is_a_conflict(self, world: World) -> None:
        """Against no change it stands."""
        base = world.memory.store("k", {"a": 1})
        (gone,) = world.memory.bind(agent="cleaner").delete("k")
        with raises(MergeConflictError) as caught:
            world.memory.store("k", {"a": 2}, base=base)
        (one,) = caught.value.conflicts
        assert (one.pointer, one.theirs, one.revision, one.agent) == ("", ABSENT, gone.revision, "cleaner")
        assert caught.value.current is None
        head = world.memory.snapshot
        with raises(MissingKeyError):
            world.memory.store("k", {"a": 1}, base=base)
        assert world.memory.snapshot == head
        assert world.memory.store("k", {"a": 2}, base=gone).value == {"a": 2}

    def test_a_base_of_a_branch_that_alone_has_the_key_is_no_base_here(self, world: World) -> None:
        """Nobody in this branch wrote or deleted the key: there is no one to be in conflict with."""
        base = world.memory.branch("idea").store("k", {"a": 1})
        with raises(UnknownRevisionError):
            world.memory.store("k", {"a": 2}, base=base)
        assert world.memory.store("k", {"a": 2}).version == 1

    def test_a_key_that_expires_is_renewed_against_its_end(self, world: World) -> None:
        """Where the base had an expiry, the change wins: over a deletion, and over the expiry itself."""
        base = world.memory.store("k", {"by": "me"}, ttl=5)
        world.clock.advance(10)
        renewed = world.memory.store("k", {"by": "me"}, base=base, ttl=60)
        assert renewed.expires == world.clock.now + timedelta(seconds=60)
        world.memory.delete("k")
        assert world.memory.store("k", {"by": "me", "n": 1}, base=renewed, ttl=60).value == {"by": "me", "n": 1}

    def test_of_two_expiries_the_later_one_holds(self, world: World) -> None:
        """A change of one side holds; never is later than any."""
        start = world.clock.now

        def after(ours: float | None, theirs: float | None) -> float | None:
            base = world.memory.store("k", 0, ttl=100)
            world.memory.store("k", 0, ttl=theirs)
            expires = world.memory.store("k", 0, base=base, ttl=ours).expires
            return None if expires is None else (expires - start).total_seconds()

        assert after(100, 50) == 50
        assert after(50, 100) == 50
        assert after(50, 70) == after(70, 50) == 70
        assert after(200, 50) == 200
        assert after(None, 500) is after(500, None) is None

    def test_rules_settle_what_both_changed(self, world: World) -> None:
        """As gitmem.toml says, at their places alone."""
        for at, rule in (("/top", "largest"), ("/count", "total"), ("/last", "latest"), ("/tags", "union")):
            world.memory.settings.add_rule("doc/**", rule, at=at)
        value = {"top": 5, "count": 10, "last": "old", "tags": ["a", "b"], "plain": 0}
        base = world.memory.store("doc/k", value)
        world.clock.advance(1)
        world.memory.store("doc/k", value | {"top": 9, "count": 11, "last": "theirs", "tags": ["a", "c"]})
        world.clock.advance(1)
        ours = value | {"top": 7, "count": 12, "last": "ours", "tags": ["b", "a", "d"]}
        merged = world.memory.store("doc/k", ours, base=base).value
        assert merged | {"tags": sorted(merged["tags"])} == {
            "top": 9, "count": 13, "last": "ours", "tags": ["a", "c", "d"], "plain": 0,
        }  # fmt: skip
        again = world.memory.store("doc/k", merged | {"count": 14}, base=base).value
        assert again["count"] == 17
        base = world.memory.store("k", {"count": 1})
        world.memory.store("k", {"count": 2})
        with raises(MergeConflictError):
            world.memory.store("k", {"count": 3}, base=base)

    def test_a_merged_value_that_is_too_big_is_refused(self, world: World) -> None:
        """Though each side's is small enough."""
        place = world.memory.vault.repository.git_dir
        commit_files(place, {"gitmem.toml": b"format = 1\nmax_value_bytes = 60\n"})
        base = world.memory.store("k", [])
        world.memory.store("k", ["x" * 30])
        head = world.memory.snapshot
        with raises(InvalidValueError):
            world.memory.store("k", ["y" * 30], base=base)
        assert world.memory.snapshot == head

    def test_a_transaction_merges_with_what_was_written_while_it_ran(self, world: World) -> None:
        """And with what it staged itself; a conflict at the end writes nothing of it."""
        base = world.memory.store("k", {"a": 1})
        with world.memory.transaction() as tx:
            tx.store("k", {"a": 1, "ours": 1}, base=base)
            tx.store("k", {"a": 1, "more": 1}, base=base)
            tx.store("beside", 1)
            world.memory.store("k", {"a": 1, "theirs": 1})
        assert world.memory.retrieve("k") == {"a": 1, "more": 1, "ours": 1, "theirs": 1}
        with raises(MergeConflictError), world.memory.transaction() as tx:
            tx.store("beside", 2)
            tx.store("k", {"a": 2}, base=base)
            world.memory.store("k", {"a": 3})
        assert (world.memory.retrieve("k"), world.memory.retrieve("beside")) == ({"a": 3}, 1)

    def test_a_merging_store_that_is_retried_merges_once(self, world: World) -> None:
        """`total` would count twice; another base is another write."""
        world.memory.settings.add_rule("k", "total")
        base = world.memory.store("k", 1)
        world.memory.store("k", 5)
        first = world.memory.store("k", 2, base=base, write_id="w")
        assert first.value == 6
        assert world.memory.store("k", 2, base=base, write_id="w") == first
        assert world.memory.retrieve("k") == 6
        for other in (first, ABSENT, 1):
            with raises(WriteIdError):
                world.memory.store("k", 2, base=other, write_id="w")
        with raises(WriteIdError):
            world.memory.store("k", 2, write_id="w")

    def test_expect_comes_before_base(self, world: World) -> None:
        """The condition is on what stands there, the base on what was read."""
        base = world.memory.store("k", {"a": 1})
        now = world.memory.store("k", {"a": 1, "b": 1})
        with raises(StaleError):
            world.memory.store("k", {"a": 2}, base=base, expect=base)
        assert world.memory.store("k", {"a": 2}, base=base, expect=now).value == {"a": 2, "b": 1}

    def test_a_base_that_names_nothing_is_an_error(self, world: World) -> None:
        """Merging from a base that never was would lose what others wrote."""
        entry = world.memory.store("k", 1)
        for base in ("0" * 40, "no-such-thing", "", None, True, 1.0, 7, 0, -1):
            with raises(UnknownRevisionError):
                world.memory.store("k", 2, base=base)
        elsewhere = replace(entry, revision="0" * 40, snapshot="0" * 40)
        with raises(UnknownRevisionError):
            world.memory.store("k", 2, base=elsewhere)
        for key, namespace in (("other", None), ("k", "other")):
            with raises(InvalidValueError):
                world.memory.store(key, 2, base=entry, namespace=namespace)
        assert world.memory.list() == ["k"]
        assert world.memory.retrieve("k") == 1

    # --- names ---

    def test_bind_gives_the_same_memory_another_name(self, world: World) -> None:
        """What is left out stays as it was; a session can be taken off."""
        bound = world.memory.bind(agent="a", session="s", namespace="n")
        assert (bound.agent, bound.session, bound.namespace) == ("a", "s", "n")
        again = bound.bind(agent="b")
        assert (again.agent, again.session, again.namespace) == ("b", "s", "n")
        assert again.bind(session=None).session is None
        again.store("k", 1)
        assert world.memory.entry("k", namespace="n").session == "s"

    def test_a_bad_key_is_refused_before_anything_is_written(self, world: World) -> None:
        """By every verb that writes it."""
        head, memory = world.memory.snapshot, world.memory
        for key in BAD_KEYS:
            for verb, arguments in (
                (memory.store, (1,)), (memory.create, (1,)), (memory.update, (str,)), (memory.patch, (1,)),
                (memory.append, (1,)), (memory.delete, ()),
            ):  # fmt: skip
                with raises(InvalidKeyError):
                    verb(key, *arguments)
            with raises(InvalidKeyError), memory.transaction() as tx:
                tx.store(key, 1)
        assert world.memory.snapshot == head

    def test_a_reserved_or_bad_namespace_is_not_written(self, world: World) -> None:
        """`conflicts` and what begins with gitmem are gitmem's own."""
        head, memory = world.memory.snapshot, world.memory
        for namespace in ("", "a/b", "gitmem", "gitmemory", "conflicts", "a\tb", 5):
            for verb in (
                lambda space: memory.store("k", 1, namespace=space),
                lambda space: memory.delete("k", namespace=space),
                lambda space: memory.delete_matching("**", namespace=space),
                lambda space: memory.restore("**", at=head, namespace=space),
                lambda space: memory.bind(namespace=space).store("k", 1),
            ):
                with raises(InvalidKeyError):
                    verb(namespace)
        assert world.memory.snapshot == head

    def test_malformed_patterns_are_refused(self, world: World) -> None:
        """Never taken for something that matches nothing."""
        world.memory.store("k", [])
        for verb in (
            lambda: world.memory.search("a[b"),
            lambda: world.memory.search("**", where="a >"),
            lambda: world.memory.delete_matching("{a"),
            lambda: world.memory.append("k", 1, at="no-slash"),
        ):
            with raises(InvalidPatternError):
                verb()

    def test_another_opening_sees_every_write_at_once(self, world: World) -> None:
        """No head is cached: reading the ref is the truth."""
        other = world.open(agent="other")
        for number in range(5):
            world.memory.store("k", number)
            assert other.retrieve("k") == number
            assert other.update("back", lambda value: value + 1, default=-1).value == number
            assert world.memory.retrieve("back") == number


def _sorted(value: Any) -> Any:
    """Members come back in the order of code points."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(one) for one in value] if isinstance(value, list) else value
