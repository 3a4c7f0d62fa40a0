"""Fetch and push over every way there is, against real servers: what arrives, what travels, who wins a race."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest

from gitmem import RemoteError
from gitmem.objects import Oid
from tests.copies import Copy
from tests.foreign import commit_files, run_git
from tests.servers import SERVERS, Server, bare


class Way(NamedTuple):
    """A server of one kind, a repository there, and a program to reach it by."""

    server: Server
    url: str
    root: Path
    program: str
    top: Path

    def copy(self, name: str) -> Copy:
        return Copy(self.top / name, program=self.program)

    def head(self, branch: str = "main") -> Oid:
        """As git there sees it."""
        return bytes.fromhex(run_git(self.root, "rev-parse", f"refs/heads/{branch}").strip())

    def hook(self, name: str, script: str) -> None:
        path = self.root / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with SERVERS[request.param](tmp_path_factory.mktemp(request.param) / "server") as running:
        yield running


def way_to(server: Server, program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Way:
    for name, value in server.settings.items():
        monkeypatch.setenv(name, value)
    name = f"r{len(list(server.root.iterdir()))}.git"
    return Way(server, server.repository(name), server.root / name, program, tmp_path)


@pytest.fixture(params=["dulwich", "git"])
def way(
    request: pytest.FixtureRequest, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Way:
    """Every server by each program."""
    return way_to(server, request.param, tmp_path, monkeypatch)


@pytest.fixture(params=["dulwich", "git"])
def near(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Way]:
    """A folder by each program: for what does not depend on the way."""
    with SERVERS["local"](tmp_path / "server") as server:
        yield way_to(server, request.param, tmp_path, monkeypatch)


def test_what_one_copy_pushes_another_fetches(way: Way) -> None:
    """Into an empty repository first, whose one exchange of refs says that there is nothing."""
    ours, theirs = way.copy("ours"), way.copy("theirs")
    ours.memory.store("a/deep/key", {"number": 1})
    ours.memory.store("another", ["x"] * 50)
    to = ours.to(way.url)
    assert to.heads() == {}
    assert to.push("main", None, ours.head) is True
    assert to.heads() == {"main": ours.head}
    assert way.head() == ours.head
    assert run_git(way.root, "fsck", "--strict", "--no-dangling", "--no-progress") == ""
    before = theirs.head
    theirs.to(way.url).fetch([ours.head])
    assert theirs.repository.objects.commit(ours.head).parents
    assert run_git(theirs.git_dir, "rev-list", "--objects", ours.head.hex()) == run_git(
        ours.git_dir, "rev-list", "--objects", ours.head.hex()
    )
    assert theirs.head == before
    assert theirs.sound()
    assert ours.sound()


def test_only_what_is_missing_travels(way: Way) -> None:
    """In both directions: the second time one commit, its trees and its blob; and nothing if nothing is missing."""
    ours, theirs = way.copy("ours"), way.copy("theirs")
    for number in range(30):
        ours.memory.store(f"k/{number}", os.urandom(300).hex())
    to, fro = ours.to(way.url), theirs.to(way.url)
    assert to.push("main", None, ours.head)
    fro.fetch([ours.head])
    theirs.follow(ours.head)
    first, here, there = ours.head, theirs.count(), len(run_git(way.root, "rev-list", "--objects", "main").split("\n"))
    ours.memory.store("k/7", "new")
    assert to.push("main", first, ours.head)
    fro.fetch([ours.head])
    assert here + 5 <= theirs.count() <= here + 8  # the git program adds the bases of deltas
    assert len(run_git(way.root, "rev-list", "--objects", "main").split("\n")) == there + 5
    shutil.rmtree(way.root)
    fro.fetch([ours.head, first])


def test_many_local_commits_do_not_make_a_fetch_bring_everything(way: Way) -> None:
    """The other side is asked about the commit that it was seen to have, not only about our newest."""
    ours, theirs = way.copy("ours"), way.copy("theirs")
    for number in range(20):
        ours.memory.store(f"k/{number}", os.urandom(300).hex())
    assert ours.to(way.url).push("main", None, ours.head)
    theirs.to(way.url).fetch([ours.head])
    theirs.follow(ours.head)
    with theirs.memory.transaction() as tx:
        tx.store("mine", 0)
    run_git(theirs.git_dir, "fast-import", "--quiet", "--force", given=_commits(300))
    before = theirs.count()
    first = ours.head
    ours.memory.store("k/7", "new")
    assert ours.to(way.url).push("main", first, ours.head)
    theirs.to(way.url).fetch([ours.head])
    assert before + 5 <= theirs.count() <= before + 8


def _commits(count: int) -> bytes:
    parts = [b"reset refs/heads/main\nfrom refs/heads/main^0\n\n"]
    for number in range(count):
        head = f"commit refs/heads/main\ncommitter h <h@example.org> {1_790_000_000 + number} +0000\ndata 1\nm\n"
        parts.append(head.encode())
    return b"".join(parts)


def test_a_branch_that_was_turned_back_there_overtakes_too(way: Way) -> None:
    """It is an ancestor of ours, so git alone would push: but it is not where we saw it."""
    ours = way.copy("ours")
    base = ours.head
    assert ours.to(way.url).push("main", None, base)
    ours.memory.store("k", 1)
    seen = ours.head
    ours.memory.store("k", 2)
    assert ours.to(way.url).push("main", seen, ours.head) is False
    assert way.head() == base


def test_what_a_server_says_while_we_still_send_is_heard(near: Way) -> None:
    """It takes no more and hangs up: its reason counts, not the broken pipe."""
    ours = near.copy("ours")
    run_git(near.root, "config", "receive.maxInputSize", "1000")
    ours.memory.store("large", os.urandom(1_000_000).hex())
    with pytest.raises(RemoteError) as caught:
        ours.to(near.url).push("main", None, ours.head)
    assert re.search("unpack|index-pack|maximum|size", caught.value.message)
    assert "pipe" not in caught.value.message
    assert ours.to(near.url).heads() == {}


@pytest.mark.parametrize("expects", ["nothing", "an ancestor"])
def test_a_push_that_was_overtaken_changes_nothing(way: Way, expects: str) -> None:
    """Somebody else's branch is there, or it has moved on: the answer is False, and a fetch shows what is there."""
    ours, theirs = way.copy("ours"), way.copy("theirs")
    base = ours.head
    assert ours.to(way.url).push("main", None, base)
    theirs.memory.store("theirs", 1)
    assert theirs.to(way.url).push("main", base, theirs.head) is True
    ours.memory.store("ours", 1)
    to = ours.to(way.url)
    assert to.push("main", None if expects == "nothing" else base, ours.head) is False
    assert way.head() == theirs.head == to.heads()["main"]
    assert to.push("main", None, theirs.head) if ours.has(theirs.head) else True
    assert ours.sound()


