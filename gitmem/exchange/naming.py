"""Names that gitmem would refuse: renamed where nothing is lost by it, refused otherwise.

Knows reserved namespaces and Unicode's normal form; does not know values.
Law: two names of a source never become one, and the same source is always renamed in the same way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from unicodedata import normalize

from gitmem.errors import InvalidKeyError
from gitmem.exchange.records import Heading, Refused, shown
from gitmem.keys import CONFLICTS, RESERVED, check_key, check_namespace

_PREFIX = "imported-"


class _Illegal(Exception):
    """Why a name cannot be taken."""


class Naming:
    """The names of a source, and what they become; `renamed` lists (old, new) of those that changed."""

    def __init__(self, headings: Sequence[Heading], where: Callable[[object], str]) -> None:
        """`where` says a heading's place in words."""
        self._headings = headings
        self._where = where
        self._known: dict[tuple[str, str | None], str | _Illegal] = {}
        self.renamed: list[tuple[str, str]] = []

    def legal(self) -> Iterator[Heading | Refused]:
        """The headings with names that gitmem takes, in their order; or why there is no such name."""
        for heading in self._headings:
            try:
                namespace = self._once(heading.namespace, None)
                key = self._once(heading.namespace, heading.key)
            except _Illegal as illegal:
                names = shown(f"{heading.namespace}/{heading.key}")
                yield Refused(f"{self._where(heading.place)}: {names}", str(illegal))
            else:
                same = namespace == heading.namespace and key == heading.key
                yield heading if same else heading._replace(namespace=namespace, key=key)

    def _once(self, namespace: str, key: str | None) -> str:
        """The new name of a key, or (None) of the namespace; judged once, and listed once."""
        if key is not None and _is_key(key):
            return key
        found = self._known.get((namespace, key))
        if found is None:
            try:
                found = self._new_namespace(namespace) if key is None else self._new_key(namespace, key)
            except _Illegal as illegal:
                found = illegal
            self._known[namespace, key] = found
            if isinstance(found, str):
                self._list(namespace, key, found)
        if isinstance(found, _Illegal):
            raise found
        return found

    def _list(self, namespace: str, key: str | None, new: str) -> None:
        if key is not None:
            space = self._once(namespace, None)
            self.renamed.append((f"{space}/{key}", f"{space}/{new}"))
        elif new != namespace:
            self.renamed.append((namespace, new))

    def _new_namespace(self, name: str) -> str:
        new = normalize("NFC", name)
        if self._spaces[new] > 1 and new != name:
            raise _meeting(new)
        if new == CONFLICTS or new.startswith(RESERVED):
            new = self._free(_PREFIX + new)
        try:
            return check_namespace(new)
        except InvalidKeyError as error:
            raise _Illegal(f"its namespace cannot be one: {error.reason}") from None

    def _free(self, name: str) -> str:
        """`name`, with a number if the source has a namespace of this name already."""
        free, number = name, 1
        while free in self._spaces:
            number += 1
            free = f"{name}-{number}"
        return free

    def _new_key(self, namespace: str, key: str) -> str:
        new = normalize("NFC", key)
        try:
            check_key(new)
        except InvalidKeyError as error:
            raise _Illegal(f"its key cannot be one: {error.reason}") from None
        if self._keys[namespace, new] > 1:
            raise _meeting(new)
        return new

    @cached_property
    def _spaces(self) -> Counter[str]:
        """How many of the source's namespaces have this normal form."""
        return _counted(heading.namespace for heading in self._headings)

    @cached_property
    def _keys(self) -> Counter[tuple[str, str]]:
        """How many keys of a namespace have this normal form; asked for only where a key has none."""
        distinct = {(heading.namespace, heading.key) for heading in self._headings}
        return Counter((namespace, normalize("NFC", key)) for namespace, key in distinct)


def _counted(names: Iterable[str]) -> Counter[str]:
    return Counter(normalize("NFC", name) for name in set(names))


def _is_key(key: str) -> bool:
    try:
        check_key(key)
    except InvalidKeyError:
        return False
    return True


def _meeting(new: str) -> _Illegal:
    return _Illegal(f"in Unicode normal form NFC its name is that of another one: {shown(new)}")
