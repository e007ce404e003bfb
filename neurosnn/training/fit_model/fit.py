"""From a recording to a neuron: the parameters of a model that follow recorded voltages and spikes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from typing import Any

import numpy as np
from brian2.units.allunits import second
from brian2.units.fundamentalunits import Quantity
from scipy.special import expit

from neurosnn.core.arguments import explained
from neurosnn.core.bars import bar_class, draws_bars
from neurosnn.core.messages import described, did_you_mean, message
from neurosnn.core.values import check_whole
from neurosnn.model import NeuronModel
from neurosnn.training.fit_model.checkpoint import Checkpoint, damaged
from neurosnn.training.fit_model.evolution import by_evolution
from neurosnn.training.fit_model.free import (
    Free,
    fitted_model,
    free_parameters,
    model_of_sets,
    with_unit,
)
from neurosnn.training.fit_model.intervals import (
    AT_BOUND,
    VAGUE,
    correlated_samples,
    covariance,
    half_widths,
    within_a_stair,
)
from neurosnn.training.fit_model.losses import (
    FitLoss,
    VanRossumLoss,
    VoltageLoss,
    WeightedLosses,
    as_terms,
)
from neurosnn.training.fit_model.program import LOSSES, FitProgram, Squares
from neurosnn.training.fit_model.recording import Recording
from neurosnn.training.fit_model.result import ModelFit
from neurosnn.training.fit_model.search import ALONE, AROUND, FOLLOWED, GUIDED, Search, Stage
from neurosnn.training.fit_model.shown import warn_undetermined

__all__ = ["fit_model"]

METHODS = ("gradient", "differential_evolution")
#: What a checkpoint keeps of a search.
ARRAYS, NUMBERS = ("u", "damping", "error", "idle", "alive"), ("stage", "iteration", "simulations")


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
        Parameters with units and intervals, the fitted model, traces.

    Raises
    ------
    ValueError
        For recordings of the wrong unit or of different lengths, samples that are NaN, a name that
        cannot be fitted, bounds without anything between them, a model without derivatives, a checkpoint of
        another fit, and where no start can be simulated.

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
    program = FitProgram(
        model_of_sets(model, parameters, recording.currents),
        parameters.parameters,
        recording,
        threads=threads,
    )

    def evaluate(u: np.ndarray, memory: float | None = None, **settings: Any) -> Squares:
        """Squares and their derivatives on the scale of the search."""
        keep = None if memory is None else float(np.exp(-recording.dt / memory))
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

    kept = Checkpoint(checkpoint, method, _key(model, free, recording, loss), starts, seed)
    if method == "gradient":
        resets = bool(model.reset.strip())
        guides: tuple[Stage, ...] = ()
        if recording.has_voltage and not resets:
            guides = FOLLOWED
        elif recording.has_voltage and recording.spikes is not None:
            guides = GUIDED
        stages = (*guides, *ALONE, *(AROUND if resets else ()))
        samples = max(recording.samples.values())
        u, error, simulations = _by_gradient(
            evaluate, parameters, stages, samples, starts, seed, kept
        )
    else:
        u, error, simulations = by_evolution(evaluate, parameters, starts, seed, kept)
    best = int(np.argmin(error))
    if not np.isfinite(error[best]):
        raise ValueError(
            message(
                "no start could be simulated: all went beyond all bounds.",
                "fit_model",
                "The time step is too long for the method, or the bounds allow what no neuron has.",
                "Make dt or the bounds smaller, or choose another method of integration.",
            )
        )
    duration = recording.n_trials * recording.n_steps * recording.dt * second
    described_result = {
        "method": method,
        "seed": seed,
        "starts": parameters.values(u),
        "start_losses": error,
        "simulated": simulations * duration,
        "dt": dt,
    }
    return _result(model, parameters, recording, u[best], evaluate, described_result)


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


def _by_gradient(
    evaluate: Callable[..., Squares],
    free: Free,
    stages: tuple[Stage, ...],
    samples: int,
    starts: int,
    seed: int,
    checkpoint: Checkpoint,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Gauss-Newton from all starts; the error of those that were given up is infinite."""
    from scipy.stats import qmc

    draws = qmc.LatinHypercube(len(free.names), seed=np.random.default_rng(seed)).random(starts)
    search = Search.begin(free.at(draws))
    if (kept := checkpoint.read()) is not None:
        arrays, information = kept
        try:
            parts: dict[str, Any] = {name: arrays[name] for name in ARRAYS}
            parts |= {name: int(information[name]) for name in NUMBERS}
            search = Search(**parts)
        except (KeyError, TypeError, ValueError) as error:
            raise damaged(checkpoint.path, error) from error
    drawn, n_steps = draws_bars(), sum(stage.iterations for stage in stages)
    with bar_class(drawn)(total=n_steps, unit="step", disable=not drawn) as bar:

        def after(search: Search) -> None:
            done = sum(s.iterations for s in stages[: search.stage]) + search.iteration
            bar.set_postfix(loss=f"{search.error[search.alive].min():.4g}", refresh=False)
            bar.update(done - bar.n)
            arrays = {name: getattr(search, name) for name in ARRAYS}
            numbers = {name: getattr(search, name) for name in NUMBERS}
            checkpoint.write(arrays, numbers, now=search.iteration == 0)

        search.run(evaluate, stages=stages, samples=samples, seed=seed, after=after)
    return search.u, np.where(search.alive, search.error, np.inf), search.simulations


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


