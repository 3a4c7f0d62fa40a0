"""Contracts: whether a value is what the JSON Schemas that bind its key say.

Knows JSON Schema by the library of that name: Draft 2020-12, unless `$schema` names another. Does not know which
contracts bind which keys.
Law: nothing is ever fetched: a `$ref` leads to a place in its own schema, or is refused. And whatever a schema is,
hostile or broken, what comes out is a list of problems: a value that cannot be judged does not keep its contract.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

from gitmem import codec
from gitmem.errors import ContractError, GitmemError, InvalidValueError
from gitmem.policy import MAX_BYTES, Contract

MOST = 1000
"""So many problems of one contract are listed: a list of a million wrong elements has to end somewhere."""

_TOLD = 20  # in an error's message; its field has all
_LONG_VALUE = 60
_LONG_REASON = 300
_ALTERNATIVES = 3
_OPENED_BY: dict[type, str] = {dict: "{", list: "["}  # what the library printed, too
_HINT = "`gitmem contract list` shows what such values have to look like; nothing was written"
_SCHEMA_HINT = 'write it as JSON Schema (Draft 2020-12): {"type": "object", "required": ["libraries"]}'
_NOTHING: dict[str, Any] = {"not": {}}
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


def problems(contracts: Iterable[Contract], value: Any) -> list[str]:
    """What is wrong with a value: `/pointer: reason`, in the order of the value; [] if it keeps every contract.

    A problem of the whole value has no pointer. The same problem under two contracts is one.
    """
    return _listed(_found(contract.schema, value) for contract in contracts)


def check(contracts: Iterable[Contract], namespace: str, key: str, value: Any) -> None:
    """ContractError with every problem, unless the value keeps every contract."""
    judged = [(contract.keys, _found(contract.schema, value)) for contract in contracts]
    broken = {keys: found for keys, found in judged if found}
    if not broken:
        return
    listed = _listed(found for _, found in judged)
    more = f"; and {len(listed) - _TOLD} more" if len(listed) > _TOLD else ""
    raise ContractError(
        f"key {key!r} in namespace {namespace!r} breaks the contract for {' and '.join(map(repr, broken))}: "
        f"{'; '.join(listed[:_TOLD])}{more}",
        hint=_HINT,
        key=key,
        problems=listed,
    )


def check_schema(text: str) -> None:
    """InvalidValueError with the place, unless `text` is a JSON Schema that refers to nothing outside itself."""
    judge = _judge(text)
    if judge.fault is not None:
        place, reason = judge.fault
        at = f" at {place}" if place else ""
        raise InvalidValueError(f"not a JSON Schema{at}: {reason}", hint=_SCHEMA_HINT, pointer=place, reason=reason)


# --- judging


class _Problem(NamedTuple):
    path: tuple[str | int, ...]
    reason: str


class _Judge(NamedTuple):
    """A schema that is ready to judge values, or the place and reason of its fault."""

    validator: Any
    fault: tuple[str, str] | None


def _found(schema: str, value: Any) -> list[_Problem]:
    """The problems under one contract."""
    judge = _judge(schema)
    if judge.fault is not None:
        place, reason = judge.fault
        return [_Problem((), f"the contract's schema is none{f' at {place}' if place else ''}: {reason}")]
    try:
        errors = islice(judge.validator.iter_errors(value), MOST)
        return [_Problem(tuple(error.absolute_path), _reason(error)) for error in errors]
    except Exception as error:  # what a hostile schema makes of the library cannot be listed
        return [_Problem((), f"it cannot be judged by the contract's schema: {_failure(error)}")]


def _listed(found: Iterable[list[_Problem]]) -> list[str]:
    problems = sorted((problem for some in found for problem in some), key=_order)
    return list(dict.fromkeys(_told(problem.path, problem.reason) for problem in problems))


def _order(problem: _Problem) -> list[tuple[bool, str | int]]:
    """Elements by position, members by code point: below one place there is only one of the two."""
    return [(isinstance(step, str), step) for step in problem.path]


def _told(path: Iterable[str | int], reason: str) -> str:
    pointer = codec.place(path)
    return f"{pointer}: {reason}" if pointer else reason


def _reason(error: Any) -> str:
    """The library's words, with JSON instead of Python's values, cut where they are long."""
    value, wanted, said = error.instance, error.validator_value, str(error.message)
    head = ""
    if said[:1] == (_OPENED_BY.get(type(value)) or said[:1]) and said.startswith(printed := repr(value)):
        head, said = _cut(_json(value), _LONG_VALUE), said[len(printed) :]
    if error.validator is None or (error.validator == "not" and wanted == {}):
        head, said = "", "nothing is allowed here"
    said = head + said.replace(repr(wanted), _json(wanted))
    if error.context:
        inner = [_told(one.relative_path, _reason(one)) for one in error.context[:_ALTERNATIVES]]
        said = f"{_cut(said, _LONG_REASON)} ({'; or '.join(inner)})"
    return _cut(said, _LONG_REASON)


def _json(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False)


def _cut(text: str, size: int) -> str:
    return text if len(text) <= size else text[: size - 1] + "…"


def _failure(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it goes round in a circle, or too deep"
    return _cut(f"{type(error).__name__}: {error}", _LONG_REASON)


# --- schemas


@lru_cache(256)
def _judge(text: str) -> _Judge:
    """The judge by a schema; made once for each text."""
    try:
        return _checked(codec.decode(text, max_bytes=MAX_BYTES))
    except GitmemError as error:
        return _Judge(None, ("", getattr(error, "reason", error.message)))
    except Exception as error:
        return _Judge(None, ("", f"it cannot be used: {_failure(error)}"))


def _checked(schema: Any) -> _Judge:
    from jsonschema import SchemaError
    from referencing import Registry
    from referencing.jsonschema import specification_with

    if not isinstance(schema, dict | bool):
        return _Judge(None, ("", "it has to be an object, or true or false"))
    draft = _draft(schema)
    if draft is None:
        return _Judge(None, ("/$schema", "it names no draft of JSON Schema that is known"))
    try:
        draft.check_schema(schema)
    except SchemaError as error:
        return _Judge(None, (codec.place(error.absolute_path), _reason(error)))
    resource = specification_with(draft.ID_OF(draft.META_SCHEMA)).create_resource(schema)
    registry: Registry[Any] = Registry()  # without a way to retrieve anything
    fault = next(_lost(resource, registry.resolver_with_root(resource)), None)
    return _Judge(None, ("", fault)) if fault else _Judge(draft(schema, registry=registry), None)


def _draft(schema: dict[str, Any] | bool) -> Any:
    """The library's class for the draft that `$schema` names; None if it knows none."""
    from jsonschema.validators import Draft202012Validator, validator_for

    if isinstance(schema, bool) or "$schema" not in schema:
        return Draft202012Validator
    named = schema["$schema"]
    unknown: Any = None
    return validator_for({"$schema": named}, default=unknown) if isinstance(named, str) else None


