"""gc under its lock and by itself: when it begins, when it does not, and what it clears away."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitmem import Memory, upkeep
from gitmem.locking import beside_git_gc, exclusive
from gitmem.packing import GcReport
from gitmem.transport.transit import transit

THRESHOLD = 6_700


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path, agent="coder", durability="fast") as opened:
        yield opened


class Processes:
    """Stands in for subprocess.Popen: notes what would be started; each runs until it is told to end."""

    def __init__(self) -> None:
        self.started: list[list[str]] = []
        self.options: dict[str, object] = {}
        self.end = threading.Event()

    def __call__(self, argv: list[str], **options: object) -> Processes:
        self.started.append(argv)
        self.options = options
        return self

    def wait(self) -> int:
        self.end.wait()
        return 0

    def finish(self) -> None:
        self.end.set()
        join()
        self.end.clear()


def join() -> None:
    """Wait for the background gc of this process."""
    for thread in threading.enumerate():
        if thread.name == "gitmem-gc":
            thread.join()


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Processes]:
    """Nothing is really started, and gc is always due."""
    made = Processes()
    monkeypatch.setattr(subprocess, "Popen", made)
    monkeypatch.setattr(upkeep, "needs_gc", lambda _: True)
    yield made
    made.finish()


def write(memory: Memory, count: int) -> None:
    for number in range(count):
        memory.store("counter", [number, os.urandom(4).hex()])


# --- the verb ---


def test_gc_packs_what_is_loose_and_says_how_much(memory: Memory) -> None:
    """The report is what the command line shows."""
    write(memory, 10)
    report = memory.gc()
    assert report.loose_before > 30
    assert report.loose_after == 0
    assert report.packs_after == 1
    assert not report.trouble
    assert memory.history("counter")[-1].version == 1


def test_gc_without_the_git_program_packs_as_well(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """git is optional at run time."""
    write(memory, 10)
    monkeypatch.setenv("PATH", "")
    assert memory.gc(full=True).loose_after == 0
    assert len(memory.history("counter")) == 10


def test_a_second_gc_says_that_another_is_at_work(memory: Memory) -> None:
    """Two at once would do the same work twice; it is no error, since what was asked for is being done."""
    write(memory, 2)
    with exclusive(str(memory.vault.repository.local / "gc.lock")):
        report = memory.gc()
    assert "another process" in report.trouble
    assert report.loose_after == report.loose_before > 0
    assert memory.gc().trouble == ""


def test_an_automatic_gc_below_the_threshold_does_nothing(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """`gc --auto` may be called at any time, by anything."""
    write(memory, 2)
    report = memory.gc(auto=True)
    assert report.packs_after == 0
    assert report.trouble == ""
    monkeypatch.setattr(upkeep, "needs_gc", lambda _: True)
    assert memory.gc(auto=True).packs_after == 1


def test_gc_removes_the_drafts_of_dead_writers_and_their_lock_files(memory: Memory) -> None:
    """A killed writer leaves both as links of one inode; without the draft nobody could tell whose the lock was."""
    where = memory.vault.repository
    write(memory, 1)
    draft, lock = where.local / "publish-0123", where.git_dir / "refs/heads/main.lock"
    draft.write_text("0" * 40 + "\n")
    os.link(draft, lock)
    (where.local / "publish-4567").write_text("")
    memory.gc()
    assert not lock.exists()
    assert list(where.local.glob("publish-*")) == []


def test_gc_leaves_what_may_belong_to_the_living(memory: Memory) -> None:
    """A draft that was made without the lock, and a lock file of another program, prove nobody's death."""
    where = memory.vault.repository
    write(memory, 1)
    (where.local / "free-0123").write_text("")
    (where.git_dir / "refs/heads/other.lock").write_text("")
    memory.gc()
    assert (where.local / "free-0123").exists()
    assert (where.git_dir / "refs/heads/other.lock").exists()


def test_gc_removes_what_a_dead_process_was_fetching_and_leaves_what_a_living_one_is(memory: Memory) -> None:
    """Told apart by a lock that the kernel gives back; a lock without a folder goes when it is old."""
    where = memory.vault.repository
    write(memory, 1)
    dead, orphan = where.local / "transit-0123", where.local / "transit-4567.lock"
    (dead / "objects").mkdir(parents=True)
    (dead / "arriving.pack").write_bytes(b"half")
    dead.with_name("transit-0123.lock").touch()
    orphan.touch()
    os.utime(orphan, (0, 0))
    with transit(where) as living:
        memory.gc()
        left = {path.name for path in where.local.glob("transit-*")}
        assert left == {Path(living).name, Path(living).name + ".lock"}
    assert not list(where.local.glob("transit-*"))


