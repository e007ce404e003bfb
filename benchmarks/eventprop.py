"""One epoch of EventProp in the shape of SHD, against surrogate BPTT in PyTorch.

8156 trials, 700 inputs, 256 recurrent CurrentLIF neurons, 20 readouts, 1000 steps of 1 ms, about 7.7k
input and 8k hidden spikes a trial, batches of 32, Adam, firing-rate regularization; random spikes in
place of recordings, since only the work counts. An update is everything from the trials to the new
weights. With --quick an epoch is computed from a few updates, and the line says so.

- PyTorch does surrogate BPTT of the same network on the same batch, once with dense and once with event
  input, on one thread as ours in this comparison. The forward passes agree: loss and spikes are compared
  in float64 on a small network. The gradients are different ones by nature.
- GeNN and mlGeNN are not compared: PyGeNN 5 is not on PyPI.

    python benchmarks/eventprop.py [--quick] [--json FILE] [--only TEXT]
"""

from __future__ import annotations

import os
import time

import numpy as np
from _common import MISSING, Report, arguments, timed, version
from _networks import current_network, dense, random_trials, tune
from brian2 import Hz

from neurosnn import Adam, CrossEntropy, EventProp, Trainer
from neurosnn.engine import Engine

TRIALS, BATCH, HIDDEN_SPIKES = 8156, 32, 8000
RATE = (1e-5, 14.0)


def trainer(net, threads):
    """EventProp with Adam and firing-rate regularization."""
    rule = EventProp(rate_strength=RATE[0], rate_target=RATE[1] * Hz)
    return Trainer(net, rule, optimizer=Adam(1e-6), threads=threads)


def spikes_text(trials, spikes):
    """Spikes a trial."""
    n = len(trials)
    return f"{len(trials.times) / n:.0f} input and {spikes / n:.0f} hidden spikes a trial"


def epoch(report, net, trials, updates):
    """Time of an epoch on all processors and on one."""
    threads = os.cpu_count() or 1
    hidden = sum(Engine(net, EventProp(), CrossEntropy()).run(trials).spikes.values())
    seconds = {}
    for number in (threads, 1):
        ours = trainer(net, number)
        ours.step(trials)
        begin = time.perf_counter()
        for _ in range(updates):
            ours.step(trials)
        seconds[number] = (time.perf_counter() - begin) / updates * TRIALS / BATCH
    report.add(
        f"epoch of {TRIALS} trials, {threads} threads against one",
        seconds[threads],
        seconds[1],
        f"{spikes_text(trials, hidden)}, from {updates} updates of {BATCH} trials",
    )


def pytorch(report, net, trials, repetitions):
    """An update, on one thread each."""
    import torch
    from _torch_lif import TorchLIF

    torch.set_num_threads(1)
    small = current_network(30, 16, 3)
    few = random_trials(4, n_channels=30, n_steps=200, spikes=400, n_classes=3)
    tune(small, few, 150)
    ours = Engine(small, EventProp(), CrossEntropy(), dtype="float64", threads=1).run(few)
    peers = {}
    for name, events in {"dense input": False, "input as events": True}.items():
        theirs = TorchLIF(
            small, dense(few, small.dt), few.labels, dtype=torch.float64, events=events
        )
        theirs.run(update=False)
        same = theirs.spikes == sum(ours.spikes.values()) and np.isclose(theirs.loss, ours.loss)
        peer = TorchLIF(net, dense(trials, net.dt), trials.labels, rate=RATE, events=events)
        peers[name] = peer, "equal in loss and spikes" if same else "NOT EQUAL"
    one = trainer(net, 1)
    hidden = sum(Engine(net, EventProp(), CrossEntropy()).run(trials).spikes.values())
    seconds = timed(
        {"ours": lambda: one.step(trials), **{name: peer.run for name, (peer, _) in peers.items()}},
        repetitions=repetitions,
    )
    for name, (_, proof) in peers.items():
        report.add(
            f"update of a trial, EventProp against BPTT in PyTorch, {name}, one thread",
            seconds["ours"] / BATCH,
            seconds[name] / BATCH,
            f"{spikes_text(trials, hidden)}; forward pass on a small network {proof}",
        )


def main():
    """All comparisons that the command line asks for."""
    given = arguments(__doc__)
    report = Report(given, "torch")
    net = current_network()
    trials = random_trials(BATCH)
    tune(net, trials[:8], HIDDEN_SPIKES, low=0.2, high=4.0)
    if report.wants("epoch"):
        epoch(report, net, trials, 5 if given.quick else -(-TRIALS // BATCH))
    if report.wants("PyTorch"):
        if version("torch") is None:
            report.note("PyTorch " + MISSING.format("torch"))
        else:
            pytorch(report, net, trials, 3 if given.quick else 9)
    report.note("GeNN: not run, PyGeNN 5 is not on PyPI")
    report.close()


if __name__ == "__main__":
    main()
