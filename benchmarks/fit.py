"""Fitting a neuron to a recording: Gauss-Newton through the equations against differential evolution.

The peer is scipy's differential evolution on stock Brian2, as brian2modelfitting does it, written well: one
NeuronGroup holds the whole population and all trials, is compiled once (Cython) and restored for each
generation, and sums its error on the way, so that no trace is stored. Both fit five parameters of a leaky
integrate-and-fire neuron to the same recording, with the same loss, between the same bounds, on one thread.
Ours has four starts. The peer stops as soon as its loss is within 1 % of ours; compiling counts for neither.
Times are processor times, so that other work on the machine does not count.

Where PyTorch is installed there is a second peer: the same neuron by `to_torch`, with Adam on the same
parameters from the same starts, all of them and all trials as one batch (`_torch_fit_peer.py`). It stops at
the same loss, or after a time that is then a lower bound.

    python benchmarks/fit.py            # three recordings of two trials
    python benchmarks/fit.py --quick    # one recording, one trial
    python benchmarks/fit.py --only torch
"""

import statistics
import time

import numpy as np
from _common import MISSING, Report, arguments, version
from brian2 import (
    Mohm,
    Network,
    NeuronGroup,
    SpikeMonitor,
    StateMonitor,
    TimedArray,
    amp,
    ms,
    mV,
    pA,
    prefs,
)
from scipy.optimize import differential_evolution
from scipy.signal import lfilter

from neurosnn import NeuronModel, VoltageLoss, fit_model

DT = 0.1 * ms
STEPS = 2000
NEURON = NeuronModel(
    name="LIF",
    equations="dv/dt = (E_L - v + R*I)/tau_m : volt (unless refractory)\nI : amp",
    threshold="v > v_th",
    reset="v = v_r",
    refractory=2 * ms,
    method="euler",
    inputs=("I",),
    parameters={
        "E_L": -70 * mV,
        "R": 100 * Mohm,
        "tau_m": 20 * ms,
        "v_th": -50 * mV,
        "v_r": -65 * mV,
    },
    initial={"v": "E_L"},
)
FREE = {
    "E_L": (-80 * mV, -55 * mV),
    "R": (20 * Mohm, 500 * Mohm),
    "tau_m": (5 * ms, 80 * ms),
    "v_th": (-60 * mV, -40 * mV),
    "v_r": (-80 * mV, -60 * mV),
}
SPIKE_WINDOW = 20  # samples, as VoltageLoss has them
STARTS = 4
POPULATION = 15  # scipy's default, for each parameter


def recording(n_trials, seed):
    """Current, voltage with noise of 0.5 mV, and spike trains of stock Brian2."""
    rng = np.random.default_rng(seed)
    slow = lfilter([1], [1, -0.99], rng.standard_normal((n_trials, STEPS)), axis=1)
    current = (240 + 100 * slow / slow.std()) * pA
    group = NEURON.group(n_trials, dt=DT)
    group.namespace["injected"] = TimedArray(current.T, dt=DT)
    group.run_regularly("I = injected(t, i)", dt=DT, when="start")
    monitor, spikes = StateMonitor(group, "v", record=True), SpikeMonitor(group)
    Network(group, monitor, spikes).run(STEPS * DT)
    voltage = monitor.v + rng.normal(0, 0.5, monitor.v.shape) * mV
    return current, voltage, list(spikes.spike_trains().values())


def weights_of(voltage, spikes):
    """Weight of each squared deviation, so that their sum is the loss of VoltageLoss()."""
    weights = np.ones(voltage.shape)
    for row, train in zip(weights, spikes, strict=True):
        for step in np.round(np.asarray(train / DT)).astype(int):
            row[max(step - SPIKE_WINDOW, 0) : step + SPIKE_WINDOW + 1] = 0
    values = np.asarray(voltage)[weights > 0]
    return weights / (weights.sum() * values.std() ** 2)


class Population:
    """Stock Brian2: many sets of parameters and all trials in one group."""

    def __init__(self, current, voltage, spikes, n_sets):
        self.n_sets, self.n_trials = n_sets, len(current)
        self.simulated_sets = 0
        self.group = NeuronGroup(
            n_sets * self.n_trials,
            """
            dv/dt = (E_L - v + R*I)/tau_m : volt (unless refractory)
            I = injected(t, i % n_trials) : amp
            error : 1
            E_L : volt (constant)
            R : ohm (constant)
            tau_m : second (constant)
            v_th : volt (constant)
            v_r : volt (constant)
            """,
            threshold="v > v_th",
            reset="v = v_r",
            refractory=2 * ms,
            method="euler",
            dt=DT,
            namespace={
                "injected": TimedArray(np.asarray(current).T * amp, dt=DT),
                "recorded": TimedArray(np.asarray(voltage).T, dt=DT),
                "weight": TimedArray(weights_of(voltage, spikes).T, dt=DT),
                "n_trials": self.n_trials,
            },
        )
        self.group.run_regularly(
            "error += weight(t, i % n_trials)*(v/volt - recorded(t, i % n_trials))**2",
            dt=DT,
            when="start",
        )
        self.network = Network(self.group)
        self.network.store()

    def losses(self, values):
        """Losses of sets (P, n_sets) in SI units."""
        values = np.asarray(values)
        padded = np.resize(values.T, (self.n_sets, len(values)))
        self.network.restore()
        for name, column in zip(FREE, padded.T, strict=True):
            getattr(self.group, f"{name}_")[:] = np.repeat(column, self.n_trials)
        self.group.v = "E_L"
        self.network.run(STEPS * DT)
        self.simulated_sets += values.shape[1]
        error = np.asarray(self.group.error).reshape(self.n_sets, self.n_trials).sum(axis=1)
        return error[: values.shape[1]]


