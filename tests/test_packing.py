"""gc, with git and without: what was there is there, in fewer files, whoever reads or writes meanwhile."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gitmem.errors import StorageError
from gitmem.objects import Identity, Objects, Oid, serialize_commit, serialize_tree
from gitmem.packing import PackWriter, collect, needs_gc, stale_temporaries
from gitmem.storedpack import StoredPack

Git = Callable[..., str]
GIT = shutil.which("git")
WEEK = 7 * 24 * 3600
WHO = Identity("coder", "coder@gitmem", 1_767_225_600, 0)

with_and_without_git = pytest.mark.parametrize("program", [GIT, None], ids=["git", "own"])


@pytest.fixture
def bare(tmp_path: Path, git: Git) -> Path:
    git(tmp_path, "init", "-q", "--bare", "-b", "main", "bare.git")
    return tmp_path / "bare.git"


class Store:
    """Commits on main, each changing one of forty files in one of three folders."""

    def __init__(self, bare: Path, *, seed: int = 1) -> None:
        self.bare = bare
        self.objects = Objects(str(bare))
        self.head: Oid | None = None
        self.written: dict[Oid, bytes] = {}
        self._chance = random.Random(seed)
        self._folders: dict[bytes, dict[bytes, tuple[int, Oid]]] = {b"ns%d" % n: {} for n in range(3)}

    def commit(self, count: int, *, packed: bool = False) -> None:
        """Write commits and move main, as loose objects or each as a pack of its own."""
        for _ in range(count):
            writer = PackWriter(str(self.bare), durable=False) if packed else self.objects.writer(durable=False)
            body = b'{\n  "number": %d,\n  "state": "working"\n}\n' % self._chance.randrange(10**9)
            folder = self._chance.choice(sorted(self._folders))
            blob = writer.add("blob", body)
            self._folders[folder][b"key-%02d.json" % self._chance.randrange(40)] = (0o100644, blob)
            root = {}
            for name, entries in self._folders.items():
                if entries:
                    root[name] = (0o40000, writer.add("tree", serialize_tree(entries)))
            tree = writer.add("tree", serialize_tree(root))
            parents = [self.head] if self.head else []
            self.head = writer.add("commit", serialize_commit(tree, parents, WHO, WHO, "store\n"))
            writer.finish()
            self.written[blob] = body
        assert self.head is not None
        (self.bare / "refs/heads/main").write_text(self.head.hex() + "\n")

    def collect(self, program: str | None, **options: bool):
        return collect(str(self.bare), self.objects, [self.head] if self.head else [], git=program, **options)

    def loose(self) -> set[Oid]:
        return set(self.objects.loose_ids())

    def packs(self) -> list[Path]:
        return sorted((self.bare / "objects/pack").glob("*.pack"))

    def check(self, git: Git) -> None:
        """Everything that was ever written is there, for git and for us; no file is left over."""
        assert git(self.bare, "fsck", "--strict", "--no-dangling", "--full") == ""
        fresh = Objects(str(self.bare))
        for objects in (self.objects, fresh):
            assert {oid: objects.blob(oid) for oid in self.written} == self.written
        assert stale_temporaries(str(self.bare), -1, 0) == []
        assert int(git(self.bare, "rev-list", "--count", "main")) == len(self.written)


@pytest.fixture
def store(bare: Path) -> Store:
    return Store(bare)


@with_and_without_git
@pytest.mark.parametrize("full", [False, True])
def test_all_loose_objects_become_one_pack(store: Store, git: Git, program: str | None, full: bool) -> None:
    """The report says so, and a second gc finds nothing to do."""
    store.commit(60)
    loose = len(store.loose())
    report = store.collect(program, full=full)
    assert report == (loose, 0, 0, 1, 0, "")
    assert report.packed == loose
    store.check(git)
    assert store.collect(program, full=full) == (0, 0, 1, 1, 0, "")


def test_without_git_a_pack_is_about_as_small(store: Store, git: Git, tmp_path: Path) -> None:
    """Each tree is a delta of its former state: a store without git must not grow out of its disk."""
    store.commit(300)
    shutil.copytree(store.bare, tmp_path / "other.git")
    store.collect(None)
    git(tmp_path / "other.git", "repack", "-adq")
    (theirs,) = (tmp_path / "other.git/objects/pack").glob("*.pack")
    assert store.packs()[0].stat().st_size < 1.5 * theirs.stat().st_size


def test_history_behind_a_packed_head_becomes_deltas_too(store: Store, git: Git) -> None:
    """A big transaction is a pack of its own: the loose commits before it are found all the same."""
    store.commit(300)
    store.commit(2, packed=True)
    store.collect(None)
    sizes = sorted(path.stat().st_size for path in store.packs())
    assert len(sizes) == 3
    assert sizes[-1] < 300 * 400
    assert not store.loose()
    store.check(git)


@with_and_without_git
def test_unreachable_objects_survive(store: Store, git: Git, program: str | None) -> None:
    """They may be those of a write that is about to publish."""
    store.commit(5)
    coming = [store.objects.write("blob", b'"coming %d"\n' % n) for n in range(3)]
    for full in (False, True):
        store.collect(program, full=full)
        assert [store.objects.blob(oid) for oid in coming] == [b'"coming %d"\n' % n for n in range(3)]
    store.check(git)


@with_and_without_git
def test_only_git_prunes_and_only_what_is_older_than_two_weeks(store: Store, program: str | None, git: Git) -> None:
    """Loose or packed; the age is that of the file, which a writer who found the object made young."""
    store.commit(3)
    now = os.stat(store.bare).st_mtime
    ages = {store.objects.write("blob", b"%d\n" % weeks): weeks for weeks in (1, 3)}
    for oid, weeks in ages.items():
        os.utime(store.objects.loose_path(oid), (now - weeks * WEEK,) * 2)
    for weeks in (1, 3):
        with PackWriter(str(store.bare), durable=False) as writer:
            ages[writer.add("blob", b"packed %d\n" % weeks)] = weeks
            path = writer.finish()
        assert path is not None
        os.utime(path, (now - weeks * WEEK,) * 2)
    store.collect(program, full=True)
    kept = [weeks for oid, weeks in ages.items() if store.objects.contains(oid)]
    assert kept == ([1, 1] if program else [1, 3, 1, 3])
    store.check(git)


@with_and_without_git
@pytest.mark.parametrize("full", [False, True])
def test_a_reserved_pack_stays(store: Store, git: Git, program: str | None, full: bool) -> None:
    """A .keep file beside a pack is a promise to somebody, for instance to a running push."""
    store.commit(25, packed=True)
    kept = store.packs()[7]
    kept.with_suffix(".keep").write_text("busy\n")
    store.collect(program, full=full)
    assert kept in store.packs()
    assert len(store.packs()) <= 3
    kept.with_suffix(".keep").unlink()
    store.check(git)


@with_and_without_git
def test_many_packs_become_few(store: Store, git: Git, program: str | None) -> None:
    """Every big transaction leaves a pack, and every read looks into each."""
    store.commit(200)
    large_blob = store.objects.write("blob", random.Random(3).randbytes(1 << 20))
    git(store.bare, "update-ref", "refs/tags/large", large_blob.hex())
    store.collect(program)
    (large,) = store.packs()
    store.commit(25, packed=True)
    report = store.collect(program)
    assert (report.packs_before, report.packs_after) == (26, 2)
    assert large in store.packs()
    store.check(git)
    assert store.collect(program, full=True).packs_after == 1
    store.check(git)


def test_a_few_packs_are_left_alone(store: Store) -> None:
    """Merging copies: it must be worth it."""
    store.commit(20, packed=True)
    before = store.packs()
    assert store.collect(None).packs_after == 20
    assert store.packs() == before


def test_git_s_own_deltas_are_merged_as_they_are(store: Store, git: Git) -> None:
    """By offset or by id, bases before or behind: nothing is inflated, so the merged pack is no larger."""
    for form in ("--delta-base-offset", "-q"):
        store.commit(80)
        ids = "".join(f"{oid.hex()}\n" for oid in sorted(store.loose()))
        git(store.bare, "pack-objects", "-q", form, "objects/pack/pack", given=ids.encode())
        git(store.bare, "prune-packed")
    size = sum(path.stat().st_size for path in store.packs())
    assert store.collect(None, full=True).packs_after == 1
    assert store.packs()[0].stat().st_size < size
    store.check(git)


def behind(pack: StoredPack) -> int:
    """How many deltas lie before their base."""
    places = {entry.oid: place for place, entry in enumerate(pack.entries())}
    return sum(places[entry.base] > places[entry.oid] for entry in pack.entries() if entry.base)


def test_bases_that_lie_behind_their_deltas_are_merged(store: Store, git: Git) -> None:
    """A push comes without the bases that we have; git then appends them, and names them by id."""
    store.commit(60)
    old = git(store.bare, "rev-parse", "main")
    store.commit(10)
    words = ["git", "-C", str(store.bare), "pack-objects", "--thin", "--stdout", "--revs", "-q"]
    thin = subprocess.run(words, input=f"main\n^{old}".encode(), capture_output=True, check=True).stdout
    git(store.bare, "index-pack", "--stdin", "--fix-thin", given=thin)
    git(store.bare, "prune-packed")
    assert behind(StoredPack(str(store.packs()[0])))
    store.collect(None)
    assert store.collect(None, full=True) == (0, 0, 2, 1, 0, "")
    assert behind(StoredPack(str(store.packs()[0])))
    store.check(git)


def test_a_pack_that_holds_all_the_others_stays(store: Store, git: Git) -> None:
    """Merging gives that very pack again, under the same name: it must not be removed as an old one."""
    store.commit(10)
    ids = "".join(f"{oid.hex()}\n" for oid in sorted(store.loose())).encode()
    for window in ("10", "0"):
        words = ["pack-objects", "-q", "--delta-base-offset", "--no-reuse-delta", f"--window={window}"]
        git(store.bare, *words, "objects/pack/pack", given=ids)
    git(store.bare, "prune-packed")
    small = min(store.packs(), key=os.path.getsize)
    assert store.collect(None, full=True) == (0, 0, 2, 1, 0, "")
    assert store.packs() == [small]
    store.check(git)


def test_the_list_over_packs_goes_with_them(store: Store, git: Git) -> None:
    """A multi-pack-index that names packs which are gone makes git complain."""
    store.commit(3, packed=True)
    git(store.bare, "multi-pack-index", "write")
    store.collect(None, full=True)
    store.check(git)


def test_a_damaged_loose_object_stays_and_is_counted(store: Store, git: Git) -> None:
    """gc goes on around it; `doctor` tells about it."""
    store.commit(20)
    victim = next(iter(store.written))
    path = Path(store.objects.loose_path(victim))
    content = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(b"damaged")
    report = store.collect(None)
    assert (report.loose_after, report.damaged) == (1, 1)
    assert path.read_bytes() == b"damaged"
    path.write_bytes(content)
    store.check(git)


@pytest.mark.parametrize("merging", [False, True])
def test_a_pack_that_does_not_read_back_removes_nothing(
    store: Store, git: Git, monkeypatch: pytest.MonkeyPatch, merging: bool
) -> None:
    """The old copies go only after the new ones were read: here the disk returns something else."""
    store.commit(3, packed=merging)
    before = store.loose(), store.packs()
    finish = PackWriter.finish

    def damaging(writer: PackWriter) -> Path | None:
        path = finish(writer)
        if path is not None:
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 1
            path.chmod(0o644)
            path.write_bytes(content)
        return path

    monkeypatch.setattr(PackWriter, "finish", damaging)
    if merging:
        assert "not merged" in store.collect(None, full=True).trouble
    else:
        with pytest.raises(StorageError):
            store.collect(None)
    assert (store.loose(), store.packs()) == before
    store.check(git)


def test_a_damaged_pack_is_not_merged(store: Store) -> None:
    """What it holds is damaged, not gone: copies from elsewhere can still mend it."""
    store.commit(3, packed=True)
    path = store.packs()[1]
    content = bytearray(path.read_bytes())
    content[20] ^= 0xFF
    path.chmod(0o644)
    path.write_bytes(content)
    before = store.packs()
    assert "not merged" in store.collect(None, full=True).trouble
    assert store.packs() == before


@pytest.mark.parametrize("program", ["/bin/false", "/nowhere/git"])
def test_where_git_fails_the_own_packer_steps_in(store: Store, git: Git, program: str) -> None:
    """And the report does not hide it."""
    store.commit(5)
    report = store.collect(program)
    assert report.loose_after == 0
    assert "git could not pack" in report.trouble
    store.check(git)


def test_an_older_git_is_helped_out(store: Store, git: Git, tmp_path: Path) -> None:
    """Before 2.32 it leaves unreachable objects loose, and packs many."""
    script = tmp_path / "git"
    script.write_text(
        "#!/bin/sh\nfor word; do case $word in\n"
        'version) echo "git version 2.31.9"; exit;;\n--geometric*) exit 1;;\nesac; done\n'
        f'exec {GIT} "$@"\n'
    )
    script.chmod(0o755)
    store.commit(25, packed=True)
    store.commit(5)
    store.objects.write("blob", b"unreachable\n")
    report = store.collect(str(script))
    assert (report.loose_after, report.trouble) == (0, "")
    assert report.packs_after < 5
    store.check(git)


def test_the_caller_s_git_variables_lead_nowhere(
    store: Store, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gitmem may run inside somebody's hook, where git has set them for another repository."""
    store.commit(3)
    with monkeypatch.context() as patch:
        patch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
        patch.setenv("GIT_OBJECT_DIRECTORY", str(tmp_path / "elsewhere"))
        assert store.collect(GIT, full=True).trouble == ""
    assert not store.loose()
    assert not (tmp_path / "elsewhere").exists()
    store.check(git)


