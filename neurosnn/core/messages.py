"""Messages of errors: what is wrong, where, why, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def message(what: str, where: str, why: str, fix: str) -> str:
    """Join the four parts of an error message into one readable text."""
    return f"{where}: {what} {why} {fix}".replace("  ", " ").strip()


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggest the closest of the known names, or list them."""
    known = sorted(set(known))
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"Did you mean '{close[0]}'?"
    return f"Known names: {', '.join(known)}." if known else ""