def by_evolution(population, goal, seed):
    """Generations of differential evolution until the goal is reached; its loss."""
    bounds = [(float(low), float(high)) for low, high in FREE.values()]
    best = np.inf

    def losses(values):
        nonlocal best
        found = population.losses(values)
        best = min(best, found.min())
        return found

    differential_evolution(
        losses,
        bounds,
        popsize=POPULATION,
        seed=seed,
        polish=False,
        vectorized=True,
        updating="deferred",
        callback=lambda *_: best <= goal,
        maxiter=300,
        tol=0,
    )
    return best


def against_torch(report, quick):
    """The same fit by Adam in torch, until it is as good or the time is over."""
    name = "fit of a LIF neuron, Adam on the same neuron in torch: time"
    if not report.wants(name):
        return
    if version("torch") is None:
        report.note(f"{name}: {MISSING.format('torch')}")
        return
    from _torch_fit_peer import by_adam, losses_of, module

    current, voltage, spikes = recording(1 if quick else 2, 0)
    call = {"current": current, "voltage": voltage, "spikes": spikes, "dt": DT, "free": FREE}
    call |= {"loss": VoltageLoss(), "starts": STARTS, "seed": 0, "threads": 1}
    fit_model(NEURON, **(call | {"starts": 1}))  # compiles
    start = time.process_time()
    fit = fit_model(NEURON, **call)
    ours = time.process_time() - start
    recorded = (current, voltage, weights_of(voltage, spikes))
    fitted = {name: np.array([1.0]) * value for name, value in fit.parameters.items()}
    theirs = float(losses_of(module(NEURON, fitted, DT), recorded, 1)[0])
    assert abs(theirs / fit.loss - 1) < 1e-6, "the losses are not the same"
    loss, seconds, steps = by_adam(
        NEURON,
        FREE,
        recorded,
        DT,
        goal=1.01 * fit.loss,
        starts=STARTS,
        seed=0,
        limit=30 if quick else 600,
    )
    ended = "reached" if loss <= 1.01 * fit.loss else "not reached, the time is a lower bound"
    report.add(
        name, ours, seconds, f"loss {fit.loss:.5f} and {loss:.5f} after {steps} steps: {ended}"
    )


def against_evolution(report, quick):
    """Differential evolution on stock Brian2."""
    peer_name = "differential evolution on stock Brian2"
    names = [f"fit of a LIF neuron, {peer_name}: {kind}" for kind in ("time", "simulated time")]
    if not any(map(report.wants, names)):
        return
    n_trials, seeds = (1, (0,)) if quick else (2, (0, 1, 2))
    ours, peer, ours_simulated, peer_simulated, text = [], [], [], [], []
    for seed in seeds:
        current, voltage, spikes = recording(n_trials, seed)
        call = {"current": current, "voltage": voltage, "spikes": spikes, "dt": DT, "free": FREE}
        call |= {"loss": VoltageLoss(), "starts": STARTS, "seed": seed, "threads": 1}
        fit_model(NEURON, **(call | {"starts": 1}))  # compiles
        start = time.process_time()
        fit = fit_model(NEURON, **call)
        ours.append(time.process_time() - start)
        ours_simulated.append(float(fit.simulated))
        population = Population(current, voltage, spikes, POPULATION * len(FREE))
        truth = np.array([[float(NEURON.parameters[name])] for name in FREE])
        population.losses(truth)  # compiles
        fitted = population.losses(np.array([[float(fit.parameters[name])] for name in FREE]))[0]
        assert abs(fitted / fit.loss - 1) < 1e-6, "the losses are not the same"
        population.simulated_sets = 0
        start = time.process_time()
        loss = by_evolution(population, 1.01 * fit.loss, seed)
        peer.append(time.process_time() - start)
        peer_simulated.append(population.simulated_sets * n_trials * STEPS * float(DT))
        text.append(f"loss {fit.loss:.5f} and {loss:.5f} ({sum(map(len, spikes))} spikes)")
    report.add(
        names[0],
        statistics.median(ours),
        statistics.median(peer),
        "; ".join(text),
    )
    report.add(
        names[1],
        statistics.median(ours_simulated),
        statistics.median(peer_simulated),
        "the same losses",
    )


def main():
    options = arguments(__doc__.splitlines()[0])
    report = Report(options, "scipy", "torch")
    prefs.codegen.target = "cython"
    against_evolution(report, options.quick)
    against_torch(report, options.quick)
    report.close()


if __name__ == "__main__":
    main()
