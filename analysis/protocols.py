"""Pairing protocols in Brian2, apart from anything that the user has built in Brian2.

The postsynaptic spikes are prescribed: by a SpikeGeneratorGroup or, where a rule reads the state of
the neuron, by a neuron that is held at a background voltage and kicked over its threshold.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from brian2.core.clocks import Clock
from brian2.core.network import Network
from brian2.core.preferences import prefs
from brian2.input.spikegeneratorgroup import SpikeGeneratorGroup
from brian2.monitors.spikemonitor import SpikeMonitor
from brian2.synapses.synapses import Synapses
from brian2.units.allunits import second
from brian2.units.fundamentalunits import DIMENSIONLESS, Quantity

from neurosnn.analysis.holding import check_input_decays, drive, hold, run_until, voltage_of
from neurosnn.analysis.learners import KICK_AFTER_STEP
from neurosnn.core.messages import message, warn
from neurosnn.core.units import si_unit
from neurosnn.core.values import Range, check_value
from neurosnn.model import NeuronModel

# The package brian2.devices hides this module behind a variable of the same name.
devices = sys.modules["brian2.devices.device"]

POSITIVE_TIME = Range(0 * second)
NON_NEGATIVE_TIME = Range(0 * second, includes_low=True)
# Order of the kicks of a neuron without a `step` in slot "groups".
KICK = 0.25
# A window is done when no weight changes by more than this part of the largest change.
DONE, MOST_STEPS, MOST_ROUNDS = 1e-8, 50_000, 20
# Over this many checks a slow change must have become smaller.
SLOW = 40


class Train(NamedTuple):
    """Spikes of several neurons: which neuron (n,), and in which time step (n,)."""

    neuron: np.ndarray
    step: np.ndarray


@contextmanager
def private_brian(dt):
    """Make Brian2 use its runtime device, the numpy target and a clock of our own for a while.

    The device is swapped and not activated, because activation would copy the time step of one
    default clock to the other.
    """
    runtime = devices.runtime_device
    before = devices.active_device, runtime.defaultclock, prefs["codegen.target"]
    try:
        devices.active_device = runtime
        prefs["codegen.target"] = "numpy"
        runtime.defaultclock = Clock(dt=dt, name="neurosnn_clock*")
        yield
    finally:
        devices.active_device, runtime.defaultclock, prefs["codegen.target"] = before


def generator(train: Train, n: int, dt, *, when: str = "thresholds") -> SpikeGeneratorGroup:
    """A group of `n` neurons that emit the given spikes."""
    times = train.step * float(dt) * second
    return SpikeGeneratorGroup(n, train.neuron, times, when=when, name="neurosnn_spikes*")


def postsynaptic(
    train: Train,
    n: int,
    dt,
    model: NeuronModel | None,
    background: float,
    clamped: bool | None = None,
) -> tuple:
    """Neurons that emit the given spikes, and all objects needed for it.

    Without a model these are the prescribed spikes alone. With one, each neuron is held at
    `background`, by a constant input or a clamp, and v is raised by the distance from rest to threshold in
    the step in which it is to spike, right after its update.
    """
    if model is None:
        group = generator(train, n, dt)
        return group, (group,)
    held = hold(model, background, dt, clamped=clamped)
    if held.clamp is not None and clamped is None:
        warn_of_clamp(model, "It fires without input.")
    group = model.group(n, name="neurosnn_post*")
    for name, value in held.states.items():
        group.variables[name].set_value(value)
    drive(group, model, held)
    cause = generator(train, n, dt, when="start")
    v = voltage_of(model)
    unit = si_unit(model.dimensions[v])
    kicks = Synapses(
        cause,
        group,
        on_pre=f"{v}_post += {held.kick!r}*{unit}",
        namespace={},
        name="neurosnn_kicks*",
    )
    kicks.connect(condition="i == j", namespace={})
    # After the update of the neurons (0) and their `step` (1), before a rule that reads v.
    kicks.pre.when, kicks.pre.order = "groups", KICK_AFTER_STEP if model.step.strip() else KICK
    return group, (group, cause, kicks)


def warn_of_clamp(model: NeuronModel, why: str) -> None:
    """Say that the protocol is another one than for other neurons."""
    warn(
        message(
            f"{voltage_of(model)} of the postsynaptic neuron is clamped.",
            model.name,
            f"{why} The protocol sets its membrane in every step, except for those of the chosen spikes.",
            "Say clamp=True if you want that, clamp=False if such neurons shall be refused.",
        )
    )


class Pairs:
    """Pairs of neurons that emit prescribed spikes, with a learning synapse in each pair.

    Parameters
    ----------
    learn : PlasticityLearner
        Makes the synapses.
    pre, post : Train
        Spikes of the presynaptic and postsynaptic neurons.
    model : NeuronModel or None
        The postsynaptic neuron, and the presynaptic one of a rule that reads it.
    background : float
        Where it is held.
    dt : Quantity (second)
        Time step.
    clamped : bool, optional
        Whether it is clamped there; None: if it fires without input.
    n : int, optional
        Number of pairs; None: up to the last neuron with a presynaptic spike.
    **connect
        Weight and delay of the synapses.
    """

    def __init__(
        self, learn, pre: Train, post: Train, model, background, dt, n=None, clamped=None, **connect
    ):
        self.learn, self.post, self.dt = learn, post, float(dt)
        self.model = model
        n = int(pre.neuron.max()) + 1 if n is None else n
        group, objects = postsynaptic(post, n, dt, model, background, clamped)
        pre_model = model if learn.reads_pre else None
        source, more = postsynaptic(pre, n, dt, pre_model, background, clamped)
        objects = (*objects, *more)
        self.spikes = SpikeMonitor(group, name="neurosnn_monitor*")
        synapses = learn.connect(source, group, **connect)
        self.network = Network(*objects, *synapses, self.spikes)

    def run_steps(self, n: int) -> None:
        """Run for a number of time steps."""
        self.network.run(int(n) * self.dt * second, namespace={})

    def run(self, n_steps: int, duration=None) -> None:
        """Run until all spikes have arrived, and then for a time or until no weight changes."""
        n_steps = n_steps + self.learn.longest_delay(self.dt)
        if duration is not None or not self.learn.clock_driven:
            check_value("duration", duration or 0 * second, NON_NEGATIVE_TIME, where="stdp_window")
            self.run_steps(n_steps + round(float(duration or 0) / self.dt))
            return
        before, moved, done = None, [], False

        def unchanged() -> bool:
            nonlocal before, done
            last, before = before, self.learn.change()
            if last is not None:
                moved.append(np.abs(before - last).max())
                done = bool(moved[-1] <= DONE * np.abs(before).max())
            done = done or self.spikes_too_often() or not np.isfinite(before).all()
            return done

        run_until(self.network, unchanged, MOST_STEPS, self.dt, after=int(n_steps))
        for _ in range(MOST_ROUNDS):  # slow, but on its way
            if done or moved[-1] >= moved[-SLOW]:
                break
            run_until(self.network, unchanged, MOST_STEPS, self.dt)
        if not done:
            if self.model is not None and self.model.inputs:
                check_input_decays(self.model, where="a pairing")
            raise ValueError(
                message(
                    f"the weights still change {round(self.network.t_ / self.dt)} time steps after the "
                    "start of the pairing.",
                    "stdp_window",
                    "A window is the change by one pair of spikes, once all traces of it are gone.",
                    "Pass the time to wait after the pairing, for example duration=10*second.",
                )
            )

    def spikes_too_often(self) -> bool:
        """Whether neurons have spiked more often than they were told to."""
        return self.spikes.num_spikes > len(self.post.step)

    def check_finite(self) -> None:
        """Refuse a trace that has grown without a bound."""
        if not np.isfinite(self.learn.change()).all():
            raise ValueError(
                message(
                    "the change of the weight grows beyond all numbers.",
                    "stdp_window" if self.model is None else self.model.name,
                    "Where the neuron is held it would run away by itself, and a trace that follows its "
                    "state grows as fast.",
                    "Choose a smaller background; 0 is the neuron at rest.",
                )
            )

    def check_spikes(self) -> None:
        """Refuse a postsynaptic neuron that did not spike at the prescribed times."""
        check_fired(self.spikes, self.post, self.dt, self.model)


def check_fired(spikes: SpikeMonitor, train: Train, dt: float, model: NeuronModel | None) -> None:
    """Refuse a neuron that did not spike at the prescribed times."""
    steps = np.round(spikes.t_[:] / dt).astype(int)
    fired = set(zip(spikes.i[:].tolist(), steps.tolist(), strict=True))
    wanted = set(zip(train.neuron.tolist(), train.step.tolist(), strict=True))
    if fired != wanted:
        fault = "does not spike" if wanted - fired else "spikes on its own"
        raise ValueError(
            message(
                f"the postsynaptic neuron {fault}.",
                model.name,
                "Each kick must cause one spike, and nothing else may cause one.",
                "Choose another background, longer intervals or another neuron model.",
            )
        )


def with_unit(values: np.ndarray, dimensions) -> np.ndarray | Quantity:
    """An array as a Quantity, or as it is if it has no dimensions."""
    return values if dimensions is DIMENSIONLESS else Quantity(values, dim=dimensions)
