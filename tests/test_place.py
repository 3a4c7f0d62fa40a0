"""Where a memory lies: found, laid, shared by worktrees, left alone by the project around it, refused when foreign."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gitmem import FormatError, InvalidPolicyError, InvalidValueError, Memory, NotAMemoryError, StorageError
from gitmem import place as places
from gitmem.place import ROOT_COMMIT
from tests.conftest import Git
from tests.together import together

ROOT = "9b8cd24c8b2886e84b82eafe246c4860097f78cc"


@pytest.fixture
def project(tmp_path: Path, git: Git) -> Path:
    """A git project with one commit."""
    folder = tmp_path / "project"
    git(tmp_path, "init", "-q", "-b", "main", str(folder))
    (folder / "code.py").write_text("print()\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "begin")
    return folder


def here(folder: Path, monkeypatch: pytest.MonkeyPatch, **options: object) -> Memory:
    """The memory that is found from a folder, or made there."""
    monkeypatch.chdir(folder)
    return Memory.open(**options)


# --- laying ---


def test_every_memory_begins_with_the_same_commit(tmp_path: Path, git: Git) -> None:
    """So that any two of them have a merge base: the id is part of the format."""
    memory = Memory.open(tmp_path)
    assert memory.snapshot == ROOT == ROOT_COMMIT.hex()
    assert git(memory.path, "log", "--format=%an|%ae|%aI|%cn|%ce|%cI|%B").split("\n")[0] == (
        "gitmem|gitmem@gitmem|2026-01-01T00:00:00+00:00|gitmem|gitmem@gitmem|2026-01-01T00:00:00+00:00|gitmem format 1"
    )
    assert git(memory.path, "show", "main:gitmem.toml") == "format = 1\n"
    assert git(memory.path, "ls-tree", "-r", "--name-only", "main") == "gitmem.toml\n"
    assert git(memory.path, "fsck", "--strict") == ""


def test_what_is_laid_is_a_bare_repository_with_two_folders(tmp_path: Path, git: Git) -> None:
    """No working tree, no git index, no reflog; what is this machine's is for this user alone."""
    memory = Memory.open(tmp_path)
    assert memory.path == tmp_path / ".gitmem"
    assert {path.name for path in memory.path.iterdir()} == {".git", "derived", "local"}
    assert stat.S_IMODE((memory.path / "local").stat().st_mode) == 0o700
    for name, value in {
        "core.bare": "true", "receive.denyNonFastForwards": "true", "receive.denyDeletes": "true",
        "receive.fsckObjects": "true", "gc.auto": "0", "gitmem.durability": "sync",
    }.items():  # fmt: skip
        assert git(memory.path, "config", name).strip() == value
    memory.store("k", 1)
    assert not (memory.path / ".git" / "logs").exists()
    assert not (memory.path / ".git" / "index").exists()
    shown = git(memory.path, "-c", "safe.bareRepository=explicit", "log", "--format=%s", "-1")
    assert shown.strip() == "store default k"


def test_durability_is_a_setting_of_the_place(tmp_path: Path, git: Git) -> None:
    """Made once, by whoever makes it; and another word for it is an error."""
    memory = Memory.open(tmp_path, durability="fast")
    assert git(memory.path, "config", "gitmem.durability").strip() == "fast"
    with pytest.raises(InvalidValueError):
        Memory.open(tmp_path / "other", durability="careless")
    assert not (tmp_path / "other").exists()
    git(memory.path, "config", "gitmem.durability", "careless")
    with pytest.raises(InvalidValueError):
        Memory.open(tmp_path).store("k", 1)


@pytest.mark.parametrize(
    ("given", "lies"),
    [("p", "p/.gitmem"), ("p/.gitmem", "p/.gitmem"), (".gitmem", ".gitmem"), ("deep/er/p", "deep/er/p/.gitmem")],
)
def test_a_path_names_the_memory_itself_or_its_folder(tmp_path: Path, given: str, lies: str) -> None:
    """Whatever is not called `.gitmem`, nor is a bare repository, is the folder that holds it."""
    first = Memory.open(tmp_path / given)
    assert first.path == tmp_path / lies
    first.store("k", 1)
    assert Memory.open(tmp_path / given, create=False).retrieve("k") == 1
    assert Memory.open(tmp_path / lies, create=False).retrieve("k") == 1


def test_nothing_is_made_where_nothing_may_be_made(tmp_path: Path) -> None:
    """`create=False`, or a name that is refused: no folder, no file."""
    with pytest.raises(NotAMemoryError) as caught:
        Memory.open(tmp_path / "p", create=False)
    assert caught.value.path == str(tmp_path / "p" / ".gitmem")
    assert caught.value.hint
    with pytest.raises(InvalidValueError):
        Memory.open(tmp_path / "p", agent="a\nb")
    assert list(tmp_path.iterdir()) == []


