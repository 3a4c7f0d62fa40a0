"""The writing verbs of one branch, as one agent in one session: store, create, update, append, delete, restore.

Knows arguments and defaults; decides nothing about git: reading is `view`'s, publishing is `writing`'s.
Law: a verb that returns has done what it says, on disk as far as the memory's durability promises; one that raises
has written nothing.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gitmem import history, revisions, steps
from gitmem.entries import ABSENT, UNSET, Change, Entry, Version
from gitmem.globs import compile_glob
from gitmem.provenance import Stamp, check_message, check_name, write_digest
from gitmem.reader import Reader
from gitmem.stage import Step
from gitmem.transaction import Arguments, Guard, Transaction, checks
from gitmem.trees import KeyId
from gitmem.vault import Snapshot, Vault
from gitmem.view import View
from gitmem.writing import Outcome, WriteId, WritePath

if TYPE_CHECKING:
    from gitmem.reader import Witness


class Verbs(View):
    """A branch that can be written. Every writing verb is one commit, or none if nothing changed.

    Common arguments: `namespace` overrides the bound one; `message` becomes the commit's subject (one line);
    `expect` makes the write conditional (an Entry, a Version, a revision, an integer version or ABSENT), and
    StaleError says who was quicker; `guard` does the same for keys that are not written (an Entry, a (key, token) of
    the same namespace, a (namespace, key, token), or several of them): one that has expired does not hold either;
    `write_id` makes a retry return the first result.
    Errors of every writing verb: InvalidKeyError, InvalidValueError, ContractError, StaleError, ContentionError,
    StorageError.
    """

    def __init__(self, vault: Vault, *, stamp: Stamp, namespace: str, branch: str) -> None:
        """Use `Memory.open`."""
        super().__init__(vault, None, namespace)
        self._stamp = stamp
        self._branch = branch
        self._arguments = Arguments(vault, namespace)

    def _reader(self) -> Reader:
        vault = self._vault
        head = vault.repository.head(self._branch)
        kept = self.__dict__.get("_kept")
        if kept is None or kept.snapshot.oid != head:
            kept = Reader(vault, vault.snapshot(head), now=vault.clock)
            kept.witness = self._witness(kept.snapshot)
            self.__dict__["_kept"] = kept
        return kept

    def _witness(self, snapshot: Snapshot) -> Witness | None:
        """Who notes what is read at this snapshot; None where no session is bound, or nobody asked for it."""
        agent, session = self._stamp
        if session is None or not self._vault.policy(snapshot.root).audit_reads:
            return None
        known: Witness | None = self.__dict__.get("_told")
        if known is None:
            from gitmem.receipts.noting import recorder

            known = self.__dict__["_told"] = recorder(self._vault, snapshot.oid, agent, session, branch=self._branch)
        return known.at(snapshot.oid)

    # --- one key ---

    def store(
        self,
        key: str,
        value: Any,
        *,
        ttl: float | None = None,
        expect: Any = UNSET,
        base: Any = UNSET,
        guard: Guard = None,
        message: str | None = None,
        write_id: str | None = None,
        namespace: str | None = None,
    ) -> Entry:
        """Store a value and return its entry; the last write wins, unless `expect` or `base` says otherwise.

        `base` (as `expect`: what the value was made from) merges it with what others changed since; where both
        changed one place and no rule of gitmem.toml settles it, MergeConflictError lists the places.
        The same value again makes no commit. `ttl` in seconds, fractions round up; without it the key never expires.
        """
        where = self._target(key, namespace)
        step = self._arguments.store(where, self._canonical(value), ttl, base)
        request = {"value": value, "ttl": ttl} | ({} if base is UNSET else {"base": _named(base)})
        write = self._write_id("store", where, request, write_id)
        return self._entry(where, [*checks(where, expect, guard), step], message, write)

    def create(
        self,
        key: str,
        value: Any,
        *,
        ttl: float | None = None,
        guard: Guard = None,
        message: str | None = None,
        write_id: str | None = None,
        namespace: str | None = None,
    ) -> Entry:
        """Store a value only if the key is absent; KeyExistsError, with the entry that is there, if it is not."""
        where = self._target(key, namespace)
        step = steps.create(where, self._canonical(value), self._arguments.expiry(ttl))
        write = self._write_id("create", where, {"value": value, "ttl": ttl}, write_id)
        return self._entry(where, [*checks(where, UNSET, guard), step], message, write)

    def update(
        self,
        key: str,
        function: Callable[[Any], Any],
        *,
        default: Any = UNSET,
        expect: Any = UNSET,
        guard: Guard = None,
        message: str | None = None,
        namespace: str | None = None,
    ) -> Entry:
        """Store `function(value)`; it may run again on fresher data, so keep it pure. Keeps the expiry.

        A missing key is a MissingKeyError, unless `default` is given, which the function gets then.
        """
        return self._update("update", key, function, default, expect, guard, message, None, namespace)

    def patch(
        self,
        key: str,
        patch: Any,
        *,
        default: Any = UNSET,
        expect: Any = UNSET,
        guard: Guard = None,
        message: str | None = None,
        write_id: str | None = None,
        namespace: str | None = None,
    ) -> Entry:
        """Change a value by an RFC 7396 merge patch (an object) or an RFC 6902 JSON patch (a list).

        Keeps the expiry. A JSON patch whose `test` fails is a ConflictError.
        """
        where = self._target(key, namespace)
        write = self._write_id("patch", where, patch, write_id)
        function = steps.patch(where, patch)
        return self._update("patch", key, function, default, expect, guard, message, write, namespace)

    def append(
        self,
        key: str,
        element: Any,
        *,
        at: str = "",
        expect: Any = UNSET,
        guard: Guard = None,
        message: str | None = None,
        write_id: str | None = None,
        namespace: str | None = None,
    ) -> Entry:
        """Add one element to the list at the JSON pointer `at`; a missing key becomes `[element]`. Keeps the expiry."""
        where = self._target(key, namespace)
        write = self._write_id("append", where, {"at": at, "element": element}, write_id)
        step = steps.append(where, element, at)
        return self._entry(where, [*checks(where, expect, guard), step], message, write)

    def delete(
        self,
        *keys: str,
        expect: Any = UNSET,
        guard: Guard = None,
        message: str | None = None,
        namespace: str | None = None,
    ) -> builtins.list[Version]:
        """Delete these keys in one commit, or none of them: MissingKeyError names the first that is missing.

        Their history stays. Returns the deletions, which are versions too. `expect` is for one key.
        """
        where = [self._target(key, namespace) for key in keys]
        if expect is not UNSET and len(where) != 1:
            raise TypeError("expect= is for one key")
        conditions = checks(where[0], expect, guard) if where else []
        return self._deleted(self._run([*conditions, steps.delete(where)], message))

    def delete_matching(
        self, glob: str, *, guard: Guard = None, message: str | None = None, namespace: str | None = None
    ) -> builtins.list[Version]:
        """Delete every key that matches a glob, in one commit; nothing to do is no error."""
        where = self._target("x", namespace)
        step = steps.delete_matching(where[0], compile_glob(glob))
        return self._deleted(self._run([*checks(where, UNSET, guard), step], message))

    def restore(
        self,
        key: str,
        *,
        version: int | str | None = None,
        at: str | None = None,
        expect: Any = UNSET,
        message: str | None = None,
        namespace: str | None = None,
    ) -> builtins.list[Version]:
        """Bring an earlier state back as a new version: of one key by `version`, or of a glob as it was `at`.

        Keys that were absent then are deleted. Returns what changed. UnknownRevisionError if the past has no such
        version or several of that number, and for a time before the first write.
        """
        if (version is None) == (at is None):
            raise TypeError("restore() takes either version= or at=")
        if at is not None and expect is not UNSET:
            raise TypeError("expect= is for one key: with version=, not with at=")
        if version is not None:
            where = self._target(key, namespace)
            value = self.version(key, version, namespace=namespace).value
            made = [*checks(where, expect, None), steps.become("restore", where, value)]
            return self._deleted(self._run(made, message))
        then = self._state(at or "")
        namespace = self._target("x", namespace)[0]
        step = steps.restore_matching(namespace, compile_glob(key), then)
        return self._deleted(self._run([step], message))

    def restorable(self, glob: str, at: str, *, namespace: str | None = None) -> builtins.list[Change]:
        """What `restore(glob, at=at)` would change now; its errors are the same. Writes nothing."""
        namespace = self._target("x", namespace)[0]
        return history.diff(self._reader(), self._state(at), namespace=namespace, pattern=glob)

    @contextmanager
    def transaction(self, message: str | None = None) -> Iterator[Transaction]:
        """Several writes as one commit, or none: `with memory.transaction("why") as tx: tx.store(…); tx.delete(…)`.

        Reads inside see what was staged. If others wrote meanwhile, the staged verbs run again on fresh data; an
        error in the block, or then, means that nothing is written.
        """
        if message is not None:
            check_message(message)
        path = self.write_path()
        tx = Transaction(self._arguments, stage := path.stage())
        stage.reader.witness = self._witness(stage.reader.snapshot)
        yield tx
        if tx.steps:
            path.run(tx.steps, message=message, prepared=stage)

    # --- inside ---

    def _state(self, at: str) -> Reader:
        """What a restore looks at."""
        return self.at(revisions.resolve_written(self._vault, self._reader().snapshot, at).hex())._reader()

    def _target(self, key: str, namespace: str | None) -> KeyId:
        return self._arguments.target(key, namespace)

    def _canonical(self, value: Any) -> bytes:
        return self._arguments.canonical(value, self._vault.recent(self._branch).root)

    def write_path(self) -> WritePath:
        """The one write path, of this memory's branch: for the floors above, not for callers."""
        return WritePath(self._vault, self._branch, self._stamp)

    def _write_id(self, verb: str, where: KeyId, request: Any, name: str | None) -> WriteId | None:
        if name is None:
            return None
        return WriteId(check_name(name, kind="write id"), write_digest(verb, *where, request), where)

    def _update(
        self,
        verb: str,
        key: str,
        function: Callable[[Any], Any],
        default: Any,
        expect: Any,
        guard: Guard,
        message: str | None,
        write: WriteId | None,
        namespace: str | None,
    ) -> Entry:
        where = self._target(key, namespace)
        conditions = checks(where, expect, guard)
        seen = None
        if write is None:
            stage = self.write_path().stage()
            for condition in conditions:
                condition(stage)
            seen = (stage.token(*where), function(steps.current(stage, where, default)))
        step = steps.update(verb, where, function, default=default, seen=seen)
        return self._entry(where, [*conditions, step], message, write)

    def _run(self, made: Sequence[Step], message: str | None, write: WriteId | None = None) -> Outcome:
        return self.write_path().run(made, message=message, write_id=write)

    def _entry(self, where: KeyId, made: Sequence[Step], message: str | None, write: WriteId | None) -> Entry:
        outcome = self._run(made, message, write)
        entry = outcome.reader.entry(*where)
        if entry is None:
            raise outcome.reader.missing(*where)
        return entry

    def _deleted(self, outcome: Outcome) -> builtins.list[Version]:
        """What the commit of this outcome changed, as versions."""
        if outcome.commit is None:
            return []
        index = self._vault.indexed(outcome.reader.snapshot)
        return [
            history.as_version(self._vault, outcome.reader.snapshot, namespace, key, row)
            for namespace, key, row in sorted(index.changes(outcome.commit.oid), key=lambda one: one[:2])
        ]


def _named(token: Any) -> Any:
    """What a caller named as the base, as JSON."""
    return token.revision if isinstance(token, Entry) else "absent" if token is ABSENT else token
