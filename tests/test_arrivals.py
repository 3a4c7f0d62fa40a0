"""What a hostile or broken remote may send: nothing of it is ever seen, nothing costs more than is allowed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tracemalloc
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitmem.gitobject import hash_object
from gitmem.objects import EMPTY_TREE
from gitmem.packs import PackDamage, apply_delta
from gitmem.soundness import Judge
from gitmem.transport.arrivals import Arrival
from gitmem.transport.failures import Trouble
from gitmem.transport.limits import Limits
from gitmem.transport.quarantine import admit
from tests.copies import Copy
from tests.foreign import run_git
from tests.packs import BLOB, OFS, REF, Entry, commit, delta, history, pack, tree, varint, whole

BLOB_ID = hash_object("blob", b"x\n")
ROOT = tree(("100644", b"a", BLOB_ID))
SOUND = [whole("blob", b"x\n"), whole("tree", ROOT), whole("commit", commit(hash_object("tree", ROOT)))]
TIP = hash_object("commit", commit(hash_object("tree", ROOT)))


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path / "copy")


def arrive(copy: Copy, content: bytes, want: bytes, limits: Limits = Limits()) -> None:  # noqa: B008 (frozen)
    folder = copy.repository.local
    path = folder / "arriving"
    path.write_bytes(content)
    try:
        admit(copy.repository, [str(path)], [want], limits)
    finally:
        for one in folder.glob("arriving*"):
            one.unlink()


def refused(copy: Copy, content: bytes, want: bytes, limits: Limits = Limits()) -> str:  # noqa: B008 (frozen)
    """The reason; and nothing has come in, whatever of it was sound."""
    before = copy.count()
    with pytest.raises(Trouble) as caught:
        arrive(copy, content, want, limits)
    assert copy.count() == before
    assert copy.sound()
    assert caught.value.hint
    return str(caught.value)


def test_a_sound_pack_comes_in(copy: Copy) -> None:
    """Whole objects and deltas of both kinds, as git indexes them."""
    entries, tip = history()
    arrive(copy, pack(entries), tip)
    assert copy.sound()
    assert run_git(copy.git_dir, "show", f"{tip.hex()}:c").endswith("most\n")
    (made,) = (copy.git_dir / "objects" / "pack").glob("*.idx")
    ours = made.read_bytes()
    subprocess.run(["git", "index-pack", "-o", copy.git_dir / "theirs.idx", made.with_suffix(".pack")], check=True)
    assert (copy.git_dir / "theirs.idx").read_bytes() == ours


def test_deltas_may_come_before_their_bases(copy: Copy) -> None:
    """A delta that names its base by id may stand anywhere, and rest on another such one."""
    entries, tip = history()
    blob, other = entries[2], entries[3]
    by_id = [
        entries[4],
        Entry(REF, other.body, hash_object("blob", blob.body)),
        *entries[:3],
    ]
    arrive(copy, pack(by_id), tip)
    assert copy.sound()
    assert run_git(copy.git_dir, "show", f"{tip.hex()}:c").endswith("most\n")


def test_a_long_chain_of_deltas_comes_in_and_an_endless_one_does_not(copy: Copy) -> None:
    """git makes none longer than 4,095; memory holds few of their bodies."""
    chain = [whole("blob", b"0")]
    for number in range(1, 4000):
        chain.append(Entry(OFS, delta(str(number - 1).encode(), str(number).encode()), 1))
    arrive(copy, pack([*SOUND, *chain]), TIP)
    assert copy.has(hash_object("blob", b"3999"))
    other = Copy(copy.git_dir.parent.parent / "other")
    for number in range(4000, 4200):
        chain.append(Entry(OFS, delta(str(number - 1).encode(), str(number).encode()), 1))
    assert "too deeply" in refused(other, pack([*SOUND, *chain]), TIP)


# --- damage ---


@settings(max_examples=200)
@given(cut=st.data())
def test_no_damaged_byte_passes(cut: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Wherever a byte is changed, lost or added: a refusal in words, never another error, never another content."""
    content = pack(history()[0])
    place = cut.draw(st.integers(0, len(content) - 1))
    damaged = cut.draw(
        st.sampled_from(
            [
                content[:place],
                content[:place] + content[place + 1 :],
                content[:place] + b"\0" + content[place:],
                content[:place] + bytes([content[place] ^ (1 << place % 8)]) + content[place + 1 :],
            ]
        )
    )
    path = tmp_path_factory.getbasetemp() / "damaged.pack"
    path.write_bytes(damaged)
    with pytest.raises(Trouble):
        Arrival(str(path), Judge())


