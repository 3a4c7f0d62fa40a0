"""The sweep and the doctor: each finding is provoked by real damage, repaired, and then gone."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gitmem import ABSENT, Memory
from gitmem.errors import GitmemError, NotAMemoryError
from gitmem.locking import exclusive
from gitmem.maintenance import DoctorReport, Finding, doctor, mending, sweep
from gitmem.maintenance import storage as storage_room
from gitmem.maintenance.findings import SHOWN
from gitmem.transport.transit import transit

Git = Callable[..., str]
TWO_HOURS = 7200


@pytest.fixture
def memory(tmp_path: Path, clock) -> Iterator[Memory]:
    with Memory.open(tmp_path, agent="coder", durability="fast", clock=clock) as opened:
        opened.store("plan", {"phase": 1})
        opened.store("swarm/coder/status", {"state": "working"})
        yield opened


@pytest.fixture
def bare(memory: Memory) -> Path:
    return memory.vault.repository.git_dir


def commit(git: Git, bare: Path, files: dict[str, bytes | None], *, base: str = "main") -> str:
    """What another tool does: write these files (None: remove) by plain git, as one commit on main."""
    index = {"GIT_INDEX_FILE": str(bare / "foreign-index")}
    git(bare, "read-tree", base, **index)
    lines = []
    for path, content in files.items():
        blob = "0" * 40 if content is None else git(bare, "hash-object", "-w", "--stdin", given=content).strip()
        lines.append(f"{0 if content is None else 100644} {blob}\t{path}\n")
    git(bare, "update-index", "--index-info", given="".join(lines).encode(), **index)
    tree = git(bare, "write-tree", **index).strip()
    (bare / "foreign-index").unlink()
    made = git(bare, "commit-tree", tree, "-p", base, "-m", "by hand").strip()
    git(bare, "update-ref", "refs/heads/main", made)
    return made


def codes(report: DoctorReport) -> list[str]:
    return [finding.code for finding in report.findings]


def one(report: DoctorReport, code: str) -> Finding:
    found = [finding for finding in report.findings if finding.code == code]
    assert found, f"no {code} among {codes(report)}"
    return found[0]


class Patient:
    """A memory with damage: `cured` tells it, repairs it, and shows that nothing of it is left."""

    def __init__(self, memory: Memory, git: Git) -> None:
        self.path = memory.path
        self.bare = memory.vault.repository.git_dir
        self._git = git

    def cured(self, code: str, severity: str, *, naming: str = "", yes: bool = False, clean: bool = True) -> Finding:
        found = one(doctor(self.path), code)
        assert (found.severity, found.repaired) == (severity, False)
        assert naming in found.message
        assert found.hint, "a next step"
        asked: list[str] = []
        if yes:
            refused = one(doctor(self.path, repair=True), code)
            assert not refused.repaired, "asks before it does that"
        report = doctor(self.path, repair=True, confirm=lambda question: not asked.append(question))
        mended = one(report, code)
        assert mended.repaired
        assert mended.hint, "says what it did"
        assert bool(asked) == yes
        assert report.ok
        if clean:
            assert doctor(self.path).findings == ()
        again = doctor(self.path, repair=True)
        assert not any(finding.repaired for finding in again.findings), "a second repair finds nothing to do"
        assert self._git(self.bare, "fsck", "--strict", "--no-dangling") == ""
        return mended


@pytest.fixture
def patient(memory: Memory, git: Git) -> Patient:
    return Patient(memory, git)


def old(path: Path, seconds: float = TWO_HOURS) -> Path:
    """Let a file look as if it had lain there for so long."""
    then = time.time() - seconds
    os.utime(path, (then, then))
    return path


# --- sweep ---


def test_a_sweep_deletes_what_has_expired_in_one_commit(memory: Memory, clock) -> None:
    """History keeps it, the tree does not grow for ever, and everybody sees who did it."""
    memory.store("lock/a", 1, ttl=10)
    memory.store("lock/b", 2, ttl=10, namespace="other")
    memory.store("lock/c", 3, ttl=1000)
    clock.advance(11)
    before = memory.snapshot
    swept = sweep(memory)
    assert [(one.namespace, one.key, one.operation) for one in swept] == [
        ("default", "lock/a", "deleted"),
        ("other", "lock/b", "deleted"),
    ]
    assert all(one.agent == "gitmem" and one.value is ABSENT for one in swept)
    (record,) = memory.log(since=before)
    assert record.revision == swept[0].revision
    assert record.message == "expire 2 keys in default, other"
    assert memory.retrieve("lock/c") == 3
    assert [version.operation for version in memory.history("lock/a")] == ["deleted", "created"]


def test_a_sweep_takes_the_expiries_along(memory: Memory, clock, git: Git, bare: Path) -> None:
    """An expiry without its key would be clutter in every clone."""
    memory.store("lock", 1, ttl=10)
    clock.advance(11)
    sweep(memory)
    assert "lock" not in git(bare, "ls-tree", "-r", "--name-only", "main")


def test_a_sweep_of_nothing_makes_no_commit(memory: Memory) -> None:
    """It may be called as often as anybody likes."""
    before = memory.snapshot
    assert sweep(memory) == []
    assert memory.snapshot == before


def test_a_sweep_spares_what_was_renewed_while_it_was_decided(memory: Memory, clock, monkeypatch) -> None:
    """The deletion is built again on whatever won the race: here somebody stores the key anew before the swap."""
    memory.store("lock", 1, ttl=10)
    clock.advance(11)
    repository = memory.vault.repository
    publish = repository.publish
    rival = Memory.open(memory.path, agent="rival", clock=clock, lock=False)

    def late(*arguments: object, **options: object) -> bool:
        monkeypatch.setattr(repository, "publish", publish)
        rival.store("lock", 2, ttl=10)
        return publish(*arguments, **options)

    monkeypatch.setattr(repository, "publish", late)
    assert sweep(memory) == []
    assert memory.retrieve("lock") == 2
    rival.close()


# --- the doctor in general ---


def test_a_healthy_memory_has_no_findings(memory: Memory, clock) -> None:
    """Or nobody would read them."""
    memory.store("lease", 1, ttl=60)
    for number in range(300):
        memory.store(f"many/{number}", number)
    memory.gc()
    memory.store("after", 1)
    report = doctor(memory)
    assert report.findings == ()
    assert report.ok
    assert report.to_json() == {"path": str(memory.path), "ok": True, "findings": []}


def test_what_is_no_memory_is_an_error(tmp_path: Path) -> None:
    """A wrong path must not be reported as healthy."""
    with pytest.raises(NotAMemoryError):
        doctor(tmp_path / "nowhere")


def test_looking_changes_nothing(memory: Memory, bare: Path, git: Git) -> None:
    """Only --repair is a licence."""
    (bare / "config").write_text("[core]\n\tbare = false\n")
    (bare / "objects/17").mkdir(exist_ok=True)
    old(_written(bare / "objects/17/tmp_obj_x"))
    commit(git, bare, {"default/plan.json": b'{"phase":1}', "README.md": b"hello\n"})
    memory.list()
    before = _everything(memory.path)
    assert not doctor(memory.path).ok
    assert _everything(memory.path) == before


def _written(path: Path, content: str = "") -> Path:
    path.write_text(content)
    return path


def _everything(top: Path) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for path in sorted(top.rglob("*"))
        if path.is_file() and "index.sqlite3" not in path.name
    }


def test_of_many_findings_alike_some_are_told(memory: Memory, bare: Path, git: Git) -> None:
    """Ten thousand foreign files are one fact."""
    commit(git, bare, {f"docs/{number}.txt": b"" for number in range(SHOWN + 7)})
    report = doctor(memory)
    assert codes(report) == ["foreign"] * (SHOWN + 1)
    assert "7 more" in report.findings[-1].message
    assert report.ok


def test_a_report_is_json(memory: Memory, bare: Path) -> None:
    """`gitmem doctor --json` prints it."""
    (bare / "HEAD").write_text("nonsense\n")
    report = doctor(memory)
    assert report.to_json()["ok"] is False
    assert report.to_json()["findings"] == [
        {
            "severity": "error",
            "code": "head-garbled",
            "message": f"{bare}/HEAD names no branch: 'nonsense'",
            "hint": "`gitmem doctor --repair` writes it anew",
            "repaired": False,
        }
    ]


def test_a_repair_that_fails_says_why(memory: Memory, bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Success is never reported for something that was not done."""
    old(_written(bare / "objects/tmp_obj_x"))

    def refuse(_: object) -> None:
        raise PermissionError(1, "not permitted")

    monkeypatch.setattr(os, "unlink", refuse)
    found = one(doctor(memory, repair=True), "half-written")
    assert not found.repaired
    assert "not permitted" in found.hint


