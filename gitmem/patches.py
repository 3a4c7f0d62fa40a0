"""Changes of a value that are written as values: RFC 7396 merge patches, RFC 6902 operations, append.

Knows: what each of them means. Does not know: where the value is kept.
Law: nothing that is passed in is changed. What comes out shares its untouched parts with the target, and
nothing with the patch, which is checked and copied first; so treat values as frozen.

Operations are checked all together before the first is applied. Each one copies only the containers on the
way to its place, which is why a copied part can be changed later without its original.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from gitmem import codec, pointers
from gitmem.codec import JSON
from gitmem.errors import InvalidPatternError, InvalidValueError
from gitmem.pointers import Tokens


class PatchFailed(LookupError):
    """An operation found its place missing, or a `test` failed; fields: `index`, `operation`, `reason`."""

    def __init__(self, index: int, operation: dict[str, JSON], reason: str) -> None:
        super().__init__(index, operation, reason)
        self.index = index
        self.operation = operation
        self.reason = reason

    def __str__(self) -> str:
        name, path = self.operation["op"], self.operation["path"]
        return f"operation {self.index} of the patch, {name} {path!r}, failed: {self.reason}"


def _copied(value: object, max_bytes: int) -> JSON:
    return codec.decode_trusted(codec.encode(value, max_bytes=max_bytes))


# --- RFC 7396


def merge_patch(target: JSON, patch: object, *, max_bytes: int = codec.MAX_VALUE_BYTES) -> JSON:
    """The target with the patch's members merged in: null removes, lists are replaced whole (RFC 7396).

    Raises InvalidValueError if the patch is no JSON value.
    """
    root: dict[str, JSON] = {"": target}
    waiting: list[tuple[dict[str, JSON], str, JSON]] = [(root, "", _copied(patch, max_bytes))]
    while waiting:
        holder, name, change = waiting.pop()
        if not isinstance(change, dict):
            holder[name] = change
            continue
        old = holder.get(name)
        merged = dict(old) if isinstance(old, dict) else {}
        holder[name] = merged
        for member, inner in change.items():
            if inner is None:
                merged.pop(member, None)
            else:
                waiting.append((merged, member, inner))
    return root[""]


# --- RFC 6902


class _Operation(NamedTuple):
    row: dict[str, JSON]  # as it was written
    act: Callable[[JSON, _Operation], JSON]
    path: Tokens
    source: Tokens  # of "from"
    value: JSON


def json_patch(target: JSON, operations: object, *, max_bytes: int = codec.MAX_VALUE_BYTES) -> JSON:
    """The target after all the operations (RFC 6902). `test` compares by type: 1, 1.0 and true differ.

    Raises InvalidValueError (with the place in the patch) for what is no operation, and PatchFailed when a
    test fails or a place is missing.
    """
    written = _copied(operations, max_bytes)
    if not isinstance(written, list):
        raise _malformed("", "a patch is a list of operations")
    ready = [_operation(row, f"/{position}") for position, row in enumerate(written)]
    for position, operation in enumerate(ready):
        try:
            target = operation.act(target, operation)
        except LookupError as error:
            raise PatchFailed(position, operation.row, str(error)) from None
    return target


def _operation(row: JSON, at: str) -> _Operation:
    if not isinstance(row, dict):
        raise _malformed(at, "an operation is an object")
    name = row.get("op")
    verb = _VERBS.get(name) if isinstance(name, str) else None
    if verb is None:
        raise _malformed(f"{at}/op" if "op" in row else at, f"'op' must be one of {', '.join(_VERBS)}")
    path = _tokens(row, "path", at)
    source = _tokens(row, "from", at) if verb.needs == "from" else ()
    if verb.needs == "value" and "value" not in row:
        raise _malformed(at, f"{name} needs a 'value'")
    if name == "remove" and not path:
        raise _malformed(f"{at}/path", "the whole value cannot be removed")
    if name == "move" and len(path) > len(source) and path[: len(source)] == source:
        raise _malformed(f"{at}/path", "a value cannot be moved into itself")
    return _Operation(row, verb.act, path, source, row.get("value"))


def _tokens(row: dict[str, JSON], member: str, at: str) -> Tokens:
    if member not in row:
        raise _malformed(at, f"{row['op']} needs a '{member}'")
    pointer = row[member]
    if not isinstance(pointer, str):
        raise _malformed(f"{at}/{member}", f"'{member}' must be a JSON pointer")
    try:
        return pointers.parse(pointer)
    except InvalidPatternError as error:
        raise _malformed(f"{at}/{member}", f"not a JSON pointer: {error.reason}") from None


def _malformed(pointer: str, reason: str) -> InvalidValueError:
    at = f" at {pointer}" if pointer else ""
    hint = 'write it as RFC 6902 does: [{"op": "replace", "path": "/state", "value": "done"}]'
    return InvalidValueError(f"not a JSON patch{at}: {reason}", hint=hint, pointer=pointer, reason=reason)


def _get(target: JSON, path: Tokens) -> JSON:
    for token in path:
        target = pointers.step(target, token)
    return target


def _edited(target: JSON, path: Tokens, edit: Callable[[Any, str], None]) -> JSON:
    """The target after `edit(container, last token)` on a copy of the container that holds the place."""
    way = [target]
    for token in path[:-1]:
        way.append(pointers.step(way[-1], token))
    new: Any = _copy(way.pop(), path[-1])
    edit(new, path[-1])
    for token in reversed(path[:-1]):
        holder: Any = _copy(way.pop(), token)
        holder[_slot(holder, token)] = new
        new = holder
    changed: JSON = new
    return changed


def _copy(container: JSON, token: str) -> dict[str, JSON] | list[JSON]:
    if isinstance(container, dict):
        return dict(container)
    if isinstance(container, list):
        return list(container)
    raise LookupError(f"{token!r} leads into something that is no object and no list")


def _slot(container: dict[str, JSON] | list[JSON], token: str) -> Any:
    """What the token is in Python's brackets; it must be there."""
    pointers.step(container, token)
    return token if isinstance(container, dict) else int(token)