def _result(
    model: NeuronModel,
    free: Free,
    recording: Recording,
    u: np.ndarray,
    evaluate: Callable[..., Squares],
    more: dict[str, Any],
) -> ModelFit:
    """Values, intervals and traces at the best place."""
    squares = evaluate(u[None], traces=True)
    error, matrices, traces = squares.error[0], squares.curvature[0], squares.traces
    fitted = traces["voltage"][..., 0]
    residuals = {"voltage": recording.weight * (fitted - recording.voltage)}
    if "spikes" in recording.samples:
        residuals["spikes"] = recording.train_weight * (
            traces["filtered"][..., 0] - recording.train
        )
    variances, independent = np.zeros(len(LOSSES)), 0.0
    for k, name in enumerate(LOSSES):
        n = recording.samples.get(name, 0)
        if n > len(u):
            correlated = correlated_samples(residuals[name])
            variances[k] = error[k] / (n - len(u)) * correlated
            independent += n / correlated
    variance = np.diag(covariance(matrices, variances)).copy()
    if model.reset.strip():
        still = evaluate(u[None], shifts=False).curvature[0, 0]
        number = int(traces["fired"].sum())
        variance += within_a_stair(squares.timing[0], number, recording.dt, still, variances[0])
    width = half_widths(variance, independent)
    values, ends = free.values(u), np.array([free.values(u - width), free.values(u + width)])
    dims = [model.dimensions[name] for name in free.names]
    z = expit(np.array([u - width, u, u + width]))
    at_bound = np.minimum(z[1], 1 - z[1]) < AT_BOUND
    vague = (z[2] - z[0] > VAGUE) & ~at_bound
    names = np.array(free.names)
    warn_undetermined(names[vague], names[at_bound], where="fit_model", data="the recording")
    spiking = model.spikes
    steps = [np.flatnonzero(train[:, 0]) for train in traces["fired"]] if spiking else []
    recorded = (
        [] if recording.spikes is None or not spiking else map(np.flatnonzero, recording.spikes)
    )
    times = [train * recording.dt * second for train in recorded]
    dim = recording.dim
    return ModelFit(
        model=fitted_model(model, free, values),
        parameters={
            n: with_unit(float(x), d) for n, x, d in zip(free.names, values, dims, strict=True)
        },
        intervals={
            n: (with_unit(float(low), d), with_unit(float(high), d))
            for n, low, high, d in zip(free.names, *ends, dims, strict=True)
        },
        undetermined=tuple(map(str, names[vague | at_bound])),
        loss=float(error.sum()),
        losses={
            name: float(error[k]) for k, name in enumerate(LOSSES) if recording.samples.get(name)
        },
        voltage=with_unit(recording.voltage if recording.has_voltage else np.nan * fitted, dim),
        fitted_voltage=with_unit(fitted, dim),
        spikes=times or [[] * second for _ in steps],
        fitted_spikes=[train * recording.dt * second for train in steps],
        **more,
    )
