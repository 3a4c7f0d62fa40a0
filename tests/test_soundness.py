"""Objects judged as git's own fsck judges them: the real one is asked about each."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitmem.gitobject import hash_object
from gitmem.soundness import Judge
from tests.foreign import run_git
from tests.packs import commit, pack, tree, whole

BLOB = b"x\n"
B = hash_object("blob", BLOB)
TREE = tree(("100644", b"a", B))
T = hash_object("tree", TREE)
ROOT = commit(T)
C = hash_object("commit", ROOT)

NAMES = [
    b".git", b".GIT", b".Git", b"git~1", b"GIT~1", b"git~2", b".git ", b".git.", b".git. .", b".git::$INDEX_ALLOCATION",
    b".git\\x", b"a\\b", b"a\\.git\\b", b"a\\git~1", b".gitx", b"x.git", b".g\xe2\x80\x8cit", b"\xe2\x80\x8c.git",
    b".\xef\xbb\xbfgit", b".gi\xe2\x80\x90t", b".", b"..", b".gitmodules", b".gitattributes", b".gitignore",
    b".GITMODULES ", b".gitmodules:x", b"gitmod~1", b"gitmod~9", b"gi7eba~1", b"~1000000", b"gi7d29~1", b"gi250a~1",
    b"git~1 ", b"git~1.", b"git~1:x", b"con", b"\xff", b"x" * 255, b"a.json", b"~0", b"...",
]  # fmt: skip
WHO = "A <a@example.org> 1767225700 +0000"
PEOPLE = [
    WHO, "A 1 +0000", "A<a@b> 1 +0000", "A <a<b> 1 +0000", "A> <a@b> 1 +0000", "A <a@b> 01 +0000", "A <a@b> -1 +0000",
    "A <a@b> x +0000", "A <a@b> 99999999999999999999 +0000", "A <a@b> 1 0000", "A <a@b> 1 +00", "A <a@b> 1 +9999",
    "A <a@b> 1 -730", "<a@b> 1 +0000", " <a@b> 1 +0000", "A <> 1 +0000", "A <a@b> 1 -0000", "A <a@b> 1 +0000 ",
    "A <a@b> 1 +0000\r", "A <a@b> 0 +0000", "A <a@b>1 +0000", "A <a@b> 1", "", "É <a@b> 1 +0000",
]  # fmt: skip


def cases() -> Iterator[tuple[str, str, bytes]]:
    for name in NAMES:
        for mode, oid in (("100644", B), ("40000", T), ("120000", B)):
            yield f"{mode} {name!r}", "tree", tree((mode, name, oid))
    for mode in ("100644", "100755", "120000", "040000", "0100644", "100664", "100600", "160000", "0", "140000", ""):
        yield f"mode {mode}", "tree", tree((mode, b"a", B))
    a, b, folder = ("100644", b"a", B), ("100644", b"b", B), ("40000", b"a", T)
    yield "unsorted", "tree", tree(b, a)
    yield "twice", "tree", tree(a, a)
    yield "a file and a folder", "tree", tree(a, folder)
    yield "a file and a folder apart", "tree", tree(a, ("100644", b"a-b", B), folder)
    yield "a folder before what sorts before it", "tree", tree(folder, ("100644", b"a.b", B))
    yield "a folder after it", "tree", tree(("100644", b"a.b", B), folder)
    yield "the null id", "tree", tree(("100644", b"a", bytes(20)))
    yield "cut short", "tree", tree(a)[:-1]
    yield "garbage", "tree", b"hello"
    yield "no entries", "tree", b""
    yield "no name", "tree", tree(("100644", b"", B))
    yield "a slash", "tree", tree(("100644", b"a/b", B))
    for who in PEOPLE:
        yield f"author {who!r}", "commit", ROOT.replace(f"author {WHO}".encode(), f"author {who}".encode())
        yield f"committer {who!r}", "commit", ROOT.replace(f"committer {WHO}".encode(), f"committer {who}".encode())
    for label, old, new in (
        ("a parent", b"author", b"parent " + C.hex().encode() + b"\nauthor"),
        ("no author", f"author {WHO}\n".encode(), b""),
        ("no committer", f"committer {WHO}\n".encode(), b""),
        ("two authors", b"author", f"author {WHO}\nauthor".encode()),
        ("committer first", b"author", b"committer"),
        ("a late parent", b"committer", b"parent " + C.hex().encode() + b"\ncommitter"),
        ("a bad parent", b"author", b"parent zz\nauthor"),
        ("a bad tree", b"tree ", b"tree z"),
        ("no tree", b"tree ", b"three "),
        ("a NUL in the message", b"by hand", b"by\0hand"),
        ("a NUL in the header", b"\n\n", b"\nx a\0b\n\n"),
        ("a signature", b"\n\n", b"\ngpgsig -----BEGIN\n abc\n\n"),
        ("an encoding", b"\n\n", b"\nencoding latin1\n\n"),
        ("any header", b"\n\n", b"\nfoo bar\n\n"),
        ("no message", b"\n\nby hand\n", b"\n"),
        ("no end", b"\n\nby hand\n", b"\nfoo bar"),
        ("Latin-1", b"author A", b"author \xc9"),
    ):
        yield label, "commit", ROOT.replace(old, new, 1)
    tag = f"object {C.hex()}\ntype commit\ntag v1\ntagger {WHO}\n\nm\n".encode()
    yield "a tag", "tag", tag
    for label, old, new in (
        ("without a tagger", f"tagger {WHO}\n".encode(), b""),
        ("of no kind", b"type commit", b"type thing"),
        ("without a name", b"tag v1\n", b""),
        ("of nothing", b"object ", b"object z"),
        ("with a bad tagger", WHO.encode(), b"A"),
    ):
        yield f"a tag {label}", "tag", tag.replace(old, new)


CASES = list(cases())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judged") / "r.git"
    run_git("/", "init", "-q", "--bare", str(folder))
    return folder


@pytest.mark.parametrize(("kind", "body"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_git_judges_the_same(kind: str, body: bytes, place: Path) -> None:
    """As a server with `receive.fsckObjects` would, by `git index-pack --strict`."""
    entries = [whole("blob", BLOB), whole("tree", TREE), whole("commit", ROOT), whole(kind, body)]
    content = pack(list(dict.fromkeys(entries)))
    command = ["git", "-C", place, "index-pack", "--strict", "--fsck-objects", "--stdin"]
    done = subprocess.run(command, input=content, capture_output=True)
    for path in (place / "objects" / "pack").iterdir():
        path.unlink()
    fault = Judge().fault(kind, body)
    assert bool(fault) == bool(done.returncode), f"{fault or 'sound'}; git: {done.stderr.decode(errors='replace')}"


def test_a_tree_of_a_known_shape_is_judged_by_its_ids_alone() -> None:
    """Most trees are another one with a few ids changed. The null id is none, whatever the shape."""
    judge = Judge()
    body = tree(("100644", b"a", B), ("40000", b"b", T))
    assert not judge.knows(body)
    assert judge.fault("tree", body) == ""
    assert judge.knows(tree(("100644", b"a", T), ("40000", b"b", B)))
    assert not judge.knows(tree(("100755", b"a", T), ("40000", b"b", B)))
    assert judge.fault("tree", tree(("100644", b"a", bytes(20)), ("40000", b"b", B))) != ""
    assert judge.fault("tree", tree(("100644", b".git", B))) != ""
    assert not judge.knows(tree(("100644", b".git", B)))
