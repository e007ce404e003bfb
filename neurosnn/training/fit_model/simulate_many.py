"""One neuron with thousands of sets of parameters: traces or features, for inference by simulation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from brian2.units.fundamentalunits import Quantity, get_dimensions

from neurosnn.core.messages import described, did_you_mean, message
from neurosnn.core.values import unit_name
from neurosnn.model import NeuronModel
from neurosnn.training.fit_model.free import Free, model_of_sets, parameters_of, with_unit
from neurosnn.training.fit_model.losses import VoltageLoss
from neurosnn.training.fit_model.program import FitProgram
from neurosnn.training.fit_model.recording import Recording

__all__ = ["Simulations", "simulate_many", "spike_features"]

WHERE = "simulate_many"
#: Bytes of the traces that are held at once, and of one sample: voltage, spike, filtered spikes.
MEMORY, SAMPLE = 2**26, 20


class Simulations(NamedTuple):
    """Traces of one neuron with many sets of parameters.

    Attributes
    ----------
    voltage : Quantity (n_sets, n_trials, n_steps)
        The state that was recorded, at the start of each step.
    fired : ndarray (n_sets, n_trials, n_steps) of bool
        In which steps there is a spike.
    dt : Quantity (second)
        Time step.
    """

    voltage: Any
    fired: np.ndarray
    dt: Quantity


def simulate_many(
    model: NeuronModel,
    parameters: Mapping[str, Any],
    *,
    current: Any,
    dt: Quantity,
    state: str | None = None,
    features: Callable[[Simulations], Any] | None = None,
    threads: int | None = None,
) -> Any:
    """Simulate a neuron with many sets of parameters in one call of generated code.

    The program is that of :func:`fit_model`, without derivatives; each set does what stock Brian2 does with
    it. For inference by simulation (the package sbi) the features of each set are a row.

    Parameters
    ----------
    model : NeuronModel
        The neuron.
    parameters : mapping of str to Quantity (n_sets,)
        A value of each set; the name of a state stands for its initial value.
    current : Quantity (n_steps,) or (n_trials, n_steps), or mapping of str to it
        What is injected, as for :func:`fit_model`.
    dt : Quantity (second)
        Time step.
    state : str, optional
        Which state is recorded; the first with an equation if None.
    features : callable, optional
        Makes rows (n_sets, n_features) of :class:`Simulations`, for example :func:`spike_features`. It is
        called for blocks of sets, so that their traces need not fit into memory together.
    threads : int, optional
        All processors if None. It changes no bit of the result.

    Returns
    -------
    Simulations or ndarray (n_sets, n_features)
        The traces, or the features where they are asked for.

    Raises
    ------
    TypeError
        If the model is no NeuronModel.
    ValueError
        For unknown names, values of another unit or of different lengths, features that are not a row a
        set, and as :func:`fit_model` for the current and the model.

    Examples
    --------
    >>> import numpy as np
    >>> from brian2 import Mohm, ms, mV, nA
    >>> from neurosnn import NeuronModel, simulate_many, spike_features
    >>> neuron = NeuronModel(
    ...     equations="dv/dt = (E_L - v + R*I)/tau : volt\\nI : amp", threshold="v > -50*mV",
    ...     reset="v = E_L", method="euler", initial={"v": "E_L"}, inputs=("I",),
    ...     parameters={"E_L": -70*mV, "R": 50*Mohm, "tau": 10*ms},
    ... )
    >>> theta = np.random.default_rng(0).uniform([20, 5], [200, 40], (1000, 2))
    >>> rows = simulate_many(
    ...     neuron, {"R": theta[:, 0]*Mohm, "tau": theta[:, 1]*ms}, current=np.full(2000, 0.3)*nA,
    ...     dt=0.1*ms, features=spike_features,
    ... )
    >>> rows.shape
    (1000, 5)
    """
    if not isinstance(model, NeuronModel):
        raise TypeError(
            message(
                f"model is {described(model)}.",
                WHERE,
                "Its strings become the program.",
                "Pass NeuronModel(...) or one of neurosnn.equations.",
            )
        )
    dynamic = [s for s in model.states if s in model.brian_equations.diff_eq_names]
    if state is None and dynamic:
        state = dynamic[0]
    if state not in dynamic:
        raise _error(
            f"'{state}' is no state with an equation.",
            "It is what is recorded.",
            did_you_mean(str(state), dynamic) or "Give the model an equation.",
        )
    # a recording of nothing, which gives the currents their place
    array = next(iter(current.values()), 0.0) if isinstance(current, Mapping) else current
    dim = model.dimensions[state]
    nothing = with_unit(np.zeros(np.shape(array)), dim)
    recording = Recording(
        model, current, {state: nothing}, None, dt, VoltageLoss(scale=with_unit(1.0, dim))
    )
    values = _values(model, parameters)
    names = parameters_of(model, values, recording.currents, where=WHERE)
    ends = (np.array([reduce(array) for array in values.values()]) for reduce in (np.min, np.max))
    free = Free.between(values, names, *ends)
    program = FitProgram(
        model_of_sets(model, free, recording.currents), free.parameters, recording, threads=threads
    )
    n_sets = len(next(iter(values.values())))
    block = max(MEMORY // (SAMPLE * recording.voltage.size), 1)
    results = []
    for first in range(0, n_sets if features is not None else 1, block):
        part = slice(first, first + block) if features is not None else slice(None)
        sets = {name: array[part] for name, array in zip(names, values.values(), strict=True)}
        traces = program.run(sets, gradient=False, traces=True).traces
        voltage = np.moveaxis(traces["voltage"], -1, 0)
        fired = np.zeros(voltage.shape, bool)
        if model.spikes:
            fired = np.moveaxis(traces["fired"], -1, 0) > 0
        simulations = Simulations(with_unit(voltage, dim), fired, dt)
        if features is None:
            return simulations
        rows = np.asarray(features(simulations), dtype=float)
        if rows.ndim != 2 or len(rows) != len(voltage):
            raise _error(
                f"features returned the shape {rows.shape} for {len(voltage)} sets.",
                "Each set has a row.",
                "Return an array (n_sets, n_features).",
            )
        results.append(rows)
    return np.concatenate(results)


def spike_features(simulations: Simulations) -> np.ndarray:
    """Five numbers of each trial: spikes, first spike, interval, and mean and spread of the voltage.

    Parameters
    ----------
    simulations : Simulations
        Traces.

    Returns
    -------
    ndarray (n_sets, 5 n_trials)
        Of each trial the number of spikes, the time of the first one [s], the mean interval between spikes
        [s] and the mean and the standard deviation of the voltage, in SI units. Without a spike the first
        is at the end of the trial, and with less than two the interval is as long as the trial.

    Examples
    --------
    >>> import numpy as np
    >>> from brian2 import ms, mV
    >>> from neurosnn import Simulations, spike_features
    >>> fired = np.array([[[0, 1, 0, 0, 1]]]) > 0
    >>> spike_features(Simulations(np.zeros((1, 1, 5))*mV, fired, 1*ms)).round(4).tolist()
    [[2.0, 0.001, 0.003, 0.0, 0.0]]
    """
    voltage, fired = np.asarray(simulations.voltage), simulations.fired
    steps, dt = fired.shape[-1], float(simulations.dt)
    number = fired.sum(axis=-1)
    first = np.where(number > 0, fired.argmax(axis=-1), steps)
    last = steps - 1 - fired[..., ::-1].argmax(axis=-1)
    interval = np.where(number > 1, (last - first) / np.maximum(number - 1, 1), steps)
    columns = (number, first * dt, interval * dt, voltage.mean(axis=-1), voltage.std(axis=-1))
    return np.stack(columns, axis=-1).reshape(len(voltage), -1)


def _values(model: NeuronModel, parameters: Any) -> dict[str, np.ndarray]:
    """A value of each set in SI units."""
    if not isinstance(parameters, Mapping) or not parameters:
        raise _error(
            f"parameters are {described(parameters)}.",
            "Each set has a value of each of them.",
            'Write for example {"R": theta[:, 0]*Mohm}.',
        )
    result: dict[str, np.ndarray] = {}
    for name, values in parameters.items():
        dim = model.dimensions.get(name)
        if dim is not None and get_dimensions(values) is not dim:
            raise _error(
                f"{name} is in {unit_name(get_dimensions(values))}.",
                f"The unit of {name} is {unit_name(dim)}.",
                "Multiply the values with their unit.",
            )
        result[name] = np.asarray(values, dtype=float)
        if result[name].ndim != 1 or not result[name].size or not np.isfinite(result[name]).all():
            raise _error(
                f"{name} has the shape {np.shape(values)}, or a value that is not finite.",
                "Each set has one value.",
                "Pass an array (n_sets,).",
            )
    lengths = {name: len(values) for name, values in result.items()}
    if len(set(lengths.values())) > 1:
        raise _error(
            "there are " + ", ".join(f"{n} values of {name}" for name, n in lengths.items()) + ".",
            "Each set has one value of each.",
            "Pass as many of each.",
        )
    return result


def _error(what: str, why: str, fix: str) -> ValueError:
    return ValueError(message(what, WHERE, why, fix))
