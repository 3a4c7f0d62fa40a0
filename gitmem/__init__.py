"""gitmem: shared memory for teams of AI agents, kept in git.

A namespace and a key name one JSON file in a bare git repository. Every store is a commit, versions are
commit history, conflicts are settled by three-way merge, search is a glob over paths; what was acknowledged is
never lost, and a person can read all of it with plain git. `FORMAT.md` beside this file says how a memory lies on
the disk.

    from gitmem import Memory

    memory = Memory.open(agent="researcher")
    memory.store("swarm/researcher/status", {"state": "working"})
    memory.retrieve("swarm/researcher/status")

The house: a module imports only from modules on earlier lines (a test reads the imports). The names below are
imported when they are first used, so `import gitmem` costs nothing.

    ground: pure; no files, no clock, no git
        errors        the error tree, drawn in its docstring; fields and a hint
        descent       a recursion as deep as its input
        codec         JSON value <-> canonical bytes
        pointers      RFC 6901: a place inside a value
        patches       RFC 7396 and RFC 6902: a value and a patch -> a new value
        members       what differs between two values, member by member
        toml          TOML text -> a document, and the line in which something stands
        keys          namespace and key rules; key <-> path segments
        layout        wide directories: which bucket, when to split
        globs         pattern -> matcher and literal prefix
        merge         three-way merge of JSON values; conflicts as values; rules that settle them
        policy        gitmem.toml <-> merge rules, contracts, limits
        contracts     JSON Schemas that values keep
        provenance    who, why, in which session <-> commit message
    first floor: git
        packs         reading git's pack files
        gitobject     the bytes of blobs, trees and commits <-> values
        loose         reading and writing loose objects
        objects       all objects of a repository, cached by object id
        packfile      writing pack files, similar objects as deltas
        storedpack    reading a pack from end to end, to copy it or to check it
        soundness     whether objects are as git wants them; what they point to
        trees         keys <-> tree objects, in both shapes of a directory
        editing       new blobs for some keys -> new trees in their canonical shape
        place         where a memory lies; laying its first stones
        locking       the memory's lock, for fairness and speed
        identity      who git says is at the keyboard
        refs          branches; moving one by compare-and-swap
        repository    all of it as one: place, head, objects, publish
        remotes       the names and addresses of other copies
        transport     fetching from another copy and pushing to it, over git's protocols
        packing       when and how loose objects become packs
        upkeep        gc under its lock, and its start in the background when it is due
        index         the derived history index (sqlite3)
    second floor: memory
        entries       Entry, Version, Change and ABSENT: what the verbs give
        vault         what every view of one memory shares: repository, index, caches
        reader        retrieve, entry, list, search over one snapshot
        revisions     naming the past: a text, an entry or a number to a commit
        history       versions, log, diff, blame
        finding       full-text search over one snapshot
        receipts      who was told what, under which session: this machine's record
        view          the reading verbs, over a branch's head or a commit
        stage         the snapshot that a write is decided on, and what is staged over it
        steps         what one verb does to a stage: overwrite, create, expect, patch
        reconcile     a write with a base, merged with what others wrote since
        transaction   several writes as one commit; the checking of arguments
        writing       the one write path: stage, write objects, publish, else again
        settings      gitmem.toml as all who share a memory edit it: merge rules, contracts
        verbs         the writing verbs, over a branch
        watch         events along the way from one revision to another; waiting for keys
    third floor: reach
        branches      merging commits key by key; what remained in conflict, and its settling
        sync          fetch, merge, push: other copies on git servers
        runs          what one session, commit or range wrote; two of them compared; one taken back
        memory        Memory: open, bind, and every verb
        exchange      import and export, other tools' files among them
        maintenance   expiry sweeps; doctor, who examines and mends
    fourth floor: one coordination pattern a file, on the public verbs of Memory alone
        recipes       handoffs, fan-out and fan-in, gates, shared documents, claims, who does what; sessions,
                      a journal, patterns that were learned
    fifth floor: many agents
        workflow      plans, and the processes that a run starts
    doors: they translate, they do not decide
        environment   a memory as the environment describes it, for Python agents
        cli           the command line, one file per family of commands
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers take this name for true; importing `typing` for it would cost time
if TYPE_CHECKING:
    from gitmem.entries import ABSENT, Change, Entry, Version
    from gitmem.environment import from_environment
    from gitmem.errors import (
        ConflictError,
        ContentionError,
        ContractError,
        CorruptValueError,
        FormatError,
        GateRejectedError,
        GitmemError,
        InvalidKeyError,
        InvalidPatternError,
        InvalidPlanError,
        InvalidPolicyError,
        InvalidValueError,
        KeyExistsError,
        MergeConflictError,
        MissingKeyError,
        NotAMemoryError,
        RemoteError,
        StaleError,
        StorageError,
        UnknownRevisionError,
        WaitTimeoutError,
        WorkerFailedError,
        WriteIdError,
    )
    from gitmem.memory import Memory

__version__ = "0.1.0"

__all__ = [
    "ABSENT",
    "Change",
    "ConflictError",
    "ContentionError",
    "ContractError",
    "CorruptValueError",
    "Entry",
    "FormatError",
    "GateRejectedError",
    "GitmemError",
    "InvalidKeyError",
    "InvalidPatternError",
    "InvalidPlanError",
    "InvalidPolicyError",
    "InvalidValueError",
    "KeyExistsError",
    "Memory",
    "MergeConflictError",
    "MissingKeyError",
    "NotAMemoryError",
    "RemoteError",
    "StaleError",
    "StorageError",
    "UnknownRevisionError",
    "Version",
    "WaitTimeoutError",
    "WorkerFailedError",
    "WriteIdError",
    "from_environment",
]

_ROOMS = {
    "ABSENT": "entries",
    "Change": "entries",
    "Entry": "entries",
    "Memory": "memory",
    "Version": "entries",
    "from_environment": "environment",
}  # every other public name is an error


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'gitmem' has no attribute {name!r}")
    from importlib import import_module

    found: object = getattr(import_module(f"gitmem.{_ROOMS.get(name, 'errors')}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
