r"""Several cells in one fit: some parameters are shared, the others belong to one cell.

A search moves one long vector u. Cell k reads its parameters from the places :math:`c_k`, a shared one from
the same place as all other cells, so that with the cells' gradients :math:`g_k` and matrices :math:`A_k`

.. math:: g = \frac1K \sum_k C_k^T g_k, \qquad A = \frac1K \sum_k C_k^T A_k C_k, \qquad C_k u = u_{c_k}

Cells that share nothing are searched one after the other: what one start finds for one cell says nothing
about another. Where something is shared, the cells are first searched in that way too, and then together,
from where their quadratic models say that the sum is smallest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from neurosnn.core.messages import described, did_you_mean, message
from neurosnn.training.fit_model.free import FARTHEST, Free
from neurosnn.training.fit_model.program import Squares
from neurosnn.training.fit_model.shown import label_of

__all__ = ["Cells", "cells_of"]

WHERE = "fit_model"
#: How much places that the cells found count against their matrices, where those are flat.
FLAT = 1e-6


class Cells(NamedTuple):
    """Which trials belong to which cell, and where in the long vector its parameters stand.

    Attributes
    ----------
    trials : tuple of ndarray of int
        Trials of each cell.
    columns : ndarray (n_cells, P) of int
        Place of each parameter of each cell in the long vector.
    free : Free
        The L parameters of the long vector, "g_L[2]" for that of cell 2.
    shared : ndarray (P,) of bool
        Which parameters all cells have in common.
    """

    trials: tuple[np.ndarray, ...]
    columns: np.ndarray
    free: Free
    shared: np.ndarray

    @property
    def n_cells(self) -> int:
        """Cells."""
        return len(self.trials)

    @property
    def together(self) -> bool:
        """Whether one search has to find what several cells share."""
        return self.n_cells > 1 and bool(self.shared.any())

    def spread(self, cell: int, matrix: np.ndarray) -> np.ndarray:
        """A matrix (..., P, P) of a cell at its places in one of (..., L, L)."""
        n, columns = len(self.free.names), self.columns[cell]
        result = np.zeros((*matrix.shape[:-2], n, n))
        result[..., columns[:, None], columns] = matrix
        return result

    def evaluation(self, evaluates: Sequence[Callable[..., Squares]]) -> Callable[..., Squares]:
        """The mean over cells of their squares, of rows of the long vector.

        Parameters
        ----------
        evaluates : sequence of callable
            Gives the squares of rows of u, for each cell.

        Returns
        -------
        callable
            Gives them of rows of the long vector.
        """

        def evaluate(u: np.ndarray, memory: float | None = None, **settings: Any) -> Squares:
            n = len(self.free.names)
            whole = None
            for of_cell, columns in zip(evaluates, self.columns, strict=True):
                squares = of_cell(u[:, columns], memory, **settings)
                if whole is None:
                    parts = squares.error.shape[1]
                    whole = Squares(
                        np.zeros((len(u), parts)),
                        np.zeros((len(u), parts, n)),
                        np.zeros((len(u), parts, n, n)),
                        np.zeros((len(u), n, n)),
                        {},
                    )
                pairs = (..., columns[:, None], columns)
                whole.error[:] += squares.error / self.n_cells
                whole.slope[..., columns] += squares.slope / self.n_cells
                whole.curvature[pairs] += squares.curvature / self.n_cells
                whole.timing[pairs] += squares.timing / self.n_cells
            assert whole is not None
            return whole

        return evaluate

    def joined(self, places: np.ndarray, matrices: np.ndarray, errors: np.ndarray) -> np.ndarray:
        r"""Where the sum of the cells' quadratic models is smallest, each in units of its error.

        So a cell counts by what it knows of a parameter; one that was not found yet counts little.

        Parameters
        ----------
        places : ndarray (n, n_cells, P)
            Where the search of each cell by itself ended, n times.
        matrices : ndarray (n, n_cells, P, P)
            Its matrices A there.
        errors : ndarray (n, n_cells)
            Its losses there.

        Returns
        -------
        ndarray (n, L)
            Rows of the long vector.
        """
        n, size = len(places), len(self.free.names)
        usable = np.isfinite(matrices).all(axis=(2, 3))
        usable &= np.isfinite(errors)
        weight = np.where(usable, 1 / np.maximum(errors, 1e-30), 0.0)[..., None, None]
        matrices = weight * np.where(usable[..., None, None], matrices, 0.0)
        whole, pull = np.zeros((n, size, size)), np.zeros((n, size))
        mean, count = np.zeros((n, size)), np.zeros(size)
        for k, columns in enumerate(self.columns):
            whole += self.spread(k, matrices[:, k])
            pull[:, columns] += np.einsum("npq,nq->np", matrices[:, k], places[:, k])
            mean[:, columns] += places[:, k]
            count[columns] += 1
        mean /= count
        diagonal = np.einsum("npp->np", whole)
        little = FLAT * diagonal + 1e-30
        diagonal += little
        found = np.linalg.solve(whole, (pull + little * mean)[..., None])[..., 0]
        return np.clip(found, -FARTHEST, FARTHEST)


def cells_of(cells: Any, shared: Any, free: Free, n_trials: int) -> Cells:
    """Check of which cell each trial is, and what cells share.

    Parameters
    ----------
    cells : sequence of int, or None
        As for :func:`fit_model`.
    shared : iterable of str
        Names among the free parameters.
    free : Free
        The parameters of one cell.
    n_trials : int
        Trials of the recording.

    Returns
    -------
    Cells

    Raises
    ------
    ValueError
        For other than a whole number a trial, a cell without a trial, a name that is not free, and names
        without cells.
    """
    common = _shared(shared, free.names)
    if cells is None:
        if common:
            raise _error(
                f"{', '.join(common)} cannot be shared.",
                "All trials are of one cell unless cells says of which each is.",
                "Add for example cells=[0, 0, 1, 1], or leave shared out.",
            )
        own = np.arange(len(free.names))[None]
        return Cells((np.arange(n_trials),), own, free, np.zeros(own.shape[1], bool))
    number = _numbers(cells, n_trials)
    n_cells = int(number.max()) + 1
    is_shared = np.array([name in common for name in free.names])
    columns = np.zeros((n_cells, len(free.names)), int)
    names: list[str] = []
    parameter: list[int] = []
    for p, name in enumerate(free.names):
        labels = [name] if is_shared[p] else [label_of(name, k) for k in range(n_cells)]
        columns[:, p] = len(names) + (0 if is_shared[p] else np.arange(n_cells))
        names += labels
        parameter += [p] * len(labels)
    whole = Free(
        tuple(names),
        tuple(free.parameters[p] for p in parameter),
        free.low[parameter],
        free.high[parameter],
        free.logarithmic[parameter],
    )
    trials = tuple(np.flatnonzero(number == k) for k in range(n_cells))
    return Cells(trials, columns, whole, is_shared)


def _shared(shared: Any, names: Iterable[str]) -> tuple[str, ...]:
    names = tuple(names)
    if isinstance(shared, str) or not isinstance(shared, Iterable):
        raise _error(
            f"shared is {described(shared)}.",
            "It lists the parameters that all cells have in common.",
            f'Write for example shared=("{names[0]}",).',
        )
    shared = tuple(shared)
    for name in shared:
        if name not in names:
            raise _error(
                f"'{name}' cannot be shared.",
                "Only what is fitted is shared or not; a fixed parameter is the same for all cells anyway.",
                did_you_mean(str(name), names),
            )
    return shared


def _numbers(cells: Any, n_trials: int) -> np.ndarray:
    example = ", ".join(map(str, [*range(min(n_trials, 3))]))
    fix = f"Write the number of its cell for each trial, for example cells=[{example}]."
    try:
        number = np.asarray(cells)
    except ValueError:  # ragged
        number = np.empty(0)
    if number.shape != (n_trials,) or not np.issubdtype(number.dtype, np.integer):
        raise _error(
            f"cells is {described(cells)}.",
            f"It says of which cell each of the {n_trials} trials is, as a whole number.",
            fix,
        )
    found = np.unique(number)
    if not np.array_equal(found, np.arange(len(found))):
        if found[0] < 0:
            what = f"cells has the number {found[0]}."
        else:
            missing = next(k for k in range(len(found)) if k not in found)
            what = f"cell {missing} has no trial."
        raise _error(what, "Cells are counted from 0, and each has a trial.", fix)
    return number


def _error(what: str, why: str, fix: str) -> ValueError:
    return ValueError(message(what, WHERE, why, fix))
