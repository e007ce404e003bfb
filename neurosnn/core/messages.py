"""Messages of errors: what is wrong, where, why, and what to do about it."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable

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