def test_two_makers_at_once_make_one_memory(tmp_path: Path) -> None:
    """Whoever is first lays it; what both store is there, and no draft is left."""
    together(lambda number: Memory.open(tmp_path).store(f"k{number}", number), range(6))
    assert Memory.open(tmp_path).list() == [f"k{number}" for number in range(6)]
    assert [path.name for path in tmp_path.iterdir()] == [".gitmem"]


def test_a_maker_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """Something else lies there: an error that names it, and it stays as it is."""
    (tmp_path / ".gitmem").write_text("mine")
    with pytest.raises(StorageError) as caught:
        Memory.open(tmp_path)
    assert str(tmp_path) in caught.value.message
    assert [path.name for path in tmp_path.iterdir()] == [".gitmem"]
    assert (tmp_path / ".gitmem").read_text() == "mine"


# --- bare repositories ---


def test_an_empty_bare_repository_becomes_a_memory(tmp_path: Path, git: Git) -> None:
    """With the same first commit; its two folders lie inside it."""
    git(tmp_path, "init", "-q", "--bare", "-b", "main", "b.git")
    memory = Memory.open(tmp_path / "b.git")
    assert memory.snapshot == ROOT
    memory.store("k", 1)
    assert (tmp_path / "b.git" / "gitmem" / "local").is_dir()
    assert git(tmp_path / "b.git", "config", "receive.denyDeletes").strip() == "true"
    assert git(tmp_path / "b.git", "fsck", "--strict") == ""


def test_two_adopters_at_once_make_one_memory(tmp_path: Path, git: Git) -> None:
    """Nobody sees a branch that is half written."""
    git(tmp_path, "init", "-q", "--bare", "-b", "main", "b.git")
    together(lambda number: Memory.open(tmp_path / "b.git").store(f"k{number}", number), range(6))
    assert len(Memory.open(tmp_path / "b.git").list()) == 6


def test_a_bare_repository_of_something_else_is_left_alone(project: Path, tmp_path: Path, git: Git) -> None:
    """A project's code is no memory: nothing is written to it, whatever its branch is called."""
    git(tmp_path, "clone", "-q", "--bare", str(project), "code.git")
    with pytest.raises(NotAMemoryError) as caught:
        Memory.open(tmp_path / "code.git")
    assert "gitmem.toml" in caught.value.message
    git(tmp_path / "code.git", "branch", "-m", "main", "trunk")
    before = git(tmp_path / "code.git", "for-each-ref")
    with pytest.raises(Exception, match="main"):
        Memory.open(tmp_path / "code.git")
    assert git(tmp_path / "code.git", "for-each-ref") == before


# --- finding ---


def test_the_nearest_memory_upwards_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From any depth; the nearer one counts."""
    outer = Memory.open(tmp_path)
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert here(deep, monkeypatch, create=False).path == outer.path
    inner = Memory.open(tmp_path / "a")
    assert here(deep, monkeypatch, create=False).path == inner.path


def test_a_new_memory_lies_at_the_projects_root(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whereever in the project it was asked for; without a project, right there."""
    deep = project / "src" / "deep"
    deep.mkdir(parents=True)
    assert here(deep, monkeypatch).path == project / ".gitmem"
    alone = tmp_path / "alone"
    alone.mkdir()
    assert here(alone, monkeypatch).path == alone / ".gitmem"


