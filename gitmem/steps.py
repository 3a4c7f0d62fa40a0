"""What one verb does to a stage: small pure decisions, each on whatever snapshot it is given.

Knows the rules of store, create, update, append, delete and restore; does not know how a stage is published.
Law: a step decides from its arguments and the stage alone, so it may run again on a newer snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from datetime import datetime
from typing import Any

from gitmem import patches
from gitmem.entries import ABSENT, UNSET
from gitmem.errors import ConflictError, KeyExistsError, StaleError, UnknownRevisionError
from gitmem.globs import Glob
from gitmem.reader import Reader
from gitmem.revisions import expected_token
from gitmem.stage import Stage, Step
from gitmem.trees import KeyId

Function = Callable[[Any], Any]
Expiry = Callable[[datetime], datetime | None]
"""The time of writing -> when the key expires."""


def store(where: KeyId, body: bytes, expires: Expiry) -> Step:
    """Last write wins."""
    return lambda stage: stage.put_body("store", *where, body, expires=expires(stage.now))


def create(where: KeyId, body: bytes, expires: Expiry) -> Step:
    """Only if the key is absent."""

    def step(stage: Stage) -> None:
        if stage.present(*where):
            namespace, key = where
            current = stage.reader.entry(namespace, key)
            by = f" (version {current.version}, by {current.agent})" if current is not None else ""
            raise KeyExistsError(
                f"key {key!r} in namespace {namespace!r} exists already{by}",
                hint="store overwrites it; update or patch change it",
                namespace=namespace,
                key=key,
                current=current,
            )
        stage.put_body("create", *where, body, expires=expires(stage.now))

    return step


def update(verb: str, where: KeyId, function: Function, *, default: Any, seen: tuple[str | None, Any] | None) -> Step:
    """Read-modify-write; keeps the expiry. `seen` is the (token, result) of a run without the lock, to be used
    if nothing has changed the key since, so that a slow function does not hold up other writers.
    """

    def step(stage: Stage) -> None:
        if seen is not None and where not in stage.staged and stage.token(*where) == seen[0]:
            result = seen[1]
        else:
            result = function(current(stage, where, default))
        stage.put(verb, *where, result, expires=stage.expires(*where))

    return step


def current(stage: Stage, where: KeyId, default: Any) -> Any:
    """The value to be changed, or the default: a fresh copy. MissingKeyError if there is neither."""
    value = stage.value(*where)
    if value is not ABSENT:
        return value
    if default is UNSET:
        raise stage.reader.missing(*where)
    return deepcopy(default)


def patch(where: KeyId, change: Any) -> Function:
    """An RFC 7396 object or an RFC 6902 list as a function of the value. A failed test is a ConflictError."""

    def apply(value: Any) -> Any:
        if not isinstance(change, list | tuple):
            return patches.merge_patch(value, change)
        try:
            return patches.json_patch(value, change)
        except patches.PatchFailed as failure:
            raise ConflictError(
                f"the patch does not fit key {where[1]!r} in namespace {where[0]!r}: {failure}",
                hint="read the key again and make the patch anew; nothing was written",
                namespace=where[0],
                key=where[1],
            ) from None

    return apply


def append(where: KeyId, element: Any, pointer: str) -> Step:
    """One more element at the end of a list; a missing key becomes `[element]`, at the root pointer only."""

    def step(stage: Stage) -> None:
        value = current(stage, where, UNSET if pointer else [])
        stage.put("append", *where, patches.append(value, pointer, element), expires=stage.expires(*where))

    return step


def delete(where: Sequence[KeyId]) -> Step:
    """All of these keys, or none: MissingKeyError names the first that is not there."""

    def step(stage: Stage) -> None:
        for one in where:
            if not stage.present(*one):
                raise stage.reader.missing(*one)
        for one in where:
            stage.remove("delete", *one)

    return step


def delete_matching(namespace: str, glob: Glob) -> Step:
    """Every key that matches now; nothing if none does."""

    def step(stage: Stage) -> None:
        for key in stage.matching(namespace, glob):
            stage.remove("delete", namespace, key)

    return step


def become(verb: str, where: KeyId, value: Any) -> Step:
    """An earlier state again: a value, or ABSENT."""

    def step(stage: Stage) -> None:
        if value is not ABSENT:
            stage.put(verb, *where, value, expires=None)
        elif stage.present(*where):
            stage.remove(verb, *where)

    return step


def restore_matching(namespace: str, glob: Glob, then: Reader) -> Step:
    """Every key that matches, as it was then: absent then is deleted now."""
    past = set(glob.select(then.keys(namespace)))

    def step(stage: Stage) -> None:
        for key in sorted(past.union(stage.matching(namespace, glob))):
            become("restore", (namespace, key), then.retrieve(namespace, key))(stage)

    return step


def expect(where: KeyId, token: Any) -> Step:
    """StaleError unless the key's last version is still this one."""
    return lambda stage: stage.expect(*where, token)


def fence(where: KeyId, token: Any) -> Step:
    """As `expect`, of a key that stands guard over a write to others; one that has expired does not hold.

    UnknownRevisionError if the token names no version of the key: one of another key, or of another namespace, would
    otherwise stand for "absent", and hold.
    """

    def step(stage: Stage) -> None:
        if token is not ABSENT and expected_token(stage.reader, *where, token) is None:
            raise UnknownRevisionError(
                f"key {where[1]!r} in namespace {where[0]!r} has no version at {token!r}: it is no token of this key",
                hint="name the key and the namespace that the token was given for",
                revision=str(token),
            )
        try:
            stage.expect(*where, token)
        except StaleError as error:
            hint = "nothing was written, since this key guards the write; if it is a claim, it is over: take it again"
            raise StaleError(error.message, hint=hint, **error.fields) from None

    return step