def test_a_branch_that_is_gone_there_overtakes_too(near: Way) -> None:
    """What was expected is nowhere."""
    ours = near.copy("ours")
    base = ours.head
    ours.memory.store("k", 1)
    assert ours.to(near.url).push("main", base, ours.head) is False
    assert ours.to(near.url).heads() == {}


def test_a_branch_that_moves_during_the_push_overtakes_it(way: Way) -> None:
    """After the server's greeting named the expected commit: its own lock and compare-and-swap decide."""
    ours, other = way.copy("ours"), way.copy("other")
    base = ours.head
    assert ours.to(way.url).push("main", None, base)
    other.memory.store("other", 1)
    assert other.to(way.url).push("side", None, other.head)
    way.hook("pre-receive", f"unset GIT_QUARANTINE_PATH; git update-ref refs/heads/main {other.head.hex()}")
    ours.memory.store("ours", 1)
    assert ours.to(way.url).push("main", base, ours.head) is False
    assert way.head() == other.head
    (way.root / "hooks" / "pre-receive").unlink()


def test_a_lock_on_the_branch_there_overtakes_a_push(near: Way) -> None:
    """Somebody else's push is just publishing: ours begins again."""
    ours = near.copy("ours")
    base = ours.head
    assert ours.to(near.url).push("main", None, base)
    ours.memory.store("ours", 1)
    (near.root / "refs" / "heads" / "main.lock").touch()
    assert ours.to(near.url).push("main", base, ours.head) is False
    (near.root / "refs" / "heads" / "main.lock").unlink()
    assert ours.to(near.url).push("main", base, ours.head) is True


