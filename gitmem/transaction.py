"""Several writes as one commit, or none; and what every writing verb asks of its arguments.

Knows the verbs inside `with memory.transaction()`; publishing is `writing`'s.
Law: a verb inside a transaction decides at once, so that mistakes show where they are made, and again when the block
ends if others wrote meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, TypeGuard, cast

from gitmem import codec, reconcile, steps
from gitmem.entries import ABSENT, UNSET, Entry
from gitmem.errors import InvalidKeyError, InvalidValueError
from gitmem.globs import compile_glob
from gitmem.keys import CONFLICTS, check_key, check_namespace
from gitmem.stage import Stage, Step
from gitmem.steps import Expiry
from gitmem.trees import KeyId
from gitmem.vault import Vault

Fence: TypeAlias = Entry | tuple[str, Any] | tuple[str, str, Any]
"""What a write depends on without writing it: an entry, (key, token) or (namespace, key, token)."""
Guard: TypeAlias = Fence | Sequence[Fence] | None


class Arguments:
    """What callers pass, checked: a target, a value's bytes, an expiry."""

    def __init__(self, vault: Vault, namespace: str) -> None:
        self.vault = vault
        self.namespace = namespace

    def target(self, key: str, namespace: str | None) -> KeyId:
        """The key and its namespace; InvalidKeyError unless a caller may write it."""
        chosen = self.namespace if namespace is None else namespace
        check_target(chosen, key)
        return chosen, key

    def canonical(self, value: Any, root: bytes) -> bytes:
        """A value's bytes, made once before any attempt. InvalidValueError if it is none, or too big here."""
        return codec.encode(value, max_bytes=self.vault.policy(root).max_value_bytes)

    def store(self, where: KeyId, body: bytes, ttl: float | None, base: Any) -> Step:
        """The step that stores a value, whose bytes are `body`: the last write wins, or merged from `base`."""
        if base is UNSET:
            return steps.store(where, body, self.expiry(ttl))
        return reconcile.store(where, codec.decode_trusted(body), base, self.expiry(ttl))

    def expiry(self, ttl: float | None) -> Expiry:
        """The instant a ttl names, from whenever it is written; InvalidValueError at once if it is no ttl."""
        expiry_of(ttl, self.vault.clock())
        return lambda now: expiry_of(ttl, now)


class Transaction:
    """The verbs inside `with memory.transaction()`. Each raises what the memory's verb of the same name raises."""

    def __init__(self, arguments: Arguments, stage: Stage) -> None:
        """`stage` is what reads inside the block see."""
        self._arguments = arguments
        self._stage = stage
        self.steps: list[Step] = []

    def _add(self, step: Step) -> None:
        step(self._stage)
        self.steps.append(step)

    def store(
        self, key: str, value: Any, *, ttl: float | None = None, base: Any = UNSET, namespace: str | None = None
    ) -> None:
        """Stage a value; the last write wins, or it is merged with what was written since `base`."""
        where = self._arguments.target(key, namespace)
        self._add(self._arguments.store(where, self._canonical(value), ttl, base))

    def create(self, key: str, value: Any, *, ttl: float | None = None, namespace: str | None = None) -> None:
        """Stage a value for a key that is absent; KeyExistsError if it is not."""
        where = self._arguments.target(key, namespace)
        self._add(steps.create(where, self._canonical(value), self._arguments.expiry(ttl)))

    def update(
        self,
        key: str,
        function: Callable[[Any], Any],
        *,
        default: Any = UNSET,
        namespace: str | None = None,
    ) -> None:
        """Stage `function(value)`; it runs at once, and again when the block ends if others wrote meanwhile."""
        where = self._arguments.target(key, namespace)
        self._add(steps.update("update", where, function, default=default, seen=None))

    def patch(self, key: str, patch: Any, *, default: Any = UNSET, namespace: str | None = None) -> None:
        """Stage a change by an RFC 7396 object or an RFC 6902 list."""
        where = self._arguments.target(key, namespace)
        function = steps.patch(where, deepcopy(patch))
        self._add(steps.update("patch", where, function, default=default, seen=None))

    def append(self, key: str, element: Any, *, at: str = "", namespace: str | None = None) -> None:
        """Stage one more element of a list."""
        self._add(steps.append(self._arguments.target(key, namespace), deepcopy(element), at))

    def delete(self, *keys: str, namespace: str | None = None) -> None:
        """Stage deletions; MissingKeyError if one of the keys is missing."""
        self._add(steps.delete([self._arguments.target(key, namespace) for key in keys]))

    def delete_matching(self, glob: str, *, namespace: str | None = None) -> None:
        """Stage the deletion of every key that matches."""
        self._add(steps.delete_matching(self._arguments.target("x", namespace)[0], compile_glob(glob)))

    def expect(self, key: str, token: Any, *, namespace: str | None = None) -> None:
        """Make the commit depend on a key that it need not write: StaleError unless its token is still this."""
        chosen = self._arguments.namespace if namespace is None else namespace
        check_namespace(chosen, writing=False)
        check_key(key, writing=False)
        self._add(steps.expect((chosen, key), token))

    def retrieve(self, key: str, default: Any = UNSET, *, namespace: str | None = None) -> Any:
        """The value as staged, else as it was when the block began."""
        chosen = self._arguments.namespace if namespace is None else namespace
        value = self._stage.value(chosen, key)
        if value is not ABSENT:
            self._stage.show(chosen, key)
            return value
        if default is UNSET:
            raise self._stage.reader.missing(chosen, key)
        return default

    def _canonical(self, value: Any) -> bytes:
        return self._arguments.canonical(value, self._stage.reader.snapshot.root)