def _lost(resource: Any, resolver: Any) -> Iterator[str]:
    """The references, here and in every schema inside, that lead out or nowhere. Also makes `false` tell its place."""
    from referencing.exceptions import Unresolvable

    contents = resource.contents
    if not isinstance(contents, dict):
        return
    for word in _REFERENCES:
        target = contents.get(word)
        if not isinstance(target, str):
            continue
        named = f"{word} {_cut(_json(target), _LONG_VALUE)}"
        if not target.startswith("#"):
            yield f"{named} leads out of the schema, and nothing is fetched: write it as #/$defs/NAME"
            continue
        try:
            resolver.lookup(target)
        except Unresolvable:
            yield f"{named} leads nowhere"
    _spell_out(contents)
    for inner in resource.subresources():
        yield from _lost(inner, resolver.in_subresource(inner))


def _spell_out(schema: dict[str, Any]) -> None:
    """Write `false` as `{"not": {}}` where it stands for a member or an element: the library loses its place."""
    for word in ("properties", "patternProperties"):
        if isinstance(members := schema.get(word), dict):
            schema[word] = {name: _NOTHING if inner is False else inner for name, inner in members.items()}
    for word in ("prefixItems", "items"):
        if isinstance(elements := schema.get(word), list):
            schema[word] = [_NOTHING if inner is False else inner for inner in elements]
