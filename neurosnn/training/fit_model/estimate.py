"""Values, intervals and traces at the place where a search ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from brian2.units.allunits import second
from scipy.special import expit

from neurosnn.model import NeuronModel
from neurosnn.training.fit_model.cells import Cells
from neurosnn.training.fit_model.free import Free, fitted_model, with_unit
from neurosnn.training.fit_model.intervals import (
    AT_BOUND,
    VAGUE,
    correlated_samples,
    covariance,
    half_widths,
    within_a_stair,
)
from neurosnn.training.fit_model.program import LOSSES, Squares
from neurosnn.training.fit_model.recording import Recording
from neurosnn.training.fit_model.result import ModelFit
from neurosnn.training.fit_model.shown import warn_undetermined

__all__ = ["estimate"]


def estimate(
    model: NeuronModel,
    free: Free,
    cells: Cells,
    recording: Recording,
    recordings: Sequence[Recording],
    u: np.ndarray,
    evaluates: Sequence[Callable[..., Squares]],
    more: Mapping[str, Any],
) -> ModelFit:
    """Values, intervals and traces at the best place.

    Parameters
    ----------
    model : NeuronModel
        The model before the fit.
    free : Free
        The free parameters of one cell.
    cells : Cells
        Which trials are of which cell, and where its parameters stand in u.
    recording : Recording
        All trials.
    recordings : sequence of Recording
        Those of each cell.
    u : ndarray (L,)
        The place.
    evaluates : sequence of callable
        Gives the :class:`Squares` of rows of u, for each cell.
    more : mapping of str to object
        What else the result says.

    Returns
    -------
    ModelFit

    Warns
    -----
    UserWarning
        For parameters that are not determined, or lie at a bound.
    """
    resets, spiking = bool(model.reset.strip()), model.spikes
    n, spent = len(u), len(u) / cells.n_cells
    errors = np.zeros((cells.n_cells, len(LOSSES)))
    variances, matrices = np.zeros(errors.shape), np.zeros((*errors.shape, n, n))
    timing, still, independent = np.zeros((n, n)), np.zeros((n, n)), np.zeros(cells.n_cells)
    fitted = np.zeros(recording.voltage.shape)
    fired = np.zeros(fitted.shape, bool)
    for k, (evaluate, part) in enumerate(zip(evaluates, recordings, strict=True)):
        place, trials = u[cells.columns[k]][None], cells.trials[k]
        squares = evaluate(place, traces=True)
        traces = {name: trace[..., 0] for name, trace in squares.traces.items()}
        errors[k], fitted[trials] = squares.error[0], traces["voltage"]
        matrices[k] = cells.spread(k, squares.curvature[0])
        residuals = {"voltage": part.weight * (traces["voltage"] - part.voltage)}
        if "spikes" in part.samples:
            residuals["spikes"] = part.train_weight * (traces["filtered"] - part.train)
        for i, name in enumerate(LOSSES):
            samples = part.samples.get(name, 0)
            if samples > spent:
                correlated = correlated_samples(residuals[name])
                variances[k, i] = errors[k, i] / (samples - spent) * correlated
                independent[k] += samples / correlated
        if spiking:
            fired[trials] = traces["fired"] > 0
        if resets:
            matrix = evaluate(place, shifts=False).curvature[0, 0]
            still += cells.spread(k, matrix / max(variances[k, 0], 1e-300))
            if number := int(fired[trials].sum()):
                timing += cells.spread(k, squares.timing[0] * 12 / (number * part.dt**2))
    variance = np.diag(covariance(matrices.reshape(-1, n, n), variances.ravel())).copy()
    if resets:
        variance += within_a_stair(timing, still)
    freedom = np.full(n, independent.sum() - n)
    freedom[cells.columns[:, ~cells.shared]] = (independent - spent)[:, None]
    width = half_widths(variance, freedom)
    values = cells.free.values(u)
    ends = np.array([cells.free.values(u - width), cells.free.values(u + width)])
    z = expit(np.array([u - width, u, u + width]))
    at_bound = np.minimum(z[1], 1 - z[1]) < AT_BOUND
    vague = (z[2] - z[0] > VAGUE) & ~at_bound
    names = np.array(cells.free.names)
    warn_undetermined(names[vague], names[at_bound], where="fit_model", data="the recording")

    def by_name(numbers: np.ndarray) -> dict[str, Any]:
        """A number of each shared parameter, and of the others one a cell."""
        result = {}
        for p, name in enumerate(free.names):
            own = numbers[cells.columns[:, p]]
            one = more["cells"] is None or cells.shared[p]
            result[name] = with_unit(float(own[0]) if one else own, model.dimensions[name])
        return result

    parameters, low, high = by_name(values), by_name(ends[0]), by_name(ends[1])
    recorded = recording.spikes if spiking else None
    loss = errors.mean(axis=0)
    return ModelFit(
        model=fitted_model(model, parameters),
        parameters=parameters,
        intervals={name: (low[name], high[name]) for name in parameters},
        undetermined=tuple(map(str, names[vague | at_bound])),
        loss=float(loss.sum()),
        losses={
            name: float(loss[i]) for i, name in enumerate(LOSSES) if recordings[0].samples.get(name)
        },
        voltage=with_unit(
            recording.voltage if recording.has_voltage else np.nan * fitted, recording.dim
        ),
        fitted_voltage=with_unit(fitted, recording.dim),
        spikes=_times(np.zeros(fired.shape) if recorded is None else recorded, recording.dt)
        if spiking
        else [],
        fitted_spikes=_times(fired, recording.dt) if spiking else [],
        **more,
    )


def _times(fired: np.ndarray, dt: float) -> list[Any]:
    """Spike times of each trial."""
    return [np.flatnonzero(train) * dt * second for train in fired]
