"""Graphs of commits that git makes, and what a stream of events says about them, applied to a state."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from hypothesis import strategies as st

from gitmem import Memory
from gitmem.watch import lookout
from gitmem.watch.events import Event
from tests.foreign import run_git
from tests.reference import Node

KEYS = ["default/a", "default/deep/b", "team/a"]
"""Namespace and key of each, as a path."""
Values = dict[str, str]


def nobody_is_left(memory: Memory) -> bool:
    """Whether nobody waits any more for what happens in this memory; other tests' waiters are their own."""
    folder = os.path.realpath(memory.vault.repository.git_dir)
    mine = [one for name, one in lookout._lookouts.items() if name[0] == folder]
    return not any(one._exact or one._broad for one in mine)


WAYS = ["events", "looking"]


def waiters_memory(folder: Path, way: str) -> Memory:
    """A new memory whose waiters hear of files ("events"), or look again and again, as on a network ("looking")."""
    Memory.open(folder, durability="fast").close()
    run_git(folder / ".gitmem" / ".git", "config", "gitmem.fileEvents", "true" if way == "events" else "false")
    return Memory.open(folder, agent="waiter")


@st.composite
def graphs(draw: st.DrawFn, *, most: int = 12) -> list[Node]:
    """Merges of anything with anything, crossed and of several sides, wilful contents, few values."""
    nodes = [Node((), {KEYS[0]: "x"})]
    for place in range(1, draw(st.integers(2, most))):
        parents = draw(st.lists(st.integers(0, place - 1), min_size=1, max_size=3, unique=True))
        state = dict(nodes[parents[0]].state)
        for key in KEYS:
            content = draw(st.sampled_from(["keep", "keep", "x", "y", None]))
            if content is None:
                state.pop(key, None)
            elif content != "keep":
                state[key] = content
        nodes.append(Node(tuple(parents), state))
    return nodes


def plant(memory: Memory, name: str, nodes: Sequence[Node]) -> list[str]:
    """Write a graph into a memory, by git; the ids of its commits. The branch `name` is at the last one.

    The first one comes after the memory's root commit.
    """
    folder = memory.vault.repository.git_dir
    root = run_git(folder, "rev-list", "--max-parents=0", "main").strip()
    out = []
    for place, node in enumerate(nodes):
        out.append(f"commit refs/heads/{name}\nmark :{place + 1}\n")
        out.append(f"committer hand <h@example.org> {1_767_225_700 + place} +0000\ndata 2\n{place % 10}\n")
        parents = [f":{parent + 1}" for parent in node.parents] or [root]
        for word, parent in zip(["from"] + ["merge"] * 9, parents, strict=False):
            out.append(f"{word} {parent}\n")
        out.append("deleteall\nM 100644 inline gitmem.toml\ndata 11\nformat = 1\n\n")
        for key, text in node.state.items():
            body = json.dumps(text) + "\n"
            out.append(f"M 100644 inline {key}.json\ndata {len(body)}\n{body}\n")
    marks = folder / f"marks-{name}"
    run_git(folder, "fast-import", "--quiet", "--force", f"--export-marks={marks}", given="".join(out).encode())
    lines = (line.split() for line in marks.read_text().splitlines())
    found = {int(mark[1:]): oid for mark, oid in lines}
    marks.unlink()
    return [found[place + 1] for place in range(len(nodes))]


def applied(state: Values, events: Iterable[Event]) -> Values:
    """The state after these events; AssertionError if one does not fit to what is there."""
    state = dict(state)
    for event in events:
        path = f"{event.namespace}/{event.key}"
        assert (None if event.old is None else event.old.value) == state.get(path)
        word = "created" if event.old is None else "deleted" if event.new is None else "modified"
        assert event.operation == word
        if event.new is None:
            del state[path]
        else:
            state[path] = event.new.value
    return state


def bunches(events: Iterable[Event]) -> list[list[Event]]:
    """The events by commit; AssertionError if one was split, is out of order, or comes twice."""
    found: list[list[Event]] = []
    for event in events:
        if not found or found[-1][-1].last:
            found.append([])
        found[-1].append(event)
    for bunch in found:
        names = [(event.namespace, event.key) for event in bunch]
        assert names == sorted(set(names))
        assert len({event.revision for event in bunch}) == 1
        assert [event.last for event in bunch] == [False] * (len(bunch) - 1) + [True]
    revisions = [bunch[0].revision for bunch in found]
    assert len(set(revisions)) == len(revisions)
    return found
