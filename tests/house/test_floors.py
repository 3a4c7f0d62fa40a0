"""The floors of the house: who may import whom, who may touch the world, and how big a room may be."""

from __future__ import annotations

import ast
import re
import sys
import tomllib

import pytest

import gitmem
from tests.house.blueprint import (
    FLOOR,
    FLOORS,
    FRONT,
    ORDER,
    SOURCES,
    TOP,
    imports,
    imports_of,
    name_of,
    parsed,
    room_of,
)

ROOMS = [path for path in SOURCES if room_of(path) not in FRONT]
each_room = pytest.mark.parametrize("path", ROOMS, ids=name_of)
each_source = pytest.mark.parametrize("path", SOURCES, ids=name_of)

LIBRARIES = {
    "click": {"cli"},
    "dulwich": {*FLOOR["first floor"], "maintenance"},
    "filelock": {"locking"},
    "sqlite3": {"index", "exchange"},
}
IMPURE = {"io", "os", "pathlib", "random", "shutil", "socket", "subprocess", "tempfile", "threading", "time"}
WORLD = re.compile(
    r"(os\.(environb?|getenvb?|putenv|path\.expand(user|vars))|sys\.(stdin|stdout|stderr)|print|input)"
)
CLOCKS = re.compile(r"(.*\.)?(now|utcnow|today)")
FORBIDDEN = {"common", "data", "handler", "handlers", "helper", "helpers", "info", "item", "manager"}
FORBIDDEN |= {"managers", "util", "utils"}


def top(dotted: str) -> str:
    return dotted.split(".")[0]


def test_the_picture_in_the_package_is_the_blueprint() -> None:
    """The first thing that a reader sees of the code must be true: same floors, same rooms, same order."""
    floors: list[tuple[str, tuple[str, ...]]] = []
    for line in (gitmem.__doc__ or "").splitlines():
        if title := re.fullmatch(r" {4}(ground|\w+ floor|doors): \S.*", line):
            floors.append((title[1], ()))
        elif floors and (room := re.fullmatch(r" {8}(\w+) +\S.*", line)):
            floors[-1] = (floors[-1][0], (*floors[-1][1], room[1]))
    assert tuple(floors) == FLOORS


@each_room
def test_every_module_has_a_line_in_the_blueprint(path) -> None:
    """A module that stands on no floor is under no rule."""
    assert room_of(path) in ORDER


@each_room
def test_a_module_imports_only_from_earlier_lines(path) -> None:
    """Imports inside functions and for type checkers count too: a cycle that is hidden is still a cycle."""
    own = room_of(path)
    allowed = {*ORDER[: ORDER.index(own)], *([own] if path.parent.name == own else [])}
    for name in imports_of(path):
        if top(name) == "gitmem":
            assert name.split(".")[1:2] in [[room] for room in allowed], f"{own} imports {name}"


@each_source
def test_a_library_is_used_only_where_it_belongs(path) -> None:
    """So that a library can be replaced by changing one floor, and the light commands never load it."""
    for name in imports_of(path):
        rooms = LIBRARIES.get(top(name))
        assert rooms is None or room_of(path) in rooms, f"{name} in {name_of(path)}"


@each_source
def test_what_is_imported_is_declared(path) -> None:
    """A library that arrives only through another one vanishes with that one's next release."""
    declared = {name.replace("-", "_") for name in requirements()}
    strangers = {top(name) for name in imports_of(path)} - {"gitmem"} - sys.stdlib_module_names
    assert strangers <= declared


def test_what_is_declared_is_imported() -> None:
    """Nobody should install what is not used."""
    used = {top(name) for path in SOURCES for name in imports_of(path)}
    assert {name.replace("-", "_") for name in requirements()} <= used


def requirements() -> list[str]:
    project = tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))["project"]
    return [re.split(r"[\[<>=~! ]", line)[0] for line in project["dependencies"]]