def test_linked_worktrees_share_the_main_ones_memory(
    project: Path, tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Agents that work side by side in worktrees meet in one memory, whoever made it."""
    git(project, "worktree", "add", "-q", str(tmp_path / "linked"), "-b", "feature")
    (tmp_path / "linked" / "deep").mkdir()
    assert here(tmp_path / "linked" / "deep", monkeypatch).path == project / ".gitmem"
    assert here(tmp_path / "linked", monkeypatch, create=False).path == project / ".gitmem"
    assert git(tmp_path / "linked", "status", "--porcelain") == ""


def test_a_memory_of_another_user_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a shared folder anybody could lay one upwards of us; named, it is trusted."""
    Memory.open(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(NotAMemoryError) as caught:
        here(tmp_path, monkeypatch)
    assert "--store" in caught.value.hint
    Memory.open(tmp_path).store("k", 1)


# --- the project around it ---


def test_the_project_leaves_the_memory_alone(project: Path, git: Git, monkeypatch: pytest.MonkeyPatch) -> None:
    """What people type every day neither shows it, nor adds it, nor deletes it, nor stashes it away."""
    memory = here(project, monkeypatch)
    memory.store("k", 1)
    (project / "new.py").write_text("new\n")
    assert git(project, "status", "--porcelain", "--untracked-files=all") == "?? new.py\n"
    git(project, "add", ".")
    git(project, "add", "-A")
    assert git(project, "diff", "--cached", "--name-only") == "new.py\n"
    git(project, "commit", "-qm", "more")
    (project / "junk").write_text("junk\n")
    git(project, "clean", "-qfdx")
    assert not (project / "junk").exists()
    (project / "code.py").write_text("changed\n")
    git(project, "stash", "-a", "-q")
    assert Memory.open(project, create=False).retrieve("k") == 1
    git(project, "stash", "pop", "-q")
    git(project, "reset", "-q", "--hard")
    git(project, "checkout", "-q", "-b", "other")
    memory.store("k", 2)
    assert Memory.open(project, create=False).retrieve("k") == 2
    assert git(memory.path, "fsck", "--strict") == ""


def test_the_exclusion_is_written_once_and_beside_what_is_there(project: Path, git: Git) -> None:
    """A last line without its end is not spoiled; a nested memory is excluded by its own path, literally."""
    exclude = project / ".git" / "info" / "exclude"
    exclude.write_text("*.log")
    Memory.open(project)
    Memory.open(project / "sub [1]*")
    assert exclude.read_text().splitlines()[:2] == ["*.log", "/.gitmem/"]
    (project / "a.log").touch()
    assert git(project, "status", "--porcelain", "--untracked-files=all") == ""
    assert len(exclude.read_text().splitlines()) == 3


@pytest.mark.parametrize("kind", ["worktree", "submodule", "separate"])
def test_a_project_whose_git_folder_is_elsewhere_leaves_it_alone_too(
    project: Path, tmp_path: Path, git: Git, kind: str
) -> None:
    """There `.git` is a file: the exclusion belongs where that one leads."""
    if kind == "worktree":
        folder = tmp_path / "linked"
        git(project, "worktree", "add", "-q", str(folder), "-b", "feature")
    elif kind == "submodule":
        folder = project / "sub"
        git(project, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(project), "sub")
    else:
        folder = tmp_path / "separate"
        git(tmp_path, "init", "-q", "--separate-git-dir", str(tmp_path / "elsewhere.git"), str(folder))
    Memory.open(folder).store("k", 1)
    assert git(folder, "status", "--porcelain", "--untracked-files=all") == ""
    git(folder, "clean", "-qfdx")
    assert Memory.open(folder, create=False).retrieve("k") == 1


# --- what is refused ---


@pytest.mark.parametrize("packed", [False, True])
def test_replaced_history_is_refused(tmp_path: Path, git: Git, packed: bool) -> None:
    """Readers that honour it and readers that do not would see two histories."""
    memory = Memory.open(tmp_path)
    first = memory.store("k", 1).revision
    second = memory.store("k", 2).revision
    git(memory.path, "replace", second, first)
    if packed:
        git(memory.path, "pack-refs", "--all")
    with pytest.raises(FormatError) as caught:
        Memory.open(tmp_path)
    assert "replace" in caught.value.hint
    git(memory.path, "replace", "-d", second)
    assert Memory.open(tmp_path).retrieve("k") == 2


def test_a_shallow_clone_is_refused(tmp_path: Path, git: Git) -> None:
    """Its versions would be counted wrongly; the hint's command helps."""
    memory = Memory.open(tmp_path)
    memory.store("k", 1)
    memory.store("k", 2)
    git(tmp_path, "clone", "-q", "--bare", "--depth=1", f"file://{memory.path}/.git", "c.git")
    with pytest.raises(FormatError) as caught:
        Memory.open(tmp_path / "c.git")
    assert "fetch --unshallow" in caught.value.hint
    git(tmp_path / "c.git", "fetch", "-q", "--unshallow")
    assert Memory.open(tmp_path / "c.git").entry("k").version == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("extensions.objectFormat", "sha256"),
        ("extensions.refStorage", "reftable"),
        ("extensions.partialClone", "origin"),
        ("extensions.worktreeConfig", "true"),
        ("core.repositoryFormatVersion", "2"),
    ],
)
def test_features_of_git_that_change_the_format_are_refused(tmp_path: Path, name: str, value: str) -> None:
    """However the setting is spelled."""
    memory = Memory.open(tmp_path)
    config = memory.path / ".git" / "config"
    section, option = name.split(".")
    old = config.read_text().replace("repositoryformatversion = 0\n", "")
    config.write_text(f"{old}[{section.upper()}] {option} = \"{value}\" ; a remark\n")
    with pytest.raises(FormatError) as caught:
        Memory.open(tmp_path)
    assert caught.value.path == str(memory.path)
    assert caught.value.hint


