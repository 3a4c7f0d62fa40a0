"""What `from gitmem import …` offers: all of it there, explained, and not paid for in advance."""

from __future__ import annotations

import ast
import inspect
import re
import tomllib

import pytest

import gitmem
from gitmem import errors
from tests.house.blueprint import PACKAGE, TOP, parsed

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]


@pytest.mark.parametrize("name", gitmem.__all__)
def test_every_public_name_is_there_and_explained(name) -> None:
    """A lazy name that leads nowhere is found by its first user; one without a docstring, by the second."""
    found = getattr(gitmem, name)
    explained = found if inspect.isroutine(found) or inspect.isclass(found) else type(found)
    assert inspect.getdoc(explained)
    assert explained.__doc__ != object.__doc__


@pytest.mark.parametrize("name", [name for name in gitmem.__all__ if name[0].isupper()])
def test_every_public_method_is_explained(name) -> None:
    """The same for the verbs: `help(Memory)` is the manual that is always at hand."""
    found = getattr(gitmem, name)
    verbs = [code for _, code in inspect.getmembers(found, inspect.isroutine) if ours(code)]
    assert [code.__name__ for code in verbs if not code.__doc__] == []


def ours(code: object) -> bool:
    return str(getattr(code, "__module__", "")).startswith("gitmem") and not code.__name__.startswith("_")


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_exported(kind) -> None:
    """Who cannot name an error cannot catch it."""
    assert getattr(gitmem, kind.__name__) is kind


def test_the_picture_of_the_errors_is_their_tree() -> None:
    """The docstring draws who derives from whom; it must not drift from the classes."""
    drawn: list[tuple[str, str]] = []
    path: list[str] = ["GitmemError"]
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r" {4}((?:[│ ] {3})*)[├└]── (\w+)", line):
            depth = len(match[1]) // 4 + 1
            path[depth:] = [match[2]]
            drawn.append((match[2], path[depth - 1]))
    assert sorted(drawn) == sorted((kind.__name__, kind.__bases__[0].__name__) for kind in KINDS[1:])


def test_type_checkers_see_exactly_the_public_names() -> None:
    """They do not run `__getattr__`; they read the block for type checkers."""
    block = next(node for node in parsed(PACKAGE / "__init__.py").body if isinstance(node, ast.If))
    seen = {alias.name: line.module for line in block.body for alias in line.names}
    assert sorted(seen) == sorted(gitmem.__all__)
    assert seen == {name: f"gitmem.{gitmem._ROOMS.get(name, 'errors')}" for name in gitmem.__all__}


def test_dir_lists_what_can_be_had() -> None:
    """Completion in a shell reads `dir`."""
    assert set(gitmem.__all__) <= set(dir(gitmem))


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    """`hasattr` and `from gitmem import typo` depend on this kind of error."""
    with pytest.raises(AttributeError, match="Memroy"):
        getattr(gitmem, "Memroy")  # noqa: B009


def test_the_changelog_speaks_of_this_version() -> None:
    """A version that nobody described should not be published."""
    text = (TOP / "CHANGELOG.md").read_text("utf-8")
    assert re.search(rf"^## \[?{re.escape(gitmem.__version__)}\b", text, re.M)


def test_the_command_is_what_python_m_runs() -> None:
    """`gitmem` and `python -m gitmem` are one program."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))["project"]
    module, _, name = project["scripts"]["gitmem"].partition(":")
    assert f"from {module} import {name}" in (PACKAGE / "__main__.py").read_text("utf-8")