@each_room
def test_only_doors_touch_the_terminal_the_environment_and_the_home_folder(path) -> None:
    """A library that reads the environment behaves differently for two callers in one process."""
    if room_of(path) in FLOOR["doors"]:
        return
    assert not list(world_in(parsed(path)))


def world_in(tree: ast.Module):
    yield from (name for name in imports(tree) if WORLD.fullmatch(name))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            text = ast.unparse(node)
            if WORLD.fullmatch(text) or re.fullmatch(r"(.*\.)?Path\.home|.*\.expanduser", text):
                yield text


@pytest.mark.parametrize("path", [p for p in ROOMS if room_of(p) in FLOOR["ground"]], ids=name_of)
def test_the_ground_is_pure(path) -> None:
    """What needs no files, no clock and no git can be understood, and tested, without any of them."""
    tree = parsed(path)
    assert not {top(name) for name in imports(tree)} & IMPURE
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not {call for call in calls if call == "open" or CLOCKS.fullmatch(call)}


@each_source
def test_a_file_is_one_idea(path) -> None:
    """A file that passes 400 lines is two ideas."""
    lines = path.read_text("utf-8").count("\n")
    assert lines < 400


@each_source
def test_a_module_opens_with_its_law(path) -> None:
    """What it knows, what it does not know: a paragraph, before anything else."""
    assert len(ast.get_docstring(parsed(path)) or "") > 20


@each_source
def test_names_say_what_a_thing_is(path) -> None:
    """manager, helper, utils, common, item, info, data, handler: names that a better name always beats."""
    defined = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    names = [node.name for node in ast.walk(parsed(path)) if isinstance(node, defined)]
    for name in [*path.relative_to(TOP / "gitmem").with_suffix("").parts, *names]:
        assert not words(name) & FORBIDDEN, name
    assert path.stem != "base"


def test_the_namespace_of_conflicts_is_named_once() -> None:
    """Three rooms keep off it; one that spelt it for itself would let others in."""
    named = {name_of(path) for path in SOURCES for node in parsed(path).body if is_named(node, "conflicts")}
    assert named == {"keys.py"}


def is_named(node: ast.stmt, text: str) -> bool:
    return isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and node.value.value == text


def words(name: str) -> set[str]:
    """`FileManagers` -> {file, managers}."""
    return {part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


SAMPLE = """
import os, a.b
from gitmem import codec
from . import keys
from .layout import bucket
def f():
    from gitmem.memory import Memory
    if TYPE_CHECKING:
        import click
    import_module("gitmem.late")
    print(os.environ["HOME"]); p.expanduser()
"""


def test_the_reader_of_imports_overlooks_none() -> None:
    """The rules above are worth what this reader sees."""
    assert set(imports(ast.parse(SAMPLE))) == {
        "os", "a.b", "gitmem.codec", "gitmem.keys", "gitmem.layout.bucket", "gitmem.memory.Memory", "click",
        "gitmem.late",
    }  # fmt: skip
    deeper = ast.parse("from . import reads\nfrom .. import codec\nfrom ..keys import SUFFIX")
    assert list(imports(deeper, "gitmem.cli")) == ["gitmem.cli.reads", "gitmem.codec", "gitmem.keys.SUFFIX"]


def test_the_reader_of_the_world_overlooks_none() -> None:
    """The same for what only doors may touch."""
    assert sorted(world_in(ast.parse(SAMPLE))) == ["os.environ", "p.expanduser", "print"]
    imported = ast.parse("from os import environ\nfrom sys import stderr")
    assert list(world_in(imported)) == ["os.environ", "sys.stderr"]


def test_the_reader_of_names_splits_words() -> None:
    """A forbidden word hides in camel case as well as between underscores."""
    assert words("FileManagers") == {"file", "managers"}
    assert words("read_HTTPInfo") == {"read", "http", "info"}
    assert words("metadata") == {"metadata"}
