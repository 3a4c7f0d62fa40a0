"""gitmem.toml as those who share a memory edit it: settings, merge rules and contracts, looked through and changed.

Knows the settings by name, the lists in their order and what already breaks a contract; what they mean is `policy`'s,
`merge`'s and `contracts`'.
Law: one edit is one ordinary commit by whoever makes it, decided on fresh data and published by compare-and-swap. What
gitmem has not heard of stays; comments in the file do not, for what is written is its meaning.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any, NamedTuple, TypeVar

from gitmem import codec, pointers
from gitmem.contracts import check_schema, problems
from gitmem.entries import UNSET
from gitmem.errors import CorruptValueError, InvalidValueError
from gitmem.globs import compile_glob
from gitmem.keys import check_namespace
from gitmem.objects import (
    BLOB_MODE,
    Commit,
    CorruptObjectError,
    MissingObjectError,
    Oid,
    Writer,
    serialize_tree,
)
from gitmem.place import POLICY_FILE
from gitmem.policy import MAX_BYTES, SETTINGS, Contract, MergeRule, Policy, check_rule, dump_policy
from gitmem.provenance import check_message, compose
from gitmem.reader import Reader
from gitmem.vault import Vault
from gitmem.writing import Rewrite, WritePath, stamp_trailers

Row = dict[str, str]
_Rows = list[Row]
_Document = dict[str, Any]
_Kind = TypeVar("_Kind", MergeRule, Contract)


class Breach(NamedTuple):
    """A key whose value breaks a contract now, and what is wrong with it."""

    namespace: str
    key: str
    problems: list[str]


class Settings:
    """The settings of a memory's branch, read and edited. Errors of every edit: those of a write.

    Numbers count from 1, as the lists stand.
    """

    def __init__(self, vault: Vault, path: WritePath) -> None:
        """`path` says which branch, and who edits."""
        self._vault = vault
        self._path = path

    @property
    def policy(self) -> Policy:
        """All that gitmem.toml says now. InvalidPolicyError with the line, if it is malformed."""
        return self._vault.policy(self._vault.head(self._path.branch).root)

    @property
    def rules(self) -> tuple[MergeRule, ...]:
        """The merge rules in their order: at each place the first that fits settles a conflict."""
        return self.policy.merge_rules

    @property
    def contracts(self) -> tuple[Contract, ...]:
        """The contracts; a value has to keep all that bind its key."""
        return self.policy.contracts

    def add_rule(
        self,
        keys: str,
        rule: str,
        *,
        at: str = "",
        namespace: str | None = None,
        first: bool = False,
        message: str | None = None,
    ) -> MergeRule:
        """Settle conflicts in the keys that match a glob, at a JSON pointer (`*`: any one segment), by a rule.

        Behind the rules that are there, or before them if `first`. One that is there already is not added again, but
        `first` moves it. `namespace` narrows it to one. InvalidPatternError for a malformed glob or pointer,
        InvalidValueError for an unknown rule.
        """
        _check_scope(keys, namespace)
        pointers.parse(at)
        made = MergeRule(keys, namespace, at, check_rule(rule))
        subject = f"rules add {keys}{f' {at}' if at else ''} {rule}{_within(namespace)}"
        self._edit("merge", lambda rows: _added(rows, _row(made), first=first), subject, message)
        return made

    def remove_rule(self, number: int, *, message: str | None = None) -> MergeRule:
        """Remove the rule of this number, and return it; InvalidValueError if there is none.

        Whatever others add or remove meanwhile, this rule goes and no other.
        """
        gone = _numbered(self.rules, number, "merge rule", "gitmem rules list")
        subject = f"rules remove {gone.keys}{f' {gone.at}' if gone.at else ''} {gone.rule}{_within(gone.namespace)}"
        self._edit("merge", lambda rows: _removed(rows, _row(gone), number - 1), subject, message)
        return gone

    def add_contract(
        self, keys: str, schema: Any, *, namespace: str | None = None, message: str | None = None
    ) -> Contract:
        """From now on, let the values of keys that match a glob keep a JSON Schema: a dict, a bool or JSON text.

        What is there already stays, even if it breaks it: `broken` lists that. One that is there already is not
        added again. InvalidValueError with the place if it is no schema, or refers to another one.
        """
        _check_scope(keys, namespace)
        made = Contract(keys, namespace, _schema_text(schema))
        subject = f"contract add {keys}{_within(namespace)}"
        self._edit("contract", lambda rows: _added(rows, _row(made), first=False), subject, message)
        return made

    def remove_contract(self, number: int, *, message: str | None = None) -> Contract:
        """Remove the contract of this number, and return it; InvalidValueError if there is none."""
        gone = _numbered(self.contracts, number, "contract", "gitmem contract list")
        subject = f"contract remove {gone.keys}{_within(gone.namespace)}"
        self._edit("contract", lambda rows: _removed(rows, _row(gone), number - 1), subject, message)
        return gone

    def values(self) -> dict[str, Any]:
        """Every setting that stands by itself and what holds for it now, by name: as said, or as it is unsaid."""
        policy = self.policy
        return {name: getattr(policy, name) for name in SETTINGS}

    def get(self, name: str) -> Any:
        """What holds for a setting now. InvalidValueError names the nearest, if there is none of this name."""
        check_setting(name)
        return getattr(self.policy, name)

    def set(self, name: str, value: Any, *, message: str | None = None) -> Any:
        """Let a setting be so from now on, for all who share the memory; returns what held before.

        No commit if gitmem.toml says so already. InvalidValueError for a value that it does not take.
        """
        check_setting(name, value)
        return self._change(name, lambda said: {**said, name: value}, f"config {name} {json.dumps(value)}", message)

    def unset(self, name: str, *, message: str | None = None) -> Any:
        """Let a setting be as it is where gitmem.toml says nothing; returns what held before."""
        check_setting(name)
        return self._change(name, lambda said: _without(said, name), f"config --unset {name}", message)

    def broken(self) -> list[Breach]:
        """What breaks a contract now, sorted by namespace and key: it was there before the contract, or was pushed.

        A value that cannot be read is listed too, for it keeps none.
        """
        return list(self._breaches())

    # --- inside

    def _breaches(self) -> Iterator[Breach]:
        reader = Reader(self._vault, self._vault.head(self._path.branch), now=self._vault.clock)
        policy = self._vault.policy(reader.snapshot.root)
        for namespace in reader.namespaces() if policy.contracts else []:
            keys = reader.keys(namespace)
            globs = [compile_glob(one.keys) for one in policy.contracts if one.namespace in (None, namespace)]
            for key in sorted({key for glob in globs for key in glob.select(keys)}):
                bound = policy.contracts_for(namespace, key)
                found = _judged(reader, namespace, key, bound) if bound else []
                if found:
                    yield Breach(namespace, key, found)

    def _edit(self, table: str, change: Callable[[_Rows], _Rows], subject: str, message: str | None) -> None:
        """Publish gitmem.toml with other rows in one of its tables; no commit if they are the same."""

        def edited(document: _Document) -> _Document:
            rows = change(deepcopy(document.get(table, [])))
            return {**document, table: rows} if rows else _without(document, table)

        self._publish(edited, subject, message)

    def _change(
        self, name: str, change: Callable[[_Document], _Document], subject: str, message: str | None
    ) -> Any:
        """Publish what `change` makes of the document; returns what held for this setting before."""
        before = []

        def edited(document: _Document) -> _Document:
            before.append(document.get(name, SETTINGS[name].default))
            return change(document)

        self._publish(edited, subject, message)
        return before[-1]

    def _publish(self, change: Callable[[_Document], _Document], subject: str, message: str | None) -> None:
        """Publish another gitmem.toml; no commit if it says the same. `change` may run again on fresher data."""
        stamp = self._path.stamp
        title = check_message(message) if message is not None else _legal(subject)
        text = compose(title, stamp_trailers(stamp))
        objects = self._vault.objects

        def plan(head: Commit) -> Rewrite | None:
            document = self._vault.policy(head.tree).document
            changed = change(document)
            if changed == document:
                return None
            body = dump_policy(changed)
            return Rewrite(1, text, lambda writer: write(writer, head.tree, body))

        def write(writer: Writer, root: Oid, body: bytes) -> Oid:
            entries = {**objects.tree(root), POLICY_FILE: (BLOB_MODE, writer.add("blob", body))}
            return writer.add("tree", serialize_tree(entries), base=root)

        self._path.rewrite(plan, stamp)


def _judged(reader: Reader, namespace: str, key: str, bound: tuple[Contract, ...]) -> list[str]:
    try:
        return problems(bound, reader.retrieve(namespace, key))
    except (CorruptValueError, CorruptObjectError, MissingObjectError) as error:
        return [f"it cannot be read: {error.message}"]


# --- rows


def _row(one: MergeRule | Contract) -> Row:
    """As gitmem.toml writes it: what is left out there means the same everywhere."""
    return {name: text for name, text in one._asdict().items() if text is not None and (name, text) != ("at", "")}


def _same(row: Row, other: Row) -> bool:
    return {"at": "", **row} == {"at": "", **other}


def _added(rows: _Rows, row: Row, *, first: bool) -> _Rows:
    there = next((at for at, one in enumerate(rows) if _same(one, row)), None)
    if there is None:
        return [row, *rows] if first else [*rows, row]
    return [rows[there], *rows[:there], *rows[there + 1 :]] if first else rows


def _removed(rows: _Rows, row: Row, place: int) -> _Rows:
    """Without this row: the one at its place, if it is still there, else wherever it is by now."""
    places = [at for at, one in enumerate(rows) if _same(one, row)]
    gone = place if place in places else next(iter(places), None)
    return [one for at, one in enumerate(rows) if at != gone]


def _numbered(listed: tuple[_Kind, ...], number: int, name: str, command: str) -> _Kind:
    if type(number) is int and 1 <= number <= len(listed):
        return listed[number - 1]
    there = f"the last one is {len(listed)}" if listed else "there is none"
    raise InvalidValueError(
        f"there is no {name} {number!r}: {there}", hint=f"`{command}` shows them", pointer="", reason="no such number"
    )


# --- arguments


def check_setting(name: str, value: Any = UNSET) -> None:
    """InvalidValueError, with the nearest, if no setting has this name; or if it does not take this value."""
    known = SETTINGS.get(name)
    if known is None:
        raise _unknown(name)
    if value is UNSET or known.fits(value):
        return
    raise InvalidValueError(
        f"{name} has to be {known.takes}, not {value!r}",
        hint=f"`gitmem config {name} {json.dumps(known.default)}` sets what holds where nothing is said",
        pointer="",
        reason=f"not {known.takes}",
    )


def _unknown(name: str) -> InvalidValueError:
    from difflib import get_close_matches

    own = {"merge": "gitmem rules", "contract": "gitmem contract"}.get(name)
    near = get_close_matches(name.lower().replace("-", "_"), SETTINGS, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(SETTINGS)}"
    return InvalidValueError(
        f"there is no setting {name!r}",
        hint=f"`{own}` edits these" if own else hint,
        pointer="",
        reason="no such setting",
    )


def _without(document: _Document, name: str) -> _Document:
    return {other: value for other, value in document.items() if other != name}


def _check_scope(keys: str, namespace: str | None) -> None:
    compile_glob(keys)
    if namespace is not None:
        check_namespace(namespace, writing=False)


def _schema_text(schema: Any) -> str:
    """The schema as compact JSON, its members in the order in which they were given."""
    if isinstance(schema, str):
        value = codec.decode(schema, max_bytes=MAX_BYTES)
    else:
        codec.encode(schema, max_bytes=MAX_BYTES)
        value = schema
    text = json.dumps(value, ensure_ascii=False)
    check_schema(text)
    return text


def _within(namespace: str | None) -> str:
    return "" if namespace is None else f" in {namespace}"


def _legal(subject: str) -> str:
    """A subject from what somebody typed; shortened to its verb where that cannot be one line of a commit."""
    try:
        return check_message(subject)
    except InvalidValueError:
        return " ".join(subject.split(" ")[:2])
