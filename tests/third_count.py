"""The figures of the plans' reports counted a third time: line by line, by indents and patterns.

Knows neither a syntax tree nor tokens, so it shares no mistake with the agents. Right for source that a formatter laid
out, as click's is.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

_OPENING = re.compile(r"( *)(?:async )?(def|class) (\w+)")
_HEADER_ENDS = re.compile(r":(\s*#.*)?$|: \.\.\.$")
_RISKY = re.compile(
    r"(?<![\w.])(eval|exec|os\.(?:system|popen|startfile)|subprocess\.(?:run|call|check_call|check_output|Popen)|"
    r"pickle\.loads?|marshal\.loads|tempfile\.mktemp)\("
)


def files(package: str) -> dict[str, Path]:
    """Module -> file, of a package without packages inside."""
    top = Path(importlib.util.find_spec(package).origin).parent
    return {package if path.stem == "__init__" else f"{package}.{path.stem}": path for path in sorted(top.glob("*.py"))}


def is_public(module: str) -> bool:
    """Whether the module's own name has no underscore in front."""
    return not module.rpartition(".")[2].startswith("_")


class Text:
    """A file's lines, and of each whether it begins inside a text of three quotes."""

    def __init__(self, path: Path) -> None:
        self.lines = path.read_text("utf-8").splitlines()
        self.inside, quoted = [], False
        for line in self.lines:
            self.inside.append(quoted)
            quoted ^= line.count('"""') % 2 == 1

    def code(self) -> list[tuple[int, str]]:
        """The lines outside such texts, with their numbers from 0, comments cut off."""
        return [
            (number, re.sub(r"(^|\s)#.*", "", line))
            for number, line in enumerate(self.lines)
            if not self.inside[number]
        ]

    def last_of(self, number: int, indent: int) -> int:
        """The last line of the block that begins here."""
        last = number
        for after in range(number + 1, len(self.lines)):
            line = self.lines[after].strip()
            deep = self.inside[after] or line.startswith((")", "]", "}"))
            if line and not line.startswith("#"):
                if not deep and len(self.lines[after]) - len(self.lines[after].lstrip()) <= indent:
                    break
                last = after
            elif self.inside[after] and line:
                last = after
        return last

    def has_docstring(self, number: int) -> bool:
        """Whether what follows the header that begins here is a text of three quotes."""
        end = next(
            after
            for after in range(number, len(self.lines))
            if _HEADER_ENDS.search(self.lines[after]) and (after == number or self.lines[after].strip().startswith(")"))
        )
        return re.match(r'r?"""', self.lines[end + 1].strip()) is not None


def names(path: Path) -> dict[str, dict[str, Any]]:
    """The public names of a module, each with kind, line (from 1), length and whether it is documented."""
    text, found, around = Text(path), {}, []
    for number, line in text.code():
        if not line.strip() or line.strip().startswith((")", "]", "}")):
            continue
        indent = len(line) - len(line.lstrip())
        while around and around[-1][0] >= indent:
            around.pop()
        opening = _OPENING.match(line)
        if opening is None:
            continue
        inside = around[-1][1] if around else ""
        kind, name = opening[2], opening[3]
        hidden = inside is None or (name.startswith("_") and not name.endswith("__"))
        around.append((indent, None if hidden or kind == "def" else f"{inside}{name}."))
        if not hidden:
            length = text.last_of(number, indent) - number + 1
            one = found.setdefault(f"{inside}{name}", {"kind": kind, "line": number + 1, "length": 0, "said": False})
            one["length"] = max(one["length"], length)
            one["said"] |= text.has_docstring(number)
    return found


def imports(package: str, module: str) -> list[str]:
    """The modules of a package without packages inside that one of them imports."""
    known, found = files(package), set()
    for _, line in Text(known[module]).code():
        if one := re.match(rf"\s*from (?:\.|{package}\.)(\w+) import", line):
            found.add(f"{package}.{one[1]}")
        elif one := re.match(rf"\s*from (?:\.|{package}) import (\w+)", line):
            found.add(f"{package}.{one[1]}" if f"{package}.{one[1]}" in known else package)
        elif re.match(rf"\s*import {package}$", line):
            found.add(package)
    return sorted(found & known.keys() - {module})


def figures(package: str, module: str) -> dict[str, Any]:
    """What the agents say of a module."""
    path = files(package)[module]
    found = names(path)
    functions = {name: one["length"] for name, one in found.items() if one["kind"] == "def"}
    longest = max(functions, key=functions.get, default=None)
    return {
        "lines": len(path.read_text("utf-8").splitlines()),
        "functions": len(functions),
        "classes": len(found) - len(functions),
        "undocumented": [name for name, one in found.items() if not one["said"]],
        "longest": longest and {"name": longest, "length": functions[longest]},
        "imports": imports(package, module),
    }


def risks(package: str) -> list[tuple[str, int, str]]:
    """The calls that deserve a look: module, line, call."""
    return [
        (module, number + 1, call)
        for module, path in files(package).items()
        for number, line in Text(path).code()
        for call in _RISKY.findall(line)
    ]


def libraries(package: str) -> set[str]:
    """The first names of what is imported from outside."""
    lines = [line for path in files(package).values() for _, line in Text(path).code()]
    found = {one[1] for line in lines if (one := re.match(r"\s*(?:from|import) (\w+)", line))}
    return found - {package}