@settings(max_examples=300)
@given(change=st.data())
def test_no_damage_under_a_right_checksum_is_another_error(
    change: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A server can put the right checksum under anything: then each object must still be what it is."""
    entries, _ = history()
    content = bytearray(pack(entries)[:-20])
    for _ in range(change.draw(st.integers(1, 3))):
        content[change.draw(st.integers(8, len(content) - 1))] = change.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "changed.pack"
    path.write_bytes(bytes(content) + hashlib.sha1(content, usedforsecurity=False).digest())
    try:
        arrival = Arrival(str(path), Judge(), Limits(one=1 << 20, all=1 << 20, inflated=1 << 21))
    except Trouble:
        return
    for oid, kind in arrival.kinds.items():
        assert kind in ("blob", "tree", "commit", "tag")
        assert len(oid) == 20


@pytest.mark.parametrize(
    ("entries", "options", "reason"),
    [
        ([], {"tail": b"x" * 40}, "behind the last"),
        (SOUND, {"count": 4}, "damaged"),
        (SOUND, {"count": 2}, "behind the last"),
        ([*SOUND, Entry(5, b"x")], {}, "unknown object type"),
        ([*SOUND, Entry(0, b"x")], {}, "unknown object type"),
        ([*SOUND, Entry(BLOB, b"xyz", None, 2)], {}, "another size"),
        ([*SOUND, Entry(BLOB, b"xyz", None, 4)], {}, "another size"),
        ([*SOUND, Entry(OFS, delta(b"x\n", b"y"), 3)], {}, ""),
        ([*SOUND, Entry(OFS, delta(b"x\n", b"y"), 99)], {}, "no base before"),
        ([*SOUND, Entry(REF, delta(b"q", b"y"), b"\x11" * 20)], {}, "have no base"),
        ([*SOUND, Entry(OFS, delta(b"other", b"y"), 3)], {}, "does not fit its base"),
        ([*SOUND, Entry(OFS, b"\x02\x01", 3)], {}, "fit"),
        ([*SOUND, Entry(OFS, b"\x02", 3)], {}, "damaged"),
        ([*SOUND, Entry(OFS, b"\x02\x05\x91\x00\xff", 3)], {}, "behind its base"),
        ([*SOUND, Entry(OFS, b"\x02\x01\x00", 3)], {}, "reserved"),
    ],
)
def test_a_broken_pack_is_refused_whole(copy: Copy, entries: list[Entry], options: dict, reason: str) -> None:
    """Its checksum is right; what it holds is not."""
    content = pack(entries, **options)
    if reason:
        assert reason in refused(copy, content, TIP)
    else:
        arrive(copy, content, TIP)


def test_two_deltas_that_rest_on_each_other_are_refused(copy: Copy) -> None:
    """By id a circle can be written down; no such objects exist."""
    one, two = hash_object("blob", b"1"), hash_object("blob", b"2")
    circle = [Entry(REF, delta(b"2", b"1"), two), Entry(REF, delta(b"1", b"2"), one)]
    assert "have no base" in refused(copy, pack([*SOUND, *circle]), TIP)


def test_what_is_no_pack_is_refused(copy: Copy) -> None:
    """A web page, say."""
    assert "damaged" in refused(copy, b"", TIP)
    assert "damaged" in refused(copy, b"<html>" + b"x" * 100, TIP)


# --- bombs ---


def test_a_bomb_is_refused_before_it_is_inflated(copy: Copy) -> None:
    """A megabyte of zeros is a kilobyte: what an object says of its size counts, and more is never inflated."""
    limits = Limits(one=100_000, inflated=1_000_000)
    bomb = Entry(BLOB, bytes(50_000_000))
    assert "50,000,000 bytes" in refused(copy, pack([*SOUND, bomb]), TIP, limits)
    liar = Entry(BLOB, bytes(50_000_000), None, 10)
    assert "another size" in refused(copy, pack([*SOUND, liar]), TIP, limits)
    many = [Entry(BLOB, b"%06d" % number + bytes(99_000)) for number in range(20)]
    assert "more bytes than" in refused(copy, pack([*SOUND, *many]), TIP, limits)
    arrive(copy, pack([*SOUND, *many]), TIP, Limits(one=100_000, inflated=3_000_000))


def test_a_delta_that_makes_too_much_is_refused_before_it_is_applied(copy: Copy) -> None:
    """A few bytes can say: copy the base a thousand times."""
    base = os.urandom(60_000)
    bomb = b"\xe0\xd4\x03" + b"\x80\x80\x80\x40" + b"\xb0\x60\xea" * 2000
    limits = Limits(one=1 << 20, inflated=1 << 22)
    assert "bytes" in refused(copy, pack([*SOUND, whole("blob", base), Entry(OFS, bomb, 1)]), TIP, limits)


def test_a_delta_may_not_make_more_than_it_says() -> None:
    """Its size is checked while it is applied, not after: else it could fill the memory first."""
    base, size = os.urandom(1 << 20), 1 << 16
    bomb = varint(len(base)) + varint(size) + b"\x80" * 1000  # each copies the first 64 KB
    tracemalloc.start()
    try:
        with pytest.raises(PackDamage, match="more than it says"):
            apply_delta(base, bomb)
        assert tracemalloc.get_traced_memory()[1] < 10 * size
    finally:
        tracemalloc.stop()


def test_deltas_that_would_fill_the_memory_are_refused(copy: Copy) -> None:
    """Each rests on the one before, and all are needed at once: a chain of large bodies."""
    bodies = [os.urandom(1000) for _ in range(30)]
    chain = [whole("blob", bodies[0])]
    for former, body in pairwise(bodies):
        chain.append(Entry(OFS, delta(former, body), 1))
    content = pack([*SOUND, *chain])
    assert "too deeply" in refused(copy, content, TIP, Limits(all=20_000))
    arrive(copy, content, TIP, Limits(all=40_000))


# --- what is missing, or is something else ---


@pytest.mark.parametrize("lost", range(len(SOUND)), ids=["blob", "tree", "commit"])
def test_a_pack_that_lacks_an_object_is_refused(copy: Copy, lost: int) -> None:
    """Everything that something points to is there or here."""
    entries = [entry for number, entry in enumerate(SOUND) if number != lost]
    reason = refused(copy, pack(entries), TIP)
    assert "did not come" in reason


def test_a_parent_that_is_missing_is_refused(copy: Copy) -> None:
    """As a shallow clone would send it."""
    child = commit(hash_object("tree", ROOT), b"\x11" * 20)
    reason = refused(copy, pack([*SOUND, whole("commit", child)]), hash_object("commit", child))
    assert "commit " + "11" * 20 in reason


def test_what_is_here_need_not_come(copy: Copy) -> None:
    """A parent, a tree and a blob of ours; and the empty tree, which nobody need store."""
    copy.memory.store("k", 1)
    head = copy.repository.objects.commit(copy.head)
    child = commit(head.tree, copy.head)
    arrive(copy, pack([whole("commit", child)]), hash_object("commit", child))
    empty = commit(EMPTY_TREE, copy.head)
    arrive(copy, pack([whole("commit", empty)]), hash_object("commit", empty))
    assert copy.sound()


def test_an_object_of_another_kind_is_refused(copy: Copy) -> None:
    """A parent that is a blob, a tree that is a commit, a folder that is a file: here or there."""
    tree_id = hash_object("tree", ROOT)
    for body in (commit(tree_id, BLOB_ID), commit(BLOB_ID)):
        assert "is a blob" in refused(copy, pack([*SOUND, whole("commit", body)]), hash_object("commit", body))
    folder = tree(("40000", b"a", BLOB_ID))
    body = commit(hash_object("tree", folder))
    content = pack([*SOUND, whole("tree", folder), whole("commit", body)])
    assert "is a blob" in refused(copy, content, hash_object("commit", body))
    here = commit(copy.head)
    assert refused(copy, pack([whole("commit", here)]), hash_object("commit", here))


def test_a_branch_that_is_no_commit_is_refused(copy: Copy) -> None:
    """A head that is a tree, say."""
    assert "is a tree" in refused(copy, pack(SOUND), hash_object("tree", ROOT))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("tree", tree(("100644", b".git", BLOB_ID))),
        ("tree", tree(("100644", b"GIT~1", BLOB_ID))),
        ("tree", tree(("100644", b"b", BLOB_ID), ("100644", b"a", BLOB_ID))),
        ("tree", tree(("100644", b"a", BLOB_ID), ("100644", b"a", BLOB_ID))),
        ("tree", tree(("040000", b"a", BLOB_ID))),
        ("tree", b"garbage"),
        ("commit", commit(hash_object("tree", ROOT), who="nobody")),
        ("commit", commit(hash_object("tree", ROOT)).replace(b"committer", b"commuter")),
        ("commit", b"garbage"),
        ("tag", b"garbage"),
    ],
)
def test_a_malformed_object_is_refused(copy: Copy, kind: str, body: bytes) -> None:
    """What `git fsck --strict` complains of never comes in: a server that checks would take no push of ours then."""
    oid = hash_object(kind, body)
    assert f"{kind} {oid.hex()}" in refused(copy, pack([*SOUND, whole(kind, body)]), TIP)
