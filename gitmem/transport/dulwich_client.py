"""Fetch and push by dulwich: over http, ssh, git's own port, and a local git server.

Knows how dulwich's client is asked and what its answers mean; does not know what lies in a pack.
Law: a push says which commit it expects there, and a refusal because of that is an answer, not an error.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dulwich.client import SendPackResult
from dulwich.config import ConfigFile, StackedConfig, apply_instead_of
from dulwich.errors import SendPackError

from gitmem.loose import storage_error
from gitmem.objects import Oid
from gitmem.refs import branch_ref
from gitmem.remotes import TRACKING, Remote
from gitmem.remotes.address import BadAddress, parse
from gitmem.repository import Repository
from gitmem.transport import graph
from gitmem.transport.answers import branches, overtaken, refused
from gitmem.transport.dialogue import Dialogue
from gitmem.transport.failures import Trouble, advice, last_words, telling
from gitmem.transport.limits import Limits
from gitmem.transport.outgoing import Parcel
from gitmem.transport.quarantine import admit
from gitmem.transport.transit import transit
from gitmem.transport.web import Web

if TYPE_CHECKING:
    from gitmem.transport import Credentials

_GREETING = 64 << 20
_WORDS = 4096


class Overtaken(Exception):
    """Their branch is elsewhere by now."""


class Dulwich:
    """See `gitmem.transport.Transport`."""

    def __init__(
        self, repository: Repository, remote: Remote, timeout: float, credentials: Credentials | None, limits: Limits
    ) -> None:
        self._repository = repository
        self._remote = remote
        self._timeout = timeout
        self._credentials = credentials
        self._limits = limits
        self._web: dict[str, Web] = {}

    def heads(self) -> dict[str, Oid]:
        """Every branch there and its commit; {} if there is none. One exchange."""
        with telling(self._remote, "reading the branches of"), self._exchange() as client:
            return branches(client.get_refs(b"", protocol_version=0).refs)

    def fetch(self, wants: Collection[Oid]) -> None:
        """Bring these commits and all they need; what is here already does not travel."""
        objects = self._repository.objects
        missing = [oid for oid in dict.fromkeys(wants) if not objects.contains(oid)]
        if not missing:
            return
        haves = graph.Haves(objects, *self._tips())
        with telling(self._remote, "fetching from"), transit(self._repository) as folder:
            path = os.path.join(folder, "arriving.pack")
            with _Sink(path, self._limits.all) as sink, self._exchange() as client:
                client.fetch_pack(b"", self._choice(missing), haves, sink.write, protocol_version=0)
            admit(self._repository, [path], missing, self._limits)

    def push(self, branch: str, expected: Oid | None, new: Oid) -> bool:
        """Move their branch from `expected` to `new`; False if it is elsewhere by now. Never a force push."""
        ref, objects = branch_ref(branch).encode(), self._repository.objects
        said = _Said()
        with telling(self._remote, "pushing to"), transit(self._repository) as folder:
            graph.check_descends(objects, new, expected)

            def choose(refs: dict[bytes, bytes]) -> dict[bytes, bytes]:
                branches(refs)
                there, wanted = refs.get(ref), new.hex().encode()
                if there == wanted:
                    return {}
                if there != (expected.hex().encode() if expected is not None else None):
                    raise Overtaken
                return {ref: wanted}

            def pack(have: Iterable[bytes], want: object, **options: object) -> tuple[int, Iterator[Any]]:
                known = [bytes.fromhex(oid.decode("ascii")) for oid in have if len(oid) == 40]
                parcel = Parcel(objects, folder, [new], known)
                return len(parcel), parcel.records()

            try:
                with self._exchange(push=True) as client:
                    result = client.send_pack(b"", choose, pack, progress=said)
            except Overtaken:
                return False
            except SendPackError as error:
                reason = b" ".join(part for part in error.args if isinstance(part, bytes)).decode("utf-8", "replace")
                raise refused(branch, reason.removeprefix("unpack "), said.words) from None
            return self._accepted(result, ref, branch, new, said.words)

    def _accepted(self, result: SendPackResult, ref: bytes, branch: str, new: Oid, said: str) -> bool:
        """What became of the branch. A server that reports nothing is asked."""
        if result.ref_status is None:
            return self.heads().get(branch) == new
        if not result.ref_status:
            return True  # it is there already
        if ref not in result.ref_status:
            raise Trouble("it did not say what became of the push", "sync again: that finds out")
        reason = result.ref_status[ref]
        if reason is None:
            return True
        if overtaken(reason):
            return False
        raise refused(branch, reason, said)

    def _choice(self, missing: list[Oid]) -> Callable[..., list[bytes]]:
        """What to ask for, once the other side's refs are known: it gives only what a ref of its points to.

        A branch that has moved on meanwhile is taken as it is now, which brings the wanted commit too.
        """
        objects = self._repository.objects

        def choose(refs: dict[bytes, bytes], depth: object = None) -> list[bytes]:
            tips = branches(refs)
            there = set(refs.values())
            wanted = [oid for oid in missing if oid.hex().encode() in there]
            if len(wanted) < len(missing):
                wanted += [oid for oid in tips.values() if oid not in wanted and not objects.contains(oid)]
            if not wanted:
                raise Trouble("it no longer has what it had a moment ago", "sync again, to see what it has now")
            return [oid.hex().encode() for oid in wanted]

        return choose

    def _tips(self) -> tuple[list[Oid], list[Oid]]:
        """The commits of our refs that follow this remote, since it surely has them, and those of all others."""
        refs, own = self._repository.refs.all(), f"{TRACKING}{self._remote.name}/"
        followed = [oid for name, oid in sorted(refs.items()) if name.startswith(own)]
        return followed, [oid for name, oid in sorted(refs.items()) if not name.startswith(own)]

    @contextmanager
    def _exchange(self, *, push: bool = False) -> Iterator[Any]:
        """A client for one exchange. What a program on the way complained of becomes the reason of a failure."""
        client = self._client(push=push)
        try:
            yield client
        except (Trouble, Overtaken, SendPackError):
            raise
        except Exception:
            client.hang_up()
            words = last_words(client.words)
            if words:
                raise Trouble(words, advice(words)) from None
            raise
        finally:
            client.hang_up()

    def _client(self, *, push: bool) -> Dialogue | Web:
        config = self._settings()
        try:
            address = parse(apply_instead_of(config, self._remote.url, push=push))
        except BadAddress as error:
            raise Trouble(str(error), error.hint) from None
        limit = self._limits.all + _GREETING
        if address.scheme in ("http", "https"):
            url = address.url()
            if url not in self._web:  # it remembers a login
                self._web[url] = Web(
                    address, timeout=self._timeout, limit=limit, config=config, credentials=self._credentials
                )
            return self._web[url]
        try:
            ssh = config.get((b"core",), b"sshCommand").decode("utf-8", "surrogateescape")
        except KeyError:
            ssh = ""
        return Dialogue(address, timeout=self._timeout, limit=limit, ssh_command=ssh)

    def _settings(self) -> StackedConfig:
        """git's settings: the repository's own first, then the person's."""
        try:
            own = ConfigFile.from_path(str(self._repository.git_dir / "config"))
            return StackedConfig([own, *StackedConfig.default_backends()])
        except (OSError, ValueError) as error:
            raise Trouble(f"git's settings cannot be read: {error}", "see `git config --list`") from None


class _Sink:
    """The file into which a pack arrives. StorageError when the disk refuses, which is not the remote's fault."""

    def __init__(self, path: str, limit: int) -> None:
        self._path = path
        self._left = limit

    def __enter__(self) -> _Sink:
        with self._disk():
            self._file = open(self._path, "wb")
        return self

    def __exit__(self, *_: object) -> None:
        with self._disk():
            self._file.close()

    def write(self, chunk: bytes) -> int:
        self._left -= len(chunk)
        if self._left < 0:
            raise Trouble("it sends more than is allowed", "a larger limit can be given where that is meant")
        with self._disk():
            return self._file.write(chunk)

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise storage_error(error, self._path) from error


class _Said:
    """What a server says for people while it takes a push; the end of it."""

    def __init__(self) -> None:
        self._words = b""

    def __call__(self, chunk: bytes) -> None:
        self._words = (self._words + chunk)[-_WORDS:]

    @property
    def words(self) -> str:
        return last_words(self._words.decode("utf-8", "replace"))
