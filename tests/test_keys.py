"""Keys and namespaces: what is refused, and which name in a tree stands for what."""

from __future__ import annotations

import json
import os
import subprocess
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitmem.errors import InvalidKeyError
from gitmem.keys import (
    check_key,
    check_namespace,
    directory_name,
    leaf_name,
    parse_directory,
    parse_leaf,
    parse_path,
)

FIXTURES = Path(__file__).parents[1] / "fixtures" / "keys"

IGNORABLE = [*map(chr, (*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF))]
STEMS = ["con", "prn", "aux", "nul", "clock$", "conin$", "conout$", "com0", "com¹", "lpt9", "com⁴", "git"]
PIECES = [*STEMS, *IGNORABLE, *'%\\:*?"<>|~. ', ".json", ".JSON", "%2E", "~1", "ſ", "\u212a", "é", "日", "😀"]
SEGMENTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), min_size=1, max_size=6).map("".join)


def cases(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((FIXTURES / f"{name}.json").read_text("utf-8"))["cases"]
    return found


def is_legal(segment: str) -> bool:
    try:
        return check_key(segment, writing=False) == check_key(f"{segment}/x", writing=False)[:1] == (segment,)
    except InvalidKeyError:
        return False


legal_segments = SEGMENTS.filter(is_legal)


def tree_path(namespace: str, key: str) -> bytes:
    *directories, leaf = check_key(key)
    return b"/".join((directory_name(namespace), *map(directory_name, directories), leaf_name(leaf)))


@pytest.mark.parametrize("case", cases("paths"), ids=lambda case: case["key"][:20])
def test_a_key_has_the_path_that_the_format_says(case: dict[str, Any]) -> None:
    """A second implementation must find the same keys in the same tree."""
    path = case["path"].encode()
    assert tree_path(case["namespace"], case["key"]) == path
    assert parse_path(path) == (case["namespace"], case["key"])


@pytest.mark.parametrize("case", cases("refused"), ids=lambda case: ascii(case["key"][:20]))
def test_an_illegal_key_is_refused_with_its_segment_and_the_reason(case: dict[str, Any]) -> None:
    """The caller has to see what to change, in a message that can be printed."""
    with pytest.raises(InvalidKeyError) as caught:
        check_key(case["key"])
    assert caught.value.segment == case["segment"]
    assert case["reason"] in caught.value.reason
    assert caught.value.key[:60] == case["key"][:60]
    assert caught.value.reason in str(caught.value)
    assert str(caught.value).isprintable()
    assert caught.value.hint


@pytest.mark.parametrize("case", cases("foreign"), ids=lambda case: ascii(case["path"][:30]))
def test_a_path_that_no_key_is_written_to_is_foreign(case: dict[str, Any]) -> None:
    """Otherwise one key would have two paths, or gitmem would take files that are not its own."""
    assert parse_path(case["path"].encode()) is None, case["why"]


@pytest.mark.parametrize("case", cases("read"), ids=lambda case: ascii(case["path"]))
def test_a_path_that_another_tool_may_have_made_is_read(case: dict[str, Any]) -> None:
    """Buckets are accepted wherever they are right, and NFC is a rule for writers only."""
    assert parse_path(case["path"].encode()) == (case["namespace"], case["key"])


@given(legal_segments)
@settings(max_examples=600)
def test_a_name_is_decoded_to_its_segment(segment: str) -> None:
    """The law: hence two segments never share a name."""
    assert parse_leaf(leaf_name(segment)) == segment
    assert parse_directory(directory_name(segment)) == segment


NAMES = st.lists(
    st.sampled_from([piece.encode() for piece in PIECES])
    | st.binary(max_size=2)
    | st.sampled_from([b"%2E", b"%2e", b"%25", b"%7E", b"%63", b"%2F", b"%00", b"%", b"/", b".json", b"%FF"]),
    min_size=1,
    max_size=5,
).map(b"".join)


@given(NAMES)
@settings(max_examples=800)
def test_a_name_is_a_keys_only_if_encoding_its_decoding_gives_it_back(name: bytes) -> None:
    """The law's other half: no key is reached by two names."""
    leaf, directory = parse_leaf(name + b".json"), parse_directory(name)
    if leaf is not None:
        assert leaf_name(leaf) == name + b".json"
        assert check_key(leaf, writing=False) == (leaf,)
    if directory is not None:
        assert directory_name(directory) == name
        assert check_key(f"{directory}/x", writing=False) == (directory, "x")


@given(legal_segments, legal_segments)
@settings(max_examples=400)
def test_no_file_meets_a_directory(leaf: str, directory: str) -> None:
    """Keys `a` and `a.json/b` lie side by side, on systems that ignore case too."""
    assert leaf_name(leaf).lower() != directory_name(directory).lower()


def test_nfc_is_judged_only_when_writing() -> None:
    """What another tool wrote must stay readable and deletable."""
    assert check_key("cafe\u0301", writing=False) == ("cafe\u0301",)
    assert check_namespace("cafe\u0301", writing=False) == "cafe\u0301"
    with pytest.raises(InvalidKeyError, match="NFC"):
        check_namespace("cafe\u0301")


NO_NAMESPACES = ["", "a/b", "/", "a\n", "\ud800", "x" * 241, "~" * 81, "x" * 236 + ".json", 7, None]


@pytest.mark.parametrize("name", NO_NAMESPACES)
def test_a_namespace_is_one_legal_segment(name: object) -> None:
    """It becomes one directory of the root."""
    with pytest.raises(InvalidKeyError) as caught:
        check_namespace(name, writing=False)
    assert caught.value.reason in str(caught.value)


def test_namespaces_that_begin_with_gitmem_are_for_reading_only() -> None:
    """They are kept for what gitmem itself may need; a tree that has one already is still read."""
    for name in ("gitmem", "gitmem.toml", "gitmem-x"):
        assert check_namespace(name, writing=False) == name
        with pytest.raises(InvalidKeyError, match="reserved"):
            check_namespace(name)
    assert check_namespace("Gitmem") == "Gitmem"
    assert check_namespace("conflicts") == "conflicts"


@pytest.mark.parametrize("key", [None, 7, b"a", ["a"], {"a": 1}])
def test_only_text_is_a_key(key: object) -> None:
    """Also what cannot be hashed, and would be no question for a cache."""
    with pytest.raises(InvalidKeyError, match=type(key).__name__):
        check_key(key)


def test_a_huge_key_gives_a_short_error() -> None:
    """Errors end in terminals and in the contexts of agents."""
    for check in (check_key, check_namespace):
        with pytest.raises(InvalidKeyError) as caught:
            check("ä" * 10_000_000)
        assert len(str(caught.value)) < 300
        assert len(caught.value.key) + len(caught.value.segment) < 300


DEVICES = ["con", "Prn", "AUX", "nul", "clock$", "ConIn$", "CONOUT$"]
DEVICES += ["com0", "COM9", "lpt1", "LPT¹", "com²", "lpt³"]
GITS = [".git", ".GIT", ".Git", "git~1", "GIT~2", "git~10", ".gitmodules", "gitmod~1", "gi7eba~1"]
GITS += [".gitattributes", ".mailmap"]
ODD = ["", ".", "..", "...", ".gitignore", "a", "~0", "~gitmem", "default", "C:", "a\\b", "..\\..", "%2E"]
ENDINGS = ["", ".", " ", "...", ". .", "  ", ".txt", " .txt", ".json", ".JSON"]
ENDINGS += [":$i30", "::$INDEX_ALLOCATION", "\\", "\\x", "~1", "\u200c", "\u200c.", "\ufeff"]


def hostile_segments() -> list[str]:
    """A few thousand names that some file system, or git for its sake, reads as another."""
    whole = {name + ending for name, ending in product([*DEVICES, *GITS, *ODD], ENDINGS)}
    marked = {mark + name for name in whole for mark in ("\u200d", " ", ".")}
    split = {
        name[:at] + mark + name[at:]
        for name in (*GITS, *ODD)
        for at in range(len(name))
        for mark in IGNORABLE
    }
    return sorted(filter(is_legal, whole | marked | split))


def git(repository: Path, *arguments: str, feed: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    environment = os.environ | {"GIT_INDEX_FILE": str(repository / "trial-index"), "GIT_DIR": str(repository)}
    return subprocess.run(["git", *arguments], input=feed, env=environment, capture_output=True, check=False)


def complaints(repository: Path, entries: list[tuple[str, bytes]]) -> bytes:
    """What git says of a tree with these names, with all its protections on."""
    empty = git(repository, "hash-object", "-w", "--stdin").stdout.strip()
    below = git(repository, "mktree", feed=b"100644 blob %s\tx.json\n" % empty).stdout.strip()
    kinds = {"leaf": b"100644 blob %s\t%s\0", "directory": b"040000 tree %s\t%s\0"}
    feed = b"".join(kinds[kind] % (empty if kind == "leaf" else below, name) for kind, name in entries)
    tree = git(repository, "mktree", "-z", feed=feed)
    protections = ("-c", "core.protectNTFS=true", "-c", "core.protectHFS=true")
    read = git(repository, *protections, "read-tree", tree.stdout.decode().strip())
    checked = git(repository, "fsck", "--strict", "--no-dangling", "--no-progress")
    said = (tree.stderr + read.stderr + checked.stdout + checked.stderr).splitlines()
    failed = tree.returncode or read.returncode or checked.returncode
    return b"\n".join(line for line in said if not line.startswith(b"notice:")) or b"failed" * bool(failed)


def test_git_accepts_every_name(tmp_path: Path) -> None:
    """What fsck refuses cannot be pushed, what read-tree refuses cannot be checked out."""
    segments = hostile_segments()
    assert len(segments) > 2000
    git(tmp_path, "init", "-q", "--bare", str(tmp_path))
    entries = [("leaf", leaf_name(segment)) for segment in segments]
    entries += [("directory", directory_name(segment)) for segment in segments]
    assert complaints(tmp_path, entries) == b""


@pytest.mark.parametrize("name", [b"git~1", b".git ", ".g\u200cit".encode(), b".git\\x"])
def test_git_refuses_what_is_not_encoded(tmp_path: Path, name: bytes) -> None:
    """The test above is worth something only if git does look."""
    git(tmp_path, "init", "-q", "--bare", str(tmp_path))
    assert complaints(tmp_path, [("directory", name)])
