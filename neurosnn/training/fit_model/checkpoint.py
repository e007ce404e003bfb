"""The file in which the searches of a fit are kept while they run."""

from __future__ import annotations

import copy
import hashlib
import os
import time
from typing import Any

import numpy as np

from neurosnn.core.files import read_arrays, write_arrays
from neurosnn.core.messages import message

__all__ = ["Checkpoint", "damaged"]

FORMAT = "neurosnn search of a fit 2"
#: Seconds between two writings.
EVERY = 2.0

#: Arrays and other values of a search.
Kept = tuple[dict[str, np.ndarray], dict[str, Any]]


class Checkpoint:
    """Reads and writes what the searches of a fit know.

    Parameters
    ----------
    path : path or None
        The file; nothing is kept if None.
    parts : object
        What must be the same for the search to go on; its text is compared.

    Raises
    ------
    ValueError
        If the file is damaged, or belongs to another fit.
    """

    def __init__(self, path: str | os.PathLike[str] | None, *parts: Any):
        self.path = path
        self.key = hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()
        self._search = "0"
        self._written = [time.monotonic()]
        self._kept: dict[str, Kept] = {}
        if path is not None and os.path.exists(path):
            self._read()

    def of(self, search: int) -> Checkpoint:
        """That of one of several searches, which share the file.

        Parameters
        ----------
        search : int
            Its number.

        Returns
        -------
        Checkpoint
        """
        part = copy.copy(self)
        part._search = str(search)
        return part

    def read(self) -> Kept | None:
        """Arrays and other values of the search; None if nothing is known of it.

        Returns
        -------
        (dict, dict) or None
        """
        return self._kept.get(self._search)

    def write(
        self, arrays: dict[str, np.ndarray], values: dict[str, Any], *, now: bool = False
    ) -> None:
        """Write the file if the last time was long ago, or at once.

        Parameters
        ----------
        arrays : dict of str to ndarray
            What the search knows.
        values : dict
            What else it knows: numbers, texts and lists of them.
        now : bool, optional
            Whether it cannot wait.
        """
        if self.path is None:
            return
        self._kept[self._search] = arrays, values
        if now or time.monotonic() - self._written[0] > EVERY:
            everything = {
                f"{search}/{name}": array
                for search, (kept, _) in self._kept.items()
                for name, array in kept.items()
            }
            searches = {search: kept for search, (_, kept) in self._kept.items()}
            write_arrays(
                self.path, everything, {"format": FORMAT, "fit": self.key, "searches": searches}
            )
            self._written[0] = time.monotonic()

    def _read(self) -> None:
        assert self.path is not None
        arrays, information = read_arrays(self.path)
        if information.get("format") != FORMAT or information.get("fit") != self.key:
            raise ValueError(
                message(
                    "this file belongs to another fit.",
                    str(self.path),
                    "The model, recording, cells, bounds, loss, method, starts or seed are not the same.",
                    "Name another checkpoint, or delete the file to begin anew.",
                )
            )
        searches = information.get("searches")
        if not isinstance(searches, dict) or not all(
            isinstance(v, dict) for v in searches.values()
        ):
            raise damaged(self.path, "it has no searches")
        for search, values in searches.items():
            begin = f"{search}/"
            own = {n.removeprefix(begin): a for n, a in arrays.items() if n.startswith(begin)}
            self._kept[search] = own, values


def damaged(path: Any, error: object) -> ValueError:
    """What to raise where a file of this fit lacks what the search needs."""
    return ValueError(
        message(
            f"this file cannot be read ({error}).",
            str(path),
            "It is damaged, or was altered.",
            "Delete it to begin anew.",
        )
    )
