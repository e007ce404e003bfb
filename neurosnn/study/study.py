"""Studies: one function of parameters and a seed, over a grid or at random, on many processes.

Every finished point is a separate file, so that neither a kill, nor a lost worker, nor a full disk
costs more than the points that were running.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neurosnn.core.distributions import LogUniform, Uniform
from neurosnn.core.messages import message
from neurosnn.core.texts import check_plain_text
from neurosnn.study.points import Point, PointFiles, encode
from neurosnn.study.table import StudyMeans, StudyTable

__all__ = ["Choice", "LogUniform", "Study", "StudyMeans", "StudyTable", "Uniform"]

_WHERE = "Study"


class Choice:
    """One of some values, each equally likely, for a random search.

    Parameters
    ----------
    *values : float or str or Quantity
        The values.

    Raises
    ------
    ValueError
        If there are none.

    Examples
    --------
    >>> from neurosnn.study import Choice
    >>> Choice("symmetric", "random")
    Choice('symmetric', 'random')
    """

    def __init__(self, *values: Any):
        if not values:
            raise ValueError(message("no values.", "Choice", "", "Name at least one."))
        self.values = values

    def __repr__(self) -> str:
        return f"Choice({', '.join(map(repr, self.values))})"

    def sample(self, rng: np.random.Generator) -> Any:
        """One value.

        Parameters
        ----------
        rng : numpy.random.Generator
            Where chance comes from.

        Returns
        -------
        float or str or Quantity
            The value.
        """
        return self.values[int(rng.integers(len(self.values)))]


class Study:
    """A function of parameters and a seed, at many points, each computed once and kept in a file.

    Parameters
    ----------
    folder : path
        Where the results are; ``points/`` in it holds one JSON file a point.
    function : callable
        Called as ``function(seed=..., **parameters)``; returns a mapping of names to numbers, flags
        or text. It runs in other processes: define it at the top of a module or script, and let a
        network use one thread (``Trainer(..., threads=1)``), for each process has its own.
    parameters : mapping of str to sequence or Uniform or LogUniform or Choice
        A sequence gives a grid: all combinations. A distribution is drawn from `n_samples` times for
        each combination.
    seeds : sequence of int, optional
        Every point is computed with each of them.
    n_samples : int, optional
        Draws; needed if there is a distribution.
    search_seed : int, optional
        Seed of the draws.

    Attributes
    ----------
    points : list of Point
        All points, in order.

    Raises
    ------
    ValueError
        For names that the function cannot take, values that a file cannot hold, or a missing number
        of draws.

    Notes
    -----
    A point is known by the values of its parameters and its seed. Larger grids, more seeds or other
    values therefore go on with the same folder; after a change of the function itself choose another
    one.

    Examples
    --------
    >>> import tempfile
    >>> from neurosnn.study import Study
    >>> def square(x, seed):
    ...     return {"y": x**2 + seed}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = Study(folder, square, {"x": [1, 2, 3]}, seeds=[0, 1]).run(workers=0)
    >>> table.mean("y", by="x").mean
    array([1.5, 4.5, 9.5])
    """

    def __init__(
        self,
        folder: Any,
        function: Callable[..., Mapping[str, Any]],
        parameters: Mapping[str, Any],
        *,
        seeds: Sequence[int] = (0,),
        n_samples: int | None = None,
        search_seed: int = 0,
    ):
        if not callable(function):
            raise TypeError(
                message(f"{function!r} is not a function.", _WHERE, "It computes a point.", "")
            )
        seeds = [int(seed) for seed in seeds]
        if not seeds or len(set(seeds)) < len(seeds):
            raise ValueError(
                message(
                    f"seeds must be different numbers, got {seeds}.",
                    _WHERE,
                    "Each point is computed once with each seed.",
                    "Write for example seeds=range(5).",
                )
            )
        for name in parameters:
            check_plain_text(name, field="the name of a parameter", where=_WHERE, longest=1000)
        self.function, self.parameters = function, dict(parameters)
        self.files = PointFiles(Path(folder))
        self.points = [
            Point({**values, "seed": seed})
            for values in self._values(n_samples, search_seed)
            for seed in seeds
        ]
        self._check_function()

    @property
    def folder(self) -> Path:
        """Where the results are."""
        return self.files.folder

    def run(
        self,
        client: Any = None,
        *,
        workers: int | None = None,
        progress: bool = True,
        retry_failed: bool = False,
        reserve: int = 1 << 20,
    ) -> StudyTable:
        """Compute the points that have no result yet.

        Ctrl-C or a kill loses the points that are running; the same call goes on with the others.

        Parameters
        ----------
        client : distributed.Client, optional
            Whose workers compute; None: a ``LocalCluster`` for the time of this call.
        workers : int, optional
            Processes of that cluster, by default one a processor; 0: no Dask, all points one after
            the other in this process.
        progress : bool, optional
            Show a bar, or a line now and then where there is no terminal.
        retry_failed : bool, optional
            Also compute points again that have raised.
        reserve : int, optional
            Bytes kept free in the folder, so that points that are running when the disk becomes full
            can still be written.

        Returns
        -------
        StudyTable
            One row a point, failed ones included.

        Raises
        ------
        OSError
            The folder cannot be written. All finished points are kept: in it, or in another folder
            that the message names.
        ImportError
            Dask is not installed and `workers` is not 0.
        ValueError
            Both `client` and `workers` are given.
        """
        from neurosnn.study.runner import run_points

        if client is not None and workers is not None:
            raise ValueError(
                message(
                    f"workers={workers} and a client.",
                    f"{_WHERE}.run",
                    "A client has workers of its own.",
                    "Give one of them.",
                )
            )
        self.files.prepare(reserve)
        try:
            run_points(self, client, workers, progress, retry_failed)
        finally:
            self.files.release()
        return self.table()

    def table(self) -> StudyTable:
        """The results so far.

        Returns
        -------
        StudyTable
            One row for each point that has finished or failed, in the order of the points.
        """
        return StudyTable.of(self.points, self.files)

    def missing(self, *, retry_failed: bool = False) -> list[Point]:
        """Points without a result.

        Parameters
        ----------
        retry_failed : bool, optional
            Whether points that have raised count as missing.

        Returns
        -------
        list of Point
            In the order of the points.
        """
        done = self.files.known()
        missing = [point for point in self.points if point.key not in done]
        if retry_failed:
            failed = {key for key, status in self.files.status().items() if status != "done"}
            missing = [
                point for point in self.points if point.key not in done or point.key in failed
            ]
        return missing

    # -- the points -------------------------------------------------------------------------

    def _values(self, n_samples: int | None, search_seed: int) -> list[dict[str, Any]]:
        if "seed" in self.parameters:
            raise ValueError(
                message("'seed' is a parameter.", _WHERE, "", "Pass seeds=[...] instead.")
            )
        drawn = {
            name: choices for name, choices in self.parameters.items() if hasattr(choices, "sample")
        }
        grid = {
            name: list(choices) for name, choices in self.parameters.items() if name not in drawn
        }
        if bool(drawn) != (n_samples is not None):
            raise ValueError(
                message(
                    "n_samples is missing." if drawn else "n_samples has no effect.",
                    _WHERE,
                    f"{'These are drawn: ' + ', '.join(drawn) if drawn else 'All is a grid'}.",
                    "Write for example n_samples=50." if drawn else "Leave it out.",
                )
            )
        rng = np.random.default_rng(search_seed)
        result = []
        for combination in itertools.product(*grid.values()):
            for _ in range(n_samples or 1):
                values = dict(zip(grid, combination, strict=True))
                values |= {name: choices.sample(rng) for name, choices in drawn.items()}
                # In the order in which they were given.
                result.append({name: values[name] for name in self.parameters})
        for name in self.parameters:
            for values in result:
                encode(values[name], f"{_WHERE}, parameter {name}")
        return result

    def _check_function(self) -> None:
        import inspect

        try:
            signature = inspect.signature(self.function)
            signature.bind(**dict.fromkeys([*self.parameters, "seed"]))
        except TypeError as error:
            name = getattr(self.function, "__name__", repr(self.function))
            raise ValueError(
                message(
                    f"{name}{signature} cannot be called with "
                    f"{', '.join([*self.parameters, 'seed'])}: {error}.",
                    _WHERE,
                    "It gets all parameters and the seed by name.",
                    "Write for example def train(learning_rate, seed): ...",
                )
            ) from error
        except ValueError:
            return  # a builtin has no signature to look at