def test_a_commit_that_is_there_already_is_no_push(near: Way) -> None:
    """After a cut connection nobody knows whether a push was taken: the same once more is fine."""
    ours = near.copy("ours")
    base = ours.head
    to = ours.to(near.url)
    assert to.push("main", None, base)
    assert to.push("main", None, base) is True
    assert to.push("main", base, base) is True


def test_a_push_is_never_forced(near: Way) -> None:
    """A commit that does not descend from what is there is refused here already, even where a server would take it."""
    ours, other = near.copy("ours"), near.copy("other")
    base = ours.head
    ours.memory.store("ours", 1)
    assert ours.to(near.url).push("main", None, ours.head)
    other.memory.store("other", 1)
    other.to(near.url).fetch([ours.head])
    with pytest.raises(RemoteError, match="does not descend") as caught:
        other.to(near.url).push("main", ours.head, other.head)
    assert caught.value.remote == "origin"
    assert "merge" in caught.value.hint
    with pytest.raises(RemoteError, match="does not descend"):
        ours.to(near.url).push("main", ours.head, base)
    assert near.head() == ours.head


def test_a_hook_that_declines_is_an_error_with_its_words(way: Way) -> None:
    """That is a rule of the server, and no race: a person must read it."""
    ours = way.copy("ours")
    way.hook("pre-receive", "echo 'only on Tuesdays' >&2; exit 1")
    with pytest.raises(RemoteError, match="hook declined") as caught:
        ours.to(way.url).push("main", None, ours.head)
    assert "only on Tuesdays" in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint
    assert ours.to(way.url).heads() == {}
    assert ours.sound()


def test_a_branch_that_moved_since_we_looked_is_fetched_all_the_same(way: Way) -> None:
    """A busy remote moves between any two of our calls; the commit that we saw is in its history."""
    ours, theirs = way.copy("ours"), way.copy("theirs")
    ours.memory.store("k", 1)
    to = ours.to(way.url)
    assert to.push("main", None, ours.head)
    seen = theirs.to(way.url).heads()["main"]
    ours.memory.store("k", 2)
    assert to.push("main", seen, ours.head)
    theirs.to(way.url).fetch([seen])
    assert theirs.has(seen)
    assert theirs.sound()


def test_a_commit_that_is_nowhere_there_is_an_error(near: Way) -> None:
    """A history that was rewritten no longer has it; nothing is taken instead."""
    ours = near.copy("ours")
    ours.memory.store("k", 1)
    assert ours.to(near.url).push("main", None, ours.head)
    before = ours.count()
    with pytest.raises(RemoteError) as caught:
        ours.to(near.url).fetch([b"\x11" * 20])
    assert caught.value.hint
    assert ours.count() == before
    assert ours.sound()


def test_every_branch_is_seen_whatever_it_is_called(near: Way) -> None:
    """Also those of people; tags and other refs are no branches."""
    ours = near.copy("ours")
    to = ours.to(near.url)
    for name in ("main", "people/ann", "größe"):
        assert to.push(name, None, ours.head)
    run_git(near.root, "tag", "v1", ours.head.hex())
    run_git(near.root, "update-ref", "refs/gitmem/other", ours.head.hex())
    assert to.heads() == dict.fromkeys(("main", "people/ann", "größe"), ours.head)


def test_a_large_push_arrives_whole(way: Way) -> None:
    """Beyond what a web client buffers, and beyond what a pipe holds."""
    ours, theirs = way.copy("ours"), way.copy("theirs")
    value = os.urandom(2_000_000).hex()
    ours.memory.store("large", value)
    assert ours.to(way.url).push("main", None, ours.head)
    theirs.to(way.url).fetch([ours.head])
    assert theirs.memory.at(ours.head.hex()).retrieve("large") == value