def test_gc_does_not_wait_for_a_writer_that_does_not_end(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drafts can be cleared another time."""
    monkeypatch.setattr(upkeep, "_PATIENCE", 0.01)
    write(memory, 1)
    where = memory.vault.repository
    (where.local / "publish-0123").write_text("")
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with where.lock():
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    try:
        assert memory.gc().loose_after == 0
    finally:
        done.set()
        thread.join()
    assert (where.local / "publish-0123").exists()


# --- by itself ---


def test_the_first_write_of_a_process_begins_a_gc_that_is_due(memory: Memory, processes: Processes) -> None:
    """A command line that stores once is a process that writes once."""
    write(memory, 1)
    path = str(memory.path)
    assert processes.started == [[sys.executable, "-m", "gitmem", "--store", path, "gc", "--auto"]]
    assert processes.options["start_new_session"] is True
    assert {processes.options[name] for name in ("stdin", "stdout", "stderr")} == {subprocess.DEVNULL}
    assert (Path(str(processes.options["cwd"])) / "gitmem" / "__main__.py").exists()


def test_a_process_looks_at_each_64th_write_and_has_one_gc_at_a_time(memory: Memory, processes: Processes) -> None:
    """Looking costs a tenth of a store; two gcs of one process would wait for each other."""
    write(memory, 65)
    assert len(processes.started) == 1
    processes.finish()
    write(memory, 63)
    assert len(processes.started) == 1
    write(memory, 1)
    assert len(processes.started) == 2


def test_none_begins_while_another_process_packs(memory: Memory, processes: Processes) -> None:
    """It would start an interpreter only to find the lock held."""
    with exclusive(str(memory.vault.repository.local / "gc.lock")):
        write(memory, 1)
    assert processes.started == []


@pytest.mark.parametrize("value", ["false", "no", "off", "0", "False"])
def test_a_setting_turns_it_off(memory: Memory, processes: Processes, value: str) -> None:
    """Tests and benchmarks want no company; so does who packs by a timer."""
    with (memory.vault.repository.git_dir / "config").open("a") as config:
        config.write(f"[gitmem]\n\tautogc = {value}\n")
    with Memory.open(memory.path) as opened:
        write(opened, 1)
    assert processes.started == []


@pytest.mark.parametrize("executable", ["", None, "/usr/bin/uwsgi"])
def test_a_program_that_embeds_python_is_not_started_again(
    memory: Memory, processes: Processes, monkeypatch: pytest.MonkeyPatch, executable: str | None
) -> None:
    """There `sys.executable` is empty, or the program itself."""
    monkeypatch.setattr(sys, "executable", executable)
    write(memory, 1)
    assert processes.started == []


def test_a_process_that_cannot_be_started_is_left(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that is done must not fail for want of care."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no process for you")

    monkeypatch.setattr(upkeep, "needs_gc", lambda _: True)
    monkeypatch.setattr(subprocess, "Popen", refuse)
    write(memory, 66)
    assert memory.entry("counter").version == 66


def test_a_futile_gc_is_not_begun_again_and_again(
    memory: Memory, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of objects that cannot be packed would start an interpreter at every command."""
    futile = GcReport(9000, 9000, 0, 0, 9000, "")
    monkeypatch.setattr(upkeep, "collect", lambda *_, **__: futile)
    memory.gc()
    write(memory, 1)
    assert processes.started == []
    monkeypatch.setattr(upkeep, "collect", lambda *_, **__: futile._replace(loose_after=0, damaged=0))
    memory.gc()
    write(memory, 64)
    assert len(processes.started) == 1


def test_a_memory_with_many_versions_stays_packed(memory: Memory) -> None:
    """20,000 loose objects are written here, and a real process packs them beside us."""
    objects = memory.vault.objects
    for batch in range(10):
        for number in range(1_744):
            objects.write("blob", b"%d %d" % (batch, number))
        write(memory, 64)  # of four objects each
        join()
        assert sum(1 for _ in objects.loose_ids()) < 2 * THRESHOLD
    assert objects.packs()
    assert len(memory.history("counter")) == 640
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_git_and_gitmem_never_pack_at_once(memory: Memory) -> None:
    """One would let a loose object go since a pack has it, the other that pack since the object is loose."""
    folder = memory.vault.repository.git_dir
    with beside_git_gc(str(folder)) as alone:
        assert alone
        done = subprocess.run(["git", "-C", str(folder), "gc", "-q"], capture_output=True, text=True)
        assert done.returncode != 0
        assert "gc is already running" in done.stderr
        assert "another process" in memory.gc(full=True).trouble
    assert not (folder / "gc.pid").exists()
    assert memory.gc(full=True).trouble == ""
