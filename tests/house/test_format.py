"""FORMAT.md tells the truth: its examples hold for plain git, and for gitmem.

The tree of a wide directory is built here a second time, slowly, by following the text and by plain git.
"""

from __future__ import annotations

import hashlib
import json
import re

import pytest

from gitmem import InvalidKeyError, InvalidValueError
from tests.house.blueprint import PACKAGE

TEXT = (PACKAGE / "FORMAT.md").read_text("utf-8")


def examples(title: str) -> list[tuple[str, ...]]:
    """The rows of the table after `<!-- example: title -->`, without their back-ticks."""
    after = TEXT.split(f"<!-- example: {title} -->\n")[1]
    rows = after.split("\n\n")[0].splitlines()[2:]
    return [tuple(cell.strip().strip("`") for cell in row.strip("|").split(" | ")) for row in rows]


def rows(title: str):
    return pytest.mark.parametrize("row", examples(title), ids=lambda row: ascii(row[0]))


def test_the_root_commit_has_the_id_that_git_gives_it(tmp_path, git) -> None:
    """Two memories can be merged because they share this one commit, bit for bit."""
    git(tmp_path, "init", "-q", "--bare")
    (body,) = re.findall(r"^```\n(tree .*?)^```$", TEXT, re.M | re.S)
    blob = git(tmp_path, "hash-object", "-w", "--stdin", given=b"format = 1\n").strip()
    tree = git(tmp_path, "mktree", given=f"100644 blob {blob}\tgitmem.toml\n".encode()).strip()
    commit = git(tmp_path, "hash-object", "-w", "-t", "commit", "--stdin", given=body.encode()).strip()
    stated = re.findall(r"^\| (blob|tree|commit) \| `([0-9a-f]{40})` ", TEXT, re.M)
    assert stated == [("blob", blob), ("tree", tree), ("commit", commit)]
    assert commit == "9b8cd24c8b2886e84b82eafe246c4860097f78cc"
    assert len(body.encode()) == 160
    assert git(tmp_path, "log", "-1", "--format=%aI", commit).strip() == "2026-01-01T00:00:00+00:00"
    git(tmp_path, "fsck", "--strict", commit)


@rows("keys")
def test_a_key_lies_where_the_text_says(row) -> None:
    """The table is what a second implementer tests with."""
    from gitmem import keys

    namespace, key, path = row[0], json.loads(row[1]), row[2]
    *above, last = keys.check_key(key)
    names = [keys.directory_name(name) for name in (keys.check_namespace(namespace), *above)]
    assert b"/".join([*names, keys.leaf_name(last)]).decode() == path
    assert keys.parse_path(path.encode()) == (namespace, key)


def test_git_takes_every_path_of_the_examples(tmp_path, git) -> None:
    """The encoding exists for this: the strictest checks that git has find nothing."""
    git(tmp_path, "init", "-q", "--bare")
    paths = [row[2] for row in examples("keys")]
    stream = "commit refs/heads/main\ncommitter a <a@b> 0 +0000\ndata 0\n"
    stream += "".join(f"M 100644 inline {quoted(path)}\ndata 2\n1\n\n" for path in paths)
    git(tmp_path, "fast-import", "--quiet", given=stream.encode())
    git(tmp_path, "fsck", "--strict")
    git(tmp_path, "-c", "core.protectNTFS=true", "-c", "core.protectHFS=true", "read-tree", "main")
    assert set(git(tmp_path, "ls-files", "-z").split("\0")) == {*paths, ""}


def quoted(path: str) -> str:
    return json.dumps(path, ensure_ascii=False)


@rows("refused keys")
def test_a_refused_key_is_refused(row) -> None:
    """What the text refuses, the code refuses."""
    from gitmem import keys

    with pytest.raises(InvalidKeyError):
        keys.check_key(json.loads(row[0]))


@rows("foreign paths")
def test_a_foreign_path_is_no_key(row) -> None:
    """Otherwise one key would have two spellings."""
    from gitmem import keys

    assert keys.parse_path(row[0].encode()) is None


def digits(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def slow_paths(names: list[str], depth: int = 0) -> list[str]:
    """Section 5, word by word."""
    if len(names) <= 128:
        return [f"{name}.json" for name in names]
    buckets: dict[str, list[str]] = {}
    for name in names:
        buckets.setdefault(digits(name)[depth], []).append(name)
    return [f"~{digit}/{path}" for digit, some in buckets.items() for path in slow_paths(some, depth + 1)]


@rows("wide directories")
def test_a_wide_directory_has_the_tree_that_the_text_says(row, tmp_path, git) -> None:
    """Same keys, same tree: one id decides whether two implementations agree."""
    git(tmp_path, "init", "-q", "--bare")
    names = [f"k{number}" for number in range(int(row[0]))]
    changes = "".join(f"M 100644 inline ns/{path}\ndata 2\n1\n\n" for path in slow_paths(names))
    stream = "commit refs/heads/main\ncommitter a <a@b> 0 +0000\ndata 0\n" + changes
    git(tmp_path, "fast-import", "--quiet", given=stream.encode())
    assert git(tmp_path, "rev-parse", "main:ns").strip() == row[2]
    stated = dict(re.findall(r"`(~\w)` (?:\(|has )(\d+)", row[1]))
    assert stated == {bucket: str(sum(digits(name)[0] == bucket[1] for name in names)) for bucket in stated}


def test_the_digits_of_names_are_those_of_sha256() -> None:
    """The small table above the worked example."""
    table = re.findall(r"^\| `(\w+)` \| `([0-9a-f]{6})` \| `(\S+)` \| `(\S+)` \|$", TEXT, re.M)
    assert len(table) == 4
    for name, first, once, twice in table:
        assert digits(name).startswith(first)
        assert (once, twice) == (f"~{first[0]}/{name}.json", f"~{first[0]}/~{first[1]}/{name}.json")


@rows("values")
def test_a_value_has_the_bytes_that_the_text_says(row, tmp_path, git) -> None:
    """Equal values, equal bytes, equal blob id: for git as well."""
    from gitmem import codec

    stated = json.loads(row[1])
    assert codec.encode(codec.decode(row[0])).decode() == stated
    assert git(tmp_path, "hash-object", "--stdin", given=stated.encode()).strip() == row[2]


@rows("refused values")
def test_a_refused_value_is_refused(row) -> None:
    """What the text refuses, the code refuses."""
    from gitmem import codec

    with pytest.raises(InvalidValueError):
        codec.decode(row[0])


@rows("expiry")
def test_an_expiry_lies_where_the_text_says(row) -> None:
    """It is an ordinary canonical value under the key's own path."""
    from gitmem import codec, keys

    namespace, key, path, stated = row[0], json.loads(row[1]), row[2], json.loads(row[3])
    assert keys.parse_path(path.removeprefix("~gitmem/expires/").encode()) == (namespace, key)
    assert codec.encode(codec.decode(stated)).decode() == stated
