"""A copy of ours for tests of remotes: a memory, its repository, and the way to a remote."""

from __future__ import annotations

from pathlib import Path

from gitmem import Memory
from gitmem.objects import Oid
from gitmem.place import place
from gitmem.remotes import Remote, tracking_ref
from gitmem.repository import Repository
from gitmem.transport import Transport, connect
from gitmem.transport.limits import Limits
from tests.foreign import run_git


class Copy:
    """One memory in a folder, and how it reaches others."""

    def __init__(self, folder: Path, *, program: str = "dulwich", agent: str = "tester") -> None:
        self.memory = Memory.open(folder, agent=agent, durability="fast")
        self.program = program
        self.repository = Repository(place(folder))
        self.git_dir = self.repository.git_dir

    def to(self, url: str, *, limits: Limits = Limits(), **options) -> Transport:  # noqa: B008 (frozen)
        options = {"timeout": 20, "program": self.program, **options}
        return connect(self.repository, Remote("origin", url), limits=limits, **options)

    @property
    def head(self) -> Oid:
        return self.repository.head("main")

    def follow(self, oid: Oid, branch: str = "main") -> None:
        """What a sync does once it has fetched."""
        ref = tracking_ref("origin", branch)
        assert self.repository.refs.swap(ref, self.repository.refs.read(ref), oid, locked=False, durable=False)

    def count(self) -> int:
        """The objects here, as git counts them."""
        said = run_git(self.git_dir, "count-objects", "-v")
        found = dict(line.split(": ") for line in said.splitlines())
        return int(found["count"]) + int(found["in-pack"])

    def has(self, oid: Oid) -> bool:
        self.repository.objects.refresh()
        return self.repository.objects.contains(oid)

    def leftovers(self) -> list[str]:
        """What lies about in `local/` and the pack folder that nobody will finish."""
        packs = (self.git_dir / "objects" / "pack").iterdir()
        lying = [path.name for path in packs if path.suffix not in (".pack", ".idx", ".rev")]
        return lying + [path.name for path in self.repository.local.iterdir() if path.name not in ("lock", "gc.lock")]

    def sound(self) -> bool:
        """git finds nothing wrong, and nothing lies about."""
        said = run_git(self.git_dir, "fsck", "--strict", "--full", "--no-dangling", "--no-progress")
        return said == "" and self.leftovers() == []
