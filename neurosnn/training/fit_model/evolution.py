"""Differential evolution between the bounds, to compare with; a killed one goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np

from neurosnn.core.bars import bar_class, draws_bars
from neurosnn.core.messages import message
from neurosnn.training.fit_model.checkpoint import Checkpoint, damaged
from neurosnn.training.fit_model.free import Free
from neurosnn.training.fit_model.gradient import Found
from neurosnn.training.fit_model.program import Squares
from neurosnn.training.fit_model.search import total

__all__ = ["by_evolution"]

#: What a simulation beyond all bounds costs in a search that knows no infinity.
WORST = 1e30


class Losses:
    """The losses of generation after generation.

    scipy hands out no state of its search. But the seed and the losses decide where it goes, so that the
    same search comes to the same place if it gets the losses that are known already, without a simulation.

    Parameters
    ----------
    compute : callable
        Losses (n,) of fractions (P, n) of the way between the bounds.
    checkpoint : Checkpoint
        Where they are kept.

    Raises
    ------
    ValueError
        If the file is damaged, or belongs to another fit.
    """

    def __init__(self, compute: Callable[[np.ndarray], np.ndarray], checkpoint: Checkpoint):
        self.compute, self.checkpoint = compute, checkpoint
        self.known: list[np.ndarray] = []
        self.tried: list[str] = []
        self.generation = self.simulations = 0
        if (kept := checkpoint.read()) is not None:
            arrays, values = kept
            try:
                ends = np.cumsum(values["sizes"])
                if len(arrays["losses"]) != ends[-1] or len(ends) != len(values["tried"]):
                    raise ValueError("numbers of losses disagree")
                self.known = np.split(arrays["losses"], ends[:-1])
                self.tried = [str(text) for text in values["tried"]]
            except (KeyError, IndexError, TypeError, ValueError) as error:
                raise damaged(checkpoint.path, error) from error

    def __call__(self, fractions: np.ndarray) -> np.ndarray:
        """Losses (n,) of a generation (P, n)."""
        digest = hashlib.sha256(np.ascontiguousarray(fractions).tobytes()).hexdigest()
        if self.generation == len(self.known):
            self.known.append(self.compute(fractions))
            self.tried.append(digest)
            self.keep()
        elif self.tried[self.generation] != digest:
            raise ValueError(
                message(
                    "this search does not go on where its file ends.",
                    str(self.checkpoint.path),
                    "Another version of scipy draws other generations from the seed.",
                    "Go on with the version that began it, or delete the file.",
                )
            )
        losses = self.known[self.generation]
        self.generation += 1
        self.simulations += len(losses)
        return losses

    def keep(self, *, now: bool = False) -> None:
        """Write the file, if it is time."""
        sizes = [len(losses) for losses in self.known]
        arrays = {"losses": np.concatenate(self.known)}
        self.checkpoint.write(arrays, {"sizes": sizes, "tried": self.tried}, now=now)


def by_evolution(
    evaluate: Callable[..., Squares],
    free: Free,
    *,
    starts: int,
    seed: int,
    checkpoint: Checkpoint,
    label: str | None,
) -> Found:
    """The best place, its error and the number of simulations; each generation is one call.

    Parameters
    ----------
    evaluate : callable
        Gives the :class:`Squares` of rows of u.
    free : Free
        What is searched.
    starts : int
        Size of the population for each parameter.
    seed : int
        Seed of the search.
    checkpoint : Checkpoint
        Where it is kept.
    label : str or None
        What the progress bar says.

    Returns
    -------
    Found
        With the best place only; its error is infinite if no simulation stayed within bounds.

    Raises
    ------
    ValueError
        If the file is damaged, or belongs to another fit or another version of scipy.
    """
    from scipy.optimize import differential_evolution

    losses = Losses(
        lambda z: np.minimum(total(evaluate(free.at(z.T), gradient=False).error), WORST), checkpoint
    )
    drawn = draws_bars()
    with bar_class(drawn)(unit="generation", desc=label, disable=not drawn) as bar:

        def shown(_: np.ndarray, convergence: float) -> None:
            bar.set_postfix(convergence=f"{convergence:.2f}", refresh=False)
            bar.update()

        try:
            found = differential_evolution(
                losses,
                [(0.0, 1.0)] * len(free.names),
                popsize=starts,
                seed=seed,
                polish=False,
                vectorized=True,
                updating="deferred",
                callback=shown,
            )
        except RuntimeError as caught:
            if isinstance(caught.__cause__, ValueError):  # scipy hides what a loss raises
                raise caught.__cause__ from None
            raise
    losses.keep(now=True)
    error = np.array([found.fun if found.fun < WORST else np.inf])
    return Found(free.at(found.x)[None], error, losses.simulations)
