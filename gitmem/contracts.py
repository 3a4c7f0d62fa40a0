"""Contracts: whether a value is what the JSON Schemas that bind its key say.

Knows JSON Schema by the library of that name: Draft 2020-12, unless `$schema` names another. Does not know which
contracts bind which keys.
Laws: nothing is ever fetched: a `$ref` leads to a place in its own schema, or is refused. Whatever a schema is, hostile
or broken, what comes out is a list of problems: a value that cannot be judged does not keep its contract. And since
verdicts decide what merges come to, they follow from schema and value alone, however deep the caller's stack is; where
there is no memory left there is no verdict.

Time is bounded by steps: a tree of references, or of other keywords inside each other, can ask for more of them than
there will ever be time for. Not bounded is a regular expression in `pattern` or `patternProperties`: it is Python's,
and one that goes back and forth costs the time that it costs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from gitmem import codec
from gitmem.errors import ContractError, GitmemError, InvalidValueError
from gitmem.policy import MAX_BYTES, Contract

MOST = 1000
"""So many problems of one contract are listed: a list of a million wrong elements has to end somewhere."""
STEPS = 100_000
"""So many keywords are applied for one verdict, and then STEPS_EACH more for each value in the value."""
STEPS_EACH = 100

_TOLD = 20  # in an error's message; its field has all
_LONG_VALUE = 60
_LONG_REASON = 300
_ALTERNATIVES = 3
_OPENED_BY: dict[type, str] = {dict: "{", list: "["}  # what the library printed, too
_HINT = "`gitmem contract list` shows what such values have to look like; nothing was written"
_SCHEMA_HINT = 'write it as JSON Schema (Draft 2020-12): {"type": "object", "required": ["libraries"]}'
_NOTHING: dict[str, Any] = {"not": {}}
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")

_Result = TypeVar("_Result")


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
    return _with_room(lambda: _problems(judge.validator, value))


def _problems(validator: Any, value: Any) -> list[_Problem]:
    try:
        return [_Problem(tuple(error.absolute_path), _reason(error)) for error in _errors(validator, value, MOST)]
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
    return json.dumps(value, ensure_ascii=False)


def _cut(text: str, size: int) -> str:
    return text if len(text) <= size else text[: size - 1] + "…"


def _failure(error: Exception) -> str:
    """Why there can be no judgement. Raises the error again if it tells of the machine, not of schema and value."""
    if isinstance(error, MemoryError) or (isinstance(error, RecursionError) and not _ALONE.get()):
        raise error
    if isinstance(error, RecursionError):
        return "it goes round in a circle, or too deep"
    return _cut(f"{type(error).__name__}: {error}" if not isinstance(error, _TooLong) else str(error), _LONG_REASON)


# --- room and time

_ALONE: ContextVar[bool] = ContextVar("_ALONE", default=False)  # whether nothing else is on this thread's stack


def _with_room(function: Callable[[], _Result]) -> _Result:
    """`function()`; if the stack is too short for it, on one of its own, which is equally long for everybody."""
    try:
        return function()
    except RecursionError:
        from concurrent.futures import ThreadPoolExecutor

        def alone() -> _Result:
            _ALONE.set(True)
            return function()

        with ThreadPoolExecutor(1) as fresh:
            return fresh.submit(alone).result()


class _TooLong(Exception):
    """There are no steps left."""


class _Meter:
    """The steps that are left for one verdict; the value is measured only when the first ones are used up."""

    def __init__(self, value: Any) -> None:
        self._value = value
        self._granted = self._left = STEPS

    def step(self) -> None:
        """One more keyword is applied; _TooLong if it is one too many."""
        self._left -= 1
        if self._left >= 0:
            return
        if self._granted > STEPS:
            raise _TooLong(f"it takes more than {self._granted:,} steps; references inside each other multiply them")
        self._left = STEPS_EACH * _size(self._value) - 1
        self._granted += self._left + 1


_METER: ContextVar[_Meter] = ContextVar("_METER")


def _size(value: Any) -> int:
    """How many values there are in a value, itself included."""
    count, waiting = 0, [value]
    while waiting:
        inner = waiting.pop()
        count += 1
        if isinstance(inner, dict | list):
            waiting.extend(inner.values() if isinstance(inner, dict) else inner)
    return count


def _errors(validator: Any, value: Any, most: int) -> list[Any]:
    """The library's first errors, by a validator of a `_metered` class."""
    outer = _METER.set(_Meter(value))
    try:
        return list(islice(validator.iter_errors(value), most))
    finally:
        _METER.reset(outer)


@lru_cache
def _metered(draft: Any) -> Any:
    """The library's class for a draft: each keyword is a step, and `uniqueItems` takes no more than linear time."""
    from jsonschema.validators import extend

    applied = {**draft.VALIDATORS, "uniqueItems": _unique}
    metered = extend(draft, {word: _counted(apply) for word, apply in applied.items()})

    def evolve(self: Any, **changes: Any) -> Any:
        """The validator for an inner schema: where that names its draft, the library falls back on its own class."""
        made = draft.evolve(self, **changes)
        kind: Any = type(made)
        if kind is metered:
            return made
        return _metered(kind)(
            made.schema, format_checker=made.format_checker, registry=made._registry, _resolver=made._resolver
        )

    metered.evolve = evolve
    return metered


def _counted(apply: Any) -> Any:
    def counted(validator: Any, wanted: Any, value: Any, schema: Any) -> Any:
        _METER.get().step()
        return apply(validator, wanted, value, schema)

    return counted


def _unique(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[Any]:
    """The keyword `uniqueItems`; the library compares each object with each."""
    from jsonschema import ValidationError

    if wanted and validator.is_type(value, "array") and len({_mark(one) for one in value}) < len(value):
        yield ValidationError(f"{value!r} has non-unique elements")


def _mark(value: Any) -> str:
    """A text that is the same for values that JSON Schema calls equal: 1 and 1.0 are, 1 and true are not."""
    return json.dumps(_with_integers(value), sort_keys=True)


def _with_integers(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_integers(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_with_integers(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


# --- schemas


@lru_cache(256)
def _judge(text: str) -> _Judge:
    """The judge by a schema; made once for each text."""
    return _with_room(lambda: _made(text))


def _made(text: str) -> _Judge:
    try:
        return _checked(codec.decode(text, max_bytes=MAX_BYTES))
    except GitmemError as error:
        return _Judge(None, ("", getattr(error, "reason", error.message)))
    except Exception as error:
        return _Judge(None, ("", f"it cannot be used: {_failure(error)}"))


def _checked(schema: Any) -> _Judge:
    from referencing import Registry
    from referencing.jsonschema import specification_with

    if not isinstance(schema, dict | bool):
        return _Judge(None, ("", "it has to be an object, or true or false"))
    draft = _draft(schema)
    if draft is None:
        return _Judge(None, ("/$schema", "it names no draft of JSON Schema that is known"))
    registry: Registry[Any] = Registry()  # without a way to retrieve anything
    metered = _metered(draft)
    meta = metered(draft.META_SCHEMA, format_checker=draft.FORMAT_CHECKER, registry=registry)
    for error in _errors(meta, schema, 1):
        return _Judge(None, (codec.place(error.absolute_path), _reason(error)))
    resource = specification_with(draft.ID_OF(draft.META_SCHEMA)).create_resource(schema)
    fault = next(_lost(resource, registry.resolver_with_root(resource)), None)
    return _Judge(None, ("", fault)) if fault else _Judge(metered(schema, registry=registry), None)


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