def test_a_newer_format_is_refused_and_a_broken_one_named(tmp_path: Path, git: Git) -> None:
    """By what gitmem.toml of the head says; nothing is written to it."""
    memory = Memory.open(tmp_path)
    memory.store("k", 1)
    for text, kind in (("format = 2\n", FormatError), ("format = \n", InvalidPolicyError), ("", InvalidPolicyError)):
        blob = git(memory.path, "hash-object", "-w", "--stdin", given=text.encode()).strip()
        tree = git(memory.path, "mktree", given=f"100644 blob {blob}\tgitmem.toml\n".encode()).strip()
        commit = git(memory.path, "commit-tree", tree, "-p", "main", "-m", "policy").strip()
        git(memory.path, "update-ref", "refs/heads/main", commit)
        for verb in (lambda: Memory.open(tmp_path), lambda: memory.store("k", 2), lambda: memory.retrieve("k")):
            with pytest.raises(kind):
                verb()
        assert git(memory.path, "rev-parse", "main").strip() == commit


def test_a_store_that_cannot_be_written_reads_and_says_so(tmp_path: Path) -> None:
    """Read-only for this user: reading works, writing is an error with a next step. (Tried as a plain user.)"""
    memory = Memory.open(tmp_path, durability="fast")
    memory.store("k", 1)
    memory.close()
    script = """
import importlib, os, pkgutil, sys
import gitmem
from gitmem import Memory, StorageError
for room in pkgutil.iter_modules(gitmem.__path__):
    if room.name not in ("__main__", "cli"):
        importlib.import_module(f"gitmem.{room.name}")
import filelock, jmespath
if os.geteuid() == 0:
    os.setuid(65534)
memory = Memory.open(sys.argv[1], create=False)
assert memory.retrieve("k") == 1
assert memory.entry("k").version == 1
assert memory.list() == ["k"]
for verb in (lambda: memory.store("k", 2), lambda: memory.delete("k")):
    try:
        verb()
    except StorageError as error:
        assert error.hint and "gitmem" in error.message, error
    else:
        raise SystemExit("it was written")
"""
    for folder, folders, files in os.walk(tmp_path):
        for name in (*folders, *files):
            os.chmod(os.path.join(folder, name), 0o555 if name in folders else 0o444)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            os.chmod(folder, folder.stat().st_mode | 0o055)
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True)
    os.chmod(tmp_path, 0o755)
    assert done.returncode == 0, done.stderr


def test_settings_are_read_as_git_reads_them(tmp_path: Path, git: Git) -> None:
    """Sections in any case, subsections, quotes, remarks, lines that go on."""
    config = tmp_path / "config"
    config.write_text(
        '[Core]\n\tBare = true # remark\n[remote "Origin.x"] url = a\\\nb\n[a]b=c;d\n[a]\n\tflag\n\tq = "x # y"\n'
        "; nothing = here\n[user]\n\tname =   spaced out   \n"
    )
    ours = places.read_config(config)
    theirs = dict(
        line.partition("=")[::2]
        for line in git(tmp_path, "config", "--file", "config", "--list").splitlines()
        if "=" in line
    )
    assert ours == {**theirs, "a.flag": "true"}


def test_a_folder_that_is_gone_is_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another terminal may remove the folder that one stands in."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(NotAMemoryError) as caught:
        Memory.open()
    assert caught.value.hint


@pytest.mark.parametrize("name", [None, ".", ".gitmem"])
def test_a_memory_that_one_may_not_look_into_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str | None
) -> None:
    """As one user leaves it for another under umask 077. (Root may look everywhere: the refusal is played.)"""
    Memory.open(tmp_path)
    real = os.stat

    def refused(path: str | Path, *arguments: int, **options: bool) -> os.stat_result:
        if str(tmp_path / ".gitmem") + "/" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *arguments, **options)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "stat", refused)
    with pytest.raises(StorageError) as caught:
        Memory.open(None if name is None else tmp_path / name)
    assert caught.value.hint


def test_a_branch_that_is_checked_out_is_not_written(tmp_path: Path, git: Git) -> None:
    """Its worktree would silently differ from it, and the next commit there would undo what was stored."""
    memory = Memory.open(tmp_path / "own", durability="fast")
    memory.store("k", 1)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(memory.path / ".git"), str(clone))
    for place, worktree in ((clone / ".git", clone), (memory.path, tmp_path / "linked")):
        if place == memory.path:
            git(memory.path / ".git", "worktree", "add", "-q", str(worktree), "main")
        other = Memory.open(place)
        assert other.retrieve("k") == 1
        with pytest.raises(StorageError, match="checked out") as caught:
            other.store("k", 2)
        assert str(worktree) in caught.value.hint
        git(worktree, "switch", "-q", "--detach")
        assert other.store("k", 2).version == 2
