"""The networks, the trials and the tuned weights of the benchmarks of the engine."""

from __future__ import annotations

import numpy as np
from brian2 import ms

from neurosnn import EProp, Input, Layer, Readout, SpikingNetwork, equations
from neurosnn.data import SpikeTrials
from neurosnn.engine import Engine


def random_trials(
    n_trials: int,
    *,
    n_channels: int = 700,
    n_steps: int = 1000,
    spikes: float = 7700.0,
    n_classes: int = 20,
    seed: int = 1,
) -> SpikeTrials:
    """Poisson spikes on the grid of 1 ms, about `spikes` a trial, with random labels."""
    rng = np.random.default_rng(seed)
    probability = spikes / (n_steps * n_channels)
    steps, units, counts = [], [], []
    for _ in range(n_trials):
        step, unit = np.nonzero(rng.random((n_steps, n_channels), dtype=np.float32) < probability)
        steps.append(step)
        units.append(unit)
        counts.append(len(step))
    return SpikeTrials(
        times=np.concatenate(steps) * 1e-3,
        units=np.concatenate(units),
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        labels=rng.integers(0, n_classes, n_trials),
        n_channels=n_channels,
        duration=n_steps * ms,
        class_names=tuple(map(str, range(n_classes))),
    )


def alif_network(
    n_in: int = 700,
    n: int = 256,
    n_out: int = 20,
    *,
    connectivity: float = 1.0,
    weight_scale: float = 1.0,
    seed: int = 1,
) -> SpikingNetwork:
    """A recurrent ALIF network with dense or sparse synapses."""
    return SpikingNetwork(
        Input(n_in),
        Layer(
            equations.ALIF(),
            n,
            recurrent=True,
            connectivity=connectivity,
            weight_scale=weight_scale,
        ),
        Readout(n_out),
        dt=1 * ms,
        seed=seed,
    )


def current_network(n_in: int = 700, n: int = 256, n_out: int = 20) -> SpikingNetwork:
    """A recurrent network of LIF neurons with synaptic currents, weights yet to be scaled."""
    return SpikingNetwork(
        Input(n_in),
        Layer(equations.CurrentLIF(), n, recurrent=True, weight_scale=0.25, weight_mean=1.0),
        Readout(n_out, model=equations.CurrentReadout()),
        dt=1 * ms,
        seed=1,
    )


def tune(
    net: SpikingNetwork, trials: SpikeTrials, spikes: float, *, low: float = 0.5, high: float = 8.0
) -> float:
    """Scale the hidden weights until a trial has about `spikes` hidden spikes; returns the mean."""
    engine = Engine(net, EProp(), dtype="float32", threads=1)
    hidden = [c for c in net.connections.values() if c.target != "readout"]
    initial = {connection.name: connection.w.copy() for connection in hidden}
    for _ in range(12):
        scale = (low + high) / 2
        for connection in hidden:
            connection.w[:] = scale * initial[connection.name]
        counts = engine.simulate(trials).counts
        mean = sum(float(count.sum()) for count in counts.values()) / len(trials)
        if abs(mean - spikes) < 0.01 * spikes:
            break
        low, high = (scale, high) if mean < spikes else (low, scale)
    return mean


def dense(trials: SpikeTrials, dt) -> np.ndarray:
    """The spikes as an array (n_steps, n_trials, n_channels) of float32."""
    offsets, step, channel = trials.steps(dt)
    n_steps = int(np.max(trials.n_steps(dt)))
    raster = np.zeros((n_steps, len(trials), trials.n_channels), np.float32)
    raster[step, np.repeat(np.arange(len(trials)), np.diff(offsets)), channel] = 1
    return raster
