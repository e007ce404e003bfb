"""From a recording to a neuron: the parameters of a model that follow recorded voltages and spikes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from brian2.units.allunits import second
from brian2.units.fundamentalunits import Quantity

from neurosnn.core.arguments import explained
from neurosnn.core.messages import described, did_you_mean, message
from neurosnn.core.values import check_whole
from neurosnn.model import NeuronModel
from neurosnn.training.fit_model.cells import Cells, cells_of
from neurosnn.training.fit_model.checkpoint import Checkpoint
from neurosnn.training.fit_model.estimate import estimate
from neurosnn.training.fit_model.evolution import by_evolution
from neurosnn.training.fit_model.free import Free, free_parameters, model_of_sets
from neurosnn.training.fit_model.gradient import Found, by_gradient
from neurosnn.training.fit_model.losses import (
    FitLoss,
    VanRossumLoss,
    VoltageLoss,
    WeightedLosses,
    as_terms,
)
from neurosnn.training.fit_model.program import FitProgram, Squares
from neurosnn.training.fit_model.recording import Recording
from neurosnn.training.fit_model.result import ModelFit
from neurosnn.training.fit_model.search import ALONE, AROUND, FOLLOWED, GUIDED, Stage, total

__all__ = ["fit_model"]

METHODS = ("gradient", "differential_evolution")


@explained(free='free={"g_L": (1*nS, 100*nS)}')
def fit_model(
    model: NeuronModel,
    *,
    current: Any,
    dt: Quantity,
    free: dict[str, tuple[Any, Any]],
    voltage: Any = None,
    spikes: Any = None,
    loss: FitLoss | WeightedLosses | None = None,
    cells: Any = None,
    shared: Iterable[str] = (),
    starts: int = 16,
    method: str = "gradient",
    seed: int = 0,
    checkpoint: str | os.PathLike[str] | None = None,
    threads: int | None = None,
) -> ModelFit:
    r"""Find the parameters with which a neuron does what was recorded.

    The model's equations are differentiated, and the derivatives of its trajectory by all free parameters
    are carried along in generated code, for all starts and trials in one call. The loss is a sum of
    squares, which Gauss-Newton steps make small from many starts
    (:mod:`neurosnn.training.fit_model.search`).

    Parameters
    ----------
    model : NeuronModel
        The neuron. It needs no surrogate.
    current : Quantity (n_steps,) or (n_trials, n_steps), or mapping of str to it
        What was injected: sample t is held in step t, as a TimedArray does. It sets a variable without an
        equation of its own (``I : amp``) or a parameter (``I_ext``), found by its unit and the usual names
        or named as in ``{"I_dendrite": array}``; several electrodes are several entries.
    dt : Quantity (second)
        Distance of samples, and the time step.
    free : mapping of str to (low, high)
        Bounds of each parameter that is fitted. The name of a state stands for its initial value. Bounds
        that are positive and ten times apart are searched on a logarithmic scale.
    voltage : Quantity (n_steps,) or (n_trials, n_steps), or mapping of one str to it, optional
        What was recorded: sample t at the start of step t, as a StateMonitor does. Without a name, the
        first state of that unit. None where only spikes were recorded.
    spikes : list of Quantity (second), or Quantity, optional
        Times of recorded spikes, a train a trial; or a voltage, whose upward crossings are the spikes.
        They guide a spiking model, and :class:`VanRossumLoss` compares them.
    loss : VoltageLoss, VanRossumLoss or a weighted sum, optional
        ``VoltageLoss() + 0.1*VanRossumLoss()`` if None, without spikes ``VoltageLoss()``, without a voltage
        ``VanRossumLoss()``.
    cells : sequence of int (n_trials,), optional
        Of which cell each trial is, counted from 0. Each cell has its own value of every free parameter
        that is not `shared`; all trials are of one cell if None. The loss is the mean of the cells' losses,
        each weighted as if it were recorded alone.
    shared : iterable of str, optional
        Free parameters of which all cells have the same value. Without any the result is that of a fit
        for each cell.
    starts : int, default 16
        Random starts between the bounds; of differential evolution the population for each parameter.
    method : {"gradient", "differential_evolution"}
        The latter is scipy's, without derivatives, to compare with.
    seed : int, default 0
        The same seed gives the same bits.
    checkpoint : path, optional
        File in which the search is kept while it runs. The same call, made again after an
        interruption, goes on from it and comes to the same bits.
    threads : int, optional
        All processors if None. It changes no bit of the result.

    Returns
    -------
    ModelFit
        Parameters with units and intervals, the fitted model, traces. With `cells`, parameters that are not
        shared are arrays (n_cells,).

    Raises
    ------
    ValueError
        For recordings of the wrong unit or of different lengths, samples that are NaN, a name that
        cannot be fitted, bounds without anything between them, a model without derivatives, numbers of
        cells other than one a trial from 0 on, a shared name that is not free, a checkpoint of another
        fit, and where no start can be simulated.

    Warns
    -----
    UserWarning
        For parameters that the recording does not determine, and for values at a bound.

    Notes
    -----
    Time: a step costs 2 to 20 ns for each start and trial, 300 ns for a Hodgkin-Huxley neuron. The
    derivatives by the time of a spike are those of continuous time (:mod:`neurosnn.calculus.tangent`),
    while the simulation is Brian2's, in which spikes fall on steps: the loss has tiny stairs, and a
    refractory period is found to within dt. Intervals are valid if the model can produce the recording; its
    errors may be correlated over time.

    Of several cells each is searched by itself. If they share something, all are then searched together, from
    where the cells' quadratic models say that their sum is smallest. A step solves for all values
    of all cells at once: beyond some hundred values that costs more than to simulate.

    Examples
    --------
    >>> import numpy as np
    >>> from brian2 import Mohm, ms, mV, nA
    >>> from neurosnn import NeuronModel, fit_model
    >>> membrane = NeuronModel(
    ...     equations="dv/dt = (E_L - v + R*I)/tau : volt\nI : amp",
    ...     parameters={"E_L": -70*mV, "R": 50*Mohm, "tau": 10*ms}, initial={"v": "E_L"}, inputs=("I",),
    ... )
    >>> current = np.repeat([0, 0.2], 200)*nA
    >>> voltage = -65*mV + np.r_[np.zeros(201), 20*(1 - np.exp(-0.1*np.arange(1, 200)/15))]*mV
    >>> fit = fit_model(membrane, current=current, voltage=voltage, dt=0.1*ms, starts=4,
    ...                 free={"E_L": (-80*mV, -50*mV), "R": (10*Mohm, 1000*Mohm), "tau": (1*ms, 100*ms)})
    >>> [str(value) for value in fit.parameters.values()]
    ['-65. mV', '100. Mohm', '15. ms']
    """
    check_whole("starts", starts, 1, where="fit_model")
    check_whole("seed", seed, 0, where="fit_model", why="It seeds the starts.")
    _check_method(model, method)
    if loss is None:
        both = spikes is not None and isinstance(model, NeuronModel) and model.spikes
        loss = VoltageLoss() + 0.1 * VanRossumLoss() if both else VoltageLoss()
        if voltage is None:
            loss = VanRossumLoss()
    recording = Recording(model, current, voltage, spikes, dt, loss)
    parameters = free_parameters(model, free, recording.currents)
    groups = cells_of(cells, shared, parameters, recording.n_trials)
    recordings = [recording]
    if cells is not None:
        recordings = [recording.of_cell(k, trials) for k, trials in enumerate(groups.trials)]
    program = FitProgram(
        model_of_sets(model, parameters, recording.currents),
        parameters.parameters,
        recording,
        threads=threads,
    )
    evaluates = [_evaluation(program.of(part), parameters) for part in recordings]
    key = _key(model, free, recording, loss)
    if cells is not None:
        key += json.dumps([np.asarray(cells).tolist(), groups.shared.tolist()])
    checkpoint_file = Checkpoint(checkpoint, method, key, starts, seed)
    searches = _Searches(
        parameters, groups, recordings, evaluates, method, starts, seed, checkpoint_file
    )
    ends, losses, simulated = searches.run(bool(model.reset.strip()))
    best = np.zeros(len(groups.free.names))
    for k, columns in enumerate(groups.columns):
        row = int(np.argmin(losses.sum(axis=1) if groups.together else losses[:, k]))
        if not np.isfinite(losses[row, k]):
            raise ValueError(
                message(
                    "no start could be simulated: all went beyond all bounds.",
                    "fit_model" if cells is None else f"fit_model, cell {k}",
                    "The time step is too long for the method, or the bounds allow what no neuron has.",
                    "Make dt or the bounds smaller, or choose another method of integration.",
                )
            )
        best[columns] = ends[row, k]
    values = parameters.values(ends)
    return estimate(
        model,
        parameters,
        groups,
        recording,
        recordings,
        best,
        evaluates,
        {
            "method": method,
            "seed": seed,
            "starts": values[:, 0] if cells is None else values,
            "start_losses": losses[:, 0] if cells is None else losses,
            "simulated": simulated * recording.dt * second,
            "dt": dt,
            "cells": None if cells is None else np.array(cells),
        },
    )


def _evaluation(program: FitProgram, parameters: Free) -> Callable[..., Squares]:
    """What gives squares and their derivatives on the scale of the search."""

    def evaluate(u: np.ndarray, memory: float | None = None, **settings: Any) -> Squares:
        keep = None if memory is None else float(np.exp(-program.recording.dt / memory))
        values = parameters.values(u)
        by_name = dict(zip(parameters.parameters, values.T, strict=True))
        squares = program.run(by_name, keep=keep, **settings)
        slopes = parameters.slopes(u)
        pairs = slopes[:, :, None] * slopes[:, None, :]
        return squares._replace(
            slope=squares.slope * slopes[:, None],
            curvature=squares.curvature * pairs[:, None],
            timing=squares.timing * pairs,
        )

    return evaluate


class _Searches(NamedTuple):
    """The searches of a fit: one for each cell, and one for all of them where they share something."""

    parameters: Free
    cells: Cells
    recordings: Sequence[Recording]
    evaluates: Sequence[Callable[..., Squares]]
    method: str
    starts: int
    seed: int
    checkpoint: Checkpoint

    def run(self, resets: bool) -> tuple[np.ndarray, np.ndarray, int]:
        """Places (n, n_cells, P), losses (n, n_cells) and the number of simulated steps."""
        steps = [part.n_trials * part.n_steps for part in self.recordings]
        around = AROUND if resets else ()
        together = self.cells.together
        simulated = 0
        if self.method == "gradient" or not together:
            last = () if together else around
            each = [
                self._of_cell(k, (*self._guides(k, resets), *ALONE, *last))
                for k in range(self.cells.n_cells)
            ]
            simulated = sum(f.simulations * n for f, n in zip(each, steps, strict=True))
            ends = np.stack([found.u for found in each], axis=1)
            losses = np.stack([found.error for found in each], axis=1)
            if not together:
                return ends, losses, simulated
            found = self._together(ends, losses, (*ALONE, *around))
        else:
            found = by_evolution(
                self.cells.evaluation(self.evaluates),
                self.cells.free,
                starts=self.starts,
                seed=self.seed,
                checkpoint=self.checkpoint,
                label=None,
            )
        simulated += found.simulations * sum(steps)
        ends = found.u[:, self.cells.columns]
        losses = np.stack(
            [
                total(evaluate(ends[:, k], gradient=False).error)
                for k, evaluate in enumerate(self.evaluates)
            ],
            axis=1,
        )
        return ends, np.where(np.isfinite(found.error)[:, None], losses, np.inf), simulated

    def _guides(self, cell: int, resets: bool) -> tuple[Stage, ...]:
        """Stages in which the recording leads the neuron."""
        recording = self.recordings[cell]
        if recording.has_voltage and not resets:
            return FOLLOWED
        return GUIDED if recording.has_voltage and recording.spikes is not None else ()

    def _of_cell(self, cell: int, stages: tuple[Stage, ...]) -> Found:
        """One cell by itself."""
        evaluate, checkpoint = self.evaluates[cell], self.checkpoint.of(cell)
        label = f"cell {cell}" if self.cells.n_cells > 1 else None
        if self.method != "gradient":
            return by_evolution(
                evaluate,
                self.parameters,
                starts=self.starts,
                seed=self.seed,
                checkpoint=checkpoint,
                label=label,
            )

        def begin() -> np.ndarray:
            from scipy.stats import qmc

            rng = np.random.default_rng(self.seed)
            draws = qmc.LatinHypercube(len(self.parameters.names), seed=rng).random(self.starts)
            return self.parameters.at(draws)

        return by_gradient(
            evaluate,
            begin,
            stages=stages,
            samples=max(self.recordings[cell].samples.values()),
            seed=self.seed,
            checkpoint=checkpoint,
            label=label,
        )

    def _together(self, ends: np.ndarray, losses: np.ndarray, stages: tuple[Stage, ...]) -> Found:
        """All cells, from the best places of each, the second best of each, and so on."""

        def begin() -> np.ndarray:
            order = np.argsort(losses, axis=0, kind="stable")
            alive = np.maximum(np.isfinite(losses).sum(axis=0), 1)
            rank = np.minimum(np.arange(alive.max())[:, None], alive - 1)
            rows = np.take_along_axis(order, rank, axis=0)
            places = np.take_along_axis(ends, rows[..., None], axis=0)
            found = [evaluate(places[:, k]) for k, evaluate in enumerate(self.evaluates)]
            return self.cells.joined(
                places,
                np.stack([squares.curvature.sum(axis=1) for squares in found], axis=1),
                np.stack([total(squares.error) for squares in found], axis=1),
            )

        return by_gradient(
            self.cells.evaluation(self.evaluates),
            begin,
            stages=stages,
            samples=sum(max(part.samples.values()) for part in self.recordings),
            seed=self.seed,
            checkpoint=self.checkpoint.of(self.cells.n_cells),
            label="all cells",
        )


def _check_method(model: Any, method: str) -> None:
    if not isinstance(model, NeuronModel):
        raise TypeError(
            message(
                f"model is {described(model)}.",
                "fit_model",
                "The equations of a NeuronModel are differentiated.",
                "Pass NeuronModel(...), NeuronModel.from_group(group) or one of neurosnn.equations.",
            )
        )
    if method not in METHODS:
        raise ValueError(
            message(
                f"there is no method {method!r}.",
                "fit_model",
                "",
                did_you_mean(str(method), METHODS),
            )
        )


def _key(model: NeuronModel, free: Any, recording: Recording, loss: Any) -> str:
    """What must be the same for a search to go on."""
    found = hashlib.sha256(json.dumps(model.to_dict(), sort_keys=True).encode())
    bounds = {name: [float(low), float(high)] for name, (low, high) in free.items()}
    found.update(
        json.dumps([bounds, repr(as_terms(loss)), recording.dt, recording.recorded]).encode()
    )
    for name, array in sorted(recording.arrays().items()):
        found.update(name.encode() + np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
