"""The index against a slow reference on wilful graphs, against plain git, and against all that befalls a file."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gitmem.index import Index, VersionRow, file
from gitmem.index.ledger import Ledger
from gitmem.objects import Commit, Identity, Objects, Oid, Tree, hash_object
from gitmem.trees import changed
from tests.reference import Node, Reference, random_graph
from tests.together import together

KEYS = ["a", "b", "deep/c"]
TOP = Path(__file__).resolve().parents[1]


def content(text: str) -> bytes:
    return f'"{text}"\n'.encode()


def time_of(place: int) -> int:
    """Committers' clocks that go back every third time."""
    return 1_700_000_000 + 100 * place - (500 if place % 3 == 2 else 0)


def stream(nodes: list[Node], name: str, first: int) -> bytes:
    """A graph for `git fast-import`; commit `place` has the mark `first + place` and a ref of its own."""
    out = []
    for place, node in enumerate(nodes):
        message = f"commit {place}\n\nAgent: agent-{place % 2}\nSession: session-{place % 3}\n"
        if place % 4 == 3:
            message += f"Write-Id: write-{place % 8}\nWrite-Digest: digest-{place}\n"
        out.append(f"commit refs/heads/{name}/{place}\nmark :{first + place}\n")
        out.append(f"author somebody <s@example.org> {1_600_000_000 + place} +0000\n")
        out.append(f"committer somebody <s@example.org> {time_of(place)} +0000\ndata {len(message)}\n{message}\n")
        for word, parent in zip(["from"] + ["merge"] * 9, node.parents, strict=False):
            out.append(f"{word} :{first + parent}\n")
        out.append("deleteall\n")
        for key, text in node.state.items():
            body = content(text).decode()
            out.append(f"M 100644 inline default/{key}.json\ndata {len(body)}\n{body}\n")
    return "".join(out).encode()


def plant(folder: Path, graphs: dict[str, list[Node]]) -> dict[str, list[Oid]]:
    """A repository with these graphs, written by git; the ids of each graph's commits."""
    subprocess.run(["git", "init", "-q", "--bare", str(folder)], check=True)
    starts, given, mark = {}, b"", 1
    for name, nodes in graphs.items():
        starts[name] = mark
        given += stream(nodes, name, mark)
        mark += len(nodes)
    command = ["git", "-C", str(folder), "fast-import", "--quiet", "--export-marks=marks"]
    subprocess.run(command, input=given, check=True)
    lines = (folder / "marks").read_text().splitlines()
    marks = {int(left[1:]): bytes.fromhex(right) for left, right in (line.split() for line in lines)}
    return {name: [marks[starts[name] + place] for place in range(len(graphs[name]))] for name in graphs}


def line(length: int, *, keys: int = 5) -> list[Node]:
    """A linear history that changes one key at a time."""
    nodes = [Node((), {"k0": "first"})]
    for place in range(1, length):
        nodes.append(Node((place - 1,), {**nodes[-1].state, f"k{place * 7 % keys}": str(place)}))
    return nodes


class World(NamedTuple):
    """A repository with random graphs, and the slow truth of each."""

    folder: Path
    objects: Objects
    oids: dict[str, list[Oid]]
    references: dict[str, Reference]

    def index(self, path: Path | None = None) -> Index:
        return Index(None if path is None else str(path), self.objects)


