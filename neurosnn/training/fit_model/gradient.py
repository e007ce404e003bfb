"""The search by Gauss-Newton steps from many starts; a killed one goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from neurosnn.core.bars import bar_class, draws_bars
from neurosnn.training.fit_model.checkpoint import Checkpoint, damaged
from neurosnn.training.fit_model.program import Squares
from neurosnn.training.fit_model.search import Search, Stage

__all__ = ["Found", "by_gradient"]

#: What a checkpoint keeps of a search.
ARRAYS, NUMBERS = ("u", "damping", "error", "idle", "alive"), ("stage", "iteration", "simulations")


class Found(NamedTuple):
    """Where a search ended.

    Attributes
    ----------
    u : ndarray (n_starts, P)
        The places, on the scale of the search.
    error : ndarray (n_starts,)
        The loss there; infinite for a start that was given up, or could not be simulated.
    simulations : int
        Simulated sets of parameters.
    """

    u: np.ndarray
    error: np.ndarray
    simulations: int


def by_gradient(
    evaluate: Callable[..., Squares],
    begin: Callable[[], np.ndarray],
    *,
    stages: tuple[Stage, ...],
    samples: int,
    seed: int,
    checkpoint: Checkpoint,
    label: str | None,
) -> Found:
    """Gauss-Newton steps from all starts.

    Parameters
    ----------
    evaluate : callable
        Gives the :class:`Squares` of rows of u.
    begin : callable
        Gives the starts (n_starts, P) of a search of which nothing is kept.
    stages : tuple of Stage
        The parts of the search.
    samples : int
        Samples of the recording.
    seed : int
        For the places around the best.
    checkpoint : Checkpoint
        Where it is kept.
    label : str or None
        What the progress bar says.

    Returns
    -------
    Found

    Raises
    ------
    ValueError
        If the checkpoint is damaged.
    """
    if (kept := checkpoint.read()) is not None:
        arrays, information = kept
        try:
            parts: dict[str, Any] = {name: arrays[name] for name in ARRAYS}
            parts |= {name: int(information[name]) for name in NUMBERS}
            search = Search(**parts)
        except (KeyError, TypeError, ValueError) as caught:
            raise damaged(checkpoint.path, caught) from caught
    else:
        search = Search.begin(begin())
    drawn, n_steps = draws_bars(), sum(stage.iterations for stage in stages)
    with bar_class(drawn)(total=n_steps, unit="step", desc=label, disable=not drawn) as bar:

        def after(search: Search) -> None:
            done = sum(s.iterations for s in stages[: search.stage]) + search.iteration
            bar.set_postfix(loss=f"{search.error[search.alive].min():.4g}", refresh=False)
            bar.update(done - bar.n)
            arrays = {name: getattr(search, name) for name in ARRAYS}
            numbers = {name: getattr(search, name) for name in NUMBERS}
            checkpoint.write(arrays, numbers, now=search.iteration == 0)

        search.run(evaluate, stages=stages, samples=samples, seed=seed, after=after)
    error = np.where(search.alive, search.error, np.inf)
    return Found(search.u, error, search.simulations)