def test_foreign_commits_arrive_as_they_are(near: Way) -> None:
    """Plain git wrote there: deltas, symlinks, a gitlink whose commit is nowhere."""
    ours = near.copy("ours")
    run_git(near.root, "fetch", "-q", str(ours.git_dir), "main:main")
    text = "".join(f"line {number} of a long text that compresses well\n" for number in range(2000))
    for number in range(5):
        commit_files(near.root, {"notes.md": (text + str(number)).encode()})
    tree = run_git(near.root, "ls-tree", "main") + f"160000 commit {'12' * 20}\tmodule\n"
    made = run_git(near.root, "mktree", "--missing", given=tree.encode()).strip()
    commit = run_git(near.root, "commit-tree", made, "-p", "main", "-m", "module").strip()
    run_git(near.root, "update-ref", "refs/heads/main", commit)
    run_git(near.root, "gc", "-q")
    ours.to(near.url).fetch([near.head()])
    assert run_git(ours.git_dir, "ls-tree", commit, "module").startswith("160000")
    assert len(run_git(ours.git_dir, "show", f"{commit}:notes.md")) > 50_000
    assert ours.sound()


def test_a_repository_may_have_an_odd_name(way: Way) -> None:
    """Quotes, spaces and umlauts, through whatever shells and URLs there are."""
    ours, name = way.copy("ours"), f"it's an $(odd) \"näme\" !! {way.program}.git"
    bare(way.server.root / name)
    url = f"{way.server.url}/{quote(name) if '://' in way.server.url else name}"
    assert ours.to(url).push("main", None, ours.head)
    assert ours.to(url).heads() == {"main": ours.head}


@pytest.mark.parametrize("program", ["dulwich", "git"])
def test_a_host_and_a_path_are_an_address_for_ssh(
    tmp_path: Path, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """host:path, with whatever ssh's own config says of that host; by core.sshCommand as by GIT_SSH_COMMAND."""
    ours = Copy(tmp_path / "ours", program=program)
    with SERVERS["ssh"](tmp_path / "server") as server:
        server.repository()
        monkeypatch.setenv("GIT_SSH_COMMAND", server.settings["GIT_SSH_COMMAND"])
        url = f"loopback:{server.root}/team.git"
        assert ours.to(url).push("main", None, ours.head)
        monkeypatch.delenv("GIT_SSH_COMMAND")
        run_git(ours.git_dir, "config", "core.sshCommand", server.settings["GIT_SSH_COMMAND"])
        assert ours.to(url).heads() == {"main": ours.head}


def test_what_is_no_repository_is_an_error_with_a_next_step(way: Way) -> None:
    """One line, the remote's name, its address, and what to do."""
    ours = way.copy("ours")
    for action in (
        lambda to: to.heads(),
        lambda to: to.fetch([b"\x11" * 20]),
        lambda to: to.push("main", None, ours.head),
    ):
        with pytest.raises(RemoteError) as caught:
            action(ours.to(way.url + "-none"))
        assert caught.value.remote == "origin"
        assert re.search(r"origin .*-none.* failed: .*(not|no git)", caught.value.message)
        assert "\n" not in caught.value.message
        assert "git init --bare" in caught.value.hint or "address" in caught.value.hint
    assert ours.sound()


def test_a_shallow_repository_is_refused(way: Way) -> None:
    """Its history is not whole: what rests on it could not be merged."""
    ours = way.copy("ours")
    for number in range(3):
        ours.memory.store("k", number)
    shutil.rmtree(way.root)
    run_git(way.root.parent, "clone", "-q", "--bare", "--depth=1", f"file://{ours.git_dir}", str(way.root))
    run_git(way.root, "config", "http.receivepack", "true")
    theirs = way.copy("theirs")
    with pytest.raises(RemoteError) as caught:
        theirs.to(way.url).fetch([ours.head])
    assert "unshallow" in caught.value.hint or "shallow" in caught.value.hint
    assert not theirs.has(ours.head)
    assert theirs.sound()


def test_a_folder_of_git_objects_that_is_damaged_there_is_an_error(near: Way) -> None:
    """The server cannot read its own objects: it says so, and nothing arrives."""
    ours, theirs = near.copy("ours"), near.copy("theirs")
    ours.memory.store("k", {"some": "value"})
    assert ours.to(near.url).push("main", None, ours.head)
    run_git(near.root, "repack", "-a", "-d", "-q")
    for pack in (near.root / "objects" / "pack").glob("*.pack"):
        content = bytearray(pack.read_bytes())
        content[len(content) // 2] ^= 0xFF
        pack.chmod(0o644)
        pack.write_bytes(content)
    with pytest.raises(RemoteError) as caught:
        theirs.to(near.url).fetch([ours.head])
    assert caught.value.hint
    assert not theirs.has(ours.head)
    assert theirs.sound()
