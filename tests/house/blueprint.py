"""The plan of the house: every module, in the order in which they may import each other; how to read one.

Law: a module imports only from modules that stand earlier in FLOORS. A module that FLOORS does not name may
not exist; one that it names need not exist yet.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

FLOORS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "ground",
        (
            "errors",
            "descent",
            "codec",
            "pointers",
            "patches",
            "members",
            "toml",
            "keys",
            "layout",
            "globs",
            "merge",
            "policy",
            "contracts",
            "provenance",
        ),
    ),
    (
        "first floor",
        (
            "packs",
            "gitobject",
            "loose",
            "objects",
            "packfile",
            "storedpack",
            "soundness",
            "trees",
            "editing",
            "place",
            "locking",
            "identity",
            "refs",
            "repository",
            "remotes",
            "transport",
            "packing",
            "upkeep",
            "index",
        ),
    ),
    (
        "second floor",
        (
            "entries",
            "vault",
            "reader",
            "revisions",
            "history",
            "finding",
            "receipts",
            "view",
            "stage",
            "steps",
            "reconcile",
            "transaction",
            "writing",
            "settings",
            "verbs",
            "watch",
        ),
    ),
    ("third floor", ("branches", "sync", "runs", "memory", "exchange", "maintenance")),
    ("fourth floor", ("recipes",)),
    ("fifth floor", ("workflow",)),
    ("doors", ("environment", "cli")),
)
ORDER = tuple(room for _, rooms in FLOORS for room in rooms)
FLOOR = dict(FLOORS)

TOP = Path(__file__).resolve().parents[2]
PACKAGE = TOP / "gitmem"
FRONT = ("__init__", "__main__")  # the package's two faces stand on no floor
LATE = re.compile(r"(.*\.)?(import_module|__import__)")
SOURCES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    """`gitmem/codec.py` -> codec, `gitmem/cli/reads.py` -> cli."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def name_of(path: Path) -> str:
    """A source's path below the package, to name a test's case."""
    return path.relative_to(PACKAGE).as_posix()


def parsed(path: Path) -> ast.Module:
    """The syntax tree of a source."""
    return ast.parse(path.read_text("utf-8"), str(path))


def imports(tree: ast.Module, package: str = "gitmem") -> Iterator[str]:
    """Every dotted name that is imported anywhere: also in functions, for type checkers, by import_module.

    `from a import b` gives `a.b`, since b may be a module.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            prefix = ".".join([*parents, *([node.module] if node.module else [])])
            yield from (f"{prefix}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and LATE.fullmatch(ast.unparse(node.func)):
            yield from (str(name.value) for name in node.args[:1] if isinstance(name, ast.Constant))


def imports_of(path: Path) -> list[str]:
    """The imports of one source of the package."""
    return list(imports(parsed(path), ".".join(["gitmem", *path.relative_to(PACKAGE).parent.parts])))
