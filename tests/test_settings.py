"""gitmem.toml edited by those who share a memory, and contracts held at every door."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gitmem import (
    ContractError,
    GitmemError,
    InvalidKeyError,
    InvalidPatternError,
    InvalidPolicyError,
    InvalidValueError,
    Memory,
    MergeConflictError,
)
from gitmem.exchange import arrivals, import_file
from gitmem.maintenance import doctor
from gitmem.merge import Rule
from gitmem.objects import Commit
from gitmem.policy import MAX_BYTES, Contract, MergeRule
from gitmem.provenance import Stamp
from gitmem.settings import Breach, Settings
from gitmem.steps import store as store_step
from gitmem.writing import Rewrite, WritePath
from tests.conftest import Clock, Git
from tests.together import together

NUMBER = {"type": "integer"}


@pytest.fixture
def opened(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., Memory]]:
    """Opens the same memory again and again."""
    memories: list[Memory] = []

    def another(**options: Any) -> Memory:
        memories.append(Memory.open(tmp_path, clock=clock, durability="fast", **{"agent": "tester", **options}))
        return memories[-1]

    yield another
    for memory in memories:
        memory.close()


@pytest.fixture
def memory(opened: Callable[..., Memory]) -> Memory:
    return opened()


@pytest.fixture
def push(git: Git, memory: Memory, tmp_path: Path) -> Callable[[dict[str, bytes]], None]:
    """Commits files with plain git, as a stranger would."""

    def commit(files: dict[str, bytes]) -> None:
        bare = memory.path / ".git"
        stream = b"commit refs/heads/main\ncommitter s <s@example.org> 1800000000 +0000\ndata 4\npush\n"
        stream += b"from refs/heads/main^0\n"
        for path, body in files.items():
            stream += b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(body), body)
        git(bare, "fast-import", "--quiet", given=stream)

    return commit


def toml(git: Git, memory: Memory) -> str:
    return git(memory.path / ".git", "show", "main:gitmem.toml")


# --- rules


def test_rules_are_added_in_order_and_removed_by_number(memory: Memory) -> None:
    """The first that fits a place settles it, so the order is theirs who add."""
    edited = memory.settings
    assert edited.rules == ()
    assert edited.add_rule("shared/**", "largest", at="/a") == MergeRule("shared/**", None, "/a", "largest")
    edited.add_rule("**", "union", namespace="team")
    edited.add_rule("shared/*", "latest", first=True)
    assert edited.rules == (
        MergeRule("shared/*", None, "", "latest"),
        MergeRule("shared/**", None, "/a", "largest"),
        MergeRule("**", "team", "", "union"),
    )
    assert edited.remove_rule(2) == MergeRule("shared/**", None, "/a", "largest")
    assert edited.remove_rule(2) == MergeRule("**", "team", "", "union")
    assert [rule.keys for rule in edited.rules] == ["shared/*"]


def test_what_is_added_is_what_merges_ask_for(memory: Memory, opened: Callable[..., Memory]) -> None:
    """Also in a memory that was open before."""
    other = opened()
    memory.settings.add_rule("shared/**", "total", at="/count")
    policy = other.vault.policy(other.vault.head("main").root)
    assert policy.rules_for("default", "shared/state") == (Rule("/count", "total"),)


def test_a_rule_is_there_once(memory: Memory, git: Git) -> None:
    """A script that sets a memory up may run twice; `first` moves what is there."""
    edited = memory.settings
    edited.add_rule("a", "largest")
    edited.add_rule("b", "largest")
    before = memory.snapshot
    edited.add_rule("b", "largest", at="")
    edited.add_rule("a", "largest", first=True)
    assert memory.snapshot == before
    edited.add_rule("b", "largest", first=True)
    edited.add_rule("b", "largest", at="/x")
    edited.add_rule("b", "largest", namespace="default")
    assert [(rule.keys, rule.namespace, rule.at) for rule in edited.rules] == [
        ("b", None, ""), ("a", None, ""), ("b", None, "/x"), ("b", "default", ""),
    ]  # fmt: skip


def test_an_edit_is_an_ordinary_commit(opened: Callable[..., Memory], git: Git) -> None:
    """Who changed the rules of a team is told like any other change: author, session, one parent, the file alone."""
    memory = opened(agent="planner", session="s-1", committer=("Ada", "ada@example.org"))
    memory.store("k", 1)
    before = memory.snapshot
    memory.settings.add_rule("shared/**", "largest", at="/test_coverage")
    bare = memory.path / ".git"
    told = git(bare, "log", "-1", "--format=%P|%an <%ae>|%cn <%ce>|%at|%B", "main").strip()
    assert told == (
        f"{before}|planner <planner@gitmem>|Ada <ada@example.org>|{int(memory.vault.clock().timestamp())}|"
        "rules add shared/** /test_coverage largest\n\nAgent: planner\nSession: s-1"
    )
    assert git(bare, "diff", "--name-only", "main~1", "main").split() == ["gitmem.toml"]
    assert toml(git, memory) == (
        'format = 1\n\n[[merge]]\nkeys = "shared/**"\nat = "/test_coverage"\nrule = "largest"\n'
    )
    assert memory.log(agent="planner", limit=1)[0].session == "s-1"
    assert memory.retrieve("k") == 1


def test_the_subjects_say_what_was_done(memory: Memory, git: Git) -> None:
    """`git log --oneline` is where a person looks first."""
    edited = memory.settings
    edited.add_rule("a/**", "latest")
    edited.remove_rule(1)
    edited.add_rule("a/**", "latest", at="/x", namespace="team")
    edited.remove_rule(1, message="no longer wanted")
    edited.add_contract("b", True)
    edited.add_contract("b", False, namespace="team")
    edited.remove_contract(2)
    edited.add_rule("line\nbreak", "latest")
    assert [one.message.split("\n")[0] for one in memory.log(limit=8)][::-1] == [
        "rules add a/** latest",
        "rules remove a/** latest",
        "rules add a/** /x latest in team",
        "no longer wanted",
        "contract add b",
        "contract add b in team",
        "contract remove b in team",
        "rules add",
    ]


def test_what_gitmem_has_not_heard_of_survives_an_edit(memory: Memory, push: Callable[..., None], git: Git) -> None:
    """A setting of tomorrow, a limit that somebody set by hand; what is removed to the last leaves no empty list."""
    push({"gitmem.toml": b'# ours\nformat = 1\nmax_value_bytes = 99\ncolour = "blue"\n[other]\nx = [1, { y = 2 }]\n'})
    edited = memory.settings
    before = edited.policy.document
    edited.add_rule("a", "largest")
    edited.add_contract("b", True)
    edited.remove_rule(1)
    edited.remove_contract(1)
    policy = edited.policy
    assert policy.document == before
    assert policy.max_value_bytes == 99


def test_comments_are_not_lost_for_nothing(memory: Memory, push: Callable[..., None], git: Git) -> None:
    """They go with the first edit; adding what is there already is none."""
    push({"gitmem.toml": b"format = 1\n# the coverage\n[[merge]]\nkeys = 'a'\nrule = 'largest'\nat = ''\n"})
    memory.settings.add_rule("a", "largest")
    assert "# the coverage" in toml(git, memory)


@pytest.mark.parametrize(
    ("arguments", "options", "kind"),
    [
        (("a[", "largest"), {}, InvalidPatternError),
        (("", "largest"), {}, InvalidPatternError),
        (("a", "biggest"), {}, InvalidValueError),
        (("a", "ours"), {}, InvalidValueError),
        (("a", "largest"), {"at": "x"}, InvalidPatternError),
        (("a", "largest"), {"namespace": "a/b"}, InvalidKeyError),
        (("a", "largest"), {"message": "two\nlines"}, InvalidValueError),
    ],
)
def test_a_malformed_rule_writes_nothing(memory: Memory, arguments: Any, options: Any, kind: type[GitmemError]) -> None:
    """One bad line in gitmem.toml shuts everybody out."""
    before = memory.snapshot
    with pytest.raises(kind) as caught:
        memory.settings.add_rule(*arguments, **options)
    assert caught.value.hint
    assert memory.snapshot == before


@pytest.mark.parametrize("number", [0, 3, -1, True, "1", None])
def test_an_unknown_number_is_an_error_with_the_next_step(memory: Memory, number: Any) -> None:
    """Nothing else goes instead."""
    edited = memory.settings
    with pytest.raises(InvalidValueError, match="there is none"):
        edited.remove_rule(1)
    edited.add_rule("a", "largest")
    edited.add_rule("b", "largest")
    for remove, command in ((edited.remove_rule, "rules"), (edited.remove_contract, "contract")):
        with pytest.raises(InvalidValueError) as caught:
            remove(number)
        assert f"gitmem {command} list" in caught.value.hint
    assert len(edited.rules) == 2


def test_a_file_that_nobody_could_read_is_not_written(memory: Memory) -> None:
    """A gitmem.toml has its limit, and a schema can be long."""
    before = memory.snapshot
    edited = memory.settings
    with pytest.raises(GitmemError):
        edited.add_contract("a", {"description": "x" * MAX_BYTES})
    edited.add_contract("a", {"description": "x" * (MAX_BYTES - 1000)})
    with pytest.raises(InvalidPolicyError, match="longer than"):
        edited.add_contract("b", {"description": "x" * 2000})
    assert [one.revision for one in memory.log(limit=2)][1] == before
    assert len(edited.contracts) == 1


# --- races


class Overtaken(WritePath):
    """A write path on which somebody else is always quicker, once."""

    def __init__(self, memory: Memory, others: Callable[[], object], *, late: bool) -> None:
        super().__init__(memory.vault, "main", Stamp("tester", None))
        self._others = [others]
        self._late = late  # after the decision, before the publishing

    def rewrite(self, plan: Callable[[Commit], Rewrite | None], stamp: Stamp | None = None) -> Commit | None:
        if not self._late:
            self._others.pop()()

        def overtaken(head: Commit) -> Rewrite | None:
            wish = plan(head)
            if self._others:
                self._others.pop()()
            return wish

        return super().rewrite(overtaken, stamp)


@pytest.mark.parametrize("late", [False, True])
def test_an_edit_is_decided_on_fresh_data(opened: Callable[..., Memory], late: bool) -> None:
    """Of two that add at the same moment, none takes back what the other did, nor what was stored."""
    memory, other = opened(lock=False), opened(lock=False)

    def meanwhile() -> None:
        other.settings.add_rule("theirs", "latest", first=True)
        other.store("k", 1)

    Settings(memory.vault, Overtaken(memory, meanwhile, late=late)).add_rule("ours", "latest")
    assert [rule.keys for rule in memory.settings.rules] == ["theirs", "ours"]
    assert memory.retrieve("k") == 1


@pytest.mark.parametrize("late", [False, True])
def test_what_is_removed_is_what_was_listed(opened: Callable[..., Memory], late: bool) -> None:
    """Another edit may have moved its number to a neighbour; and what is gone already is gone."""
    memory, other = opened(lock=False), opened(lock=False)
    for keys in ("a", "b", "c"):
        memory.settings.add_rule(keys, "latest")

    def removing(others: Callable[[], object]) -> Settings:
        return Settings(memory.vault, Overtaken(memory, others, late=late))

    gone = removing(lambda: other.settings.add_rule("new", "latest", first=True)).remove_rule(2)
    assert gone.keys == "b"
    assert [rule.keys for rule in memory.settings.rules] == ["new", "a", "c"]
    assert removing(lambda: other.settings.remove_rule(1)).remove_rule(1).keys == "new"
    assert [rule.keys for rule in memory.settings.rules] == ["a", "c"]


def test_many_edits_at_once_are_all_there(opened: Callable[..., Memory]) -> None:
    """The compare-and-swap, with real threads."""
    memories = [opened(lock=False) for _ in range(6)]

    def add(number: int) -> None:
        for step in range(4):
            memories[number].settings.add_rule(f"{number}/{step}", "latest")

    together(add, range(6))
    found = [rule.keys for rule in memories[0].settings.rules]
    assert sorted(found) == sorted(f"{number}/{step}" for number in range(6) for step in range(4))
    for number in range(6):
        assert [keys for keys in found if keys[0] == str(number)] == [f"{number}/{step}" for step in range(4)]


# --- contracts


def test_contracts_are_added_and_removed(memory: Memory, git: Git) -> None:
    """By a dict, a bool or JSON text; the members of a schema stay in the order that its author chose."""
    edited = memory.settings
    schema = {"type": "object", "required": ["b", "a"], "description": "l'été"}
    assert edited.add_contract("a/*", schema) == Contract("a/*", None, json.dumps(schema, ensure_ascii=False))
    edited.add_contract("b", ' {"type":\n"object"} ', namespace="team")
    edited.add_contract("b", '{"type": "object"}', namespace="team")
    edited.add_contract("c", False)
    assert [(one.keys, one.namespace, one.schema) for one in edited.contracts] == [
        ("a/*", None, '{"type": "object", "required": ["b", "a"], "description": "l\'été"}'),
        ("b", "team", '{"type": "object"}'),
        ("c", None, "false"),
    ]
    assert """[[contract]]\nkeys = "b"\nnamespace = "team"\nschema = '{"type": "object"}'\n""" in toml(git, memory)
    assert edited.remove_contract(2).keys == "b"
    assert [one.keys for one in edited.contracts] == ["a/*", "c"]


@pytest.mark.parametrize(
    ("keys", "schema", "options", "kind"),
    [
        ("a", {"type": "int"}, {}, InvalidValueError),
        ("a", {"$ref": "https://example.org/x"}, {}, InvalidValueError),
        ("a", "{", {}, InvalidValueError),
        ("a", [], {}, InvalidValueError),
        ("a", None, {}, InvalidValueError),
        ("a", {1: 2}, {}, InvalidValueError),
        ("a", {"enum": [object()]}, {}, InvalidValueError),
        ("a[", True, {}, InvalidPatternError),
        ("a", True, {"namespace": ""}, InvalidKeyError),
    ],
)
def test_a_malformed_contract_writes_nothing(
    memory: Memory, keys: str, schema: Any, options: Any, kind: type[GitmemError]
) -> None:
    """It would stop every store to the keys that it binds."""
    before = memory.snapshot
    with pytest.raises(kind) as caught:
        memory.settings.add_contract(keys, schema, **options)
    assert caught.value.hint
    assert memory.snapshot == before


def in_a_transaction(memory: Memory, value: Any) -> None:
    with memory.transaction() as tx:
        tx.store("other", 1)
        tx.store("k", value)


DOORS: dict[str, Callable[[Memory], object]] = {
    "store": lambda memory: memory.store("k", "text"),
    "store with base": lambda memory: memory.store("k", "text", base=memory.entry("k")),
    "store with a write id": lambda memory: memory.store("k", "text", write_id="w"),
    "create": lambda memory: memory.create("k2", "text"),
    "update": lambda memory: memory.update("k", str),
    "update from a default": lambda memory: memory.update("k2", str, default=1),
    "patch": lambda memory: memory.patch("k", [{"op": "replace", "path": "", "value": "text"}]),
    "append": lambda memory: memory.append("k2", "text"),
    "restore": lambda memory: memory.restore("k", version=1),
    "restore by glob": lambda memory: memory.restore("k*", at="main~2"),
    "transaction": lambda memory: in_a_transaction(memory, "text"),
}


@pytest.mark.parametrize("door", DOORS)
def test_no_door_lets_in_what_breaks_a_contract(memory: Memory, door: str) -> None:
    """From the next write on; nothing of what the verb would have done is done."""
    memory.store("k", "once it was text")
    memory.store("k", 1)
    memory.settings.add_contract("k*", NUMBER)
    before = memory.snapshot
    with pytest.raises(ContractError) as caught:
        DOORS[door](memory)
    assert caught.value.key in ("k", "k2")
    assert caught.value.problems
    assert "'k*'" in str(caught.value)
    assert memory.snapshot == before


def test_a_merge_of_two_that_keep_a_contract_into_one_that_breaks_it_is_a_conflict(memory: Memory) -> None:
    """Neither side is at fault alone, so the whole value is what a person has to settle."""
    memory.settings.add_contract("pair", {"maxProperties": 2})
    start = memory.store("pair", {"a": 1})
    memory.store("pair", {"a": 1, "b": 2})
    with pytest.raises(MergeConflictError) as refused:
        memory.store("pair", {"a": 1, "c": 3}, base=start)
    (found,) = refused.value.conflicts
    assert (found.pointer, found.theirs, found.ours) == ("", {"a": 1, "b": 2}, {"a": 1, "c": 3})
    assert memory.store("pair", {"c": 3}, base=start).value == {"b": 2, "c": 3}


def test_what_keeps_its_contract_is_let_in(memory: Memory) -> None:
    """And so is a deletion, another namespace, another key, a value that is wrong only inside the block."""
    memory.settings.add_contract("k", NUMBER, namespace="team")
    memory.store("k", "text")
    team = memory.bind(namespace="team")
    team.store("other", "text")
    team.store("k", 1)
    team.update("k", lambda value: value + 1)
    with team.transaction() as tx:
        tx.store("k", "text")
        tx.store("k", 3)
    assert team.retrieve("k") == 3
    team.delete("k")
    team.restore("k", version=1)


def test_a_contract_that_comes_during_a_transaction_counts(opened: Callable[..., Memory]) -> None:
    """It holds on the snapshot that is published on, not on the one that was read."""
    memory, other = opened(), opened()

    def overtaken() -> None:
        with memory.transaction() as tx:
            tx.store("k", "text")
            other.settings.add_contract("k", NUMBER)

    with pytest.raises(ContractError):
        overtaken()
    assert memory.list() == []


def test_a_write_id_that_was_there_before_the_contract_returns_its_result(memory: Memory) -> None:
    """The retry writes nothing, so there is nothing to judge."""
    entry = memory.store("k", "text", write_id="w")
    memory.settings.add_contract("k", NUMBER)
    assert memory.store("k", "text", write_id="w").revision == entry.revision


def test_what_stays_as_it_is_may_go_on_breaking_a_contract(memory: Memory) -> None:
    """Otherwise a lease could not be renewed, nor a neighbour changed in one transaction, until all is mended."""
    memory.store("k", "text")
    memory.settings.add_contract("**", NUMBER)
    memory.store("k", "text", ttl=60)
    with memory.transaction() as tx:
        tx.store("k", "text")
        tx.store("other", 1)
    assert memory.retrieve("k") == "text"


def test_a_key_that_had_expired_is_judged_like_a_new_one(memory: Memory, clock: Clock) -> None:
    """The commit that deletes it first is not written either."""
    memory.store("k", "text", ttl=1)
    memory.settings.add_contract("k", NUMBER)
    clock.advance(5)
    before = memory.snapshot
    with pytest.raises(ContractError):
        memory.create("k", "more text")
    assert memory.snapshot == before
    memory.create("k", 1)


def test_records_of_conflicts_are_not_bound(memory: Memory) -> None:
    """They are written by gitmem alone, and have to be written."""
    memory.settings.add_contract("**", False)
    path = memory.write_path()
    path.run([store_step(("conflicts", "0123456789abcdef"), b"{}\n", lambda _: None)], message=None)
    assert memory.retrieve("0123456789abcdef", namespace="conflicts") == {}
    assert memory.settings.broken() == []


def test_without_a_contract_for_it_a_value_is_not_judged(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library takes longer than a store."""
    import sys

    monkeypatch.setitem(sys.modules, "jsonschema", None)  # importing it fails
    memory.store("k", "text")
    memory.settings._edit("contract", lambda _: [{"keys": "a/**", "schema": "false"}], "contract add a/**", None)
    memory.store("k", "more text")


