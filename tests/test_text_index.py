"""The full-text index as a file that several share: lost, damaged, busy, impossible; the answers stay the same."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gitmem import Memory, StorageError
from gitmem.index import file, text, text_tables
from gitmem.index.text import WORDS, Bounds, TextIndex
from gitmem.keys import REASONING_BANK
from tests.foreign import run_git
from tests.plain_scan import scan

TOP = Path(__file__).resolve().parents[1]
ASKED = ("apple", "pear plum", '"apple pear"', "pl*")


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    """Some hundred values, in two namespaces and on two branches."""
    chance = random.Random(1)
    memory = Memory.open(tmp_path / "memory", agent="ann")
    with memory.transaction() as tx:
        for number in range(300):
            words = chance.choices(["apple", "pear", "plum", "quince", "sloe"], k=chance.randrange(1, 6))
            tx.store(f"tree/{number}", " ".join(words), namespace=("default", REASONING_BANK)[number % 2])
    edits = memory.branch("edits")
    edits.delete_matching("tree/*4")
    edits.store("tree/other", "apple pear")
    return memory


def path_of(memory: Memory) -> Path:
    return memory.vault.repository.derived / "text.sqlite3"


def check(memory: Memory) -> None:
    """Every answer is that of a plain scan, on both branches."""
    for one in (memory, memory.bind(branch="edits")):
        for asked in ASKED:
            found = {(hit.entry.namespace, hit.entry.key) for hit in one.find(asked, limit=1000)}
            assert found == scan(one, asked)


def same_as_anew(memory: Memory, asked: str) -> bool:
    """Whether it is told how well each document answers as an index tells that has just been built."""
    other = Memory.open(memory.path, branch=memory.branch_name)
    other.vault.text = TextIndex(None, other.vault.objects)
    return memory.find(asked, limit=1000) == other.find(asked, limit=1000)


def whole(memory: Memory) -> bool:
    """Whether the file is used and FTS5 finds its own tables in order."""
    index = memory.vault.text
    assert index._tables is not None
    for table in ("words", "stems"):
        index._tables.execute(f"insert into {table}({table}) values('integrity-check')")
    return not index.in_memory


# --- who fills it


def test_a_store_never_waits_for_it(memory: Memory) -> None:
    """Nobody who writes or reads by key pays for a search that nobody asked for."""
    memory.retrieve("tree/0")
    memory.search("**", where="@ == 'apple'")
    assert not path_of(memory).exists()
    check(memory)
    before = path_of(memory).stat().st_mtime_ns, path_of(memory).with_name("text.sqlite3-wal").stat().st_size
    memory.store("tree/new", "apple")
    memory.delete("tree/2")
    assert before == (
        path_of(memory).stat().st_mtime_ns,
        path_of(memory).with_name("text.sqlite3-wal").stat().st_size,
    )
    check(memory)
    assert whole(memory)


def test_what_stands_there_already_is_only_read(memory: Memory) -> None:
    """Two who ask at the same snapshot hold nobody up, not even somebody who fills the file."""
    memory.find("apple")
    busy = sqlite3.connect(path_of(memory), isolation_level=None)
    busy.execute("begin immediate")
    assert memory.find("apple") != []
    assert Memory.open(memory.path).find("apple") != []
    busy.close()


def test_from_one_snapshot_to_the_next_little_is_read(memory: Memory) -> None:
    """What a change costs does not depend on how much there is: only what differs is taken out and put in."""
    memory.find("apple")
    other = Memory.open(memory.path)
    memory.store("tree/new", "apple")
    memory.store("tree/0", "quince")
    read: list[bytes] = []
    objects = other.vault.objects
    ask = objects.read_blob
    objects.read_blob = lambda oid, limit=None: read.append(oid) or ask(oid, limit=limit)  # type: ignore[method-assign]
    index, root = other.vault.text, other._reader().snapshot.root
    index.best(root, WORDS, '"apple"', Bounds(None, None), most=5, limit=1000)
    assert len(read) == 3


# --- the file


def test_a_deleted_file_comes_back(memory: Memory) -> None:
    """Somebody removes it while it is open: what comes next is written to a new one, which others see."""
    check(memory)
    for found in path_of(memory).parent.glob("text.sqlite3*"):
        found.unlink()
    assert memory.find("apple") != []
    check(memory)
    assert path_of(memory).exists()
    assert whole(memory)


@pytest.mark.parametrize("left", ["", "-wal", "-shm"])
def test_a_half_deleted_file_is_begun_anew(memory: Memory, left: str) -> None:
    """SQLite's three files must never be of two generations."""
    check(memory)
    for companion in {"", "-wal", "-shm"} - {left}:
        path_of(memory).with_name(f"text.sqlite3{companion}").unlink()
    other = Memory.open(memory.path)
    for one in (other, memory, other, memory):
        check(one)
        one.store("tree/new", f"apple {one is memory}")
    other.close()
    memory.close()
    check(memory)
    assert whole(memory)