def _put(target: JSON, path: Tokens, value: JSON) -> JSON:
    def edit(container: Any, token: str) -> None:
        if isinstance(container, dict):
            container[token] = value
        elif token == "-":
            container.append(value)
        else:
            container.insert(pointers.index(token, len(container) + 1), value)

    return _edited(target, path, edit) if path else value


def _removed(target: JSON, path: Tokens) -> JSON:
    def edit(container: Any, token: str) -> None:
        del container[_slot(container, token)]

    return _edited(target, path, edit)


def _replace(target: JSON, operation: _Operation) -> JSON:
    def edit(container: Any, token: str) -> None:
        container[_slot(container, token)] = operation.value

    return _edited(target, operation.path, edit) if operation.path else operation.value


def _move(target: JSON, operation: _Operation) -> JSON:
    moved = _get(target, operation.source)
    if operation.path == operation.source:
        return target
    return _put(_removed(target, operation.source), operation.path, moved)


def _test(target: JSON, operation: _Operation) -> JSON:
    if not codec.equal(_get(target, operation.path), operation.value):
        raise LookupError("the value there is another one")
    return target


class _Verb(NamedTuple):
    needs: str  # the member that this operation needs beside "path"
    act: Callable[[JSON, _Operation], JSON]


_VERBS = {
    "add": _Verb("value", lambda target, op: _put(target, op.path, op.value)),
    "remove": _Verb("", lambda target, op: _removed(target, op.path)),
    "replace": _Verb("value", _replace),
    "move": _Verb("from", _move),
    "copy": _Verb("from", lambda target, op: _put(target, op.path, _get(target, op.source))),
    "test": _Verb("value", _test),
}


# --- append


def append(target: JSON, path: str, element: object, *, max_bytes: int = codec.MAX_VALUE_BYTES) -> JSON:
    """The target with one element added to the list at a pointer.

    Raises InvalidValueError if there is no list at that place, InvalidPatternError for a malformed pointer.
    """
    tokens = pointers.parse(path)
    try:
        held: JSON | None = _get(target, tokens)
        reason = "there is no list at this place"
    except LookupError as error:
        held, reason = None, str(error)
    if not isinstance(held, list):
        where = f"at {path}" if path else "at the root"
        raise InvalidValueError(
            f"cannot append {where}: {reason}",
            hint="name the place of a list, or store a list there first",
            pointer=path,
            reason=reason,
        )
    return _put(target, (*tokens, "-"), _copied(element, max_bytes))