def test_histories_and_trees_deeper_than_the_stack(bare: Path, git: Git) -> None:
    """Five thousand commits in a row, and a hostile push with a thousand folders inside each other."""
    objects = Objects(str(bare))
    entry = (0o100644, objects.write("blob", b"1\n"))
    for _ in range(1500):
        entry = (0o40000, objects.write("tree", serialize_tree({b"a": entry})))
    head: list[Oid] = []
    for number in range(5000):
        head = [objects.write("commit", serialize_commit(entry[1], head, WHO, WHO, f"{number}\n"))]
    report = collect(str(bare), objects, head, git=None)
    assert (report.packed, report.loose_after) == (6501, 0)
    assert git(bare, "rev-list", "--count", head[0].hex()).strip() == "5000"


def test_a_gc_is_due_by_git_s_own_estimate(bare: Path) -> None:
    """One of 256 folders speaks for all; packs that a gc may not touch do not count."""
    folder = bare / "objects" / "17"
    folder.mkdir()
    assert not needs_gc(str(bare))
    for number in range(27):
        (folder / f"tmp_obj_{number}").touch()
        assert not needs_gc(str(bare))
    for number in range(27):
        assert not needs_gc(str(bare))
        (folder / f"{number:038x}").touch()
    assert needs_gc(str(bare))
    shutil.rmtree(folder)
    for number in range(60):
        assert needs_gc(str(bare)) == (number > 50)
        (bare / "objects" / "pack" / f"pack-{number}.pack").touch()
    for number in range(10):
        (bare / "objects" / "pack" / f"pack-{number}.keep").touch()
    assert not needs_gc(str(bare))
    assert not needs_gc(str(bare / "nowhere"))


def test_stale_temporaries_are_those_of_dead_writers(bare: Path) -> None:
    """By name and age; a young one belongs to somebody who is writing it."""
    (bare / "objects" / "ab").mkdir()
    names = ["ab/tmp_obj_1", "pack/tmp_pack_1", "pack/tmp_idx_1", "tmp_obj_2", "pack/.tmp-7-pack-0.idx"]
    others = ["ab/" + "c" * 38, "pack/pack-1.pack", "pack/pack-1.idx", "info/tmp_obj_3"]
    for name in names + others:
        (bare / "objects" / name).touch()
        os.utime(bare / "objects" / name, (1000, 1000))
    (bare / "objects" / "pack" / "tmp_pack_2").touch()
    os.utime(bare / "objects" / "pack" / "tmp_pack_2", (1900, 1900))
    assert stale_temporaries(str(bare), 600, 2000) == sorted(bare / "objects" / name for name in names)
