"""What one side of a history lacks, compared with what git's own rev-list says, on random histories."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitmem.objects import BLOB_MODE, Identity, Objects, Oid, serialize_commit, serialize_tree
from gitmem.transport.graph import Haves, ahead, descends, objects_of
from gitmem.transport.outgoing import Parcel
from tests.foreign import run_git

Step = tuple[list[int], int, int, int]
"""Parents (as numbers, the rest wraps round), which file changes, to what, and how far the clock goes on."""

steps = st.lists(
    st.tuples(
        st.lists(st.integers(0, 5), max_size=3),
        st.integers(0, 3),
        st.integers(0, 4),
        st.sampled_from([1, 1, 0, 100, -50]),
    ),
    min_size=1,
    max_size=14,
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("graph") / "r.git"
    run_git("/", "init", "-q", "--bare", str(folder))
    return folder


def grow(objects: Objects, history: list[Step], *, clocks: bool) -> list[Oid]:
    """The commits, oldest first. Without `clocks` time goes on with each commit, as it should."""
    commits: list[Oid] = []
    trees: list[dict[bytes, Oid]] = []
    time = 1_767_225_700
    for number, (chosen, file, content, pause) in enumerate(history):
        parents = list(dict.fromkeys(len(commits) - 1 - back for back in chosen if back < len(commits)))
        files = dict(trees[parents[0]]) if parents else {}
        for parent in parents[1:]:
            files.update(trees[parent])
        files[b"f%d" % file] = objects.write("blob", b"%d\n" % content)
        inner = objects.write("tree", serialize_tree({name: (BLOB_MODE, oid) for name, oid in files.items()}))
        root = objects.write("tree", serialize_tree({b"d%d" % (file % 2): (0o40000, inner)}))
        time += pause if clocks else 1
        who = Identity("a", "a@example.org", time, 0)
        body = serialize_commit(root, [commits[parent] for parent in parents], who, who, f"{number}\n")
        commits.append(objects.write("commit", body))
        trees.append(files)
    return commits


def listed(place: Path, new: list[Oid], known: list[Oid], *options: str) -> set[Oid]:
    said = run_git(place, "rev-list", *options, *(oid.hex() for oid in new), *(f"^{oid.hex()}" for oid in known))
    return {bytes.fromhex(line.split()[0]) for line in said.splitlines()}


@settings(max_examples=60)
@given(steps, st.data())
def test_the_commits_ahead_are_those_of_rev_list(place: Path, history: list[Step], pick: st.DataObject) -> None:
    """Each once, parents first; commits that we lack are passed over."""
    objects = Objects(str(place))
    commits = grow(objects, history, clocks=False)
    new = pick.draw(st.lists(st.sampled_from(commits), min_size=1, max_size=2, unique=True))
    known = pick.draw(st.lists(st.sampled_from(commits), max_size=2, unique=True))
    found = [commit.oid for commit in ahead(objects, new, [*known, b"\x11" * 20])]
    assert set(found) == listed(place, new, known)
    assert len(set(found)) == len(found)
    for number, oid in enumerate(found):
        assert not set(objects.commit(oid).parents) & set(found[number:])


@settings(max_examples=60)
@given(steps, st.booleans(), st.data())
def test_what_is_sent_completes_what_is_known(
    place: Path, tmp_path_factory: pytest.TempPathFactory, history: list[Step], clocks: bool, pick: st.DataObject
) -> None:
    """With what the known commits reach it is all that the new one needs, wrong clocks or not, merges and reverts."""
    objects = Objects(str(place))
    commits = grow(objects, history, clocks=clocks)
    new = pick.draw(st.sampled_from(commits))
    known = pick.draw(st.lists(st.sampled_from(commits), max_size=2, unique=True))
    sent = [oid for oid, _ in objects_of(objects, ahead(objects, [new], known))]
    assert len(set(sent)) == len(sent)
    needed = listed(place, [new], [], "--objects")
    there = listed(place, known, [], "--objects") if known else set()
    assert needed <= set(sent) | there
    if not clocks and len(known) == 1 and not objects.commit(new).parents[1:]:
        assert len(sent) <= len(needed)
    parcel = Parcel(objects, str(tmp_path_factory.mktemp("parcel")), [new], known)
    assert len(parcel) == len(sent)


def test_a_change_of_one_file_is_one_file_its_trees_and_a_commit(place: Path, tmp_path: Path) -> None:
    """Not the directory beside it."""
    objects = Objects(str(place))
    commits = grow(objects, [([], 0, 0, 1), ([0], 1, 1, 1), ([0], 2, 2, 1), ([0], 2, 3, 1)], clocks=False)
    assert len(Parcel(objects, str(tmp_path), [commits[3]], [commits[2]])) == 4


@settings(max_examples=40)
@given(steps, st.booleans(), st.data())
def test_descends_is_gits_is_ancestor(
    place: Path, history: list[Step], clocks: bool, pick: st.DataObject
) -> None:
    """A push rests on it: never a yes too many, and no clock can make it a no too many."""
    objects = Objects(str(place))
    commits = grow(objects, history, clocks=clocks)
    new, old = (pick.draw(st.sampled_from(commits)) for _ in range(2))
    assert descends(objects, new, old) == (old in listed(place, [new], []))


def test_the_other_side_is_asked_about_few_commits(place: Path) -> None:
    """What it was seen to have first; then older ones with growing gaps, down to the first; each once."""
    objects = Objects(str(place))
    commits = grow(objects, [([0], number % 4, number % 5, 1) for number in range(600)], clocks=False)
    asked = list(iter(Haves(objects, [], [commits[-1], b"\x11" * 20]).__next__, None))
    assert asked[0] == commits[-1].hex().encode()
    assert commits[0].hex().encode() in asked
    assert len(set(asked)) == len(asked) < 60
    followed = list(iter(Haves(objects, [commits[100]], [commits[-1]]).__next__, None))
    assert followed[0] == commits[100].hex().encode()
    assert len(followed) < 100
