"""Recorded currents, voltages and spikes as the arrays that a fit compares with."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from brian2.units.allunits import second
from brian2.units.fundamentalunits import Quantity, get_dimensions

from neurosnn.core.messages import described, did_you_mean, message
from neurosnn.core.values import Range, check_value, unit_name
from neurosnn.model import NeuronModel
from neurosnn.model.neuron_checks import check_dt
from neurosnn.training.fit_model.losses import VanRossumLoss, VoltageLoss, as_terms

__all__ = ["Recording"]

WHERE = "recording"
#: What an injected current is usually called.
CURRENTS = ("I", "I_ext", "I_inj", "I_app", "I_stim", "I_e", "i_ext", "i_inj")
#: How much a threshold that disagrees with the recorded spikes counts beside the voltage in the forced phase.
#: A little leads it near them; much would be paid for by the voltage, which tells more.
THRESHOLD = 0.01


class Recording:
    """Trials of a recording, checked, in SI units.

    Parameters
    ----------
    model : NeuronModel
        The neuron that they are compared with.
    current, voltage, spikes, dt, loss
        As for :func:`fit_model`.

    Attributes
    ----------
    currents : dict of str to ndarray (n_trials, n_steps)
        By the variable that they set.
    recorded : str
        The state that was recorded; the first one where only spikes were.
    has_voltage : bool
        Whether a voltage was recorded.
    voltage, weight : ndarray (n_trials, n_steps)
        Samples, and the factor of each residual: the loss is the sum of ``(weight*(v - voltage))**2``.
    guide : ndarray (n_trials, n_steps)
        The factors in the phase in which the recording guides the neuron; where one is 0 it is left alone.
    spikes : ndarray (n_trials, n_steps) of int32 or None
        1 in steps with a recorded spike; None if no spikes were given.
    """

    def __init__(
        self, model: NeuronModel, current: Any, voltage: Any, spikes: Any, dt: Any, loss: Any
    ):
        check_value("dt", dt, Range(0 * second), where=WHERE)
        check_dt(model, dt, where=WHERE)
        self.dt = float(dt)
        terms: dict[type, tuple[float, Any]] = {
            type(term): (factor, term) for factor, term in as_terms(loss)
        }
        self.has_voltage = voltage is not None
        by_name: Mapping[str, Any]
        if voltage is None:
            by_name = _nothing(model, current, spikes, terms)
        elif isinstance(voltage, Mapping):
            by_name = voltage
        else:
            by_name = {_recorded(model, voltage): voltage}
        if len(by_name) != 1:
            raise _error(
                f"there are {len(by_name)} recorded variables.",
                "A fit compares one state with its recording.",
                "Pass one array, or {name: array}.",
            )
        ((self.recorded, array),) = by_name.items()
        _check_name(self.recorded, model.brian_equations.diff_eq_names, "the recorded state")
        self.dim = model.dimensions[self.recorded]
        self.voltage = _samples(
            array, self.dim, "voltage" if self.has_voltage else "current", nan=True
        )
        currents = current if isinstance(current, Mapping) else {_injected(model, current): current}
        self.currents: dict[str, np.ndarray] = {}
        for name, values in currents.items():
            _check_name(name, _constants(model), "a variable that a current can set")
            array = _samples(values, model.dimensions[name], f"current {name}")
            if array.shape[1] != self.n_steps or array.shape[0] not in (1, self.n_trials):
                raise _error(
                    f"current {name} has {array.shape[0]} trials of {array.shape[1]} samples, "
                    f"voltage {self.n_trials} of {self.n_steps}.",
                    "Each sample of the current drives the step after the voltage of that number.",
                    "Cut or resample them to the same length and the same dt.",
                )
            self.currents[name] = np.ascontiguousarray(
                np.broadcast_to(array, (self.n_trials, self.n_steps))
            )
        self.spikes = self._spikes(model, spikes)
        missing = self.spikes is None or not model.spikes
        if missing and VanRossumLoss in terms:
            raise _error(
                "VanRossumLoss compares spikes, and "
                + ("no spikes were given." if model.spikes else f"{model.name} has no threshold."),
                "It is a distance of two spike trains.",
                "Pass spikes=, times or the voltage that spikes cross."
                if model.spikes
                else "Give the model a threshold, or use VoltageLoss().",
            )
        self._terms, self._resets = terms, bool(model.reset.strip())
        self._measured = self.voltage
        self._weigh(terms, WHERE)

    def of_cell(self, number: int, trials: np.ndarray) -> Recording:
        """Some of the trials, weighted as a recording of their own.

        Parameters
        ----------
        number : int
            Which cell they are of, for messages.
        trials : ndarray of int
            The trials.

        Returns
        -------
        Recording

        Raises
        ------
        ValueError
            If nothing of them can be compared.
        """
        part = copy.copy(self)
        part.voltage = self._measured[trials]
        part.currents = {name: array[trials] for name, array in self.currents.items()}
        part.spikes = None if self.spikes is None else self.spikes[trials]
        terms: dict[type, tuple[float, Any]] = dict(self._terms)
        factor, loss = terms.get(VoltageLoss, (0.0, VoltageLoss()))
        if np.ndim(loss.weights) == 2:
            rows = np.asarray(loss.weights)[trials]
            terms[VoltageLoss] = (factor, dataclasses.replace(loss, weights=rows))
        part._weigh(terms, f"{WHERE} of cell {number}")
        return part

    @property
    def n_trials(self) -> int:
        """Trials."""
        return int(self.voltage.shape[0])

    @property
    def n_steps(self) -> int:
        """Samples of a trial."""
        return int(self.voltage.shape[1])

    def numbers(self, *, forced: bool) -> dict[str, float]:
        """Numbers that the program reads; while it is forced, no spike trains are compared."""
        decay = np.exp(-self.dt / self.tau)
        return {
            "dt": self.dt,
            "train_weight": 0.0 if forced else self.train_weight,
            "threshold_weight": self.threshold_weight,
            "decay": decay,
            "rise": self.dt / self.tau,
            "jump": 1 / self.tau,
        }

    def arrays(self, *, forced: bool = False) -> dict[str, np.ndarray]:
        """Arrays that the program reads; while it is forced, where the voltage guides it."""
        spikes = np.zeros(self.voltage.shape, np.int32) if self.spikes is None else self.spikes
        return {
            **{f"clamp_{name}": array for name, array in self.currents.items()},
            "target": self.voltage,
            "weight": self.guide if forced else self.weight,
            "train": self.train,
            "measured": spikes,
        }

    def _spikes(self, model: NeuronModel, spikes: Any) -> np.ndarray | None:
        """Steps with a recorded spike."""
        if spikes is None:
            return None
        steps = np.zeros(self.voltage.shape, np.int32)
        if isinstance(spikes, Quantity) and spikes.ndim == 0:
            check_value("spikes", spikes, Range(Quantity(-np.inf, dim=self.dim)), where=WHERE)
            above = self.voltage > float(spikes)
            steps[:, :-1] = above[:, 1:] & ~above[:, :-1]
            return steps
        trains = _trains(spikes, self.n_trials)
        for trial, times in enumerate(trains):
            check_value(
                "spikes",
                times,
                Range(0 * second, self.n_steps * self.dt * second, includes_low=True),
                where=WHERE,
            )
            # Brian2's rule: a time that is a multiple of dt up to rounding belongs to that step
            number = np.asarray(times, dtype=float) / self.dt + 1e-3
            steps[trial, np.minimum(number.astype(int), self.n_steps - 1)] = 1
        return steps

    def _weigh(self, terms: dict[type, tuple[float, Any]], where: str) -> None:
        """The factors of all residuals, so that the loss is a sum of squares."""
        factor, loss = terms.get(VoltageLoss, (0.0, VoltageLoss()))
        weights = np.full(self.voltage.shape, float(self.has_voltage))
        if loss.weights is not None:
            asked = np.asarray(loss.weights, dtype=float)
            if asked.shape not in (self.voltage.shape, self.voltage.shape[1:]):
                raise _error(
                    f"VoltageLoss has weights of shape {asked.shape}.",
                    f"The voltage has shape {self.voltage.shape}.",
                    "Pass one weight for each sample.",
                    where,
                )
            weights = weights * asked
        everywhere = weights
        missing = np.isnan(self.voltage)
        if np.any(missing & (weights > 0)):
            raise _error(
                f"{int(missing.sum())} samples of the voltage are NaN.",
                "The distance from a sample that does not exist is no number.",
                "Give them the weight 0: VoltageLoss(weights=~np.isnan(voltage)).",
                where,
            )
        if self.spikes is not None:
            reach = round(float(loss.spike_window) / self.dt)
            near = np.apply_along_axis(
                np.convolve, 1, self.spikes, np.ones(2 * reach + 1), mode="full"
            )[:, reach : reach + self.n_steps]
            weights = np.where(near > 0, 0.0, weights)
        total = weights.sum()
        used = self.voltage[weights > 0]
        if factor and not total > 0:
            raise _error(
                "no sample of the voltage has a weight.",
                "All are masked, or nearer to a spike than spike_window.",
                "Mask less, or fit the spikes alone with VanRossumLoss().",
                where,
            )
        spread = 0.0 if used.size and np.ptp(used) == 0 else np.std(used) if used.size else 1.0
        scale = float(spread if loss.scale is None else loss.scale)
        if loss.scale is not None:
            check_value("scale", loss.scale, Range(Quantity(0, dim=self.dim)), where="VoltageLoss")
        if not self.has_voltage:
            scale = 1.0
        if not scale > 0:
            raise _error(
                "all samples of the voltage are equal.",
                "The loss is a fraction of the recording's variance, which is zero.",
                "Pass VoltageLoss(scale=1*mV).",
                where,
            )
        # the voltage guides the forced phase even where only spikes count
        self.voltage = _carried_on(self.voltage)
        each = (factor or 1e-9) / (total or 1.0)
        self.weight = np.sqrt(each * weights) / scale
        # spikes that the equations draw themselves are followed as well, since they are no resets
        guides = weights if self._resets else everywhere
        self.guide = np.sqrt(each * guides) / scale
        self.samples = {"voltage": int((weights > 0).sum()) if factor else 0}
        self.threshold_weight = 0.0
        self.train_weight, self.tau = 0.0, self.dt
        self.train = np.zeros(self.voltage.shape)
        if self.spikes is not None and self.spikes.any():
            self.threshold_weight = THRESHOLD * float(np.sqrt(1 / self.spikes.sum()) / scale)
        if VanRossumLoss in terms:
            from scipy.signal import lfilter

            part, distance = terms[VanRossumLoss]
            self.tau = float(distance.tau)
            decay = np.exp(-self.dt / self.tau)
            once = lfilter([1.0], [1.0, -decay], self.spikes, axis=1)
            fed = np.concatenate([np.zeros((self.n_trials, 1)), once[:, :-1]], axis=1)
            self.train = lfilter([decay * self.dt / self.tau], [1.0, -decay], fed, axis=1)
            alone = self.tau / (4 * self.dt)
            size = float((self.train**2).sum()) or alone
            self.train_weight = float(np.sqrt(part / size))
            self.samples["spikes"] = self.voltage.size


def _error(what: str, why: str, fix: str, where: str = WHERE) -> ValueError:
    return ValueError(message(what, where, why, fix))


def _constants(model: NeuronModel) -> list[str]:
    """Variables without dynamics of their own, which a current can set."""
    plain = [name for name in model.states if name not in model.brian_equations.diff_eq_names]
    return [*(name for name in plain if name not in model.held), *model.parameters]


def _check_name(name: str, known: Iterable[str], kind: str) -> None:
    if name not in known:
        raise _error(
            f"'{name}' is not {kind}.",
            "Recordings are compared with, and injected into, variables of the model.",
            did_you_mean(name, known) or "The model has none; declare it, for example 'I : amp'.",
        )


def _recorded(model: NeuronModel, voltage: Any) -> str:
    """The first state with dynamics that has the unit of the recording."""
    dim = get_dimensions(voltage)
    dynamic = [s for s in model.states if s in model.brian_equations.diff_eq_names]
    for name in dynamic:
        if model.dimensions[name] is dim:
            return name
    wanted = unit_name(model.dimensions[dynamic[0]]) if dynamic else "no unit"
    raise _error(
        f"voltage is {described(voltage)} in the unit {unit_name(dim)}.",
        f"No state of {model.name} with an equation has it.",
        f"Pass it in {wanted}, as in voltage*mV, or say which state: voltage={{name: array}}.",
    )


def _nothing(
    model: NeuronModel, current: Any, spikes: Any, terms: Mapping[type, Any]
) -> dict[str, Any]:
    """A voltage that counts nowhere, for trials of which only the spikes were recorded."""
    height = isinstance(spikes, Quantity) and spikes.ndim == 0
    if set(terms) != {VanRossumLoss} or spikes is None or height:
        raise _error(
            "no voltage was recorded.",
            "VoltageLoss compares it, and spikes are crossings of it unless they are times.",
            "Pass voltage=, or spikes= as times with loss=VanRossumLoss().",
        )
    dynamic = [s for s in model.states if s in model.brian_equations.diff_eq_names]
    array = next(iter(current.values()), 0.0) if isinstance(current, Mapping) else current
    shape = np.atleast_2d(np.asarray(array)).shape
    trials = len(spikes) if isinstance(spikes, list | tuple) and any(map(np.ndim, spikes)) else 1
    voltage = np.zeros((max(trials, shape[0]), *shape[1:]))
    return {dynamic[0]: Quantity(voltage, dim=model.dimensions[dynamic[0]])}


def _injected(model: NeuronModel, current: Any) -> str:
    """The variable that a current sets: of its unit, without dynamics, if that is clear."""
    dim = get_dimensions(current)
    fitting = [name for name in _constants(model) if model.dimensions[name] is dim]
    plain = [name for name in fitting if name in model.states]
    usual = [name for name in CURRENTS if name in fitting]
    if usual or len(plain) == 1:
        return usual[0] if usual else plain[0]
    wanted = [name for name in CURRENTS if name in _constants(model)]
    fix = f"Say where: current={{'{(wanted or fitting or ['I'])[0]}': array}}."
    if wanted:
        fix = f"{wanted[0]} has the unit {unit_name(model.dimensions[wanted[0]])}. {fix}"
    raise _error(
        f"it is not clear what the current sets: it has the unit {unit_name(dim)}.",
        "It is a parameter, or a variable without an equation such as 'I : amp', of that unit.",
        fix,
    )


def _samples(values: Any, dim: Any, name: str, *, nan: bool = False) -> np.ndarray:
    """Samples (n_trials, n_steps) in SI units."""
    try:
        array = np.array(values, dtype=float)
        got = get_dimensions(values)
    except (TypeError, ValueError) as error:
        raise _error(
            f"{name} is {described(values)}.",
            "A recording is an array of numbers with a unit, trials by samples.",
            "Pass equally long trials, for example np.array(...)*mV.",
        ) from error
    if got is not dim:
        raise _error(
            f"{name} has the unit {unit_name(got)}.",
            f"The model has it in the unit {unit_name(dim)}.",
            "Multiply with the unit of the recording, for example array*mV.",
        )
    array = array[None] if array.ndim == 1 else array
    if array.ndim != 2 or array.shape[1] < 2:
        raise _error(
            f"{name} has shape {np.shape(values)}.",
            "A recording has trials by samples.",
            "Pass (n_steps,) or (n_trials, n_steps).",
        )
    if not np.all(np.isfinite(array) | (nan & np.isnan(array))):
        raise _error(
            f"{name} has samples that are NaN or infinite.",
            "They would spread through the whole trial.",
            "Replace them, or leave the trial out.",
        )
    return array


def _trains(spikes: Any, n_trials: int) -> Sequence[Any]:
    """A train of each trial."""
    if isinstance(spikes, Quantity) or (
        isinstance(spikes, list | tuple) and n_trials == 1 and not any(map(np.ndim, spikes))
    ):
        if isinstance(spikes, list | tuple):
            spikes = Quantity(spikes, dim=get_dimensions(spikes[0])) if spikes else [] * second
        spikes = [spikes]
    if not isinstance(spikes, list | tuple) or len(spikes) != n_trials:
        raise _error(
            f"spikes is {described(spikes)}.",
            f"There are {n_trials} trials.",
            "Pass a list of spike times, one array with a unit a trial, or a voltage that they cross.",
        )
    return [train if np.size(train) else [] * second for train in spikes]


def _carried_on(voltage: np.ndarray) -> np.ndarray:
    """Samples in which what is missing has the value before it."""
    present = ~np.isnan(voltage)
    steps = np.where(present, np.arange(voltage.shape[1]), 0)
    filled = np.take_along_axis(voltage, np.maximum.accumulate(steps, axis=1), axis=1)
    first = np.argmax(present, axis=1)
    start = np.take_along_axis(voltage, first[:, None], axis=1)
    return np.ascontiguousarray(np.where(np.isnan(filled), start, filled))
