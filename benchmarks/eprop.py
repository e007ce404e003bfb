"""The e-prop gradient of a recurrent ALIF network, against PyTorch and online e-prop in Brian2.

700 inputs, 256 recurrent ALIF neurons, 20 readouts, 1000 steps of 1 ms, about 7.7k input and 7.9k
hidden spikes a trial; every number is the time of one trial, on one thread unless it says otherwise.

- PyTorch computes the same gradient for the same 32 trials: in float64, on a small network, the two
  agree to rounding. The line called BPTT is full backpropagation through time, another gradient at
  about the same cost.
- Brian2 (C++ standalone) computes the same gradient online, with traces in all synapses, for one
  trial; its time is that of the simulation alone, without code generation and compilation.

    python benchmarks/eprop.py [--quick] [--json FILE] [--only TEXT]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from _common import MISSING, Report, arguments, largest_difference, timed, version
from _networks import alif_network, dense, random_trials, tune

from neurosnn import CrossEntropy, CrossEntropyPerStep, EProp
from neurosnn.engine import Engine

BATCH, HIDDEN_SPIKES = 32, 7900


def main():
    """All comparisons that the command line asks for."""
    given = arguments(__doc__)
    report = Report(given, "torch")
    repetitions = 3 if given.quick else 9
    net = alif_network()
    if report.wants("start"):
        start(report)
    tune(net, random_trials(8), HIDDEN_SPIKES)
    trials = random_trials(BATCH).on_grid(net.dt)  # as the raster of PyTorch, made once
    if report.wants("threads"):
        threads(report, net, trials, repetitions)
    if report.wants("PyTorch"):
        if version("torch") is None:
            report.note("PyTorch " + MISSING.format("torch"))
        else:
            pytorch(report, net, trials, repetitions, quick=given.quick)
    if report.wants("Brian2"):
        brian2(report, net, trials, repetitions, quick=given.quick)
    report.close()


def start(report):
    """A new process, from making the network to its first gradient: with an empty cache, and once more.

    Imports are not counted.
    """
    code = (
        "import time; from _networks import Engine, EProp, alif_network, random_trials\n"
        "from neurosnn import CrossEntropy\n"
        f"trials, start = random_trials({BATCH}), time.perf_counter()\n"
        "engine = Engine(alif_network(), EProp(), CrossEntropy(), threads=1)\n"
        "engine.run(trials, gradient=True)\n"
        "print(time.perf_counter() - start)"
    )
    with tempfile.TemporaryDirectory() as folder:
        first, second = (
            float(
                subprocess.run(
                    [sys.executable, "-c", code],
                    cwd=Path(__file__).parent,
                    env={**os.environ, "NEUROSNN_CACHE": folder},
                    capture_output=True,
                    text=True,
                    check=True,
                ).stdout
            )
            for _ in range(2)
        )
    report.add(
        f"start: network, engine and the gradient of {BATCH} trials, from the cache against the first "
        "build",
        second,
        first,
        "same network and trials",
    )


def threads(report, net, trials, repetitions):
    """Two threads against one; the results are the same bits."""
    engines = {n: Engine(net, EProp(), CrossEntropy(), threads=n) for n in (1, 2)}
    results = {n: engine.run(trials, gradient=True) for n, engine in engines.items()}
    equal = all(
        np.array_equal(results[1].gradient[key], block)
        for key, block in results[2].gradient.items()
    )
    seconds = timed(
        {n: lambda e=engine: e.run(trials, gradient=True) for n, engine in engines.items()},
        repetitions=3 * repetitions,
    )
    report.add(
        "e-prop gradient, two threads against one",
        seconds[2] / BATCH,
        seconds[1] / BATCH,
        f"{spikes_text(trials, results[1], BATCH)}, gradients "
        + ("equal in every bit" if equal else "NOT EQUAL"),
    )


def spikes_text(trials, result, n_trials):
    """Spikes a trial."""
    hidden = sum(result.spikes.values()) / n_trials
    return f"{len(trials.times) / n_trials:.0f} input and {hidden:.0f} hidden spikes a trial"


def pytorch(report, net, trials, repetitions, *, quick):
    """The same batch in PyTorch, in several forms; the quickest with the same gradient counts."""
    import torch
    from _torch_peer import TorchNetwork

    torch.set_num_threads(1)
    small = alif_network(30, 16, 3)
    few = random_trials(4, n_channels=30, n_steps=200, spikes=400, n_classes=3)
    tune(small, few, 150)
    checked = Engine(small, EProp(), CrossEntropy(), dtype="float64", threads=1)
    ours = checked.run(few, gradient=True)
    agree = {}
    for events in (False, True):
        peer = TorchNetwork(
            small, dense(few, small.dt), few.labels, dtype=torch.float64, events=events
        )
        agree[events] = largest_difference(ours.gradient, arrays(peer.run()))
        assert peer.spikes == sum(ours.spikes.values()) > 0

    engine = Engine(net, EProp(), CrossEntropy(), threads=1)
    raster = dense(trials, net.dt)
    forms = {
        "PyTorch e-prop, dense input": {},
        "PyTorch e-prop, input as events": {"events": True},
        "PyTorch BPTT, dense input": {"bptt": True},
        "PyTorch BPTT, input as events": {"bptt": True, "events": True},
    }
    if not quick:
        forms["PyTorch e-prop, input as events, torch.compile"] = {"events": True, "compiled": True}
    peers = {
        name: TorchNetwork(net, raster, trials.labels, **options)
        for name, options in forms.items()
        if report.wants(name)
    }
    result = engine.run(trials, gradient=True)
    functions = {name: peer.run for name, peer in peers.items()}
    seconds = timed(
        {"ours": lambda: engine.run(trials, gradient=True), **functions}, repetitions=repetitions
    )
    for name, peer in peers.items():
        options = forms[name]
        if options.get("bptt"):
            proof = "another gradient by intention"
        else:
            found = largest_difference(result.gradient, arrays(peer.run()))
            proof = f"gradients differ by {found:.1e} in float32, on a small network by "
            proof += f"{agree[options.get('events', False)]:.1e} in float64"
        report.add(
            f"e-prop gradient, {name}",
            seconds["ours"] / BATCH,
            seconds[name] / BATCH,
            f"{spikes_text(trials, result, BATCH)}, theirs {peer.spikes / BATCH:.0f}; {proof}",
        )


def arrays(gradient):
    """Tensors as arrays."""
    return {key: value.numpy() for key, value in gradient.items()}


def brian2(report, net, trials, repetitions, *, quick):
    """One trial in C++ standalone; ours is the time of a trial in the batch."""
    from _brian2_peer import online_eprop

    engine = Engine(net, EProp(), CrossEntropyPerStep(), threads=1)
    exact = Engine(net, EProp(), CrossEntropyPerStep(), dtype="float64", threads=1)
    one = trials[:1]
    expected = exact.run(one, gradient=True)
    variants = {"default flags, float64": ("default", np.float64)}
    if not quick:
        variants["default flags, float32"] = ("default", np.float32)
        variants["our flags, float32"] = ("ours", np.float32)
    for name, (flags, dtype) in variants.items():
        theirs, gradient, n_spikes = online_eprop(
            net, one, flags=flags, dtype=dtype, repetitions=repetitions
        )
        ours = timed({"ours": lambda: engine.run(trials, gradient=True)}, repetitions=repetitions)
        report.add(
            f"e-prop gradient, Brian2 C++ standalone online, {name}",
            ours["ours"] / BATCH,
            float(np.median(theirs)),
            f"{sum(expected.spikes.values())} hidden spikes, theirs {n_spikes}; gradients differ by "
            f"{largest_difference(expected.gradient, gradient):.1e}",
        )


if __name__ == "__main__":
    main()
