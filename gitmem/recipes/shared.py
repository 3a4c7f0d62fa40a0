"""One document that many agents change at once, and whoever waits until all of them have.

Knows who has contributed by `<key>/contributors/<agent>`, which every change stores in its own commit; does not know
what the document is about.
Law: a change is made to what is there when it is published, so that nobody undoes another's; who has contributed is
seen, also who had nothing to change. `open` begins anew: the contributors to an earlier document do not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from gitmem import codec, pointers
from gitmem.errors import KeyExistsError, MissingKeyError, StaleError, WaitTimeoutError, typed
from gitmem.globs import escape
from gitmem.keys import check_key
from gitmem.members import ABSENT
from gitmem.recipes.ground import coordinating, countdown, each, where

if TYPE_CHECKING:
    from gitmem.entries import Entry
    from gitmem.memory import Memory
    from gitmem.view import View


class Shared:
    """A shared document, such as `shared/project-state`.

    Every change gives the entry as it stands afterwards, in which others' newer changes may be already; that of a
    document which was never opened is a MissingKeyError. Errors else as those of the memory's verb of the same name.
    """

    def __init__(self, memory: Memory, key: str, *, namespace: str | None = None) -> None:
        """InvalidKeyError for what could never be a key."""
        check_key(key, writing=False)
        self._memory = coordinating(memory, namespace)
        self.key = key

    def open(self, initial: Any) -> Entry:
        """Begin the document, or give what is there: whoever comes first decides what it begins with."""
        try:
            with self._memory.transaction(f"open {self._memory.namespace} {self.key}") as tx:
                tx.create(self.key, initial)
                tx.delete_matching(self._contribution("**", escape))
        except KeyExistsError as error:
            there: Entry = error.current
            return there
        return self._memory.entry(self.key)

    # --- changes

    def update(self, function: Callable[[Any], Any], *, message: str | None = None) -> Entry:
        """Make `function(value)` of the document; it may run again on fresher data, so keep it pure."""
        return self._change(lambda tx: tx.update(self.key, function), message)

    def patch(self, patch: Any, *, message: str | None = None) -> Entry:
        """Change members by an RFC 7396 object or an RFC 6902 list."""
        return self._change(lambda tx: tx.patch(self.key, patch), message)

    def append(self, element: Any, *, at: str = "", message: str | None = None) -> Entry:
        """Add one element to the list at the JSON pointer `at`."""

        def add(tx: Any) -> None:
            tx.update(self.key, _as_it_is)  # a missing document is not begun by its first element
            tx.append(self.key, element, at=at)

        return self._change(add, message)

    def merge(self, value: Any, base: Any, *, message: str | None = None) -> Entry:
        """Store what was made of `base` (an Entry, a revision, a version), merged with what others changed since.

        MergeConflictError where no rule of gitmem.toml settles it; nothing is written then, also no contribution.
        """

        def merge(tx: Any) -> None:
            tx.update(self.key, _as_it_is)
            tx.store(self.key, value, base=base)

        return self._change(merge, message)

    def contribute(self, *, message: str | None = None) -> Entry:
        """Say that this agent is done with the document although it had nothing to change."""
        return self._change(lambda tx: tx.update(self.key, _as_it_is), message)

    def _change(self, change: Callable[[Any], None], message: str | None) -> Entry:
        memory = self._memory
        try:
            with memory.transaction(message or f"contribute to {memory.namespace} {self.key}") as tx:
                change(tx)
                tx.store(self._contribution(memory.agent), {"by": memory.agent})
        except MissingKeyError as error:
            error.hint += f"\n`gitmem shared open {typed(self.key)} VALUE{where(memory)}` begins it"
            raise
        return memory.entry(self.key)

    def _contribution(self, agent: str, quoted: Callable[[str], str] = str) -> str:
        return f"{quoted(self.key)}/contributors/{agent}"

    # --- who waits for all of them

    def entry(self) -> Entry:
        """The document now. MissingKeyError if nobody has opened it."""
        return self._memory.entry(self.key)

    def contributors(self) -> dict[str, Entry]:
        """Who has contributed since the document was opened, by name: {"by": agent}; with the time of the first."""
        found = self._memory.search(self._contribution("**", escape))
        return {entry.key.removeprefix(self._contribution("")): entry for entry in found}

    def wait(
        self, *, contributors: Iterable[str] = (), members: Iterable[str] = (), timeout: float | None = None
    ) -> Entry:
        """Wait as the two verbs below do, for all of it in one snapshot; with neither, for the document alone."""
        return self._wait(each(contributors), each(members), timeout)

    def wait_for_contributors(self, names: Iterable[str], *, timeout: float | None = None) -> Entry:
        """Wait until all these agents have contributed; the document as it is then, in the same snapshot.

        WaitTimeoutError after `timeout` seconds lists the contributions that are missing.
        """
        return self.wait(contributors=names, timeout=timeout)

    def wait_for_members(self, pointers: Iterable[str], *, timeout: float | None = None) -> Entry:
        """Wait until the places (JSON pointers) differ from what the document was opened with.

        For agents that only know `store`. A place that was changed and changed back does not count.
        """
        return self.wait(members=pointers, timeout=timeout)

    def aggregate(
        self,
        into: str,
        function: Callable[[Any], Any],
        *,
        contributors: Iterable[str] = (),
        members: Iterable[str] = (),
        timeout: float | None = None,
    ) -> Entry:
        """Wait as `wait` does, and store `function(value)` at the key `into`.

        It is stored only if the document is still what the function was given: else it runs again, until the time is
        up (StaleError then). So a report that is there was true of the document at the moment it was stored.
        """
        names, places = each(contributors), each(members)
        left = countdown(timeout)
        while True:
            entry = self._wait(names, places, left())
            try:
                return self._memory.store(
                    into, function(entry.value), guard=entry, message=f"aggregate {self._memory.namespace} {self.key}"
                )
            except StaleError:
                if left() == 0:
                    raise

    def _wait(self, names: tuple[str, ...], places: tuple[str, ...], timeout: float | None) -> Entry:
        wanted = _Wanted(self.key, {self._contribution(name): name for name in names}, places)
        try:
            return self._memory.wait_until(wanted.met, timeout=timeout, keys=[escape(key) for key in wanted.keys])
        except WaitTimeoutError as error:
            raise WaitTimeoutError(
                f"{self.key!r} still waits for {', '.join(wanted.told)}",
                hint="`gitmem shared status KEY` shows who has contributed; nothing is lost by waiting again",
                missing=wanted.missing,
                revision=error.revision,
            ) from None


class _Wanted:
    """What a document has to have before it counts; asked again and again, it remembers what was missing last."""

    def __init__(self, key: str, contributions: dict[str, str], places: tuple[str, ...]) -> None:
        """`contributions` by their keys: the agents' names. What can never be there is told now: InvalidKeyError for
        a name, InvalidPatternError for a place.
        """
        for contribution in contributions:
            check_key(contribution)
        for place in places:
            pointers.parse(place)
        self._key = key
        self._contributions = contributions
        self._places = places
        self._opening = _Opening(key)
        self.keys = [key, *contributions]
        self.missing: list[str] = []
        self.told: list[str] = []

    def met(self, view: View) -> Entry | None:
        """The document, if all of it is there in this snapshot."""
        entry: Any = view.entry(self._key, None)
        if entry is None:
            self.missing, self.told = [self._key], ["the document itself"]
            return None
        absent = [key for key in self._contributions if view.retrieve(key, ABSENT) is ABSENT]
        opening = self._opening.value(view) if self._places else None
        same = [place for place in self._places if codec.equal(_at(entry.value, place), _at(opening, place))]
        self.missing = [*absent, *same]
        self.told = [f"a contribution of {self._contributions[key]}" for key in absent]
        self.told += [f"a change at {place}" for place in same]
        return None if self.missing else entry


class _Opening:
    """What the document was opened with; however often it is asked, it looks at each version once."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._seen = 0
        self._value: Any = ABSENT

    def value(self, view: View) -> Any:
        """The value of the newest version that created the document."""
        newest = view.entry(self._key).version
        unseen = newest - self._seen if newest >= self._seen else newest
        created = (one for one in view.history(self._key, limit=unseen) if one.operation == "created")
        self._seen, self._value = newest, next((one.value for one in created), self._value)
        return self._value


def _at(value: Any, pointer: str) -> Any:
    try:
        return pointers.resolve(value, pointer)
    except LookupError:
        return ABSENT


def _as_it_is(value: Any) -> Any:
    return value
