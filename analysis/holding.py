"""A neuron at rest, or held below its threshold by a constant input that is found numerically."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from brian2.core.network import Network
from brian2.core.operations import NetworkOperation
from brian2.monitors.spikemonitor import SpikeMonitor
from brian2.synapses.synapses import Synapses
from brian2.units.allunits import second

from neurosnn.calculus.margin import margin_and_gate
from neurosnn.core.messages import message
from neurosnn.core.symbolic import evaluate
from neurosnn.core.units import si_unit
from neurosnn.model import NeuronModel
from neurosnn.model.neuron_checks import check_dt, check_inputs

SETTLED = 1e-13
CHUNK, MOST_SETTLING, MOST_STAGES = 500, 10_000, 20
# First guesses of a constant input, in SI units: none, then every order of magnitude.
DRIVES = np.append(0, 10.0 ** np.arange(-18, 7))


class Held(NamedTuple):
    """A neuron at rest or held by a constant input."""

    drive: float
    states: Mapping[str, float]
    kick: float


def drive(group, model: NeuronModel, value: float) -> None:
    """Let a constant input arrive in every step, as presynaptic spikes would."""
    if value:
        name = model.inputs[0]
        unit = si_unit(model.dimensions[name])
        group.run_regularly(f"{name} += {value!r}*{unit}", when="synapses", order=-10)


def voltage_of(model: NeuronModel) -> str:
    """The variable that the threshold is about: v, or the first state."""
    return "v" if "v" in model.states else model.states[0]


def threshold_of(model: NeuronModel, states: Mapping[str, float]) -> float:
    """The voltage at which a neuron in the given state spikes."""
    margin, _ = margin_and_gate(model.threshold, {voltage_of(model)}, model.name)
    values = {name: float(value) for name, value in model.parameters.items()} | dict(states)
    v = voltage_of(model)
    at_zero, at_one = (evaluate(margin, values | {v: value}) for value in (0.0, 1.0))
    return float(-at_zero / (at_one - at_zero))


def run_until(network: Network, done, most_steps: int, dt: float, *, after: int = 0) -> None:
    """Run a network until a condition holds, which is asked every so many steps.

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

    def __init__(self, model: NeuronModel, n: int):
        self.model = model
        self.group = model.group(n, name="neurosnn_held*")
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

        Neurons whose v has passed the target are not waited for.
        """
        self.cause.variables["neurosnn_input"].set_value(drives)
        for name, values in zip(self.model.states, self.start, strict=True):
            self.group.variables[name].set_value(values)
        spikes, v = np.array(self.spikes.count), self.model.states.index(voltage_of(self.model))
        before = self.start

        at_rest = np.zeros(len(drives), dtype=bool)

        def settled() -> bool:
            nonlocal before, at_rest
            after, silent = self.states(), np.array(self.spikes.count) == spikes
            silent &= np.isfinite(after).all(axis=0)
            constant = np.all(np.abs(after - before) <= SETTLED * np.abs(after), axis=0)
            before, at_rest = after, silent & constant
            return bool(np.all(constant | ~silent | (after[v] > target)))

        with np.errstate(all="ignore"):
            run_until(self.network, settled, MOST_SETTLING, float(self.group.clock.dt))
        return dict(zip(self.model.states, before, strict=True)), at_rest


def hold(model: NeuronModel, background: float, dt) -> Held:
    """The constant input per step that holds v at a fraction of the way from rest to threshold.

    It is found numerically, for any model: first its order of magnitude, then by the secant rule
    within an interval that shrinks. Runs inside :func:`private_brian`.
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
    check_dt(model, dt, where="a pairing")
    v, settling = voltage_of(model), Settling(model, len(DRIVES))
    states, silent = settling.run(DRIVES)
    if not silent[0]:
        raise ValueError(
            message(
                "the neuron does not stay at rest without input.",
                model.name,
                "A pairing needs a neuron that spikes only when it is told to.",
                "Lower its constant currents.",
            )
        )
    rest = {name: float(value[0]) for name, value in states.items()}
    distance = threshold_of(model, rest) - rest[v]
    # From rest exactly to the threshold; a little more where "v > v_th" or rounding asks for it.
    kick = distance if ">=" in model.threshold and rest[v] == 0 else distance * (1 + 1e-9)
    if background == 0:
        return Held(0.0, rest, kick)
    target, drives = rest[v] + background * distance, DRIVES
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
        if not np.isfinite(error[high]) and drives[high] - drives[low] < 1e-6 * drives[high]:
            break
        # Next to a spiking neuron, extrapolate from the two silent ones below.
        first, last = (low, high) if np.isfinite(error[high]) else (max(low - 1, 0), low)
        slope = (error[last] - error[first]) / (drives[last] - drives[first]) if last > first else 0
        guess = drives[first] - error[first] / slope if slope else drives[high]
        guess = guess if drives[low] < guess < drives[high] else drives[high]
        spread = np.linspace(drives[low], drives[high], len(drives) - 1)
        drives = np.sort(np.append(spread, guess))
        states, silent = settling.run(drives, target + direct * drives[-1])
    raise ValueError(
        message(
            f"no constant input holds {v} at {background} of the way to threshold.",
            model.name,
            "Near the threshold some neurons, such as Izhikevich's, have no stable fixed point.",
            "Choose a smaller background; 0 is the neuron at rest.",
        )
    )
