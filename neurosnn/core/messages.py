"""Messages of errors: what is wrong, where, why, and what to do about it."""

from __future__ import annotations

import difflib
import re
import sys
import unicodedata
import warnings
from collections.abc import Iterable
from typing import Any

#: Longest message, in characters.
MESSAGE = 600


def printable(text: str) -> str:
    """A text with everything that is not seen, or that moves what is seen, written as an escape."""
    return "".join(c if is_seen(c) else c.encode("unicode_escape").decode() for c in text)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggest the closest of the known names, or list them."""
    known = sorted(set(known))
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"Did you mean '{close[0]}'?"
    return f"Known names: {', '.join(known)}." if known else ""


def message(what: str, where: str, why: str, fix: str) -> str:
    """Join the four parts of an error message into one readable line of bounded length."""
    parts = [printable(" ".join(part.split("\n"))) for part in (where, what, why, fix)]
    for longest in (MESSAGE, 400, 250, 140):
        parts = [shortened(part, longest) for part in parts]
        where, what, why, fix = parts
        text = re.sub("  +", " ", f"{where}: {what} {why} {fix}").strip()
        if len(text) <= MESSAGE:
            break
    return text


def described(thing: Any) -> str:
    """What something is, for a message that does not repeat what is in it."""
    if thing is None or isinstance(thing, bool | int | float | complex):
        return repr(thing)
    if isinstance(thing, str | bytes):
        return shortened(repr(thing), 60)
    if isinstance(thing, type):
        return f"the class {thing.__name__}"
    kind = type(thing).__name__
    if callable(thing) and hasattr(thing, "__name__"):
        return f"the function {shortened(str(thing.__name__), 60)}"
    shape = getattr(thing, "shape", None)
    if isinstance(shape, tuple):
        return f"an array of shape {shape}" if shape else shortened(str(thing), 60)
    if isinstance(thing, list | tuple | dict | set) and type(thing).__module__ == "builtins":
        kinds = list(dict.fromkeys(type(item).__name__ for item in thing))[:3]
        of = f" ({', '.join(kinds)})" if kinds else ""
        return f"a {kind} of {len(thing)}{of}"
    return f"{'an' if kind[:1] in 'AEIOUaeiou' else 'a'} {kind}"


def warn(text: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line outside of this package from which it was called."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("neurosnn."):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, category, stacklevel=level)


def shortened(text: str, longest: int) -> str:
    """Beginning and end of a text that is too long."""
    if len(text) <= longest:
        return text
    half = (longest - 5) // 2
    return f"{text[:half]} ... {text[-half:]}"


def is_seen(character: str) -> bool:
    """Whether a character can be seen, or is a plain space."""
    return character.isprintable() or unicodedata.category(character) == "Zs"


def drawable(text: str) -> str:
    """A text as matplotlib draws it: what stands between dollar signs would be read as a formula."""
    return printable(text).replace("\\$", "$").replace("$", r"\$")