@pytest.fixture
def lines(tmp_path: Path) -> Callable[..., Path]:
    """An export of gitmem with these states of key k, one second apart."""

    def write(*values: Any) -> Path:
        path = tmp_path / "export.jsonl"
        shared = {"namespace": "default", "key": "k", "version": 1, "revision": "0" * 40, "snapshot": "0" * 40,
                  "agent": "a", "session": None, "expires": None, "operation": "modified"}  # fmt: skip
        rows = [
            {**shared, "value": value, "time": f"2026-01-01T00:00:{second:02}Z"} for second, value in enumerate(values)
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        return path

    return write


def test_an_import_refuses_what_breaks_a_contract(memory: Memory, lines: Callable[..., Path]) -> None:
    """Each such version with its reason, the others come in."""
    memory.settings.add_contract("k", NUMBER)
    report = import_file(memory, lines(1, "text", 2, {"a": [1]}))
    assert (report.stored, report.entries) == (2, 4)
    assert [reason for _, reason in report.refused] == [
        'it breaks a contract: "text" is not of type "integer"',
        'it breaks a contract: {"a": [1]} is not of type "integer"',
    ]
    assert [one.value for one in memory.history("k")] == [2, 1]


def test_an_import_does_not_judge_what_is_here_already(memory: Memory, lines: Callable[..., Path]) -> None:
    """Importing twice is importing once, whatever was agreed on in between."""
    source = lines("text", 1)
    assert import_file(memory, source).stored == 2
    memory.settings.add_contract("k", NUMBER)
    report = import_file(memory, source)
    assert (report.unchanged, report.refused) == (2, [])


def test_a_contract_that_comes_during_an_import_counts(
    memory: Memory, lines: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not published yet is not; the import that is repeated refuses it and takes in the rest."""
    source = lines(1, "text", 2)
    attempt = arrivals.Arrivals._attempt

    def overtaken(self: arrivals.Arrivals, *arguments: Any) -> Any:
        if not memory.settings.contracts:
            memory.bind().settings.add_contract("k", NUMBER)
        return attempt(self, *arguments)

    monkeypatch.setattr(arrivals.Arrivals, "_attempt", overtaken)
    monkeypatch.setattr(memory.vault.repository, "locks", False)
    with pytest.raises(ContractError, match="'k'"):
        import_file(memory, source)
    assert memory.list() == []
    assert len(import_file(memory, source).refused) == 1
    assert memory.retrieve("k") == 2


def test_a_hostile_schema_stops_the_keys_that_it_binds_and_no_others(
    memory: Memory, push: Callable[..., None]
) -> None:
    """It comes in by a plain push, which nobody checks; who stores is told, and can remove it."""
    push({"gitmem.toml": b"""format = 1\n[[contract]]\nkeys = 'k'\nschema = '{"$ref": "#"}'\n"""})
    memory.store("other", 1)
    with pytest.raises(ContractError, match="circle"):
        memory.store("k", 1)
    memory.settings.remove_contract(1)
    memory.store("k", 1)


# --- what breaks a contract


def test_what_breaks_a_contract_already_is_listed(memory: Memory, clock: Clock) -> None:
    """Of all namespaces, by key; what has expired is no longer there, what is in no contract is free."""
    for namespace in ("team", "default"):
        for key, value in {"a/2": "text", "a/1": {"x": []}, "a/3": 3, "b": "text", "a/4": "text"}.items():
            memory.store(key, value, namespace=namespace, ttl=1 if key == "a/4" else None)
    clock.advance(5)
    edited = memory.settings
    assert edited.broken() == []
    edited.add_contract("a/*", {"not": {"type": "string"}, "properties": {"x": NUMBER}})
    edited.add_contract("a/2", {"maxLength": 1}, namespace="team")
    assert edited.broken() == [
        Breach("default", "a/1", ['/x: [] is not of type "integer"']),
        Breach("default", "a/2", ['"text" should not be valid under {"type": "string"}']),
        Breach("team", "a/1", ['/x: [] is not of type "integer"']),
        Breach("team", "a/2", ['"text" should not be valid under {"type": "string"}', '"text" is too long']),
    ]


def test_what_cannot_be_read_keeps_no_contract(memory: Memory, push: Callable[..., None]) -> None:
    """It must neither stop the list nor be missing from it."""
    memory.store("a", 1)
    push({"default/bad.json": b"{"})
    memory.settings.add_contract("**", True)
    (breach,) = memory.settings.broken()
    assert breach.key == "bad"
    assert "cannot be read" in breach.problems[0]


# --- a broken gitmem.toml


def test_a_malformed_gitmem_toml_is_refused_with_its_line_and_mended(
    memory: Memory, push: Callable[..., None], opened: Callable[..., Memory]
) -> None:
    """A misspelt rule from a plain push: every verb says where, the doctor brings the last good one back."""
    memory.settings.add_rule("a", "largest")
    push({"gitmem.toml": b'format = 1\n\n[[merge]]\nkeys = "a"\nrul = "largest"\n'})
    for attempt in (
        lambda: memory.store("k", 1),
        lambda: memory.settings.rules,
        lambda: memory.settings.add_rule("b", "latest"),
    ):
        with pytest.raises(InvalidPolicyError) as caught:
            attempt()
        assert caught.value.line == 5
    (finding,) = [one for one in doctor(memory.path, repair=True).findings if one.code == "policy"]
    assert finding.repaired
    assert "line 5" in finding.message
    assert [rule.keys for rule in opened().settings.rules] == ["a"]


@pytest.mark.parametrize("body", [b"format = ", b"format = 1\n#" + b"x" * MAX_BYTES], ids=["no TOML", "too long"])
def test_what_the_hint_of_a_broken_gitmem_toml_says_helps(
    memory: Memory, push: Callable[..., None], opened: Callable[..., Memory], body: bytes
) -> None:
    """Whoever meets it is a reader like any other, and has no git at hand. A file too long to be read is one, too."""
    memory.store("k", 1)
    push({"gitmem.toml": body})
    with pytest.raises(InvalidPolicyError) as caught:
        memory.retrieve("k")
    assert "gitmem doctor --repair" in caught.value.hint
    (finding,) = [one for one in doctor(memory.path).findings if one.code == "policy"]
    assert (finding.message, finding.hint) == (caught.value.message, caught.value.hint)
    assert doctor(memory.path, repair=True).ok
    assert memory.retrieve("k") == opened().retrieve("k") == 1


def test_the_doctor_promises_only_what_he_can_do(memory: Memory, push: Callable[..., None], git: Git) -> None:
    """Where no commit before has a good gitmem.toml, none can be brought back."""
    push({"gitmem.toml": b"format = "})
    bare = memory.path / ".git"
    alone = git(bare, "commit-tree", "main^{tree}", "-m", "made elsewhere").strip()
    git(bare, "update-ref", "refs/heads/main", alone)
    (finding,) = [one for one in doctor(memory.path, repair=True).findings if one.code == "policy"]
    assert not finding.repaired
    assert "doctor" not in finding.hint
    assert "format = 1" in finding.hint
