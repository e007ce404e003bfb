"""The file in which a search is kept while it runs."""

from __future__ import annotations

import hashlib
import os
import time
from typing import Any

import numpy as np

from neurosnn.core.files import read_arrays, write_arrays
from neurosnn.core.messages import message

__all__ = ["Checkpoint", "damaged"]

FORMAT = "neurosnn search of a fit 1"
#: Seconds between two writings.
EVERY = 2.0


class Checkpoint:
    """Reads and writes what a search knows.

    Parameters
    ----------
    path : path or None
        The file; nothing is kept if None.
    parts : object
        What must be the same for the search to go on; its text is compared.
    """

    def __init__(self, path: str | os.PathLike[str] | None, *parts: Any):
        self.path = path
        self.key = hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()
        self._written = time.monotonic()

    def read(self) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """Arrays and other values of the file; None if there is none.

        Returns
        -------
        (dict, dict) or None

        Raises
        ------
        ValueError
            If it is damaged, or belongs to another fit.
        """
        if self.path is None or not os.path.exists(self.path):
            return None
        arrays, information = read_arrays(self.path)
        if information.get("format") != FORMAT or information.get("fit") != self.key:
            raise ValueError(
                message(
                    "this file belongs to another fit.",
                    str(self.path),
                    "The model, recording, bounds, loss, method, starts or seed are not the same.",
                    "Name another checkpoint, or delete the file to begin anew.",
                )
            )
        return arrays, information

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
        if self.path is not None and (now or time.monotonic() - self._written > EVERY):
            write_arrays(self.path, arrays, {"format": FORMAT, "fit": self.key, **values})
            self._written = time.monotonic()


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