SMALL = [f"small-{seed}" for seed in range(240)]
LARGE = [f"large-{seed}" for seed in range(4)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    graphs = {name: random_graph(seed, 4 + seed % 12, KEYS) for seed, name in enumerate(SMALL)}
    graphs.update({name: random_graph(1000 + seed, 150, KEYS) for seed, name in enumerate(LARGE)})
    graphs["line"] = line(1500)
    folder = tmp_path_factory.mktemp("index") / "world.git"
    oids = plant(folder, graphs)
    return World(folder, Objects(str(folder)), oids, {name: Reference(nodes) for name, nodes in graphs.items()})


def record(world: World, name: str, index: Index) -> None:
    """Record a graph as life does: now a commit of our own, now what others wrote, in any order."""
    dice = random.Random(name)
    oids, reference = world.oids[name], world.references[name]
    for place in range(len(oids)):
        parents = reference.nodes[place].parents
        if dice.random() < 0.5 and len(parents) == 1:
            commit = world.objects.commit(oids[place])
            before = world.objects.commit(commit.parents[0]).tree
            index.extend(commit, changed(world.objects, before, commit.tree))
        elif dice.random() < 0.5:
            index.catch_up(oids[place])


def expected(world: World, name: str, place: int, key: str) -> tuple[Oid, int, Oid | None]:
    reference = world.references[name]
    text = reference.content(place, key)
    blob = None if text is None else hash_object("blob", content(text))
    return world.oids[name][place], reference.number(place, key), blob


def shown(row: VersionRow | None) -> tuple[Oid, int, Oid | None] | None:
    return None if row is None else (row.revision, row.version, row.blob)


def check_versions(world: World, name: str, index: Index) -> None:
    """Every question about versions, at every commit of the graph."""
    oids, reference = world.oids[name], world.references[name]
    for place, head in enumerate(oids):
        tokens = index.tokens(head, "default", [*KEYS, "never"])
        for key in KEYS:
            token = reference.token(place, key)
            wanted = None if token is None else expected(world, name, token, key)
            assert shown(index.token(head, "default", key)) == wanted, (name, place, key)
            assert shown(tokens.get(key)) == wanted
            versions = {expected(world, name, one, key) for one in reference.versions(place, key)}
            rows = list(index.versions(head, "default", key))
            assert sorted(map(shown, rows)) == sorted(versions), (name, place, key)
            assert all(newer.ord > older.ord for newer, older in pairwise(rows))
            for number in {version[1] for version in versions} | {99}:
                found = {shown(row) for row in index.by_number(head, "default", key, number)}
                assert found == {version for version in versions if version[1] == number}
            parents = [reference.token(parent, key) for parent in reference.nodes[place].parents]
            wanted_parents = list(dict.fromkeys(oids[one] for one in parents if one is not None))
            assert [row.revision for row in index.parent_tokens(head, "default", key)] == wanted_parents
        own = [("default", key) for key in KEYS if reference.is_version(place, key)]
        assert [change[:2] for change in index.changes(head)] == own
        assert all(shown(row) == expected(world, name, place, key) for _, key, row in index.changes(head))


def check_log(world: World, name: str, index: Index, heads: list[int]) -> None:
    """Every question about commits, at some of the graph's."""
    oids, reference = world.oids[name], world.references[name]
    place_of = {oid: place for place, oid in enumerate(oids)}
    for head in heads:
        mine = reference.ancestors(head)
        log = [place_of[oid] for oid in index.log(oids[head])]
        assert set(log) == mine
        assert len(log) == len(mine)
        position = {place: number for number, place in enumerate(log)}
        assert all(position[one] < position[parent] for one in log for parent in reference.nodes[one].parents)
        assert list(index.log(oids[head], limit=2)) == [oids[place] for place in log[:2]]
        for other in range(len(oids)):
            assert index.is_ancestor(oids[other], oids[head]) == (other in mine)
            wanted = [place for place in log if place not in reference.ancestors(other)]
            assert [place_of[oid] for oid in index.log(oids[head], since=oids[other])] == wanted
        for agent, session in ((0, None), (None, 1), (1, 2)):
            wanted = [one for one in log if agent in (None, one % 2) and session in (None, one % 3)]
            names = {
                "agent": None if agent is None else f"agent-{agent}",
                "session": None if session is None else f"session-{session}",
            }
            assert [place_of[oid] for oid in index.log(oids[head], **names)] == wanted
        ofsession = [one for one in log if one % 3 == 2]
        assert index.session_head(oids[head], "session-2") == (oids[ofsession[0]] if ofsession else None)
        for keys in ({"a"}, {"b", "deep/c"}, set()):
            wanted = [one for one in log if any(reference.is_version(one, key) for key in keys)]
            assert [place_of[oid] for oid in index.log_of_keys(oids[head], "default", keys.__contains__)] == wanted
        check_instants(index, oids, reference, head, log)
        for digit in "0123456789abcdef":
            wanted_prefix = sorted(oids[one] for one in mine if oids[one].hex().startswith(digit))
            assert index.with_prefix(oids[head], digit) == wanted_prefix
        for write_id in (3, 7):
            written = [place for place in mine if place % 8 == write_id]
            found = index.write_id(oids[head], f"write-{write_id}")
            assert (found is None) == (not written)
            first = [place for place in written if not (reference.ancestors(place) & set(written)) - {place}]
            assert found is None or found in [(oids[place], f"digest-{place}") for place in first]


def check_instants(index: Index, oids: list[Oid], reference: Reference, head: int, log: list[int]) -> None:
    monotone = {place: max(map(time_of, reference.ancestors(place))) for place in log}
    for place in log:
        facts = index.facts(oids[place])
        assert facts.committed == monotone[place]
        assert (facts.written, facts.time) == (time_of(place), 1_600_000_000 + place)
        assert (facts.agent, facts.session) == (f"agent-{place % 2}", f"session-{place % 3}")
        assert facts.parents == tuple(oids[parent] for parent in reference.nodes[place].parents)
    for instant in {monotone[place] + step for place in log for step in (-1, 0)}:
        until = [place for place in log if monotone[place] <= instant]
        last = max((monotone[place] for place in until), default=0)
        latest = [place for place in until if monotone[place] == last]
        assert index.at_time(oids[head], instant) == (oids[latest[0]] if latest else None)


@pytest.mark.parametrize("start", range(0, len(SMALL), 40))
def test_every_answer_about_versions_is_the_reference_s(world: World, start: int) -> None:
    """The heart: tokens, numbers, lists and changes at every commit of wilful graphs."""
    for name in SMALL[start : start + 40]:
        index = world.index()
        record(world, name, index)
        check_versions(world, name, index)


@pytest.mark.parametrize("start", range(0, len(SMALL), 40))
def test_every_answer_about_commits_is_the_reference_s(world: World, start: int) -> None:
    """Ancestry, logs, sessions, instants, prefixes and write ids, at every commit of wilful graphs."""
    for name in SMALL[start : start + 40]:
        index = world.index()
        record(world, name, index)
        check_log(world, name, index, list(range(len(world.oids[name]))))


@pytest.mark.parametrize("name", LARGE)
def test_a_long_tangle_is_answered_like_a_short_one(world: World, name: str) -> None:
    """More chains and merges than any cache holds, more rows than a page."""
    index = world.index()
    record(world, name, index)
    check_versions(world, name, index)
    check_log(world, name, index, [149, 120, 77])


def test_the_graphs_are_wilful_enough() -> None:
    """The tests above prove little if the graphs lack what the law is about."""
    seen = dict.fromkeys(("two sides", "content of neither", "octopus", "side without", "back again", "ambiguous"), 0)
    for seed, _ in enumerate(SMALL):
        reference = Reference(random_graph(seed, 4 + seed % 12, KEYS))
        for place, node in enumerate(reference.nodes):
            for key in KEYS:
                sets = [reference.versions(parent, key) for parent in node.parents]
                contents = {reference.content(parent, key) for parent in node.parents}
                apart = len(sets) == 2 and bool(sets[0] - sets[1] and sets[1] - sets[0])
                seen["two sides"] += apart and len(contents) == 1
                seen["content of neither"] += len(sets) > 1 and reference.content(place, key) not in contents
                seen["octopus"] += len(sets) > 2 and reference.is_version(place, key)
                seen["side without"] += len(sets) > 1 and not all(sets) and any(sets)
                seen["back again"] += len(sets) == 1 and contents == {None} and len(sets[0]) > 1
                numbers = [reference.number(one, key) for one in reference.versions(place, key)]
                seen["ambiguous"] += len(numbers) != len(set(numbers))
    assert min(seen.values()) > 25, seen


def test_a_linear_history_is_what_git_log_says(world: World, git: Callable[..., str]) -> None:
    """Plain git is the judge that nobody of us wrote."""
    head = world.oids["line"][-1]
    index = world.index()
    for key in ("k0", "k3"):
        said = git(world.folder, "log", "--format=%H", head.hex(), "--", f"default/{key}.json").split()
        rows = list(index.versions(head, "default", key))
        assert [row.revision.hex() for row in rows] == said
        assert [row.version for row in rows] == list(range(len(said), 0, -1))
        logged = [oid.hex() for oid in index.log_of_keys(head, "default", key.__eq__)]
        assert logged == said
    assert [oid.hex() for oid in index.log(head)] == git(world.folder, "rev-list", head.hex()).split()


def test_the_log_of_a_tangle_is_what_git_says(world: World, git: Callable[..., str]) -> None:
    """`since` is git's two dots; ancestors are git's ancestors."""
    dice = random.Random(7)
    oids = world.oids[LARGE[0]]
    index = world.index()
    for _ in range(12):
        head, since = dice.sample(oids, 2)
        said = git(world.folder, "rev-list", head.hex(), f"^{since.hex()}").split()
        assert sorted(oid.hex() for oid in index.log(head, since=since)) == sorted(said)
        for revision in index.log(head, since=since, limit=3):
            parents = [parent.hex() for parent in index.facts(revision).parents]
            assert parents == git(world.folder, "log", "-1", "--format=%P", revision.hex()).split()


def test_the_merge_bases_are_what_git_says(world: World) -> None:
    """All of them, in tangles with criss-cross merges: a base too few would bring settled conflicts back."""
    dice = random.Random(11)
    index = world.index()
    seen: dict[int, int] = {}
    for name in [*LARGE, *dice.sample(SMALL, 30)]:
        for _ in range(12 if name in LARGE else 2):
            one, other = dice.choices(world.oids[name], k=2)
            asked = ["git", "-C", str(world.folder), "merge-base", "--all", one.hex(), other.hex()]
            said = subprocess.run(asked, capture_output=True, text=True).stdout.split()  # exits 1 where there is none
            assert [oid.hex() for oid in index.merge_bases(one, other)] == sorted(said)
            assert index.merge_bases(other, one) == index.merge_bases(one, other)
            seen[min(len(said), 2)] = seen.get(min(len(said), 2), 0) + 1
    assert seen.get(2, 0) >= 5, seen


def test_the_changes_of_a_commit_are_what_git_says(world: World, git: Callable[..., str]) -> None:
    """For a commit with one parent they are simply its diff."""
    index = world.index()
    for place in (0, 1, 9, 700, 1499):
        head = world.oids["line"][place]
        said = git(world.folder, "diff-tree", "--root", "--no-commit-id", "-r", "--name-only", head.hex()).split()
        assert [f"{space}/{key}.json" for space, key, _ in index.changes(head)] == said


# --- the file ---


class Unreadable(Objects):
    """A repository that must not be read."""

    def commit(self, oid: Oid) -> Commit:
        raise AssertionError("the index should know this")


def answer(index: Index, world: World, name: str = LARGE[1]) -> None:
    """Whatever befell the file, the answers are right."""
    reference = world.references[name]
    earlier = sorted(reference.ancestors(149))
    for place in (149, earlier[len(earlier) // 2]):
        for key in KEYS:
            token = reference.token(place, key)
            wanted = None if token is None else expected(world, name, token, key)
            assert shown(index.token(world.oids[name][place], "default", key)) == wanted


def test_a_closed_index_goes_on_where_it_was(world: World, tmp_path: Path) -> None:
    """Opening one reads no history again."""
    path = tmp_path / "derived" / "index.sqlite"
    index = world.index(path)
    answer(index, world)
    index.close()
    reopened = Index(str(path), Unreadable(str(world.folder)))
    answer(reopened, world)
    assert not reopened.in_memory
    reopened.close()


def test_a_deleted_file_comes_back(world: World, tmp_path: Path) -> None:
    """Somebody removes the whole folder while we have it open: what comes next is written to a new file."""
    path = tmp_path / "derived" / "index.sqlite"
    index = world.index(path)
    answer(index, world)
    for found in path.parent.iterdir():
        found.unlink()
    path.parent.rmdir()
    answer(index, world, LARGE[2])
    answer(index, world)
    assert path.exists()
    index.close()
    answer(Index(str(path), Unreadable(str(world.folder))), world, LARGE[2])


def test_extend_notices_that_the_file_is_gone(world: World, tmp_path: Path) -> None:
    """Otherwise a writer would go on for ever to fill a file that nobody else can see."""
    path = tmp_path / "index.sqlite"
    index = world.index(path)
    index.catch_up(world.oids["line"][10])
    file.delete(str(path))
    commit = world.objects.commit(world.oids["line"][11])
    index.extend(commit, changed(world.objects, world.objects.commit(commit.parents[0]).tree, commit.tree))
    other = Index(str(path), Unreadable(str(world.folder)))
    assert other.knows(commit.oid)
    index.close()
    other.close()


@pytest.mark.parametrize("left", ["", "-wal", "-shm"])
def test_a_half_deleted_index_is_begun_anew(world: World, tmp_path: Path, left: str) -> None:
    """A log of another generation must not be played into a new file."""
    path = tmp_path / "index.sqlite"
    old = world.index(path)
    answer(old, world)
    for companion in {"", "-wal", "-shm"} - {left}:
        (tmp_path / f"index.sqlite{companion}").unlink()
    remains = (tmp_path / f"index.sqlite{left}").stat().st_ino
    new = world.index(path)
    answer(new, world, LARGE[2])
    assert left == "" or (tmp_path / f"index.sqlite{left}").stat().st_ino != remains
    answer(old, world, LARGE[3])
    old.close()
    answer(new, world)
    new.close()
    again = world.index(path)
    answer(again, world)
    assert again._tables is not None
    assert again._tables.db.execute("pragma integrity_check").fetchone() == ("ok",)
    again.close()


def test_closing_a_deleted_index_leaves_the_new_one_alone(world: World, tmp_path: Path) -> None:
    """SQLite removes its log by name when the last connection closes; that name may be somebody else's by now."""
    path = tmp_path / "index.sqlite"
    old, new = world.index(path), world.index(path)
    answer(old, world)
    file.delete(str(path))
    assert [found.name for found in tmp_path.iterdir()] == ["index.sqlite.lock"]
    answer(new, world)
    assert (tmp_path / "index.sqlite-wal").exists()
    old.close()
    assert (tmp_path / "index.sqlite-wal").exists()
    third = Index(str(path), Unreadable(str(world.folder)))
    answer(third, world)
    third.close()
    new.close()


def test_a_file_that_is_no_database_is_replaced(world: World, tmp_path: Path) -> None:
    """Derived files are nobody's treasure."""
    path = tmp_path / "index.sqlite"
    path.write_bytes(b"this is no database" * 1000)
    index = world.index(path)
    answer(index, world)
    assert not index.in_memory
    index.close()


def test_a_damaged_page_is_found_and_the_file_replaced(world: World, tmp_path: Path) -> None:
    """Damage shows only when a page is read: in the middle of a question."""
    path = tmp_path / "index.sqlite"
    index = world.index(path)
    answer(index, world)
    index.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + os.urandom(len(whole) - 4096))
    again = world.index(path)
    answer(again, world)
    assert not again.in_memory
    again.close()
    answer(Index(str(path), Unreadable(str(world.folder))), world)


@pytest.mark.parametrize("sql", ["pragma user_version = 999", "drop table joins", "pragma user_version = 0"])
def test_tables_of_another_gitmem_are_replaced(world: World, tmp_path: Path, sql: str) -> None:
    """A schema number says what the tables mean; there is nothing to convert."""
    path = tmp_path / "index.sqlite"
    index = world.index(path)
    index.catch_up(world.oids[LARGE[1]][20])
    index.close()
    other = sqlite3.connect(path)
    other.execute(sql)
    other.close()
    again = world.index(path)
    answer(again, world)
    assert not again.in_memory
    again.close()
    assert sqlite3.connect(path).execute("pragma user_version").fetchone() == (file.SCHEMA,)


def test_where_no_file_can_be_the_index_is_in_memory(world: World, tmp_path: Path) -> None:
    """A memory that can be read must not fail for want of a cache."""
    (tmp_path / "occupied").write_text("a file, not a folder")
    for path in (tmp_path / "occupied" / "index.sqlite", tmp_path):
        index = world.index(path)
        answer(index, world)
        assert index.in_memory


def test_a_full_disk_moves_the_index_to_memory(world: World, tmp_path: Path) -> None:
    """In the middle of the work, whatever was written until then."""
    index = world.index(tmp_path / "index.sqlite")
    index.catch_up(world.oids["line"][3])
    assert index._tables is not None
    index._tables.db.execute("pragma max_page_count = 20")
    assert index.session_head(world.oids["line"][-1], "session-1") == world.oids["line"][-2]
    assert index.in_memory


def test_network_file_systems_are_told_by_the_mount_table() -> None:
    """SQLite's log needs memory that processes share; machines share none."""
    table = (
        "36 35 0:48 / /home rw,noatime shared:1 master:2 - nfs4 server:/home rw\n"
        "37 35 0:49 / /tmp rw shared:7 - tmpfs tmpfs rw\n38 35 8:1 / / rw - ext4 /dev/sda1 rw\n"
    )
    assert file.is_network_mount(table, "0:48")
    assert not file.is_network_mount(table, "0:49")
    assert not file.is_network_mount(table, "0:4")


def test_on_a_network_the_index_is_in_memory(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no file appears there."""
    monkeypatch.setattr(file, "on_network", lambda folder: True)
    index = world.index(tmp_path / "index.sqlite")
    answer(index, world)
    assert index.in_memory
    assert not (tmp_path / "index.sqlite").exists()


def test_an_answer_in_pages_survives_a_new_file(world: World, tmp_path: Path) -> None:
    """The numbers of commits differ in the new file; no version may be missed or come twice."""
    path = tmp_path / "index.sqlite"
    index = world.index(path)
    head = world.oids[LARGE[1]][149]
    whole = [row.revision for row in index.versions(head, "default", "a")]
    rows = index.versions(head, "default", "a")
    first = [next(rows).revision for _ in range(20)]
    file.delete(str(path))
    answer(index, world, LARGE[2])
    rest = [row.revision for row in rows]
    assert len(whole) > 40
    assert len(first + rest) == len(whole)
    assert set(first + rest) == set(whole)
    index.close()


# --- other processes, forks, threads ---

SCRIPT = """
import sys
from gitmem.index import Index
from gitmem.objects import Objects
path, folder, head = sys.argv[1:]
index = Index(path, Objects(folder))
print("ready", flush=True)
sys.stdin.readline()
index.catch_up(bytes.fromhex(head))
print(index.in_memory, len(list(index.log(bytes.fromhex(head)))), flush=True)
index.close()
"""


def start(world: World, path: Path, head: Oid) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SCRIPT, str(path), str(world.folder), head.hex()]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=TOP)


def test_two_processes_catch_up_at_once(world: World, tmp_path: Path) -> None:
    """Neither fails, nothing is recorded twice, and the file is whole."""
    path = tmp_path / "index.sqlite"
    head = world.oids["line"][-1]
    processes = [start(world, path, head) for _ in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    said = []
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        said.append(process.communicate()[0].split())
    assert said == [["False", "1500"]] * 2
    index = Index(str(path), Unreadable(str(world.folder)))
    assert [row.version for row in index.versions(head, "default", "k0")] == list(range(300, 0, -1))
    assert index._tables is not None
    assert index._tables.db.execute("pragma integrity_check").fetchone() == ("ok",)
    index.close()


def test_who_was_overtaken_while_reading_git_records_nothing_twice(world: World, tmp_path: Path) -> None:
    """Git is read outside the transaction: what was missing before may have been recorded since."""
    path = tmp_path / "index.sqlite"
    head = world.oids["line"][1200]

    class Slow(Objects):
        def tree(self, oid: Oid) -> Tree:
            if not other.knows(head):
                other.catch_up(head)
            return super().tree(oid)

    other = world.index(path)
    index = Index(str(path), Slow(str(world.folder)))
    index.catch_up(world.oids["line"][-1])
    assert not index.in_memory
    assert other._file._identity == index._file._identity
    assert not other._file.moved(), "a clash was taken for damage"
    assert [row.version for row in index.versions(head, "default", "k0")] == list(range(241, 0, -1))
    other.close()
    index.close()


def test_what_another_process_recorded_is_seen(world: World, tmp_path: Path) -> None:
    """Joins that were loaded before it wrote are not the last word."""
    path = tmp_path / "index.sqlite"
    index = world.index(path)
    index.is_ancestor(world.oids[LARGE[1]][3], world.oids[LARGE[1]][30])
    other = start(world, path, world.oids[LARGE[1]][149])
    other.communicate("go\n")
    index._objects = Unreadable(str(world.folder))
    answer(index, world)
    index.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_opens_the_file_itself(world: World, tmp_path: Path) -> None:
    """SQLite's connections must not cross a fork; the parent's goes on after the child has ended."""
    index = world.index(tmp_path / "index.sqlite")
    index.catch_up(world.oids[LARGE[1]][30])
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with index._lock:
            held.set()
            done.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            before = index._tables
            signal.alarm(60)  # a child that waits for the thread that it does not have
            answer(index, world)
            status = 0 if before is None and not index.in_memory else 2
        finally:
            os._exit(status)
    done.set()
    holder.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    index._objects = Unreadable(str(world.folder))
    answer(index, world)
    index.close()


def test_threads_share_an_index(world: World, tmp_path: Path) -> None:
    """They open it together, and ask while others record."""
    index = world.index(tmp_path / "index.sqlite")
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        together(lambda name: answer(index, world, name), LARGE[:4] * 2)
    finally:
        sys.setswitchinterval(interval)
    assert not index.in_memory
    index.close()


# --- commits of our own ---


def own(world: World, place: int) -> tuple[Commit, dict[tuple[str, str], tuple[Oid | None, Oid | None]]]:
    commit = world.objects.commit(world.oids["line"][place])
    return commit, changed(world.objects, world.objects.commit(commit.parents[0]).tree, commit.tree)


def test_extend_reads_nothing(world: World, tmp_path: Path) -> None:
    """It is on the way of every store."""
    index = world.index(tmp_path / "index.sqlite")
    index.catch_up(world.oids["line"][20])
    prepared = [own(world, place) for place in range(21, 30)]
    index._objects = Unreadable(str(world.folder))
    index.extend(*prepared[0])
    index.extend_many(prepared[1:], branch="main")
    head = world.oids["line"][29]
    assert index.knows(head)
    wanted = expected(world, "line", world.references["line"].token(29, "k0") or 0, "k0")
    assert shown(index.token(head, "default", "k0")) == wanted
    index.close()


def test_extend_twice_counts_once(world: World) -> None:
    """Another process may have caught up with our commit before we come."""
    index = world.index()
    index.catch_up(world.oids["line"][21])
    index.extend(*own(world, 21))
    row = index.token(world.oids["line"][21], "default", "k2")
    assert shown(row) == expected(world, "line", 21, "k2")


def test_a_change_that_changes_nothing_is_no_version(world: World) -> None:
    """A transaction may store what was there already, beside what was not."""
    index = world.index()
    index.catch_up(world.oids["line"][20])
    commit, changes = own(world, 21)
    same = index.token(world.oids["line"][20], "default", "k0")
    assert same is not None
    index.extend(commit, {**changes, ("default", "k0"): (same.blob, same.blob)})
    assert index.token(commit.oid, "default", "k0") == same
    assert [key for _, key, _ in index.changes(commit.oid)] == ["k2"]


def test_a_transaction_that_failed_leaves_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in the file nor in the caches beside it: a rolled back number belongs to the next commit."""
    index = world.index()
    index.catch_up(world.oids["line"][20])
    plain, calls = Ledger.record, []

    def record(self: Ledger, commit: Commit, *rest: Any) -> None:
        plain(self, commit, *rest)
        calls.append(commit)
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Ledger, "record", record)
    with pytest.raises(KeyboardInterrupt):
        index.extend_many([own(world, 21), own(world, 22)])
    assert not index.knows(world.oids["line"][21])
    index.catch_up(world.oids["line"][30])
    for place in (21, 22, 30):
        token = world.references["line"].token(place, "k0")
        assert token is not None
        row = index.token(world.oids["line"][place], "default", "k0")
        assert shown(row) == expected(world, "line", token, "k0")


def test_extend_without_the_parent_catches_up(world: World) -> None:
    """Others wrote in between, or the index was deleted."""
    index = world.index()
    index.extend(*own(world, 40))
    assert index.knows(world.oids["line"][39])
    assert shown(index.token(world.oids["line"][40], "default", "k0")) == expected(world, "line", 40, "k0")


def test_extend_takes_a_merge_from_git(world: World) -> None:
    """A merge's versions need the differences to all its parents; a caller's may not be enough."""
    name, reference = LARGE[0], world.references[LARGE[0]]
    place = next(place for place, node in enumerate(reference.nodes) if len(node.parents) == 2 and place > 50)
    index = world.index()
    index.catch_up(world.oids[name][place - 1])
    for parent in reference.nodes[place].parents:
        index.catch_up(world.oids[name][parent])
    index.extend(world.objects.commit(world.oids[name][place]), {})
    found = [change[1] for change in index.changes(world.oids[name][place])]
    assert found == [key for key in KEYS if reference.is_version(place, key)]


def test_extend_never_raises(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store is acknowledged already: an error would be a lie."""
    monkeypatch.setattr(file, "SHORT_WAIT", 1)
    path = tmp_path / "index.sqlite"
    index = world.index(path)
    index.catch_up(world.oids["line"][20])
    busy = sqlite3.connect(path, isolation_level=None)
    busy.execute("begin immediate")
    index.extend(*own(world, 21))
    assert not index.knows(world.oids["line"][21])
    busy.execute("rollback")
    busy.close()
    who = Identity("somebody", "", 0, 0)
    index.extend(Commit(b"c" * 20, b"t" * 20, (b"p" * 20,), who, who, "no such parent\n"), {})
    assert not index.in_memory
    assert shown(index.token(world.oids["line"][21], "default", "k2")) == expected(world, "line", 21, "k2")
    index.close()


def test_a_file_that_stays_busy_is_given_up(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever needs the answer for a decision gets it, from memory if it must be."""
    monkeypatch.setattr(file, "SHORT_WAIT", 1)
    monkeypatch.setattr("gitmem.index.file.LONG_WAIT", 1)
    monkeypatch.setattr("gitmem.index.intake.LONG_WAIT", 1)
    path = tmp_path / "index.sqlite"
    index = world.index(path)
    index.catch_up(world.oids["line"][20])
    busy = sqlite3.connect(path, isolation_level=None)
    busy.execute("begin immediate")
    answer(index, world)
    assert index.in_memory
    busy.close()


def test_a_lock_that_passes_is_waited_for(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One clash is no reason to do without the file for good."""
    monkeypatch.setattr(file, "SHORT_WAIT", 1)
    path = tmp_path / "index.sqlite"
    index = world.index(path)
    index.catch_up(world.oids["line"][20])
    index.close()
    busy = sqlite3.connect(path, isolation_level=None)
    busy.execute("begin immediate")
    give_up = index._file.give_up

    def release(error: sqlite3.DatabaseError, attempt: int) -> None:
        busy.close()
        give_up(error, attempt)

    monkeypatch.setattr(index._file, "give_up", release)
    assert index.record_head("main", world.oids["line"][20]) is None
    assert not index.in_memory
    assert index.record_head("main", world.oids["small-5"][0]) == world.oids["line"][20]
    index.close()


@pytest.mark.skipif(sys.platform == "win32", reason="no flock here")
def test_nobody_else_opens_while_tables_are_made(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between deleting and making, SQLite's three files would be of two generations."""
    import fcntl

    path = tmp_path / "index.sqlite"
    make_tables = file._make_tables

    def watched(db: sqlite3.Connection, tables: str, schema: int) -> None:
        with open(f"{path}.lock", "rb") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        make_tables(db, tables, schema)

    monkeypatch.setattr(file, "_make_tables", watched)
    index = world.index(path)
    answer(index, world)
    assert not index.in_memory
    index.close()


def test_a_rewritten_history_is_noticed(world: World, tmp_path: Path) -> None:
    """Somebody forced the branch: the head that was lost is named once, so that it can be rescued."""
    index = world.index(tmp_path / "index.sqlite")
    old, other = world.oids["line"], world.oids["small-5"]
    assert index.record_head("main", old[10]) is None
    assert index.record_head("main", old[12]) is None
    assert index.record_head("main", other[0]) == old[12]
    assert index.record_head("main", other[0]) is None
    assert index.record_head("side", old[10]) is None
    index.close()


def test_extend_moves_the_recorded_head_but_hides_no_rewriting(world: World) -> None:
    """A store on top of a rewritten history must not wipe out the trace of what was lost."""
    index = world.index()
    index.record_head("main", world.oids["line"][20])
    index.extend(*own(world, 21), branch="main")
    assert index.record_head("main", world.oids["small-5"][0]) == world.oids["line"][21]
    index.extend(*own(world, 22), branch="main")
    assert index.record_head("main", world.oids["line"][23]) == world.oids["small-5"][0]


def test_many_keys_are_logged_like_a_few(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past some number of keys the log is read from the commits' side; nobody may notice."""
    head = world.oids["line"][-1]
    index = world.index()
    few = list(index.log_of_keys(head, "default", {"k1", "k4"}.__contains__))
    monkeypatch.setattr("gitmem.index.pages.FEW_KEYS", 1)
    assert list(index.log_of_keys(head, "default", {"k1", "k4"}.__contains__)) == few
    assert len(few) == 600


def test_what_is_no_prefix_matches_nothing(world: World) -> None:
    """A session's name is tried as an id too."""
    head = world.oids["line"][5]
    index = world.index()
    assert index.with_prefix(head, "session-1") == []
    assert index.with_prefix(head, head.hex()) == [head]
    assert index.with_prefix(head, head.hex() + "00") == []
