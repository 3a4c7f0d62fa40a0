"""The recipes stand on what everybody may use: a pattern that needs a private door is no recipe."""

from __future__ import annotations

import ast

import pytest

from tests.house.blueprint import FLOOR, SOURCES, imports_of, name_of, parsed, room_of

RECIPES = [path for path in SOURCES if room_of(path) in {"recipes", "workflow"}]
OPEN = {*FLOOR["ground"], "entries", "finding", "view", "watch", "runs", "memory", "recipes", "workflow"}

each_recipe = pytest.mark.parametrize("path", RECIPES, ids=name_of)


@each_recipe
def test_a_recipe_imports_only_what_callers_may(path) -> None:
    """Whoever writes a pattern of his own finds that ours had no advantage."""
    rooms = {name.split(".")[1] for name in imports_of(path) if name.startswith("gitmem.")}
    assert rooms <= OPEN


@each_recipe
def test_a_recipe_touches_no_private_attribute(path) -> None:
    """Neither of a memory nor of anything else that is not its own."""
    private = [
        ast.unparse(node)
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.endswith("__")
        and not (isinstance(node.value, ast.Name) and node.value.id in {"self", "cls", "other"})
    ]
    assert private == []