def checks(where: KeyId, expect: Any, guard: Guard) -> list[Step]:
    """The conditions of a write: on the key itself, and on entries it does not write.

    The (key, token) of a guard is a key of the namespace that is written.
    """
    made = [] if expect is UNSET else [steps.expect(where, expect)]
    return made + [_fence(where[0], one) for one in _fences(guard)]


def _fences(guard: Guard) -> Sequence[Fence]:
    if guard is None:
        return ()
    return [guard] if isinstance(guard, Entry) or _is_named(guard) else cast("Sequence[Fence]", guard)


def _fence(namespace: str, one: Fence) -> Step:
    if isinstance(one, Entry):
        return steps.fence((one.namespace, one.key), one)
    if not _is_named(one):
        raise TypeError(f"guard= takes entries, (key, token) or (namespace, key, token), not {one!r}")
    *names, token = one
    chosen, key = [namespace, *names][-2:]
    check_namespace(chosen, writing=False)
    check_key(key, writing=False)
    return steps.fence((chosen, key), token)


def _is_named(one: Any) -> TypeGuard[tuple[str, Any] | tuple[str, str, Any]]:
    """Whether this is a key and its token, perhaps with a namespace before them."""
    return isinstance(one, tuple) and len(one) in (2, 3) and all(isinstance(name, str) for name in one[:-1])


def check_target(namespace: str, key: str) -> None:
    """InvalidKeyError unless a caller may write this key."""
    check_namespace(namespace)
    if namespace == CONFLICTS:
        raise InvalidKeyError(
            f"namespace {CONFLICTS!r} is written by gitmem alone",
            hint="read it like any other; choose another namespace to write to",
            key=namespace,
            segment=namespace,
            reason="reserved",
        )
    check_key(key)


def expiry_of(ttl: float | None, now: datetime) -> datetime | None:
    """The instant a ttl names: positive seconds, fractions round up. InvalidValueError for any other."""
    if ttl is None:
        return None
    seconds = ttl if isinstance(ttl, int | float) and not isinstance(ttl, bool) else 0
    try:
        if not seconds > 0:
            raise OverflowError
        instant = now.astimezone(UTC) + max(timedelta(seconds=float(seconds)), timedelta.resolution)
        return instant if not instant.microsecond else instant.replace(microsecond=0) + timedelta(seconds=1)
    except (OverflowError, ValueError):
        raise InvalidValueError(
            f"ttl {ttl!r} is not a positive number of seconds that ends before the year 10000",
            hint="leave it out for a key that never expires",
            pointer="",
            reason="not a ttl",
        ) from None
