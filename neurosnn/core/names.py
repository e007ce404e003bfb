"""Names of what the program adds to a user's Brian2 objects, apart from those of the user."""

from __future__ import annotations

from collections.abc import Iterable

from brian2.utils.stringtools import get_identifiers, word_substitute

__all__ = ["FreeNames"]


class FreeNames:
    """The usual name of a variable, or that name with "neurosnn_" before it if the user has taken it.

    In a synapse a name without an ending may also mean a variable of the postsynaptic neuron, so even
    a name of another object is taken.

    Parameters
    ----------
    taken : iterable of str
        Names of the user's variables.

    Examples
    --------
    >>> from neurosnn.core.names import FreeNames
    >>> names = FreeNames({"v", "w"})
    >>> names("w"), names("G")
    ('neurosnn_w', 'G')
    """

    def __init__(self, taken: Iterable[str] = ()):
        self.taken = frozenset(taken)

    def __call__(self, wanted: str) -> str:
        """A name that is not taken, the same at every call."""
        while wanted in self.taken:
            wanted = f"neurosnn_{wanted}"
        return wanted

    def code(self, text: str) -> str:
        """Equations or statements of the program's own, in which only its usual names stand."""
        renamed = {}
        for name in get_identifiers(text):
            base, end = name, ""
            for ending in ("_pre", "_post"):
                if name.endswith(ending):
                    base, end = name.removesuffix(ending), ending
            if base in self.taken:
                renamed[name] = self(base) + end
        return word_substitute(text, renamed)