@pytest.mark.parametrize("damage", ["no database", "pages", "cut"])
def test_a_damaged_file_is_replaced(memory: Memory, damage: str) -> None:
    """Derived files are nobody's treasure."""
    check(memory)
    memory.close()
    path = path_of(memory)
    body = path.read_bytes()
    pages = body[:8192] + os.urandom(len(body) - 8192)
    path.write_bytes({"no database": b"no database" * 999, "pages": pages, "cut": body[:9000]}[damage])
    check(memory)
    assert whole(memory)


@pytest.mark.parametrize(
    "sql",
    ["pragma user_version = 999", "pragma user_version = 0", "drop table state", "drop table words",
     "delete from documents", "delete from documents where key like 'tree/%5'", "update state set root = x'00'",
     "delete from documents where key = 'tree/other'", "delete from words_data where id > 10"],
)  # fmt: skip
def test_tables_that_do_not_fit_are_replaced(memory: Memory, sql: str) -> None:
    """Of another gitmem, or spoiled: where it shows, everything is built anew."""
    check(memory)
    memory.close()
    with sqlite3.connect(path_of(memory)) as db:
        db.execute(sql)
    db.close()
    assert same_as_anew(memory, "quince plum")
    check(memory)
    assert whole(memory)


def test_where_no_file_can_be_it_is_kept_in_memory(memory: Memory) -> None:
    """A memory that can be read can be searched."""
    path_of(memory).mkdir()
    check(memory)
    assert memory.vault.text.in_memory
    assert whole(memory) is False


def test_a_full_disk_moves_it_to_memory(memory: Memory) -> None:
    """In the middle of filling it, whatever was written until then."""
    memory.find("apple")
    assert memory.vault.text._tables is not None
    memory.vault.text._tables.execute("pragma max_page_count = 10")
    with memory.transaction() as tx:
        for number in range(300):
            tx.store(f"more/{number}", f"apple number {number} and its {number * 7919} neighbours")
    check(memory)
    assert memory.vault.text.in_memory


