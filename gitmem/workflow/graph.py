"""A plan as a picture: Mermaid, which many readers of Markdown draw, and SVG, which every browser does.

Knows shapes and escapes; what leads to what is told by `links`, where it lies by `placing`.
Law: whatever a name contains it stays text: no name ends a label, opens a tag or turns the direction of writing. The
SVG needs nothing else, no font, no script, no program, and can be read on a light and on a dark ground.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from html import escape
from itertools import pairwise

from gitmem.workflow.links import GATE, GIVEN, Link, Links, Node
from gitmem.workflow.parts import Plan
from gitmem.workflow.placing import Box, Placing, Point

_LONGEST = 44  # characters of a line in a node; the whole stands in its tooltip
_PLAIN = frozenset("/._-, ")
_SHAPES = {GATE: ('{{"', '"}}'), GIVEN: ('(["', '"])')}  # of a task: ["…"]

# --- Mermaid


def mermaid(plan: Plan) -> str:
    """The plan as a Mermaid flowchart: the keys stand at the arrows, dotted is what another may replace."""
    found = Links(plan)
    lines = ["flowchart LR"]
    for at, node in enumerate(found.nodes):
        opening, closing = _SHAPES.get(node.kind, ('["', '"]'))
        label = "<br/>".join(_mermaid(text) for text in node.lines[:2])
        lines.append(f"    n{at}{opening}{label}{closing}")
    for link in found.links:
        label = "<br/>".join(_mermaid(key) for key in link.keys)
        shown = "" if _says_itself(found, link) else f'|"{label}"|'
        lines.append(f"    n{link.source} {'-.->' if link.loose else '-->'}{shown} n{link.target}")
    return "\n".join([*lines, ""])


def _says_itself(found: Links, link: Link) -> bool:
    """Whether the arrow's only key is the name of the node where it begins."""
    return link.keys == (found.nodes[link.source].name,)


def _mermaid(text: str) -> str:
    """A label's text: all that might mean something is written as a number."""
    return "".join(one if one.isalnum() or one in _PLAIN else f"#{ord(one)};" for one in _harmless(text))


# --- SVG

_LINE, _PADDING, _CHARACTER = 17, 10, 7.3  # pixels: of a line, around the text, the width of a character

_STYLE = """
text { font: 12px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #1f2328; }
.name { font-weight: bold; }
.faint { fill: #59636e; }
.ground { fill: #ffffff; }
.node, .link { stroke: #818b98; }
.link { fill: none; stroke-width: 1.4; }
.task { fill: #ddf4ff; }
.gate { fill: #fff8c5; }
.given { fill: #f6f8fa; stroke-dasharray: 4 3; }
.loose { stroke-dasharray: 5 4; }
.tip { fill: #818b98; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; }
  .faint { fill: #9198a1; }
  .ground { fill: #0d1117; }
  .task { fill: #0c2d4a; }
  .gate { fill: #3b2e00; }
  .given { fill: #21262d; }
}
"""


def svg(plan: Plan) -> str:
    """The plan as an SVG picture, from left to right, one column for each layer; dashed is what another may replace."""
    found = Links(plan)
    placing = Placing(found, _size)
    view = f"{placing.width:.0f} {placing.height:.0f}"
    size = f'width="{placing.width:.0f}" height="{placing.height:.0f}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size} viewBox="0 0 {view}">',
            f"<title>{_xml(plan.name)}</title>",
            f"<style>{_STYLE}</style>",
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            '<path class="tip" d="M0 0L8 4L0 8z"/></marker></defs>',
            '<rect class="ground" width="100%" height="100%"/>',
            *(_drawn_link(link, placing.way(link)) for link in found.links),
            *(text for node, box in zip(found.nodes, placing.boxes, strict=True) for text in _drawn_node(node, box)),
            "</svg>",
            "",
        ]
    )


def _size(node: Node) -> tuple[float, float]:
    widest = max(sum(map(_columns, _short(text))) for text in node.lines)
    return widest * _CHARACTER + 2 * _PADDING, len(node.lines) * _LINE + 2 * _PADDING


def _columns(character: str) -> int:
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _drawn_node(node: Node, box: Box) -> Iterator[str]:
    rounding = {GATE: 3, GIVEN: box.height / 2}.get(node.kind, 7)
    place = f'x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="{rounding:.1f}"'
    yield f"<g><title>{_xml(', '.join(node.lines))}</title>"
    yield f'<rect class="node {node.kind}" {place}/>'
    for at, text in enumerate(node.lines):
        kind = "name" if at == 0 and node.kind != GIVEN else "faint" if at == 1 else "key"
        y = box.y + _PADDING + at * _LINE + _LINE * 0.75
        yield f'<text class="{kind}" x="{box.x + _PADDING:.1f}" y="{y:.1f}">{_xml(_short(text))}</text>'
    yield "</g>"


def _drawn_link(link: Link, way: list[Point]) -> str:
    """A curve from column to column, level where it passes one."""
    path = f"M{way[0][0]:.1f} {way[0][1]:.1f}"
    for at, ((x, y), (x2, y2)) in enumerate(pairwise(way)):
        bend = (x2 - x) / 2
        curve = f"C{x + bend:.1f} {y:.1f} {x2 - bend:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
        path += f"H{x2:.1f}" if at % 2 else curve
    kind, keys = "link loose" if link.loose else "link", _xml(", ".join(link.keys))
    return f'<path class="{kind}" marker-end="url(#tip)" d="{path}"><title>{keys}</title></path>'


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _xml(text: str) -> str:
    return escape(_harmless(text))


def _harmless(text: str) -> str:
    """Without what XML does not allow and what is not seen: controls, changes of direction, halves of pairs."""
    return "".join("\ufffd" if unicodedata.category(one) in ("Cc", "Cf", "Cs", "Cn") else one for one in text)
