"""gc beside readers and writers, and gc that is killed: nothing acknowledged is ever missing.

Init: a history whose every blob is known. Next: a gc, whole or cut off anywhere, and others' reads and writes.
Invariant: `git fsck --strict` is clean, and every blob that was acknowledged can be read.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gitmem.objects import Objects
from gitmem.packing import collect

Git = Callable[..., str]
TOP = Path(__file__).resolve().parents[2]
GIT = shutil.which("git")
with_and_without_git = pytest.mark.parametrize("program", [GIT, None], ids=["git", "own"])

# Writes `count` commits on main, one changed key each; prints "<commit> <blob>" once main has moved.
WRITER = """
import subprocess, sys
from gitmem.objects import Identity, Objects, serialize_commit, serialize_tree
bare, name, count, how = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
who = Identity(name, name + "@gitmem", 1767225600, 0)
objects = Objects(bare)
def git(*words, given=b""):
    return subprocess.run(["git", "-C", bare, *words], input=given, capture_output=True, check=True).stdout.strip()
def write(kind, body):
    if how != "git":
        return objects.write(kind, body)
    for attempt in range(10):  # plain git gives up where a gc removes the empty folder that it writes to
        try:
            return bytes.fromhex(git("hash-object", "-w", "-t", kind, "--stdin", given=body).decode())
        except subprocess.CalledProcessError as error:
            if attempt == 9:
                sys.exit(error.stderr.decode())
for number in range(count):
    blob = write("blob", b'"%s %d"\\n' % (name.encode(), number))
    while True:
        head = git("for-each-ref", "--format=%(objectname)", "refs/heads/main").decode()
        parents = [bytes.fromhex(head)] if head else []
        root = dict(objects.tree(objects.commit(parents[0]).tree)) if parents else {}
        root[b"%s-%d.json" % (name.encode(), number % 10)] = (0o100644, blob)
        tree = write("tree", serialize_tree(root))
        commit = write("commit", serialize_commit(tree, parents, who, who, "store\\n"))
        try:
            git("update-ref", "refs/heads/main", commit.hex(), head or "0" * 40)
        except subprocess.CalledProcessError:
            continue
        print(commit.hex(), blob.hex(), flush=True)
        break
"""

# Reads the whole history of main again and again, until its stdin ends; prints how often.
READER = """
import os, select, subprocess, sys
from gitmem.objects import Objects
bare, rounds, lasting = sys.argv[1], 0, Objects(sys.argv[1])
while not select.select([sys.stdin], [], [], 0)[0]:
    fresh = Objects(bare)
    oid = subprocess.run(["git", "-C", bare, "rev-parse", "main"], capture_output=True, check=True, text=True).stdout
    pending = [bytes.fromhex(oid)]
    while pending:
        for objects in (fresh, lasting):
            kind, body = objects.read(pending[-1])
        commit = fresh.commit(pending.pop())
        for name, (mode, blob) in fresh.tree(commit.tree).items():
            lasting.read(blob)
        pending += commit.parents
    rounds += 1
print(rounds)
"""

# One gc that kills itself at its n-th act on the file system; prints the acts if it is still alive.
COLLECT = """
import os, signal, sys
from gitmem.objects import Objects
from gitmem.packing import collect
bare, program, full, point = sys.argv[1], sys.argv[2] or None, sys.argv[3] == "full", int(sys.argv[4])
acts = []
def count(event, arguments):
    if event in ("open", "os.rename", "os.remove", "os.listdir", "os.truncate", "mmap.__new__"):
        acts.append(event)
        if len(acts) == point:
            os.kill(os.getpid(), signal.SIGKILL)
