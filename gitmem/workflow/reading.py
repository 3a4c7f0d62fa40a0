"""Reading TOML by forms: tables, lists, texts and numbers; what is wrong is noted with its line.

Knows lines, places and near misses; does not know what a plan is.
Law: nothing that is wrong stops the reading, and what cannot be read is left out, so that one look finds every problem.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from itertools import islice
from typing import Any, NamedTuple

from gitmem import toml
from gitmem.errors import GitmemError

_COMPARED = 200  # words, for one that is not known: there may be as many of those, and each comparison takes its time

Read = Callable[["Draft", toml.Place, Any], Any]
"""Reads one setting: notes what is wrong with it, and gives what can be used of it, or None."""

_MEANT = {
    "after": "waits_for", "args": "command", "cmd": "command", "depends_on": "waits_for", "depends": "waits_for",
    "needs": "waits_for", "wait_for": "waits_for", "outputs": "stores", "produces": "stores", "provides": "stores",
    "inputs": "waits_for", "approvers": "deciders", "reviewers": "deciders", "run": "command", "retry": "retries",
    "jobs": "parallel", "steps": "task", "tasks": "task", "agent": "agents", "gate": "gates", "gates": "gate",
    "required": "requires", "fields": "requires", "description": "prompt", "env": "command", "id": "name",
}  # fmt: skip


class Problem(NamedTuple):
    """What is wrong, and in which line; None where no line can be named."""

    line: int | None
    reason: str

    def told(self) -> str:
        """As a person reads it."""
        return f"line {self.line}: {self.reason}" if self.line else self.reason


class Draft:
    """A document on its way to become values: the place of each part that was read, and the problems so far."""

    def __init__(self, text: str) -> None:
        """toml.Malformed if it is no TOML."""
        self.document = toml.parse(text)
        self.problems: list[Problem] = []
        self.places: dict[tuple[object, ...], toml.Place] = {}
        self._lines = toml.Lines(text)

    def wrong(self, reason: str, *place: str | int) -> None:
        """Note a problem."""
        self.problems.append(Problem(self._lines.of(*place), reason))

    def wrong_at(self, reason: str, *part: object) -> None:
        """Note a problem of a part that has been read: where it stands was kept in `places`."""
        self.wrong(reason, *self.places.get(part, ()))

    def table(self, place: toml.Place, table: Mapping[str, Any], form: Form, what: str) -> dict[str, Any]:
        """The settings of a table that could be read, by their names."""
        read, meant = {}, set()
        for name, value in table.items():
            if name in form.settings:
                part = form.settings[name](self, (*place, name), value)
                if part is not None:
                    read[name] = part
            else:
                instead = _meant(name, form.settings)
                meant.add(instead)
                more = f"; did you mean {instead!r}?" if instead else f": it has {', '.join(form.settings)}"
                self.wrong(f"{what} has no setting {name!r}{more}", *place, name)
        for name, example in form.needed.items():
            if name not in table and name not in meant:
                self.wrong(f"{what} needs {name}: {example}", *place)
        return read


class Form(NamedTuple):
    """The settings that a table may have, how each is read, and those that it needs."""

    settings: Mapping[str, Read]
    needed: Mapping[str, str]  # setting -> an example of it


def near(word: str, words: Iterable[str]) -> str:
    """`; did you mean …?` for the nearest of some words, or nothing; of very many only the first are looked at."""
    found = get_close_matches(word, list(islice(words, _COMPARED)), n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def _meant(name: str, settings: Mapping[str, Read]) -> str:
    """The setting that somebody means who writes this, perhaps; else ""."""
    known = _MEANT.get(name, "")
    return known if known in settings else "".join(get_close_matches(name, list(settings), n=1))


# --- texts and numbers


def text(draft: Draft, place: toml.Place, value: Any) -> str | None:
    if not isinstance(value, str):
        draft.wrong(f"{_name(place)} has to be text in quotes, not {_shown(value)}", *place)
        return None
    if "\0" in value:
        draft.wrong(f"{_name(place)} contains the character U+0000, which no program can be given", *place)
        return None
    return value


def checked(check: Callable[[str], object]) -> Read:
    """Reads a text that `check` has to let pass; it raises a GitmemError otherwise."""

    def read(draft: Draft, place: toml.Place, value: Any) -> str | None:
        found = text(draft, place, value)
        if found is None:
            return None
        try:
            check(found)
        except GitmemError as error:
            draft.wrong(f"{_name(place)}: {error.message}", *place)
            return None
        return found

    return read


def seconds(draft: Draft, place: toml.Place, value: Any) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf:
        return float(value)
    draft.wrong(f"{_name(place)} has to be seconds, a number above 0, not {_shown(value)}", *place)
    return None


def count(least: int) -> Read:
    def read(draft: Draft, place: toml.Place, value: Any) -> int | None:
        if type(value) is int and value >= least:
            return value
        draft.wrong(f"{_name(place)} has to be a whole number from {least} up, not {_shown(value)}", *place)
        return None

    return read


def _name(place: toml.Place) -> str:
    """What the place is called in its table: an element of a list goes by the list's name."""
    return next((step for step in reversed(place) if isinstance(step, str)), "it")


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    kinds: dict[type[Any], str] = {dict: "a table", list: "a list"}
    return kinds.get(type(value)) or (repr(value) if len(repr(value)) <= 60 else f"{repr(value)[:60]}…")


# --- lists


def each(one: Read, example: str, kind: str = "") -> Read:
    """Reads a list, element by element; a `kind` keeps the place of each under (kind, number of its table, element).

    An element that stands there twice is told.
    """

    def read(draft: Draft, place: toml.Place, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            draft.wrong(f"{_name(place)} has to be a list: {_name(place)} = {_listed(value, example)}", *place)
            value = [value] if isinstance(value, str) else []
        found: list[Any] = []
        named: set[Any] = set()
        for at, element in enumerate(value):
            part = one(draft, (*place, at), element)
            if part is None:
                continue
            mark = _mark(part)
            if kind and mark in named:
                draft.wrong(f"{_name(place)} names {mark!r} twice", *place, at)
                continue
            found.append(part)
            named.add(mark)
            draft.places[(kind, *place[1:2], mark)] = (*place, at)
        return tuple(found)

    return read


def _listed(value: Any, example: str) -> str:
    return f'["{value}"]' if isinstance(value, str) and '"' not in value else f"[{example}]"


def _mark(part: Any) -> Any:
    """By which name a part is known: its key, or itself."""
    return getattr(part, "key", part)


def tables(form: Form, make: Callable[[Draft, int, dict[str, Any]], Any], header: str) -> Read:
    """Reads tables that each begin with [[header]]."""

    def read(draft: Draft, place: toml.Place, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
            draft.wrong(f"{header} has to be tables, each beginning with [[{header}]]", *place)
            return ()
        made = []
        for at, row in enumerate(value):
            draft.places[header, at] = (*place, at, "name")
            what = f"{header} {row['name']!r}" if isinstance(row.get("name"), str) else f"a [[{header}]]"
            made.append(make(draft, at, draft.table((*place, at), row, form, what)))
        return tuple(made)

    return read
