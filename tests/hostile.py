"""Texts that would do harm if they ran, and what each refusal must look like."""

from __future__ import annotations

import ast
import unicodedata
from collections.abc import Iterator
from typing import Any

PYTHON = "__import__('os').system('touch pwned')"
#: Python without a single name in it, as Brian2's own check of names looks for them.
OCTAL = "'" + "".join(f"\\{ord(character):03o}" for character in PYTHON) + "'"
TEXTS = {
    "line break": 'x\nstruct P{P(){std::system("touch pwned");}};static P p;//',
    "carriage return": f"x\r{PYTHON}",
    "end of a comment": '*/ static int p = std::system("touch pwned"); /*',
    "quotes": '"; std::system("touch pwned"); "\'',
    "backslash": "x\\",
    "octal": OCTAL,
    "call": f"clip({OCTAL}, 0, 1)",
    "python": PYTHON,
    "attribute": "v.__class__",
    "walrus": "(v := 1)",
    "lambda": "(lambda: v)()",
    "comprehension": "[v for v in v]",
    "template": '{{ cycler.__init__.__globals__.os.system("touch pwned") }}${x}',
    "shell": "$(touch pwned)`touch pwned`; touch pwned; #",
    "path": "../pwned",
    "path from the root": "/pwned",
    "control": "x\x1b[2J\x07\x00",
    "bidirectional": "x\u202e\u2066y",
    "separator": f"x\u2028{PYTHON}\x85",
    "LaTeX": "}}\\write18{touch pwned}$\\frac{@",
    "HTML": "<script>x</script><img src=x onerror=alert(1)>",
    "wide letter": "\uff56",
    "surrogate": "\udc80",
    "tower": "9**9**9**9",
    "unit": "1 : metre**9**9**9",
    "long": "x" * 200_000,
}
#: Those that are tried where there are many places.
FEW = ("line break", "call", "quotes", "path", "control", "template", "LaTeX")


def assert_clear(error: Exception) -> None:
    """A refusal is one readable line: it does not hand on what it refuses."""
    text = str(error.args[-1] if error.args else error)
    assert 20 < len(text) <= 600, (type(error), len(text), text[:300])
    unseen = [c for c in text if not (c.isprintable() or unicodedata.category(c) == "Zs")]
    assert not unseen, (type(error), unseen)
    assert ": " in text, text


def with_text(annotation: str, text: str, usual: Any) -> Iterator[Any]:
    """Values of an annotated type that hold the text; nothing if the type holds no text."""
    if "Iterable[Mapping[str" in annotation:
        yield [{text: 1.0}]
    elif "Mapping[str" in annotation and isinstance(usual, str):  # one text or several by name
        yield from (text, {"first": text}, {text: usual})
    elif "Mapping[str" in annotation or "dict[str" in annotation:
        value = next(iter(usual.values()), 1.0) if isinstance(usual, dict) else 1.0
        yield {**(usual or {}), text: value}
        if annotation.rpartition("[str,")[2].find("str") >= 0 and isinstance(usual, dict):
            yield {**usual, **dict.fromkeys(list(usual)[:1], text)}
    elif "tuple[str" in annotation or "Sequence[str" in annotation:
        yield (text,)
    elif "str" in ast.unparse(ast.parse(annotation)):
        yield text


def leaves(tree: Any, path: tuple = ()) -> Iterator[tuple]:
    """Where a JSON tree has text: as a value, or (last entry None) as the name of a value."""
    if isinstance(tree, str):
        yield path
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield (*path, key, None)
            yield from leaves(value, (*path, key))
    elif isinstance(tree, list):
        for k, value in enumerate(tree):
            yield from leaves(value, (*path, k))


def put(tree: Any, path: tuple, text: str) -> None:
    """Replace what :func:`leaves` found."""
    *parents, last = path
    key = parents.pop() if last is None else last
    for step in parents:
        tree = tree[step]
    if last is None:
        tree[text] = tree.pop(key)
    else:
        tree[key] = text
