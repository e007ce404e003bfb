"""Searches that learn from what they have found: Optuna chooses each point, a study computes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from brian2.units.fundamentalunits import DIMENSIONLESS, Quantity, get_dimensions

from neurosnn.core.messages import message
from neurosnn.core.optional import import_optional
from neurosnn.core.values import check_whole
from neurosnn.study.points import Point
from neurosnn.study.study import Choice, LogUniform, Study, Uniform
from neurosnn.study.table import StudyTable

__all__ = ["search"]

_WHERE = "study.search"


def search(
    folder: Any,
    function: Callable[..., Mapping[str, Any]],
    parameters: Mapping[str, Uniform | LogUniform | Choice],
    *,
    best: str,
    n_points: int,
    direction: str = "maximize",
    seeds: Sequence[int] = (0,),
    search_seed: int = 0,
    client: Any = None,
    workers: int | None = 0,
) -> StudyTable:
    """Search for the best parameters, each choice drawing on the results of those before.

    The tree-structured Parzen estimator of Optuna proposes a point; a :class:`Study` computes it with
    each seed, and Optuna gets the mean of the result. Every point is a file of the folder: after a kill the
    same call goes through the same proposals, finds their files, and goes on.

    Parameters
    ----------
    folder : path
        Where the results are.
    function : callable
        As for :class:`Study`: ``function(seed=..., **parameters)`` returns a mapping.
    parameters : mapping of str to Uniform, LogUniform or Choice
        What is searched.
    best : str
        The result that counts, for example "accuracy".
    n_points : int
        How many points, those of earlier calls included.
    direction : {"maximize", "minimize"}, optional
        Whether `best` should be large or small.
    seeds : sequence of int, optional
        Every point is computed with each of them.
    search_seed : int, optional
        Seed of the proposals.
    client, workers : optional
        Who computes the seeds of a point, as for :meth:`Study.run`; by default this process.

    Returns
    -------
    StudyTable
        One row a point and seed, in the order of the search; failed points count as worst.

    Raises
    ------
    ImportError
        Optuna is not installed.
    ValueError
        Parameters that are no distributions, a result that is no number, or settings out of range.

    Notes
    -----
    Points are chosen one after the other; only the seeds of one run side by side.

    References
    ----------
    Akiba et al., Optuna: a next-generation hyperparameter optimization framework, KDD (2019).

    Examples
    --------
    >>> from neurosnn.study import LogUniform, search
    >>> def train(learning_rate, seed): ...
    >>> table = search("runs", train, {"learning_rate": LogUniform(1e-4, 1e-1)}, best="accuracy",
    ...                n_points=30)  # doctest: +SKIP
    """
    check_whole("n_points", n_points, 1, where=_WHERE)
    if direction not in ("maximize", "minimize"):
        raise ValueError(
            message(
                f"direction={direction!r} is not known.",
                _WHERE,
                "The best result is the largest or the smallest.",
                "Write 'maximize' or 'minimize'.",
            )
        )
    for name, choices in parameters.items():
        if not isinstance(choices, Uniform | LogUniform | Choice):
            raise ValueError(
                message(
                    f"'{name}' is a {type(choices).__name__}.",
                    _WHERE,
                    "Values are proposed between limits or from a choice.",
                    "Pass Uniform(low, high), LogUniform(low, high) or Choice(...).",
                )
            )
    optuna = import_optional(
        "optuna", where=_WHERE, instead="draw at random: Study(..., n_samples=50)"
    )
    makers = {
        "float": optuna.distributions.FloatDistribution,
        "choice": optuna.distributions.CategoricalDistribution,
    }
    asked = {name: _distribution(choices, makers) for name, choices in parameters.items()}
    quiet = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        sampler = optuna.samplers.TPESampler(seed=search_seed)
        proposals = optuna.create_study(direction=direction, sampler=sampler)
        points: list[Point] = []
        study = None
        for _ in range(n_points):
            trial = proposals.ask(asked)
            values = {
                name: _value(choices, trial.params[name]) for name, choices in parameters.items()
            }
            study = Study(folder, function, {n: [v] for n, v in values.items()}, seeds=seeds)
            points += study.points
            table = study.run(client, workers=None if client else workers, progress=False)
            mean = _mean(table, best)
            if mean is None:
                proposals.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                proposals.tell(trial, mean)
    finally:
        optuna.logging.set_verbosity(quiet)
    assert study is not None
    return StudyTable.of(list({point.key: point for point in points}.values()), study.files)


def _distribution(choices: Any, makers: Mapping[str, Any]) -> Any:
    """As Optuna knows it; quantities by their SI numbers, choices by their places."""
    if isinstance(choices, Choice):
        return makers["choice"](list(range(len(choices.values))))
    low, high = float(np.asarray(choices.low)), float(np.asarray(choices.high))
    return makers["float"](low, high, log=isinstance(choices, LogUniform))


def _value(choices: Any, proposed: Any) -> Any:
    if isinstance(choices, Choice):
        return choices.values[proposed]
    dimensions = get_dimensions(choices.low)
    return proposed if dimensions is DIMENSIONLESS else Quantity(proposed, dim=dimensions)


def _mean(table: StudyTable, best: str) -> float | None:
    """Mean of a result over the seeds; None if a seed failed."""
    if len(table.failed):
        return None
    if best not in table.columns:
        raise ValueError(
            message(
                f"the function returned no {best!r}.",
                _WHERE,
                f"It returned {', '.join(name for name in table.columns)}.",
                "Name one of its results as best.",
            )
        )
    values = np.asarray(table[best], dtype=float)
    mean = float(values.mean())
    return mean if np.isfinite(mean) else None