objects = Objects(bare)
heads = [bytes.fromhex(open(bare + "/refs/heads/main").read())] if os.path.exists(bare + "/refs/heads/main") else []
sys.addaudithook(count)
collect(bare, objects, heads, git=program, full=full)
print(*acts)
"""


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=TOP,
        start_new_session=True,
    )


def finished(process: subprocess.Popen[str]) -> list[str]:
    """The lines it printed; it must have ended well."""
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    return out.splitlines()


def acknowledged(lines: list[str]) -> set[bytes]:
    return {bytes.fromhex(oid) for line in lines for oid in line.split()}


@pytest.fixture
def bare(tmp_path: Path, git: Git) -> Path:
    git(tmp_path, "init", "-q", "--bare", "-b", "main", "bare.git")
    return tmp_path / "bare.git"


def check(bare: Path, git: Git, oids: set[bytes]) -> None:
    assert git(bare, "fsck", "--strict", "--full", "--no-dangling") == ""
    objects = Objects(str(bare))
    for oid in oids:
        objects.read(oid)
    commits = set(git(bare, "rev-list", "main").split())
    assert commits == {oid.hex() for oid in oids if objects.read(oid)[0] == "commit"}


def grown(bare: Path, number: int) -> set[bytes]:
    """Some more commits: half of them in a pack, as a big transaction leaves them."""
    oids = acknowledged(finished(start(WRITER, str(bare), f"coder-{number}", "6", "ours")))
    if number % 2:
        subprocess.run(["git", "-C", bare, "repack", "-dq"], check=True)
        oids |= acknowledged(finished(start(WRITER, str(bare), f"tester-{number}", "3", "ours")))
    return oids


@pytest.mark.parametrize("full", ["", "full"])
def test_a_gc_killed_at_any_act_loses_nothing(bare: Path, git: Git, full: str) -> None:
    """Before, between and after the renames, while it removes, and at a dozen other moments."""
    oids = grown(bare, 1) | grown(bare, 2)
    shutil.copytree(bare, bare.parent / "rehearsal.git")
    (line,) = finished(start(COLLECT, str(bare.parent / "rehearsal.git"), "", full, "0"))
    acts = line.split()
    renames = [n for n, act in enumerate(acts, start=1) if act == "os.rename"]
    removes = [n for n, act in enumerate(acts, start=1) if act == "os.remove"]
    chance = random.Random(2)
    points = {n + d for n in renames for d in (0, 1)} | set(chance.sample(removes, 6))
    points |= set(chance.sample(range(1, len(acts)), 6))
    assert len(renames) == (4 if full else 2)
    for point in sorted(points):
        copy = bare.parent / f"killed-{point}.git"
        shutil.copytree(bare, copy)
        killed = start(COLLECT, str(copy), "", full, str(point))
        killed.communicate()
        assert killed.returncode == -signal.SIGKILL
        check(copy, git, oids)
        finished(start(COLLECT, str(copy), "", full, "0"))
        check(copy, git, oids)
        assert not list(Objects(str(copy)).loose_ids())
        shutil.rmtree(copy)


@with_and_without_git
def test_a_gc_killed_at_any_moment_loses_nothing(bare: Path, git: Git, program: str | None) -> None:
    """With the git processes that it has started; what is left over does not hinder the next one."""
    chance = random.Random(3)
    oids: set[bytes] = set()
    killed, number, longest = 0, 0, 0.3
    while killed < 5:
        oids |= grown(bare, number)
        gc = start(COLLECT, str(bare), program or "", "full" if killed == 4 else "", "0")
        try:
            gc.wait(timeout=chance.uniform(longest / 4, longest))
            longest *= 0.8  # it was quicker: a fast machine
        except subprocess.TimeoutExpired:
            os.killpg(gc.pid, signal.SIGKILL)
            killed += 1
        gc.communicate()
        number += 1
        check(bare, git, oids)
    assert collect(str(bare), Objects(str(bare)), [], git=program).loose_after == 0
    check(bare, git, oids)


@with_and_without_git
@pytest.mark.parametrize("how", ["git", "ours"])
def test_gc_beside_readers_and_writers_loses_nothing(bare: Path, git: Git, program: str | None, how: str) -> None:
    """Two writers and a reader that keeps its handles, while one gc follows another."""
    oids = grown(bare, 1)
    writers = [start(WRITER, str(bare), name, "25", how) for name in ("coder", "tester")]
    reader = start(READER, str(bare))
    objects, rounds = Objects(str(bare)), 0
    while any(writer.poll() is None for writer in writers):
        report = collect(str(bare), objects, [], git=program, full=rounds % 3 == 2)
        assert report.trouble == ""
        rounds += 1
    for writer in writers:
        oids |= acknowledged(finished(writer))
    (reads,) = finished(reader)
    assert int(reads) > 0
    assert rounds > 2
    check(bare, git, oids)
    collect(str(bare), objects, [], git=program)
    check(bare, git, oids)
