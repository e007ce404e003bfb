"""Neurons of different models side by side in one network: one program for all of them."""

from typing import NamedTuple

import numpy as np
from brian2 import second
from reference.hybrid_neuron import HybridNeuron, area, cross_entropy, spike_times

from neurosnn import (
    EventProp,
    Input,
    Layer,
    NeuronModel,
    Readout,
    SpikingNetwork,
    equations,
)
from neurosnn.data import SpikeTrials
from neurosnn.engine import Engine
from neurosnn.losses import CrossEntropy
from neurosnn.network.connection import Connection

LABEL = 1


class Single(NamedTuple):
    """A model, the same without a grid, and input spikes: times in seconds, weights in SI units."""

    model: NeuronModel
    exact: HybridNeuron
    times: tuple
    weights: tuple


class Measured(NamedTuple):
    """Of each neuron: spike times on the grid and exact, gradients of its input weights and delays."""

    grid: list
    exact: list
    ours: list
    theirs: list
    our_delays: list
    their_delays: list


def network(singles, dt):
    """Each neuron has input spikes of its own and sends its spikes to the readout."""
    n = sum(len(one.times) for one in singles)
    layers = [Layer(one.model, 1, name=f"one{k}") for k, one in enumerate(singles)]
    rng = np.random.default_rng(1)
    connections, first = {}, 0
    for k, one in enumerate(singles):
        w = np.zeros((n, 1))
        w[first : first + len(one.times), 0] = one.weights
        first += len(one.times)
        unit = one.model.dimensions[one.model.inputs[0]]
        connections[f"to{k}"] = dense(f"to{k}", "input", f"one{k}", w, unit, dt, delay=1)
    out = rng.normal(0, 1, (len(singles), 1, 2))
    model = equations.CurrentReadout()
    for k, w in enumerate(out):
        connections[f"from{k}"] = dense(
            f"from{k}", f"one{k}", "readout", w, model.dimensions["I"], dt
        )
    readout = Readout(2, model=model, bias=False)
    net = SpikingNetwork(Input(n), *layers, readout, dt=dt * second, connections=connections)
    return net, out


def dense(name, source, target, w, dimensions, dt, delay=0):
    n_pre, n_post = w.shape
    return Connection(
        name=name,
        source=source,
        target=target,
        n_post=n_post,
        w=w,
        mask=None,
        pre=None,
        post=None,
        fixed_delay=np.full(n_pre, delay, np.int32),
        channel=np.zeros(n_pre, np.int32),
        sign=None,
        dimensions=dimensions,
        dt=dt,
    )


def trial(singles, duration, dt):
    """The input spikes: one that arrives at time t is an event of the step before that ends at t."""
    times = np.concatenate([one.times for one in singles])
    step = np.round(times / dt).astype(int) - 2
    order = np.argsort(step, kind="stable")
    return SpikeTrials(
        times=(step[order] + 0.5) * dt,
        units=order,
        offsets=[0, len(step)],
        labels=[LABEL],
        n_channels=len(step),
        duration=duration * second,
        class_names=("a", "b"),
    )


def measure(singles, *, duration, dt, rule=None, relative=1e-4):
    """EventProp on the engine, and central differences of the exact neurons."""
    net, out = network(singles, dt)
    machine = Engine(net, rule or EventProp(), CrossEntropy(), dtype="float64", threads=1)
    batch = trial(singles, duration, dt)
    found = machine.simulate(batch)
    gradient = machine.run(batch, gradient=True).gradient
    exact = [spike_times(one.exact, one.times, one.weights, duration) for one in singles]
    parts = [area(times, duration) * out[k, 0] for k, times in enumerate(exact)]
    found_at, first = [], 0
    for k, one in enumerate(singles):
        part = slice(first, first + len(one.times))
        found_at.append((gradient[f"to{k}.w"][part, 0], gradient[f"to{k}.delay"][part]))
        first += len(one.times)

    def loss(k, times, weights):
        moved = spike_times(singles[k].exact, times, weights, duration)
        assert len(moved) == len(exact[k]), "a spike appears or vanishes"
        return cross_entropy(sum(parts) - parts[k] + area(moved, duration) * out[k, 0], LABEL)

    def difference(k, i, by_weight, by_time):
        one, losses = singles[k], []
        for sign in (1, -1):
            times, weights = np.array(one.times, float), np.array(one.weights, float)
            times[i] += sign * by_time
            weights[i] += sign * by_weight
            losses.append(loss(k, times, weights))
        return (losses[0] - losses[1]) / (2 * (by_weight + by_time))

    return Measured(
        grid=[(found.spikes[f"one{k}"][0][0] + 1) * dt for k in range(len(singles))],
        exact=exact,
        ours=[w for w, _ in found_at],
        theirs=[
            np.array([difference(k, i, relative * w, 0.0) for i, w in enumerate(one.weights)])
            for k, one in enumerate(singles)
        ],
        our_delays=[delay for _, delay in found_at],
        their_delays=[
            np.array([difference(k, i, 0.0, 1e-7) for i in range(len(one.times))])
            for k, one in enumerate(singles)
        ],
    )
