"""One iteration of evidence accumulation (Bellec et al. 2020, fig. 3) against NEST 3.10.

32 trials of 2250 ms, 40 inputs, 50 LIF and 50 ALIF neurons, 2 readouts, random feedback, firing-rate
regularization and Adam: the network, the weights, the spikes and the updates are those of NEST's
tutorial. Both train from the same start. In float64, NEST's precision, the losses of the first three
iterations agree to the last digit; NEST then leaves the trajectory that the engine and
tests/reference follow together. float32, our default, rounds and leaves it after some spikes.

    python benchmarks/evidence_accumulation.py [--quick] [--json FILE]
"""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path

from _common import MISSING, Report, arguments, version

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

import numpy as np
from brian2 import Hz, ms
from reference.golden_runs import absorb_scales, evidence_accumulation

from neurosnn import (
    Adam,
    CrossEntropyPerStep,
    EProp,
    Input,
    Layer,
    Readout,
    SpikingNetwork,
    equations,
)
from neurosnn.data import SpikeTrials
from neurosnn.engine import Engine

#: Names in the task of the parameters of the network.
GROUPS = {"input.w": "in", "recurrent.w": "rec", "readout.w": "out"}
RECALL = 150 * ms


class Training:
    """Our side of the task, in the form of `NestTraining`."""

    def __init__(self, task, dtype, threads=1):
        self.task = task = absorb_scales(task)
        _, _, self.n_steps, n_in = task.spikes.shape
        model = equations.ALIF(
            tau_m=-1 * ms / np.log(task.neuron["alpha"]),
            tau_a=-1 * ms / np.log(task.neuron["rho"]),
            beta=task.neuron["beta"],
            v_th=task.neuron["v_th"],
            t_ref=task.neuron["n_ref"] * ms,
            gamma=task.neuron["gamma"],
            psi_at_spike=True,
        )
        readout = Readout(len(task.W_out), tau=-1 * ms / np.log(task.kappa), bias=False)
        self.net = SpikingNetwork(
            Input(n_in), Layer(model, len(task.W_rec), recurrent=True), readout
        )
        self.net.set_parameters(
            {"input.w": task.W_in.T, "recurrent.w": task.W_rec.T, "readout.w": task.W_out.T}
        )
        # per Hz^2 instead of per (spike per step)^2
        strength = task.c_reg * 1e-6
        rule = EProp(
            feedback="random", rate_target=task.f_target * 1e3 * Hz, rate_strength=strength
        )
        self.engine = Engine(
            self.net, rule, CrossEntropyPerStep(start=-RECALL), dtype=dtype, threads=threads
        )
        self.engine.backward.feedback["hidden"] = task.B
        self.batches = [
            _trials(spikes, target[:, -1].argmax(axis=1))
            for spikes, target in zip(task.spikes, task.target, strict=True)
        ]
        self.state = {name: self._adam(name, 1).start(self._only(name)) for name in GROUPS}
        self.done, self.losses, self.n_spikes = 0, [], 0

    def _only(self, name):
        return {name: self.net.parameters[name]}

    def _adam(self, name, k):
        # NEST's epsilon stands beside the uncorrected average of the squares
        task, group = self.task, GROUPS[name]
        epsilon = task.epsilon[group] / (1 - task.beta_2**k) ** 0.5
        return Adam(task.eta[group], beta_1=task.beta_1, beta_2=task.beta_2, epsilon=epsilon)

    def iterate(self) -> float:
        """One batch and its update; returns the seconds it took."""
        start = time.perf_counter()
        result = self.engine.run(self.batches[self.done], gradient=True)
        self.done += 1
        for name in GROUPS:
            gradient = {name: result.gradient[name]}
            self._adam(name, self.done).update(self._only(name), gradient, self.state[name])
        seconds = time.perf_counter() - start
        self.losses.append(result.loss)
        self.n_spikes += result.spikes["hidden"]
        return seconds


def _trials(spikes, labels):
    """A raster (n_trials, n_steps, n_channels) as trials."""
    trial, step, channel = np.nonzero(spikes)
    counts = np.bincount(trial, minlength=len(spikes))
    return SpikeTrials(
        times=step * 1e-3,
        units=channel,
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        labels=labels,
        n_channels=spikes.shape[2],
        duration=spikes.shape[1] * ms,
    )


def main():
    """Compare iteration by iteration."""
    given = arguments(__doc__)
    report = Report(given, "nest-simulator")
    n_iter, batch = (2, 32) if given.quick else (5, 32)
    task = evidence_accumulation(batch, n_iter=n_iter)
    exact, fast = Training(task, "float64"), Training(task, "float32")
    single = dataclasses.replace(task, spikes=task.spikes[:1], target=task.target[:1])
    Training(single, "float32").iterate()  # the first call reads everything in
    if version("nest-simulator") is None:
        ours = [fast.iterate() for _ in range(n_iter)]
        report.note(MISSING.format("nest-simulator"))
        report.note(f"ours: {1e3 * float(np.median(ours)):.4g} ms an iteration")
        report.close()
        return
    from _nest_peer import NestTraining

    nest = NestTraining(task)
    seconds = {"float32": [], "float64": [], "nest": []}
    for _ in range(n_iter):
        seconds["float32"].append(fast.iterate())
        seconds["nest"].append(nest.iterate())
        seconds["float64"].append(exact.iterate())
    losses = np.array(nest.finish())
    median = {key: float(np.median(values)) for key, values in seconds.items()}
    for key, ours in (("float64", exact), ("float32", fast)):
        difference = np.abs(np.array(ours.losses) / losses - 1)
        report.add(
            f"evidence accumulation, 32 trials x 2250 ms and an update, {key}, against NEST",
            median[key],
            median["nest"],
            f"losses of iterations 1 to {n_iter} differ by "
            + ", ".join(f"{value:.0e}" for value in difference)
            + f"; {ours.n_spikes} spikes, NEST {nest.n_spikes}",
        )
    report.close()


if __name__ == "__main__":
    main()