def test_an_sqlite_without_fts5_is_named(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a crash: it says what is missing, and what does without."""
    monkeypatch.setattr(text_tables, "TABLES", text_tables.TABLES.replace("fts5(", "fts99("))
    with pytest.raises(StorageError, match="FTS5") as raised:
        memory.find("apple")
    assert "gitmem search" in raised.value.hint


def test_a_lock_that_passes_is_waited_for(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody fills the file: whoever asks meanwhile has it filled, instead of filling one of his own."""
    monkeypatch.setattr(text, "_PAUSE", 1)
    memory.find("apple")
    memory.store("tree/new", "apple")
    busy = sqlite3.connect(path_of(memory), isolation_level=None)
    busy.execute("begin immediate")
    attempts: list[bool] = []

    def counted(error: sqlite3.DatabaseError) -> bool:
        attempts.append(file.is_busy(error))
        if len(attempts) == 20:
            busy.close()
        return attempts[-1]

    monkeypatch.setattr(text, "is_busy", counted)
    check(memory)
    assert attempts == [True] * 20
    assert whole(memory)


def test_a_file_that_stays_busy_is_given_up(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks gets an answer."""
    for name, value in (("_PAUSE", 1), ("_PATIENCE", 2)):
        monkeypatch.setattr(text, name, value)
    memory.find("apple")
    busy = sqlite3.connect(path_of(memory), isolation_level=None)
    busy.execute("begin immediate")
    check(memory)
    assert memory.vault.text.in_memory
    busy.close()


def test_an_answer_that_fails_leaves_the_file_as_it_was(memory: Memory) -> None:
    """Moving and asking are one step: all or nothing; and a tree that cannot be read is told."""
    check(memory)
    index, limit = memory.vault.text, 1000
    root = memory._reader().snapshot.root
    answer = index.best(root, WORDS, '"apple"', Bounds(None, None), most=9, limit=limit)
    with pytest.raises(StorageError):
        index.best(b"\1" * 20, WORDS, '"apple"', Bounds(None, None), most=9, limit=limit)
    assert index.best(root, WORDS, '"apple"', Bounds(None, None), most=9, limit=limit) == answer
    assert whole(memory)


def test_doctor_and_gc_leave_it_alone(memory: Memory) -> None:
    """It is one of the files that belong there."""
    check(memory)
    command = [sys.executable, "-m", "gitmem", "--store", str(memory.path)]
    told = subprocess.run([*command, "doctor"], capture_output=True, text=True, cwd=TOP)
    assert told.stdout.splitlines()[-1] == "the memory is healthy", told.stdout
    subprocess.run([*command, "gc", "--full"], capture_output=True, check=True, cwd=TOP)
    check(Memory.open(memory.path))
    assert path_of(memory).exists()


# --- other processes, forks, threads

ASKING = """
import sys
from pathlib import Path
from gitmem import Memory
from tests.plain_scan import scan
path, branch, turns = sys.argv[1:]
memory = Memory.open(path, branch=branch, agent=branch)
print("ready", flush=True)
sys.stdin.readline()
for turn in range(int(turns)):
    memory.store(f"{branch}/{turn % 3}", f"apple {branch} {turn}")
    for asked in ("apple", f'"{branch} {turn}"', "pear plum"):
        hits = memory.find(asked, limit=1000)
        assert {(hit.entry.namespace, hit.entry.key) for hit in hits} == scan(memory, asked), asked
print(memory.vault.text.in_memory, flush=True)
"""


def asking(memory: Memory, branch: str, turns: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", ASKING, str(memory.path), branch, str(turns)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=TOP)


def test_processes_at_different_heads_take_the_file_where_they_need_it(memory: Memory) -> None:
    """Each moves it to its own snapshot and asks there, in one step; two begin with no file at all."""
    memory.bind(branch="edits").branch("third")
    processes = [asking(memory, branch, 15) for branch in ("main", "edits", "third")]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate()[0] for process in processes] == ["False\n"] * 3
    check(Memory.open(memory.path))


KILLED = """
import os, signal, sys
from gitmem import Memory
from gitmem.index import text_tables
memory = Memory.open(sys.argv[1])
adding, left = text_tables._Writer._add, int(sys.argv[2])
def add(writer, *document):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    adding(writer, *document)
text_tables._Writer._add = add
memory.find("apple")
"""


@pytest.mark.parametrize("after", [1, 150, 299])
def test_who_is_killed_while_filling_it_leaves_nothing_behind(memory: Memory, after: int) -> None:
    """Half an index would answer half of what there is."""
    command = [sys.executable, "-c", KILLED, str(memory.path), str(after)]
    assert subprocess.run(command, cwd=TOP).returncode == -signal.SIGKILL
    assert path_of(memory).exists()
    check(memory)
    assert whole(memory)


def test_threads_share_it(memory: Memory) -> None:
    """On two branches, while somebody writes."""
    failures: list[BaseException] = []

    def ask(branch: str) -> None:
        mine = memory.bind(branch=branch, agent=branch)
        try:
            for turn in range(10):
                mine.store(f"{branch}/{turn}", f"apple {branch}")
                hits = mine.find(f"apple {branch}", limit=1000)
                assert len(hits) == turn + 1
                assert all(hit.marks for hit in hits)
        except BaseException as error:
            failures.append(error)

    memory.branch("third")
    threads = [threading.Thread(target=ask, args=(branch,)) for branch in ("main", "edits", "third")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert whole(memory)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_opens_the_file_itself(memory: Memory) -> None:
    """SQLite's connections must not cross a fork; nor does the child wait for a thread that it does not have."""
    check(memory)
    assert memory.rank("apple", namespace=REASONING_BANK)[0].words == ("apple",)
    index = memory.vault.text
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
            signal.alarm(60)
            before = index._tables
            check(memory)
            assert memory.rank("apple", namespace=REASONING_BANK)[0].words == ("apple",)
            status = 0 if before is None and not index.in_memory else 2
        finally:
            os._exit(status)
    done.set()
    holder.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    check(memory)
    assert whole(memory)


def test_an_index_without_a_file_answers_too(memory: Memory) -> None:
    """Nothing but the objects is needed."""
    index = TextIndex(None, memory.vault.objects)
    root = memory._reader().snapshot.root
    found, unreadable = index.best(root, WORDS, '"apple" "pear"', Bounds(None, None), most=1000, limit=1000)
    assert {one[:2] for one in found} == scan(memory, "apple pear")
    assert (unreadable, index.in_memory) == ([], True)
    index.close()


def test_it_lies_beside_the_history_s(memory: Memory) -> None:
    """Two files, so that filling one never holds up who needs the other; git finds nothing of either."""
    check(memory)
    memory.entry("tree/0")
    names = {found.name for found in path_of(memory).parent.glob("*.sqlite3")}
    assert names == {"index.sqlite3", "text.sqlite3"}
    assert run_git(memory.vault.repository.git_dir, "fsck", "--strict", "--no-dangling") == ""
