"""Values, and sides that were made of one base by a few random edits: what the tests of the merge stand on.

Knows how agents change a document: they set, remove, insert, append, replace in place, move. Does not know
how a merge works.
Law: an edit that finds nothing to work on does nothing, so any list of edits can be made to any value.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis import strategies as st

NAMES = ("a", "b", "id", "~/")

scalars = st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from([0.0, -0.0, 1.0, "", "x", "y"])
texts = st.lists(st.sampled_from(["one", "two", "three", "\u2028"]), min_size=1, max_size=5).map("\n".join)
rows = st.lists(  # objects that have an identity each
    st.dictionaries(st.sampled_from(["a", "b"]), scalars, max_size=2), max_size=5
).map(lambda found: [{"id": number, **row} for number, row in enumerate(found)])
values = st.recursive(
    scalars | texts | rows,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)


class Edit(NamedTuple):
    """One change; `where` and `at` choose among what is there, whatever it is."""

    kind: str
    where: int
    at: int
    value: Any


KINDS = ("set", "remove", "insert", "append", "replace", "move", "line")
_numbers = st.integers(0, 20)


def edits(new: st.SearchStrategy[Any], kinds: tuple[str, ...] = KINDS, most: int = 4) -> st.SearchStrategy[list[Edit]]:
    """A few edits that bring such new values."""
    return st.lists(st.builds(Edit, st.sampled_from(kinds), _numbers, _numbers, new), max_size=most)


def edited(value: Any, changes: list[Edit]) -> Any:
    """The value after the edits; itself untouched."""
    root = [copy.deepcopy(value)]
    for change in changes:
        places = list(_places(root))
        holder = places[change.where % len(places)]
        _ACTS[type(holder)](holder, change)
    return root[0] if root else None


def _places(holder: Any) -> Any:
    """Every container inside, `holder` (which is not a part of the value) only if there is no other."""
    inner = list(holder.values() if isinstance(holder, dict) else holder)
    found = [one for one in inner if isinstance(one, dict | list)]
    for one in found:
        yield one
        yield from (place for place in _places(one) if place is not one)
    if not found:
        yield holder


def _in_object(holder: dict[str, Any], change: Edit) -> None:
    present = sorted(holder)
    name = present[change.at % len(present)] if present else "a"
    if change.kind == "remove":
        holder.pop(name, None)
    elif change.kind == "line":
        _turn_line(holder, name, change)
    elif change.kind in ("set", "insert", "append", "move"):
        holder[NAMES[change.at % len(NAMES)]] = change.value
    elif present:
        holder[name] = change.value


def _in_list(holder: list[Any], change: Edit) -> None:
    at = change.at % len(holder) if holder else 0
    if change.kind == "append":
        holder.append(change.value)
    elif change.kind in ("insert", "set"):
        holder.insert(change.at % (len(holder) + 1), change.value)
    elif not holder:
        return
    elif change.kind == "remove":
        del holder[at]
    elif change.kind == "replace":
        holder[at] = change.value
    elif change.kind == "line":
        _turn_line(holder, at, change)
    else:
        holder.insert(change.where % len(holder), holder.pop(at))


def _turn_line(holder: Any, at: Any, change: Edit) -> None:
    """Another line in a text; another scalar where there is no text."""
    old = holder.get(at) if isinstance(holder, dict) else holder[at]
    if isinstance(old, str) and "\n" in old:
        lines = old.split("\n")
        lines[change.where % len(lines)] = f"line {change.at}"
        holder[at] = "\n".join(lines)
    elif not isinstance(old, dict | list):
        holder[at] = change.value


_ACTS: dict[type, Callable[[Any, Edit], None]] = {dict: _in_object, list: _in_list}


@st.composite
def sides(draw: st.DrawFn, count: int = 2, bases: st.SearchStrategy[Any] = values) -> tuple[Any, ...]:
    """A base and so many sides that came of it."""
    base = draw(bases)
    return (base, *(edited(base, draw(edits(values))) for _ in range(count)))