# --- what surrounds it ---


@pytest.mark.parametrize("folder", ["refs/heads", "refs", "objects"])
def test_a_missing_folder_is_made_again(memory: Memory, bare: Path, patient: Patient, folder: str) -> None:
    """git calls a repository without one of them no repository at all."""
    if folder == "objects":
        (bare / folder).rename(bare / "elsewhere")
        report = doctor(memory.path, repair=True)
        assert one(report, "folder-missing").repaired
        assert not report.ok, "the objects are gone"
        (bare / "objects").rmdir()
        (bare / "elsewhere").rename(bare / folder)
        return
    memory.vault.close()
    (bare / "packed-refs").write_text(f"{memory.snapshot} refs/heads/main\n")
    for path in sorted((bare / folder).rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (bare / folder).rmdir()
    patient.cured("folder-missing", "error", naming=folder)


@pytest.mark.parametrize("content", [None, b"", b"\0" * 23, b"ref: refs/tags/x\n"])
def test_a_lost_head_is_written_anew(bare: Path, patient: Patient, content: bytes | None) -> None:
    """A power cut leaves empty files and files of zeros."""
    if content is None:
        (bare / "HEAD").unlink()
        assert one(doctor(patient.path), "head-missing")
        (bare / "HEAD").write_bytes(b"")
        patient.cured("head-garbled", "error", naming="HEAD")
    else:
        (bare / "HEAD").write_bytes(content)
        patient.cured("head-garbled", "error", naming="HEAD")
    assert (bare / "HEAD").read_text() == "ref: refs/heads/main\n"


def test_a_missing_head_is_written_anew(bare: Path, patient: Patient) -> None:
    """Without it no tool knows that this is a repository; the doctor does."""
    (bare / "HEAD").unlink()
    patient.cured("head-missing", "error", naming="HEAD")


@pytest.mark.parametrize(
    ("setting", "value", "severity"),
    [
        ("core.bare", "false", "error"),
        ("gc.auto", "6700", "warning"),
        ("receive.denyDeletes", "false", "warning"),
        ("receive.fsckObjects", "false", "warning"),
        ("receive.denyNonFastForwards", "false", "warning"),
        ("gitmem.durability", "maybe", "error"),
    ],
)
def test_settings_that_endanger_the_memory_are_set_right(
    bare: Path, patient: Patient, git: Git, setting: str, value: str, severity: str
) -> None:
    """A copied config, or a well-meant `git config`; what else is in the file stays."""
    git(bare, "config", setting, value)
    git(bare, "config", "some.setting", "somebody")
    patient.cured("setting", severity, naming=setting)
    assert git(bare, "config", "some.setting") == "somebody\n"


def test_a_garbled_config_is_kept_and_written_anew(bare: Path, patient: Patient) -> None:
    """git refuses to do anything there."""
    (bare / "config").write_text("[core\n\tbare")
    patient.cured("config-garbled", "error", naming="config")
    (kept,) = bare.glob("config.damaged-*")
    assert kept.read_text() == "[core\n\tbare"


def test_a_garbled_config_that_names_extensions_is_left(bare: Path, memory: Memory) -> None:
    """Without its extensions the repository would be read wrongly."""
    (bare / "config").write_text("[core\n[extensions]\n\tobjectFormat = sha256\n")
    report = doctor(memory.path, repair=True)
    assert not one(report, "config-garbled").repaired
    assert (bare / "config").read_text().startswith("[core\n[ext")


def test_features_that_gitmem_refuses_are_told_with_the_way_out(memory: Memory, bare: Path, git: Git) -> None:
    """There `Memory.open` fails; the doctor says why, and looks no further."""
    git(bare, "replace", "main", "main~1")
    report = doctor(memory.path, repair=True)
    assert codes(report) == ["git-feature"]
    assert "replace -d" in report.findings[0].hint
    assert not report.ok


def test_local_is_closed_to_others(memory: Memory, patient: Patient) -> None:
    """Tokens lie there."""
    local = memory.vault.repository.local
    local.chmod(0o755)
    patient.cured("local-open", "warning", naming=str(local))
    assert stat.S_IMODE(local.stat().st_mode) == 0o700


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_files_of_another_user_are_told(memory: Memory, bare: Path) -> None:
    """One sudo, and the next write of the owner fails."""
    os.chown(bare / "HEAD", 12345, -1)
    found = one(doctor(memory), "other-owner")
    assert "12345" in found.message
    assert "chown" in found.hint


def test_a_network_file_system_is_told(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """flock and SQLite's log cannot be trusted there."""
    monkeypatch.setattr("gitmem.maintenance.surroundings.on_network", lambda _: True)
    assert one(doctor(memory), "network-file-system").severity == "warning"


# --- what died ---


def test_the_lock_of_a_dead_gitmem_is_removed(memory: Memory, bare: Path, patient: Patient) -> None:
    """Whoever holds the memory's lock knows that its maker is dead: no question is needed."""
    draft = _written(memory.vault.repository.local / "publish-0123", "x")
    os.link(draft, bare / "refs/heads/main.lock")
    patient.cured("dead-lock", "warning", naming="main.lock")


def test_the_draft_of_a_dead_gitmem_is_removed(memory: Memory, patient: Patient) -> None:
    """Killed between writing it and linking it."""
    _written(memory.vault.repository.local / "publish-0123")
    patient.cured("dead-draft", "note", naming="publish-0123")


def test_the_lock_of_a_dead_gitmem_on_the_config_is_removed(memory: Memory, bare: Path, patient: Patient) -> None:
    """As that of a branch: `remote add` was killed."""
    draft = _written(memory.vault.repository.local / "publish-0123", "x")
    os.link(draft, bare / "config.lock")
    patient.cured("dead-lock", "warning", naming="config.lock")


def test_what_a_dead_gitmem_was_fetching_is_removed(memory: Memory, patient: Patient) -> None:
    """Nothing of it was ever visible."""
    folder = memory.vault.repository.local / "transit-0123"
    folder.mkdir()
    _written(folder / "arriving.pack")
    patient.cured("dead-transit", "note", naming="transit-0123")


def test_what_a_living_gitmem_is_fetching_is_nobodys_business(memory: Memory) -> None:
    """It holds its lock."""
    with transit(memory.vault.repository):
        assert "dead-transit" not in codes(doctor(memory))


@pytest.mark.parametrize("name", ["refs/heads/main.lock", "packed-refs.lock", "HEAD.lock", "config.lock", "index.lock"])
def test_a_foreign_lock_is_removed_after_a_question(bare: Path, patient: Patient, name: str) -> None:
    """Only a person can know whether a git command is still running there."""
    old(_written(bare / name), 90)
    severity = "error" if name.startswith("refs") else "warning"
    patient.cured("foreign-lock", severity, naming="1 minute old", yes=True)


def test_a_young_lock_is_somebody_at_work(memory: Memory, bare: Path) -> None:
    """No question: the answer would be no."""
    _written(bare / "packed-refs.lock")
    report = doctor(memory, repair=True, confirm=lambda _: pytest.fail("asked"))
    assert one(report, "lock").severity == "note"
    assert (bare / "packed-refs.lock").exists()


def test_a_lock_that_was_made_anew_during_the_question_stays(memory: Memory, bare: Path) -> None:
    """People think for a while."""
    lock = old(_written(bare / "packed-refs.lock"), 90)

    def answer(_: str) -> bool:
        lock.unlink()
        _written(lock)
        return True

    assert not one(doctor(memory, repair=True, confirm=answer), "foreign-lock").repaired
    assert lock.exists()


@pytest.mark.parametrize(
    "name",
    [
        ".git/objects/17/tmp_obj_0a",
        ".git/objects/pack/tmp_pack_0a",
        "local/free-0a",
        "../.gitmem.new-0123456789ab/.git",
    ],
)
def test_half_written_files_are_removed_when_they_are_old(patient: Patient, name: str) -> None:
    """Their writers died; nobody ever saw them."""
    path = patient.path / name
    path.parent.mkdir(exist_ok=True, parents=True)
    _written(path)
    culprit = path.resolve().parent if "new-" in name else path
    assert "half-written" not in codes(doctor(patient.path)), "it may be at work"
    old(culprit)
    patient.cured("half-written", "note", naming=str(culprit.name))
    assert not culprit.exists()


def test_a_strangers_folder_beside_the_memory_stays(memory: Memory, tmp_path: Path) -> None:
    """Only what has exactly the name that gitmem gives is gitmem's."""
    (tmp_path / ".gitmem.new-year").mkdir()
    old(tmp_path / ".gitmem.new-year")
    assert doctor(memory, repair=True).findings == ()
    assert (tmp_path / ".gitmem.new-year").exists()


def test_a_writer_that_does_not_end_is_told(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor waits for the lock as anybody does, and goes on without it."""
    monkeypatch.setattr("gitmem.maintenance.leftovers._PATIENCE", 0.01)
    with exclusive(str(memory.vault.repository.local / "lock")):
        report = doctor(memory)
    assert codes(report) == ["lock-busy"]


# --- refs ---


@pytest.mark.parametrize("content", [b"", b"\0" * 41, b"nonsense\n"])
def test_a_garbled_branch_goes_back_to_where_the_index_saw_it(
    memory: Memory, bare: Path, patient: Patient, content: bytes
) -> None:
    """A power cut with durability `fast`: the index knows the head that was published last."""
    head = memory.snapshot
    (bare / "refs/heads/main").write_bytes(content)
    with pytest.raises(GitmemError, match="damaged"):
        Memory.open(patient.path)
    patient.cured("ref-garbled", "error", naming="refs/heads/main")
    assert memory.snapshot == head


def test_a_branch_with_a_stray_newline_is_written_anew(memory: Memory, bare: Path, patient: Patient) -> None:
    """An editor was here; the id in the file is plain to see."""
    head = memory.snapshot
    (bare / "refs/heads/main").write_text(f"{head}\r\n")
    (memory.vault.repository.derived / "index.sqlite3").unlink()
    patient.cured("ref-garbled", "error", naming="refs/heads/main")
    assert memory.snapshot == head


def test_without_an_index_the_newest_stored_commit_is_offered(memory: Memory, bare: Path, patient: Patient) -> None:
    """It may be one that lost a race and was never published: a person has to say yes."""
    head = memory.snapshot
    memory.close()
    for path in memory.vault.repository.derived.glob("index*"):
        path.unlink()
    (bare / "refs/heads/main").write_bytes(b"")
    patient.cured("ref-garbled", "error", naming="refs/heads/main", yes=True)
    assert memory.snapshot == head


def test_only_a_commit_that_is_whole_is_offered(memory: Memory, bare: Path, git: Git) -> None:
    """The newest one may be what was being written when the power went."""
    head = memory.snapshot
    memory.close()
    for path in memory.vault.repository.derived.glob("index*"):
        path.unlink()
    (bare / "refs/heads/main").write_bytes(b"")
    torn = f"tree {'1' * 40}\nparent {head}\nauthor x <x> 9999999999 +0000\ncommitter x <x> 9999999999 +0000\n\ntorn\n"
    git(bare, "hash-object", "-t", "commit", "-w", "--stdin", given=torn.encode())
    assert head in one(doctor(memory.path), "ref-garbled").hint


def test_a_branch_without_its_objects_goes_back_after_a_question(memory: Memory, bare: Path, patient: Patient) -> None:
    """What was written last did not reach the disk: giving it up is a person's decision."""
    memory.store("kept", 1)
    head = memory.snapshot
    memory.store("lost", 2)
    lost = memory.snapshot
    (bare / "objects" / lost[:2] / lost[2:]).unlink()
    memory.close()
    mended = patient.cured("ref-dangling", "error", naming=lost, yes=True)
    assert head in mended.hint
    with Memory.open(patient.path) as opened:
        assert opened.retrieve("kept") == 1
        assert opened.retrieve("lost", None) is None


def test_a_lost_branch_is_found_again(memory: Memory, bare: Path, patient: Patient) -> None:
    """Somebody deleted it; its commits are there."""
    head = memory.snapshot
    (bare / "refs/heads/main").unlink()
    patient.cured("no-branch", "error", yes=True)
    assert memory.snapshot == head


def test_a_ref_that_is_no_branch_and_points_to_nothing_is_removed(bare: Path, patient: Patient) -> None:
    """git refuses to pack or fetch as long as it is there."""
    (bare / "refs/gitmem/rescue").mkdir(parents=True)
    (bare / "refs/gitmem/rescue/main-1").write_text("1" * 40 + "\n")
    patient.cured("ref-dangling", "error", naming="refs/gitmem/rescue/main-1", yes=True)


def test_garbled_lines_of_packed_refs_are_dropped(bare: Path, patient: Patient, git: Git) -> None:
    """The good lines stay, and the old file is kept."""
    git(bare, "pack-refs", "--all")
    with (bare / "packed-refs").open("ab") as file:
        file.write(b"\0\0\0\0\n")
    patient.cured("packed-refs-garbled", "error", naming="1 lines")
    assert len(list(bare.glob("packed-refs.damaged-*"))) == 1


# --- objects ---


def loose_path(bare: Path, name: str) -> Path:
    return bare / "objects" / name[:2] / name[2:]


def spoil(path: Path, content: bytes = b"") -> None:
    path.chmod(0o644)
    path.write_bytes(content)


def test_a_damaged_value_is_named_by_its_key(memory: Memory, bare: Path, git: Git) -> None:
    """An id of forty digits tells nobody what is lost."""
    blob = git(bare, "rev-parse", "main:default/swarm/coder/status.json").strip()
    spoil(loose_path(bare, blob))
    found = one(doctor(memory.path), "object-damaged")
    assert found.severity == "error"
    assert "the value of key 'swarm/coder/status' in namespace 'default'" in found.message
    assert "fetch --refetch" in found.hint


def test_a_damaged_object_is_moved_aside_and_fetched_again(
    memory: Memory, bare: Path, git: Git, tmp_path: Path
) -> None:
    """With the bad file in place git would believe that it has the object."""
    git(tmp_path, "clone", "-q", "--bare", "--no-hardlinks", str(bare), "copy.git")
    blob = git(bare, "rev-parse", "main:default/plan.json").strip()
    spoil(loose_path(bare, blob), b"rubbish")
    report = doctor(memory.path, repair=True)
    assert not report.ok, "moving it away does not bring it back"
    assert (memory.vault.repository.local / "damaged" / blob).read_bytes() == b"rubbish"
    assert one(doctor(memory.path, repair=True), "object-missing").severity == "error"
    git(bare, "fetch", "-q", "--refetch", str(tmp_path / "copy.git"), "main")
    assert doctor(memory.path).findings == ()
    assert git(bare, "fsck", "--strict", "--no-dangling") == ""


def test_a_bad_loose_file_goes_if_a_pack_has_the_object(memory: Memory, bare: Path, git: Git, patient: Patient) -> None:
    """Nothing is lost."""
    blob = git(bare, "rev-parse", "main:default/plan.json").strip()
    memory.gc()
    loose_path(bare, blob).parent.mkdir(exist_ok=True)
    loose_path(bare, blob).write_bytes(b"rubbish")
    patient.cured("object-damaged", "error", naming=blob)
    with Memory.open(patient.path) as opened:
        assert opened.retrieve("plan") == {"phase": 1}


def test_a_bad_file_that_nothing_needs_goes_too(memory: Memory, bare: Path, git: Git, patient: Patient) -> None:
    """It would make the next store of the same value believe that it is stored already."""
    name = hashlib.sha1(b"blob 2\x007\n").hexdigest()
    loose_path(bare, name).parent.mkdir(exist_ok=True)
    loose_path(bare, name).write_bytes(b"")
    patient.cured("object-damaged", "error", naming=name)
    memory.store("seven", 7)
    with Memory.open(patient.path) as opened:
        assert opened.retrieve("seven") == 7


@pytest.mark.parametrize("kind", ["commit", "tree", "value"])
def test_a_missing_object_is_named_by_what_it_was(memory: Memory, bare: Path, git: Git, kind: str) -> None:
    """So that one knows what to look for in another copy."""
    wanted = {"commit": "main~1", "tree": "main~1^{tree}", "value": "main~1:default/plan.json"}
    words = {
        "commit": "a commit of refs/heads/main",
        "tree": "the tree at the root",
        "value": "the value of key 'plan'",
    }
    memory.store("plan", {"phase": 2})
    name = git(bare, "rev-parse", wanted[kind]).strip()
    loose_path(bare, name).unlink()
    memory.close()
    found = one(doctor(memory.path), "object-missing")
    assert (name in found.message, words[kind] in found.message) == (True, True)


def test_what_nobody_needs_may_be_missing(memory: Memory, bare: Path, git: Git) -> None:
    """git's prune removes unreachable objects one by one; half of one is no damage."""
    tree = git(bare, "mktree", "--missing", given=b"100644 blob " + b"1" * 40 + b"\tx.json\n").strip()
    assert loose_path(bare, tree).exists()
    assert doctor(memory).findings == ()


def test_a_damaged_pack_is_told_object_by_object(memory: Memory, bare: Path) -> None:
    """One flipped byte costs one object and those that are built on it, not the pack."""
    for number in range(50):
        memory.store(f"many/{number}", os.urandom(40).hex())
    memory.gc()
    memory.close()
    (pack,) = (bare / "objects/pack").glob("*.pack")
    content = bytearray(pack.read_bytes())
    content[len(content) // 2] ^= 0xFF
    spoil(pack, bytes(content))
    report = doctor(memory.path, repair=True)
    damaged = [finding for finding in report.findings if finding.code == "object-damaged"]
    assert not report.ok
    assert 1 <= len(damaged) < 20
    assert str(pack) in damaged[0].message


@pytest.mark.parametrize("damage", ["rubbish", "flipped", "missing"])
def test_a_damaged_pack_index_is_made_anew(memory: Memory, bare: Path, patient: Patient, damage: str) -> None:
    """The pack has all that an index says; without it every object in there seems lost, the branch's head too."""
    memory.gc()
    memory.close()
    (index,) = (bare / "objects/pack").glob("*.idx")
    pack = index.with_suffix(".pack")
    content = bytearray(index.read_bytes())
    content[1100] ^= 0xFF
    spoil(index, bytes(content) if damage == "flipped" else b"rubbish")
    if damage == "missing":
        index.unlink()
        assert "pack-damaged" not in codes(doctor(patient.path)), "its writer may be about to write it"
        old(pack)
    mended = patient.cured("pack-damaged", "error", naming=str(pack))
    assert "index" in mended.hint


def test_what_git_would_refuse_is_told(memory: Memory, bare: Path, git: Git) -> None:
    """A checking server refuses the push that brings it."""
    text = f"tree {git(bare, 'rev-parse', 'main^{tree}').strip()}\nparent {memory.snapshot}\n"
    text += "author nobody 1 +0000\ncommitter nobody <x> 1 +0000\n\nby hand\n"
    made = git(bare, "hash-object", "-t", "commit", "-w", "--literally", "--stdin", given=text.encode()).strip()
    git(bare, "update-ref", "refs/heads/main", made)
    found = one(doctor(memory), "object-malformed")
    assert made in found.message
    assert found.severity == "warning"


def test_a_tree_that_git_would_refuse_is_told(memory: Memory, bare: Path, git: Git) -> None:
    """Entries out of order: git finds the one or the other, by chance. A healthy tree of the same names came before."""
    policy, space = (git(bare, "rev-parse", f"main{name}").strip() for name in (":gitmem.toml", ":default"))
    entries = [b"40000 default\0" + bytes.fromhex(space), b"100644 gitmem.toml\0" + bytes.fromhex(policy)]
    write = ("hash-object", "-t", "tree", "-w", "--literally", "--stdin")
    tree = git(bare, *write, given=b"".join(reversed(entries))).strip()
    made = git(bare, "commit-tree", tree, "-p", "main", "-m", "by hand").strip()
    git(bare, "update-ref", "refs/heads/main", made)
    found = one(doctor(memory), "object-malformed")
    assert tree in found.message
    assert "the tree at the root" in found.message


def test_objects_are_read_in_the_order_of_storage(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A walk along history would read each tree through a chain of deltas: minutes in a big memory."""
    for number in range(100):
        memory.store("counter", number)
    memory.gc()
    asked: list[bytes] = []
    base = storage_room._base
    monkeypatch.setattr(storage_room, "_base", lambda oid, *rest: asked.append(oid) or base(oid, *rest))
    stock = storage_room.Stock(memory.vault.objects)
    assert stock.count > 400
    assert asked == []


# --- paths ---


def test_foreign_files_are_noted_and_stay(memory: Memory, bare: Path, git: Git) -> None:
    """They belong to people."""
    commit(git, bare, {"README.md": b"hello\n", "default/notes.txt": b"", "~gitmem/x/y": b""})
    report = doctor(memory, repair=True)
    assert {finding.severity for finding in report.findings} == {"note"}
    assert [finding.message.split(":")[0] for finding in report.findings] == [
        "README.md",
        "default/notes.txt",
        "~gitmem/x",
    ]
    assert "README.md" in git(bare, "ls-tree", "--name-only", "main")


def test_a_name_that_is_spelt_wrongly_is_told(memory: Memory, bare: Path, git: Git) -> None:
    """Two spellings of one key: gitmem sees the proper one alone."""
    commit(git, bare, {"default/%70lan.json": b"2\n", "default/con.json": b"3\n"})
    messages = [finding.message for finding in doctor(memory).findings if finding.code == "foreign-form"]
    assert len(messages) == 2
    assert "'con' is spelt '%63on.json'" not in messages[0]
    assert "'plan'" in messages[0]
    assert "'con'" in messages[1]
    assert memory.retrieve("plan") == {"phase": 1}


def test_keys_that_differ_in_case_are_warned_of(memory: Memory) -> None:
    """They are different keys, and one file on other systems."""
    memory.store("Plan", 2)
    memory.store("swarm/coder/status/x", 2)
    memory.store("Swarm/y", 2)
    found = [finding for finding in doctor(memory).findings if finding.code == "case"]
    assert [finding.severity for finding in found] == ["warning"] * 2


def test_a_name_that_is_not_nfc_is_noted(memory: Memory, bare: Path, git: Git) -> None:
    """It can be read and listed, never written."""
    commit(git, bare, {"default/e\u0301.json": b"1\n"})
    assert one(doctor(memory), "not-nfc").severity == "note"


def test_a_directory_that_another_tool_filled_is_split_again(
    memory: Memory, bare: Path, git: Git, patient: Patient
) -> None:
    """By path alone a merge or an import leaves more than 128 files in one directory."""
    commit(git, bare, {f"default/many/{number}.json": b"%d\n" % number for number in range(200)})
    patient.cured("out-of-shape", "warning", naming="default/many")
    assert memory.list("many/") == sorted(f"many/{number}" for number in range(200))
    assert memory.history("many/7")[0].version == 1, "moving a file is no version"
    assert "default/many/~" in git(bare, "ls-tree", "-r", "--name-only", "main")


def test_buckets_that_are_not_needed_are_joined(memory: Memory, bare: Path, git: Git, patient: Patient) -> None:
    """Many deletions by another tool leave them."""
    digit = hashlib.sha256(b"plan").hexdigest()[0]
    commit(git, bare, {f"other/~{digit}/plan.json": b"1\n"})
    patient.cured("out-of-shape", "warning", naming="other")
    assert "other/plan.json" in git(bare, "ls-tree", "-r", "--name-only", "main")
    assert memory.retrieve("plan", namespace="other") == 1


def test_a_key_at_two_paths_is_one_again_and_keeps_its_value(
    memory: Memory, bare: Path, git: Git, patient: Patient
) -> None:
    """Two sides split and joined; the canonical path is what everybody reads."""
    digit = hashlib.sha256(b"plan").hexdigest()[0]
    commit(git, bare, {f"default/~{digit}/plan.json": b'"older"\n'})
    assert memory.retrieve("plan") == {"phase": 1}
    patient.cured("key-twice", "warning", naming="'plan'")
    assert memory.retrieve("plan") == {"phase": 1}


def test_deep_buckets_and_directories_of_directories_are_mended(
    memory: Memory, bare: Path, git: Git, patient: Patient
) -> None:
    """A namespace at two paths, a bucket of a bucket, a stray file inside a split directory."""
    for number in range(300):
        memory.store(f"many/{number}/x", number)
    digits = hashlib.sha256(b"17").hexdigest()
    space = hashlib.sha256(b"default").hexdigest()[0]
    commit(
        git,
        bare,
        {
            f"default/many/~{digits[0]}/~{digits[1]}/17/y.json": b"1\n",
            "default/many/stray.json": b"2\n",
            f"~{space}/default/other.json": b"3\n",
        },
    )
    before = {key: memory.retrieve(key) for key in memory.list()}
    assert len(before) == 305
    patient.cured("out-of-shape", "warning")
    assert {key: memory.retrieve(key) for key in memory.list()} == before


# --- what lies at the paths ---


def test_a_value_that_is_printed_otherwise_is_printed_anew(
    memory: Memory, bare: Path, git: Git, patient: Patient
) -> None:
    """Equal values should be equal files; the value stays as it is."""
    commit(git, bare, {"default/plan.json": b'{"phase":1,"by":"x"}'})
    patient.cured("value-not-canonical", "note", naming="'plan'")
    assert memory.retrieve("plan") == {"phase": 1, "by": "x"}
    assert git(bare, "show", "main:default/plan.json") == '{\n  "by": "x",\n  "phase": 1\n}\n'
    assert memory.log(limit=1)[0].agent == "gitmem"


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1, "a": 2}', b"NaN", b"\xff", b"[" * 300 + b"]" * 300])
def test_a_file_that_is_no_value_is_an_error_with_a_way_back(
    memory: Memory, bare: Path, git: Git, content: bytes
) -> None:
    """Nobody can guess what was meant; history has what was there before."""
    commit(git, bare, {"default/plan.json": content})
    report = doctor(memory, repair=True)
    found = one(report, "value-invalid")
    assert not report.ok
    assert "'plan'" in found.message
    assert "gitmem history plan -n default" in found.hint


def test_a_value_that_is_too_big_is_an_error(memory: Memory, bare: Path, git: Git) -> None:
    """gitmem refuses to read it, for this key alone."""
    commit(
        git, bare, {"gitmem.toml": b"format = 1\nmax_value_bytes = 100\n", "default/plan.json": b'"%s"\n' % (b"x" * 99)}
    )
    assert "larger than 100 bytes" in one(doctor(memory), "value-too-big").message


def test_an_expiry_without_its_key_is_dropped(memory: Memory, bare: Path, git: Git, patient: Patient) -> None:
    """Another tool deleted the key."""
    memory.store("lock", 1, ttl=60)
    memory.store("lease", 1, ttl=60)
    commit(git, bare, {"default/lock.json": None})
    patient.cured("expiry-orphaned", "warning", naming="'lock'")
    assert memory.entry("lease").expires is not None


@pytest.mark.parametrize("content", [b"", b"7\n", b'"tomorrow"\n', b'"2026-01-01T00:00:00"\n'])
def test_a_malformed_expiry_is_dropped(memory: Memory, bare: Path, git: Git, patient: Patient, content: bytes) -> None:
    """It counts as never; a stranger's clock might count it otherwise."""
    memory.store("lock", 1, ttl=60)
    commit(git, bare, {"~gitmem/expires/default/lock.json": content})
    patient.cured("expiry-malformed", "warning", naming="'lock'")
    assert memory.entry("lock").expires is None


def test_expiries_are_split_again_too(memory: Memory, bare: Path, git: Git, patient: Patient) -> None:
    """They are laid out like the keys."""
    for number in range(200):
        memory.store(f"lock/{number}", 1, ttl=60)
    instant = b'"2026-02-02T12:01:00Z"\n'
    commit(git, bare, {f"~gitmem/expires/default/lock/{number}.json": instant for number in range(200)})
    patient.cured("out-of-shape", "warning", naming="~gitmem/expires/default/lock")
    assert memory.entry("lock/7").expires is not None


@pytest.mark.parametrize("content", [None, b"format = \n", b"\xff", b"max_value_bytes = 7\n"])
def test_a_broken_gitmem_toml_is_brought_back_from_history(
    memory: Memory, bare: Path, git: Git, patient: Patient, content: bytes | None
) -> None:
    """Without it no verb works, so no verb could bring it back."""
    commit(git, bare, {"gitmem.toml": b"format = 1\nmax_value_bytes = 1000\n"})
    commit(git, bare, {"gitmem.toml": content})
    with pytest.raises(GitmemError):
        Memory.open(patient.path).list()
    patient.cured("policy", "error", naming="gitmem.toml")
    assert git(bare, "show", "main:gitmem.toml") == "format = 1\nmax_value_bytes = 1000\n"


def test_a_newer_format_is_left_alone(memory: Memory, bare: Path, git: Git) -> None:
    """What this gitmem takes for disorder may be that format's order."""
    made = commit(git, bare, {"gitmem.toml": b"format = 2\n", "default/plan.json": b'{"phase":1}'})
    report = doctor(memory.path, repair=True)
    assert one(report, "newer-format").severity == "error"
    assert git(bare, "rev-parse", "main").strip() == made


def test_other_branches_of_a_memory_are_examined_and_those_of_a_project_are_not(
    memory: Memory, bare: Path, git: Git, patient: Patient
) -> None:
    """A bare repository may hold both."""
    commit(git, bare, {"default/plan.json": b'{"phase":1}'})
    git(bare, "branch", "draft")
    git(bare, "update-ref", "refs/heads/main", "main~1")
    tree = git(bare, "mktree", given=b"").strip()
    git(bare, "update-ref", "refs/heads/project", git(bare, "commit-tree", tree, "-m", "code").strip())
    assert patient.cured("value-not-canonical", "note", naming="on branch draft").repaired


def test_mending_leaves_alone_what_was_changed_meanwhile(
    memory: Memory, bare: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between looking and mending others write."""
    commit(git, bare, {"default/plan.json": b'{"phase":1}', "default/other.json": b'{"phase":1}'})
    mend = mending._mend

    def late(*arguments):
        memory.store("plan", {"phase": 2})
        return mend(*arguments)

    monkeypatch.setattr(mending, "_mend", late)
    report = doctor(memory, repair=True)
    assert report.ok
    assert memory.retrieve("plan") == {"phase": 2}
    assert memory.history("plan")[0].agent == "coder"
    assert memory.history("other")[0].agent == "gitmem"


# --- the index ---


def tamper(memory: Memory, sql: str) -> None:
    memory.close()
    db = sqlite3.connect(memory.vault.repository.derived / "index.sqlite3")
    db.execute(sql)
    db.commit()
    db.close()


@pytest.mark.parametrize(
    "sql",
    [
        "update versions set version = version + 1 where ord = (select max(ord) from versions)",
        "update versions set blob = x'1111111111111111111111111111111111111111' where ord = 2",
        "delete from versions where ord = 2",
        "insert into versions select id, 2, 9, null from keys where key = 'swarm/coder/status'",
        "update commits set agent = 'forged' where ord = 2",
        "update commits set time = time - 1 where ord = 2",
        "insert into write_ids values ('w', 2, 'd')",
        "delete from versions",
    ],
)
def test_an_index_that_says_something_else_than_git_is_built_anew(memory: Memory, patient: Patient, sql: str) -> None:
    """It is asked for decisions: an index that lies loses writes."""
    memory.entry("plan")
    tamper(memory, sql)
    patient.cured("index", "error", naming="index.sqlite3")
    assert memory.entry("plan").version == 1


def test_a_damaged_index_is_built_anew(memory: Memory, patient: Patient) -> None:
    """A disk error, or a backup taken in the middle of a write."""
    memory.entry("plan")
    memory.close()
    path = memory.vault.repository.derived / "index.sqlite3"
    content = bytearray(path.read_bytes())
    content[4096:8192] = os.urandom(4096)
    path.write_bytes(content)
    patient.cured("index", "error", naming="index.sqlite3")


def test_an_index_that_is_behind_is_no_damage(memory: Memory, bare: Path, git: Git) -> None:
    """It catches up when it is asked; it may also remember a history that was rewritten."""
    memory.entry("plan")
    commit(git, bare, {"default/x.json": b"1\n"})
    assert doctor(memory).findings == ()
    git(bare, "update-ref", "refs/heads/main", "main~2")
    assert doctor(memory).findings == ()


def test_a_missing_index_is_no_damage(memory: Memory) -> None:
    """What is derived can be deleted at any time."""
    memory.close()
    for path in memory.vault.repository.derived.iterdir():
        path.unlink()
    assert doctor(memory.path).findings == ()


def test_a_branch_that_is_checked_out_is_an_error(memory: Memory, bare: Path, git: Git, tmp_path: Path) -> None:
    """Every write is refused then: that memory is not healthy, and the way out is named."""
    git(bare, "worktree", "add", "-q", str(tmp_path / "linked"), "main")
    report = doctor(memory.path)
    assert not report.ok
    assert "switch --detach" in one(report, "checked-out").hint
    git(tmp_path / "linked", "switch", "-q", "--detach")
    assert "checked-out" not in codes(doctor(memory.path))


def test_an_ordinary_clone_keeps_its_settings(memory: Memory, bare: Path, git: Git, tmp_path: Path) -> None:
    """A worktree lies around it: a repair must not make it bare."""
    git(tmp_path, "clone", "-q", str(bare), str(tmp_path / "clone"))
    before = (tmp_path / "clone/.git/config").read_bytes()
    assert one(doctor(tmp_path / "clone/.git", repair=True), "checked-out").severity == "error"
    assert (tmp_path / "clone/.git/config").read_bytes() == before
