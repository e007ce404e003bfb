"""Small pieces of HTML for notebooks. Every text goes through :func:`text`: names may be a stranger's."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from brian2.units.fundamentalunits import Quantity

from neurosnn.core.messages import printable, shortened

__all__ = [
    "block",
    "code",
    "curve",
    "diagram",
    "formula",
    "math_of",
    "paragraph",
    "table",
    "text",
    "value",
]

_LONGEST = 300
_ROWS = 50
_CELL = "text-align:left; padding:1px 8px"


def text(words: Any) -> str:
    """Words with nothing in them that is read as markup or as a formula, of bounded length."""
    escaped = html.escape(printable(shortened(str(words), _LONGEST)), quote=True)
    # A delimiter inside its own element begins no formula.
    return escaped.replace("\\", "<span>\\</span>").replace("$", "<span>$</span>")


def _plain(words: str, longest: int) -> str:
    """The same inside a picture, which knows neither spans nor formulas."""
    return html.escape(printable(shortened(words, longest)), quote=True)


def block(title: Any, *parts: str) -> str:
    """A title and pieces of HTML below one another."""
    return f"<div><strong>{text(title)}</strong>{''.join(parts)}</div>"


def paragraph(words: Any) -> str:
    """A line of plain text."""
    return f"<div>{text(words)}</div>"


def code(lines: Any) -> str:
    """Lines as they are, such as statements of Brian2."""
    plain = "\n".join(map(printable, str(lines).splitlines()))
    return f"<pre>{html.escape(shortened(plain, 4000))}</pre>"


def table(heading: Sequence[Any], rows: Iterable[Sequence[Any]]) -> str:
    """Rows of plain text below a heading; of many only the first."""
    rows = list(rows)
    lines = [_row("th", heading), *(_row("td", row) for row in rows[:_ROWS])]
    rest = paragraph(f"... and {len(rows) - _ROWS} more") if len(rows) > _ROWS else ""
    return f"<table>{''.join(lines)}</table>{rest}"


def _row(tag: str, cells: Sequence[Any]) -> str:
    inside = (f'<{tag} style="{_CELL}">{text(cell)}</{tag}>' for cell in cells)
    return f"<tr>{''.join(inside)}</tr>"


def formula(latex: str) -> str:
    """A formula that the notebook sets; it comes from sympy, whose names are identifiers."""
    return f"<div>$\\displaystyle {html.escape(latex)}$</div>"


def math_of(expression: str) -> str | None:
    """An expression of Brian2 as LaTeX; None if sympy cannot read it."""
    import sympy

    from neurosnn.core.symbolic import to_symbolic

    try:
        return str(sympy.latex(to_symbolic(expression)))
    except Exception:  # whatever sympy or Brian2 makes of functions that they do not know
        return None


def value(number: Any) -> str:
    """A value with its unit, or how many there are and between which they lie."""
    if isinstance(number, str) or np.ndim(number) == 0:
        return str(number)
    array = np.asarray(number)
    low, high = array.min(), array.max()
    if isinstance(number, Quantity):
        low, high = Quantity(low, dim=number.dim), Quantity(high, dim=number.dim)
    return f"{array.size} values, {low} to {high}"


def curve(x: Any, y: Any) -> str:
    """A small picture of a curve, with lines through the origin where it lies inside."""
    x, y = np.asarray(x, dtype=float).ravel(), np.asarray(y, dtype=float).ravel()
    good = np.isfinite(x) & np.isfinite(y)
    x, y = x[good], y[good]
    if len(x) < 2 or np.ptp(x) == 0:
        return ""
    width, height = 240, 120
    low, high = min(y.min(), 0.0), max(y.max(), 0.0)
    high = high if high > low else low + 1.0

    def place(a: Any, b: Any) -> tuple[Any, Any]:
        across = (a - x.min()) / np.ptp(x) * width
        return across, height - (b - low) / (high - low) * height

    across, down = place(x, y)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across, down, strict=True))
    _, zero = place(x[0], 0.0)
    lines = f'<line x1="0" x2="{width}" y1="{zero:.1f}" y2="{zero:.1f}" stroke="#bbb"/>'
    if x.min() < 0 < x.max():
        middle, _ = place(0.0, 0.0)
        lines += f'<line x1="{middle:.1f}" x2="{middle:.1f}" y1="0" y2="{height}" stroke="#bbb"/>'
    return (
        f'<svg width="{width}" height="{height}" xmlns="http://www.w3.org/2000/svg">{lines}'
        f'<polyline points="{points}" fill="none" stroke="#0072B2" stroke-width="2"/></svg>'
    )


def diagram(boxes: Sequence[tuple[str, str, bool]], readers: Sequence[int]) -> str:
    """Boxes in a row, each with an arrow to the next; some are connected to themselves.

    Parameters
    ----------
    boxes : sequence of (title, words, bool)
        What stands in each, and whether an arrow leads back to it.
    readers : sequence of int
        Boxes but the last two from which an arrow leads to the last one as well.
    """
    wide, high, gap, top = 130, 44, 36, 24
    width = len(boxes) * (wide + gap)
    parts = [
        '<defs><marker id="neurosnn-arrow" markerWidth="8" markerHeight="8" refX="7" refY="4" '
        'orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#555"/></marker></defs>'
    ]
    line = 'fill="none" stroke="#555" marker-end="url(#neurosnn-arrow)"'
    for k, (title, words, back) in enumerate(boxes):
        left, middle = k * (wide + gap) + 2, k * (wide + gap) + 2 + wide / 2
        parts.append(
            f'<rect x="{left}" y="{top}" width="{wide}" height="{high}" rx="6" fill="#eef4fa" '
            f'stroke="#0072B2"/><text x="{middle}" y="{top + 18}" text-anchor="middle" font-size="12" '
            f'font-weight="bold" fill="#000">{_plain(title, 18)}</text>'
            f'<text x="{middle}" y="{top + 34}" text-anchor="middle" font-size="11" fill="#000">'
            f"{_plain(words, 22)}</text>"
        )
        if k + 1 < len(boxes):
            y = top + high / 2
            parts.append(f'<path d="M{left + wide},{y} L{left + wide + gap},{y}" {line}/>')
        if back:
            parts.append(
                f'<path d="M{middle + 25},{top} C{middle + 35},0 {middle - 35},0 '
                f'{middle - 25},{top}" {line}/>'
            )
        if k in readers:
            end = (len(boxes) - 1) * (wide + gap) + 2 + wide / 2
            low = top + high
            parts.append(
                f'<path d="M{middle},{low} C{middle},{low + 30} {end},{low + 30} {end},{low}" {line}/>'
            )
    return (
        f'<svg width="{width}" height="{top + high + 34}" xmlns="http://www.w3.org/2000/svg">'
        f"{''.join(parts)}</svg>"
    )
