"""Another copy on this machine, where no git program is installed: it is simply opened.

Knows two repositories as gitmem sees them; runs nothing, so that copy's hooks do not run either.
Law: as over any other way: what arrives is checked whole, on both sides, and its branch moves by compare-and-swap.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from gitmem.errors import GitmemError
from gitmem.objects import Oid
from gitmem.place import place
from gitmem.refs import branch_ref
from gitmem.remotes import Remote
from gitmem.remotes.address import parse
from gitmem.repository import Repository
from gitmem.transport import graph
from gitmem.transport.answers import HEADS
from gitmem.transport.failures import Trouble, telling
from gitmem.transport.limits import Limits
from gitmem.transport.outgoing import Parcel
from gitmem.transport.quarantine import admit
from gitmem.transport.transit import transit


class Neighbour:
    """See `gitmem.transport.Transport`."""

    def __init__(self, repository: Repository, remote: Remote, limits: Limits) -> None:
        self._repository = repository
        self._remote = remote
        self._limits = limits

    def heads(self) -> dict[str, Oid]:
        """Every branch there and its commit; {} if there is none."""
        with telling(self._remote, "reading the branches of"), self._theirs() as theirs:
            refs = theirs.refs.all()
            return {name.removeprefix(HEADS): oid for name, oid in refs.items() if name.startswith(HEADS)}

    def fetch(self, wants: Collection[Oid]) -> None:
        """Bring these commits and all they need; what is here already does not travel."""
        ours = self._repository
        missing = [oid for oid in dict.fromkeys(wants) if not ours.objects.contains(oid)]
        if not missing:
            return
        with telling(self._remote, "fetching from"), transit(ours) as folder:
            with self._theirs() as theirs:
                parcel = Parcel(theirs.objects, folder, missing, ours.refs.all().values())
            admit(ours, [parcel.path] if parcel.path else [], missing, self._limits)

    def push(self, branch: str, expected: Oid | None, new: Oid) -> bool:
        """Move their branch from `expected` to `new`; False if it is elsewhere by now. Never a force push."""
        ref, objects = branch_ref(branch), self._repository.objects
        with telling(self._remote, "pushing to"):
            graph.check_descends(objects, new, expected)
            with self._theirs() as theirs:
                there = theirs.refs.read(ref)
                if there == expected != new:
                    theirs.check_writable(branch)
                    self._send(theirs, new)
                    with theirs.lock():
                        if theirs.refs.swap(ref, expected, new, locked=theirs.locks, durable=theirs.durable):
                            return True
                        there = theirs.refs.read(ref)
                return there == new

    def _send(self, theirs: Repository, new: Oid) -> None:
        with transit(theirs) as folder:
            parcel = Parcel(self._repository.objects, folder, [new], theirs.refs.all().values())
            if parcel.path:
                admit(theirs, [parcel.path], [new], self._limits)

    @contextmanager
    def _theirs(self) -> Iterator[Repository]:
        """The other repository. Its troubles are the remote's, not ours."""
        try:
            yield Repository(place(parse(self._remote.url).path))
        except GitmemError as error:
            raise Trouble(error.message, error.hint) from None
