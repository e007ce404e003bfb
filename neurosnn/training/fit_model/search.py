r"""Gauss-Newton from many starts at once.

The loss is a sum of squares, so that one simulation with derivatives gives the error E, its gradient
:math:`2 \sum r J` and the matrix :math:`A = \sum J J^T`. A start moves by Levenberg's and Marquardt's

.. math:: \delta = -\left(A + \lambda\,\mathrm{diag} A\right)^{-1} \sum r J

and keeps the step only if the error becomes smaller: :math:`\lambda` falls by 3 after a step that was kept
and rises by 4 after one that was not. All starts are simulated in one call. There is no first-order optimizer
before it: the curvature comes with the gradient at no further simulation, and needs no learning rate.

At first the recording guides the neuron (teacher forcing): the recorded spikes drive the resets, and the
voltage forgets its deviation from the recording within a short time. So a start far off feels which way to
go, and a long trajectory is not chaotic. Then the neuron runs on its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from neurosnn.training.fit_model.free import FARTHEST
from neurosnn.training.fit_model.intervals import covariance
from neurosnn.training.fit_model.program import Squares

__all__ = ["ALONE", "AROUND", "FOLLOWED", "GUIDED", "Search", "Stage"]

BEGIN, LOWER, RAISE = 1e-2, 3.0, 4.0
#: Starts that are not given up.
FEWEST = 2
#: Places around the best are this much farther apart than the curvature says.
WIDER = 1.5
#: A start rests when its damping is beyond this, where a step is a hundredth of Gauss' and Newton's and not
#: even that helps, or after so many steps in a row without a gain worth it.
STUCK, IN_A_ROW = 1e2, 2
#: Largest step of a parameter on the scale of the search, on which its range is about 10 long.
LONGEST = 1.5


class Stage(NamedTuple):
    """A part of the search.

    Attributes
    ----------
    memory : float or None
        Time [s] within which a deviation from the recording is forgotten; None: the neuron is free.
    iterations : int
        Simulations at most.
    survivors : float
        Fraction of the starts that go on from here, those with the smallest error at its beginning.
    near : bool
        Whether all starts begin anew, near the best.
    little : float
        A start rests when two steps in a row gain less than this part of its error.
    """

    memory: float | None
    iterations: int
    survivors: float = 1.0
    near: bool = False
    little: float = 1e-6


GUIDED = tuple(Stage(memory, 10, little=1e-2) for memory in (0.5e-3, 2e-3, 8e-3, 30e-3, 100e-3))
#: A neuron that draws its spikes itself misses one, or has one too many, from some memory on, and is led
#: astray by it, the less the nearer it already is: the memory grows in small steps.
FOLLOWED = tuple(Stage(0.5e-3 * 1.5**k, 10, little=1e-2) for k in range(16))
ALONE = (Stage(None, 15, 0.5), Stage(None, 60))
#: Where spikes fall on steps the loss has stairs: from the best place others are tried around it.
AROUND = (Stage(None, 10, near=True), Stage(None, 10, near=True))

Evaluate = Callable[[np.ndarray, "float | None"], Squares]


@dataclass
class Search:
    """All that a search knows between two simulations; arrays have one row a start.

    Attributes
    ----------
    u : ndarray (n_starts, P)
        Where the starts are.
    damping, error : ndarray (n_starts,)
        Damping of the next step, and the error at `u`.
    idle : ndarray (n_starts,) of int
        Steps in a row without a gain worth it.
    alive : ndarray (n_starts,) of bool
        Starts that are still searched.
    stage, iteration : int
        How far the search has come.
    simulations : int
        Simulated sets of parameters.
    """

    u: np.ndarray
    damping: np.ndarray
    error: np.ndarray
    idle: np.ndarray
    alive: np.ndarray
    stage: int = 0
    iteration: int = 0
    simulations: int = 0

    @classmethod
    def begin(cls, u: np.ndarray) -> Search:
        """A search from starts ``u``."""
        n = len(u)
        return cls(
            u=np.array(u, dtype=float),
            damping=np.full(n, BEGIN),
            error=np.full(n, np.inf),
            idle=np.zeros(n, dtype=np.int64),
            alive=np.ones(n, dtype=bool),
        )

    def run(
        self,
        evaluate: Evaluate,
        *,
        stages: tuple[Stage, ...],
        samples: int,
        seed: int,
        after: Callable[[Search], None] = lambda search: None,
    ) -> None:
        """Search to the end.

        Parameters
        ----------
        evaluate : callable
            Gives the :class:`Squares` of rows of u, with a memory.
        stages : tuple of Stage
            The parts of the search.
        samples : int
            Samples of the recording: how much a change of the loss tells.
        seed : int
            For the places around the best.
        after : callable, optional
            Called after every iteration, when the search could be stored.
        """
        while self.stage < len(stages):
            stage = stages[self.stage]
            if stage.near and self.iteration == 0:
                self._scatter(evaluate, stage, samples, np.random.default_rng([seed, self.stage]))
            going = np.flatnonzero(self.alive & (self._moving() | (self.iteration == 0)))
            squares = self._simulate(evaluate, self.u[going], stage)
            if self.iteration == 0:
                self._choose(going, total(squares.error), stage)
            while self.iteration < stage.iterations:
                rest = self.alive[going] & self._moving()[going]
                going = going[rest]
                if not len(going):
                    break
                squares = squares.of(rest)
                squares = self._step(evaluate, stage, going, squares)
                self.iteration += 1
                after(self)
            self.stage, self.iteration = self.stage + 1, 0
            after(self)

    def _moving(self) -> np.ndarray:
        return (self.damping < STUCK) & (self.idle < IN_A_ROW)

    def _simulate(self, evaluate: Evaluate, u: np.ndarray, stage: Stage) -> Squares:
        self.simulations += len(u)
        return evaluate(u, stage.memory)

    def _scatter(
        self, evaluate: Evaluate, stage: Stage, samples: int, rng: np.random.Generator
    ) -> None:
        """Move all starts but the best to where the loss is about as small as there."""
        best = int(np.argmin(np.where(self.alive, self.error, np.inf)))
        matrix = self._simulate(evaluate, self.u[best : best + 1], stage).curvature[0].sum(axis=0)
        variance = np.array([self.error[best] / samples])
        within = np.nan_to_num(covariance(matrix[None], variance), posinf=0.0)
        values, vectors = np.linalg.eigh(within)
        spread = vectors * np.minimum(np.sqrt(np.maximum(values, 0)), LONGEST)
        away = WIDER * rng.standard_normal(self.u.shape) @ spread.T
        away[best] = 0
        self.u = np.clip(self.u[best] + away, -FARTHEST, FARTHEST)
        self.alive[:] = True

    def _choose(self, rows: np.ndarray, error: np.ndarray, stage: Stage) -> None:
        """Begin a stage: its error at every start, and which starts go on."""
        self.error[rows] = error
        n = max(int(np.ceil(stage.survivors * len(rows))), min(FEWEST, len(rows)))
        self.alive[:] = False
        self.alive[rows[np.argsort(error, kind="stable")[:n]]] = True
        self.damping[:], self.idle[:] = BEGIN, 0

    def _step(
        self, evaluate: Evaluate, stage: Stage, rows: np.ndarray, squares: Squares
    ) -> Squares:
        """One damped step of some starts; what is known at the place where each then is."""
        slope, matrix = squares.slope.sum(axis=1), squares.curvature.sum(axis=1)
        usable = np.isfinite(self.error[rows]) & np.isfinite(matrix).all(axis=(1, 2))
        usable &= np.isfinite(slope).all(axis=1)
        slope, matrix = (
            np.where(usable[:, None], slope, 0),
            np.where(usable[:, None, None], matrix, 0),
        )
        diagonal = np.einsum("spp->sp", matrix)
        least = 1e-9 * diagonal.max(axis=1, keepdims=True) + 1e-30
        damped = matrix.copy()
        np.einsum("spp->sp", damped)[:] += (
            self.damping[rows, None] * np.maximum(diagonal, least) + least
        )
        step = -np.linalg.solve(damped, slope[..., None])[..., 0]
        step = np.clip(step, -LONGEST, LONGEST)
        new = np.clip(self.u[rows] + step, -FARTHEST, FARTHEST)
        tried = self._simulate(evaluate, new, stage)
        error, before = total(tried.error), self.error[rows]
        better = error < before
        with np.errstate(invalid="ignore"):
            gain = np.where(better, (before - error) / before, 0.0)
        self.u[rows] = np.where(better[:, None], new, self.u[rows])
        self.error[rows] = np.where(better, error, before)
        self.damping[rows] *= np.where(better, 1 / LOWER, RAISE)
        self.damping[rows] = np.maximum(self.damping[rows], 1e-9)
        self.idle[rows] = np.where(
            better, np.where(gain < stage.little, self.idle[rows] + 1, 0), self.idle[rows]
        )
        self.damping[rows[~usable]] = np.inf  # nothing is known of where to go
        return squares.replaced(better, tried)


def total(error: np.ndarray) -> np.ndarray:
    """The sum over the losses; infinite where a simulation went beyond all bounds."""
    whole = error.sum(axis=-1)
    return np.where(np.isfinite(whole), whole, np.inf)
