"""The same small network for the engine and for the event-driven reference."""

from typing import NamedTuple

import numpy as np
from brian2 import second
from reference.event_driven import INPUT, OUTPUT, CurrentLIF, Link, Network, Run

from neurosnn import EventProp, Input, Layer, Readout, SpikingNetwork, equations
from neurosnn.data import SpikeTrials
from neurosnn.engine import Engine
from neurosnn.losses import CrossEntropy

N_IN, N, N_OUT, LABEL = 12, 8, 3, 1
DURATION = 0.048
#: Input times and delays are multiples of it, so that they lie on every grid that is tested.
GRID = 0.16e-3
TAU_M, TAU_S = 20e-3, 5e-3


class Case(NamedTuple):
    """A network, its input, and the values that are not in the network."""

    reference: Network
    times: np.ndarray
    channels: np.ndarray
    model: object
    readout: object


def lif_model(layer):
    """The neuron of a reference layer."""
    rest = {"t_ref": layer.t_ref * second} if layer.t_ref else {}
    return equations.CurrentLIF(tau_m=layer.tau_m * second, tau_s=layer.tau_s * second, **rest)


def lif_case(seed, *, layers=1, t_ref=0.0, delays=False, leaky=False):
    """A random recurrent network of CurrentLIF in which some neurons spike."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 4, N_IN)
    channels = np.repeat(np.arange(N_IN), counts)
    times = np.concatenate([rng.choice(180, count, replace=False) + 6 for count in counts]) * GRID

    def delay(n):
        return rng.integers(1, 30, n) * GRID if delays else np.zeros(n)

    several = layers > 1
    links, populations = {}, []
    for k in range(layers):
        populations.append(
            CurrentLIF(
                tau_m=TAU_M * rng.uniform(0.8, 1.25, N),
                tau_s=TAU_S * rng.uniform(0.8, 1.25, N),
                t_ref=t_ref,
            )
        )
        number = str(k + 1) if several else ""
        name, n_pre = ("input", N_IN) if k == 0 else (f"forward{number}", N)
        w = rng.normal(0.7, 0.6 if k == 0 else 0.5, (n_pre, N))
        between = delay(n_pre) if k == 0 else links[f"recurrent{k}"].delay
        links[name] = Link(k - 1 if k else INPUT, k, w, between)
        w = rng.normal(0.0, 0.6, (N, N)) * (1 - np.eye(N))
        links[f"recurrent{number}"] = Link(k, k, w, delay(N))
        links[f"readout{number}"] = Link(k, OUTPUT, rng.normal(0, 2.0, (N, N_OUT)), np.zeros(N))
    reference = Network(tuple(populations), links, TAU_M, 0.0 if leaky else TAU_S, DURATION)
    readout = (
        Readout(N_OUT, tau=TAU_M * second, bias=False)
        if leaky
        else Readout(N_OUT, model=equations.CurrentReadout(), bias=False)
    )
    return Case(reference, times, channels, lif_model, readout)


def trials(case, dt):
    """The input: a spike at time t is an event of the step that ends at t."""
    order = np.argsort(case.times, kind="stable")
    step = np.round(case.times[order] / dt).astype(int) - 1
    return SpikeTrials(
        times=(step + 0.5) * dt,
        units=case.channels[order],
        offsets=[0, len(step)],
        labels=[LABEL],
        n_channels=N_IN,
        duration=case.reference.duration * second,
        class_names=tuple("abc"),
    )


def engine(case, dt, *, learn=("tau_m", "tau_s"), rule=None, dtype="float64", loss=None):
    """The engine of the same network with time step `dt` in seconds."""
    reference = case.reference
    layers = [
        Layer(
            case.model(layer),
            N,
            recurrent=f"recurrent{k + 1 if len(reference.layers) > 1 else ''}" in reference.links,
        )
        for k, layer in enumerate(reference.layers)
    ]
    net = SpikingNetwork(Input(N_IN), *layers, case.readout, dt=dt * second)
    for name, link in reference.links.items():
        net.parameters[f"{name}.w"][:] = link.w
        net.connections[name].fixed_delay[:] = np.round(link.delay / dt)
    return Engine(
        net,
        rule or EventProp(),
        loss or CrossEntropy(),
        dtype=dtype,
        threads=1,
        learn={layer.name: learn for layer in net.layers} if learn else None,
    )


def grid_run(case, machine, dt):
    """The engine's events in the form of the reference, to compare numbers and order."""
    batch = trials(case, dt)
    found = machine.simulate(batch)
    net = machine.net
    names = [layer.name for layer in net.layers]
    sources = {INPUT: batch.steps(net.dt)[1:]}
    spikes, releases = [], []
    for k, name in enumerate(names):
        sources[k] = found.spikes[name][0]
        rest = round(case.reference.layers[k].t_ref / dt)
        for step, neuron in zip(*sources[k], strict=True):
            spikes.append((int(step), k, int(neuron)))
            # an arrival in a step comes after the spikes and before the end of rest in the next
            if rest and step + rest < found.n_steps[0]:
                releases.append((int(step) + rest - 0.25, k, int(neuron)))
    arrivals = []
    for name, link in case.reference.links.items():
        delay = net.connections[name].delay
        for step, neuron in zip(*sources[link.source], strict=True):
            if step + delay[neuron] < found.n_steps[0]:
                arrivals.append((int(step + delay[neuron]) + 0.5, link.target, name, int(neuron)))
    return Run(spikes, releases, arrivals, np.zeros(0), [])
