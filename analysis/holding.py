"""A neuron at rest, held below its threshold by a constant input that is found numerically, or clamped."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from brian2.core.network import Network
from brian2.core.operations import NetworkOperation
from brian2.equations.equations import PARAMETER, SUBEXPRESSION
from brian2.monitors.spikemonitor import SpikeMonitor
from brian2.synapses.synapses import Synapses
from brian2.units.allunits import second

from neurosnn.core.messages import message
from neurosnn.core.statements import assigned
from neurosnn.core.symbolic import (
    differentiate,
    evaluate,
    expand,
    run_symbolically,
    symbol,
    to_string,
    to_symbolic,
)
from neurosnn.core.units import si_unit
from neurosnn.model import NeuronModel
from neurosnn.model.margin import margin_and_gate
from neurosnn.model.neuron_checks import check_dt, check_inputs

SETTLED, STEADY = 1e-13, 1e-5
CHUNK, MOST_SETTLING, MOST_STAGES = 500, 80_000, 20
#: After so many chunks, a state that relaxes is taken to where it is heading for.
PATIENCE = 8
#: How far above rest a threshold is looked for, in multiples of the voltage there.
FARTHEST = 1e9
# First guesses of a constant input, in SI units: none, then every order of magnitude.
DRIVES = np.append(0, 10.0 ** np.arange(-18, 7))
#: Order of the clamp in slot "groups": after the update (0) and the `step` (1), before a kick.
CLAMP, CLAMP_AFTER_STEP = 0.2, 1.2


class Held(NamedTuple):
    """A neuron at rest, held by a constant input, or with its membrane clamped to a value."""

    drive: float
    states: Mapping[str, float]
    kick: float
    clamp: float | None = None


def drive(group, model: NeuronModel, held: Held) -> None:
    """Let a constant input arrive in every step, as presynaptic spikes would, or clamp the membrane."""
    if held.drive:
        name = model.inputs[0]
        unit = si_unit(model.dimensions[name])
        group.run_regularly(f"{name} += {held.drive!r}*{unit}", when="synapses", order=-10)
    if held.clamp is not None:
        clamp(group, model, held.clamp)


def clamp(group, model: NeuronModel, value: float) -> None:
    """Set the membrane in every step, after its update and before a kick."""
    v = voltage_of(model)
    order = CLAMP_AFTER_STEP if model.step.strip() else CLAMP
    group.run_regularly(
        f"{v} = {value!r}*{si_unit(model.dimensions[v])}", when="groups", order=order
    )


def _written_out(model: NeuronModel, code: str) -> str:
    """A string of the model with subexpressions written out."""
    definitions = {
        equation.varname: equation.expr.code
        for equation in model.brian_equations.values()
        if equation.type == SUBEXPRESSION and equation.varname not in model.held
    }
    return expand(code, definitions)


@lru_cache(maxsize=64)
def voltage_of(model: NeuronModel) -> str:
    """The membrane: v, or the state by which the margin of the threshold rises.

    A variable with a differential equation comes before one without.
    """
    dynamic = model.brian_equations.diff_eq_names
    known = dict.fromkeys(model.states, 0.0)
    known |= {name: float(value) for name, value in model.parameters.items() if np.ndim(value) == 0}
    named = ["v"] if "v" in model.states else []
    rest = sorted(filter(model.is_real, model.states), key=lambda name: name not in dynamic)
    for name in (*named, *rest):
        try:
            margin, _ = margin_and_gate(_written_out(model, model.threshold), {name}, model.name)
            rise = to_string(differentiate(to_symbolic(margin), name))
            if evaluate(rise, known) > 0:
                return name
        except ValueError:  # it stands in none of the conditions, or in several
            continue
    return "v" if named else model.states[0]


def threshold_of(model: NeuronModel, states: Mapping[str, float]) -> float:
    """The voltage at which a neuron in the given state spikes."""
    v = voltage_of(model)
    margin, _ = margin_and_gate(_written_out(model, model.threshold), {v}, model.name)
    values = {name: float(value) for name, value in model.parameters.items()} | dict(states)

    def above(value: float) -> float:
        return float(evaluate(margin, values | {v: value}))

    if symbol(v) not in differentiate(to_symbolic(margin), v).free_symbols:
        return -above(0.0) / (above(1.0) - above(0.0))
    low = high = float(states[v])
    step = 1e-3 * (abs(low) or 1.0)
    while not above(high) > 0:
        low, high, step = high, high + step, 2 * step
        if step > FARTHEST * (abs(float(states[v])) or 1.0):
            raise ValueError(
                message(
                    f"raising {v} does not bring the neuron over its threshold.",
                    model.name,
                    "In a pairing each postsynaptic spike is caused by raising it in one step.",
                    "Write a threshold that rises with the membrane.",
                )
            )
    while high - low > 1e-15 * max(abs(low), abs(high)):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (low, middle) if above(middle) > 0 else (middle, high)
    return high


def after_reset(model: NeuronModel, states: Mapping[str, float]) -> float:
    """Where a spike leaves the membrane: after the reset, or where it was if that does not change it."""
    v = voltage_of(model)
    here = {name: symbol(name) for name in model.states}
    left = run_symbolically(_written_out(model, model.reset), here)[v]
    if left == here[v]:
        return float(states[v])
    at_threshold = dict(states) | {v: threshold_of(model, states)}
    values = {name: float(value) for name, value in model.parameters.items()} | at_threshold
    return float(evaluate(to_string(left), values))


def run_until(network: Network, done, most_steps: int, dt: float, *, after: int = 0) -> None:
    """Run a network until a condition holds, which is checked at regular steps.

    One call of ``run`` instead of many, because each of them generates all code anew.
    """

    def ask():
        if network.t_ >= (after - 0.5) * dt and done():
            network.stop()

    question = NetworkOperation(ask, dt=CHUNK * dt * second, when="end", name="neurosnn_done*")
    network.add(question)
    network.run((after + most_steps) * dt * second, namespace={})
    network.remove(question)


class Settling:
    """Copies of a neuron, each with its own constant input, that run until they do not change."""

    def __init__(self, model: NeuronModel, n: int, *, clamped: float | None = None):
        self.model = model
        self.group = model.group(n, name="neurosnn_held*")
        if clamped is not None:
            clamp(self.group, model, clamped)
        name = model.inputs[0]
        self.cause = Synapses(
            self.group,
            self.group,
            f"neurosnn_input : {si_unit(model.dimensions[name])} (constant)",
            namespace={},
            name="neurosnn_drive*",
        )
        self.cause.connect(condition="i == j", namespace={})
        self.cause.run_regularly(f"{name}_post += neurosnn_input", when="synapses", order=-10)
        self.spikes = SpikeMonitor(self.group, record=False, name="neurosnn_monitor*")
        self.network = Network(self.group, self.cause, self.spikes)
        self.start = self.states()

    def states(self) -> np.ndarray:
        """All states, shape (n_states, n)."""
        return np.array([self.group.variables[name].get_value() for name in self.model.states])

    def run(self, drives: np.ndarray, target: float = np.inf) -> tuple[dict, np.ndarray]:
        """The states reached, and which neurons came to rest without a spike.

        A state that grows by the same amount all the time, such as a clock, counts as settled. What
        relaxes slowly, such as an adaptation of many seconds, is taken to where it is heading for, and
        simulated again from there. Neurons whose voltage has passed the target are not waited for.
        """
        self.cause.variables["neurosnn_input"].set_value(drives)
        self._set(self.start)
        spikes, v = np.array(self.spikes.count), self.model.states.index(voltage_of(self.model))
        before, change, chunks = self.start, np.zeros_like(self.start), 0
        at_rest = np.zeros(len(drives), dtype=bool)

        def settled() -> bool:
            nonlocal before, change, chunks, at_rest
            after, silent = self.states(), np.array(self.spikes.count) == spikes
            silent &= np.isfinite(after).all(axis=0)
            moved, chunks = after - before, chunks + 1
            constant = np.abs(moved) <= SETTLED * np.abs(after)
            constant |= np.abs(moved - change) <= STEADY * np.abs(moved)
            constant = np.all(constant, axis=0)
            ratio = np.divide(moved, change, out=np.ones_like(moved), where=change != 0)
            before, change, at_rest = after, moved, silent & constant
            if np.all(constant | ~silent | (after[v] > target)):
                return True
            if chunks % PATIENCE == 0:
                # a relaxation shrinks by the same ratio all the time (Aitken's delta-squared)
                shrinks = (ratio > 0) & (ratio < 1 - STEADY)
                still = (moved == 0) | (np.abs(ratio - 1) <= STEADY)
                relaxes = np.all(shrinks | still, axis=0) & ~at_rest
                left = np.where(shrinks & relaxes, moved * ratio / (1 - ratio), 0.0)
                before = before + np.where(np.isfinite(left), left, 0.0)
                self._set(before)
            return False

        with np.errstate(all="ignore"):
            run_until(self.network, settled, MOST_SETTLING, float(self.group.clock.dt))
        return dict(zip(self.model.states, before, strict=True)), at_rest

    def _set(self, states: np.ndarray) -> None:
        for name, values in zip(self.model.states, states, strict=True):
            self.group.variables[name].set_value(values)


def check_input_decays(model: NeuronModel, *, where: str) -> None:
    """Where a pairing has failed: say so if the input keeps for ever what a spike adds to it."""
    name = model.inputs[0]
    if (
        model.brian_equations[name].type == PARAMETER
        and name not in assigned(model.step)
        and name not in assigned(model.reset)
    ):
        raise ValueError(
            message(
                f"the input '{name}' keeps for ever what a spike adds to it.",
                f"{where} of {model.name}",
                "It has no dynamics, so that one spike is a current without an end.",
                f"Let spikes add to a variable that decays, for example d{name}/dt = -{name}/tau_s, "
                "and name it in inputs.",
            )
        )


def _check_one_neuron(model: NeuronModel) -> None:
    """Refuse values that differ from neuron to neuron: it would not be known whose window it is."""
    for name, value in (*model.parameters.items(), *model.initial.items()):
        if np.ndim(value):
            raise ValueError(
                message(
                    f"{name} has {len(value)} values, one for each neuron.",
                    f"a pairing of {model.name}",
                    "It is measured with one neuron.",
                    "Read one of them: NeuronModel.from_group(group[:1]).",
                )
            )


def hold(model: NeuronModel, background: float, dt, *, clamped: bool | None = None) -> Held:
    """What holds v at a fraction of the way from rest to threshold.

    A constant input per step, found numerically for any model: first its order of magnitude, then by the
    secant rule within an interval that shrinks. A neuron that fires without input is clamped, unless
    `clamped` is False; True clamps any neuron. Runs inside :func:`private_brian`.
    """
    if not 0 <= background < 1:
        raise ValueError(
            message(
                f"background must be >= 0 and < 1, got {background}.",
                model.name,
                "It is a fraction of the way from rest (0) to threshold (1).",
                "Use 0 for a neuron at rest, or 0.6.",
            )
        )
    if not model.threshold:
        raise ValueError(
            message(
                "the postsynaptic neuron has no threshold.",
                model.name,
                "A pairing needs postsynaptic spikes.",
                "Choose a spiking model.",
            )
        )
    check_inputs(model, where="a pairing")
    _check_one_neuron(model)
    check_dt(model, dt, where="a pairing")
    v, resting = voltage_of(model), Settling(model, 1)
    states, silent = resting.run(np.zeros(1))
    tonic = not silent[0]
    if tonic:
        if clamped is False:
            raise ValueError(
                message(
                    "the neuron does not stay at rest without input.",
                    model.name,
                    "A pairing needs a neuron that spikes only when it is told to.",
                    "Leave clamp=False out: its membrane is then clamped.",
                )
            )
        rest = dict(zip(model.states, resting.start[:, 0].tolist(), strict=True))
        rest[v] = after_reset(model, rest)
    else:
        rest = {name: float(value[0]) for name, value in states.items()}
    if tonic or clamped:
        return _clamped(model, rest, background)
    distance = threshold_of(model, rest) - rest[v]
    # From rest exactly to the threshold; a little more where "v > v_th" or rounding asks for it.
    kick = distance if ">=" in model.threshold and rest[v] == 0 else distance * (1 + 1e-9)
    if background == 0:
        return Held(0.0, rest, kick)
    settling, drives = Settling(model, len(DRIVES)), DRIVES
    states, silent = settling.run(drives)
    target = rest[v] + background * distance
    # The threshold is tested before the input of a step arrives.
    direct = model.inputs[0] == v
    for _ in range(MOST_STAGES):
        error = np.where(silent, states[v] - direct * drives - target, np.inf)
        best = np.argmin(np.abs(error))
        if abs(error[best]) <= 1e-12 * abs(distance):
            held = {name: float(value[best]) for name, value in states.items()}
            return Held(float(drives[best]), held, kick)
        below = np.flatnonzero(error < 0)
        if not len(below) or below[-1] + 1 == len(drives):
            break
        low, high = below[-1], below[-1] + 1
        if not np.isfinite(error[high]) and drives[high] - drives[low] < 1e-6 * abs(drives[high]):
            break
        # Next to a spiking neuron, extrapolate from the two silent ones below.
        first, last = (low, high) if np.isfinite(error[high]) else (max(low - 1, 0), low)
        slope = (error[last] - error[first]) / (drives[last] - drives[first]) if last > first else 0
        guess = drives[first] - error[first] / slope if slope else drives[high]
        guess = guess if drives[low] < guess < drives[high] else drives[high]
        spread = np.linspace(drives[low], drives[high], len(drives) - 1)
        drives = np.sort(np.append(spread, guess))
        states, silent = settling.run(drives, target + direct * drives[-1])
    check_input_decays(model, where="a pairing")
    raise ValueError(
        message(
            f"no constant input holds {v} at {background} of the way to threshold.",
            model.name,
            "Near the threshold some neurons, such as Izhikevich's, have no stable fixed point.",
            "Choose a smaller background, 0 is the neuron at rest; or clamp it, clamp=True.",
        )
    )


def _clamped(model: NeuronModel, rest: Mapping[str, float], background: float) -> Held:
    """The neuron with its membrane clamped, where all other states have settled."""
    v = voltage_of(model)
    level = rest[v] + background * (threshold_of(model, rest) - rest[v])
    settling = Settling(model, 1, clamped=level)
    settling.start = np.array([[rest[name]] for name in model.states])
    states, silent = settling.run(np.zeros(1))
    held = {name: float(value[0]) for name, value in states.items()} | {v: level}
    distance = threshold_of(model, held) - rest[v]
    if not silent[0] or distance <= 0:
        raise ValueError(
            message(
                f"the neuron does not come to rest, not even with {v} clamped.",
                model.name,
                "A pairing needs a neuron that spikes only when it is told to.",
                "Start it elsewhere (initial), lower its constant currents, or let its reset end below the "
                "threshold.",
            )
        )
    return Held(0.0, held, distance * (1 + 1e-9), level)
