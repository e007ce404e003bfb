"""The whole way in two minutes: train on real speech, look at the rules, export a C++ program.

A recurrent network of 128 STDP-ALIF neurons learns with e-prop to tell spoken digits apart (2700
recordings, of the embedded Free Spoken Digit Dataset) and is tested on 300 others. Then: STDP windows
of the rules, the network saved, exported as a C++ project, built with make, run without Python, and
its spikes compared with those of stock Brian2 and of the engine.

    make demo        or        python examples/demo.py
"""

import argparse
import subprocess
import time
from pathlib import Path

import numpy as np
from brian2 import ms, prefs
from matplotlib import pyplot as plt

from neurosnn import (
    Adam,
    EProp,
    Input,
    Layer,
    Readout,
    SpikingNetwork,
    Trainer,
    analysis,
    data,
    equations,
    export,
    read_results,
)
from neurosnn.core.drawing import mark_quick_runs
from neurosnn.engine import Engine

TIMES = {}


def timed(title, function, *arguments):
    """Call a function, and say what it does and how long it took."""
    print(f"\n== {title}", flush=True)
    begin = time.perf_counter()
    result = function(*arguments)
    TIMES[title] = time.perf_counter() - begin
    return result


def train_network(train, epochs, n):
    """The network of the README, trained."""
    net = SpikingNetwork(
        Input(train.n_channels),
        Layer(equations.STDP_ALIF(tau_a=200 * ms), n, recurrent=True),
        Readout(10, tau=20 * ms),
        dt=1 * ms,
        seed=1,
    )
    print(net)
    trainer = Trainer(net, EProp(feedback="symmetric"), optimizer=Adam(1e-3), seed=1)
    trainer.fit(train, epochs=epochs, batch_size=32)
    return trainer


def draw_windows(path, quick):
    """The classical window, and those of e-prop for four neurons with a learning signal of 1."""
    lags = {"max_lag": 40 * ms, "step": 10 * ms if quick else 1 * ms}
    _, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    pair = equations.PairSTDP(A_plus=0.01, A_minus=-0.0105, tau_plus=20 * ms, tau_minus=20 * ms)
    analysis.plot_stdp_window(analysis.stdp_window(pair, **lags), ax=left, marker="")
    left.set_title("classical pair STDP")
    models = (equations.LIF, equations.ALIF, equations.STDP_LIF, equations.STDP_ALIF)
    for model in models[2:3] if quick else models:
        window = analysis.stdp_window(EProp(), post=model(t_ref=5 * ms), background=0.6, **lags)
        analysis.plot_stdp_window(window, ax=right, label=model.__name__, marker="")
        print(f"e-prop, {model.__name__}: Δw from {window.dw.min():.2f} to {window.dw.max():.2f}")
    right.set_title("e-prop, held at 0.6 of the threshold")
    right.legend(loc="upper left", bbox_to_anchor=(1, 1))
    left.figure.savefig(path, dpi=120)


def run_program(net, trials, folder):
    """Export, build and run the C++ program; returns its results."""
    export(net, folder, device="cpp_standalone", inputs=trials, overwrite=True)
    for command in (["make", "-j2"], ["./run"]):
        print("  $", *command, flush=True)
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
    return read_results(folder)


def compare_spikes(net, trials, program):
    """Steps and neurons of all spikes in the C++ program, in stock Brian2 and in the engine."""
    prefs.codegen.target = "numpy"  # for a few trials, compiling would take longer than running
    simulation, schedule = net.brian2(trials, record=["spikes"]), net.trial_times(trials)
    simulation.run(schedule.duration, namespace={})
    place = schedule.locate(simulation["hidden_spikes"].t)
    neuron = np.asarray(simulation["hidden_spikes"].i)
    engine = Engine(net, dtype="float64").simulate(trials).spikes["hidden"]
    for k, spikes in enumerate(program.spikes["hidden"]):
        of_program = sorted(zip(np.rint(spikes.t / net.dt).astype(int), spikes.i, strict=True))
        here = place.trial == k
        of_brian = sorted(zip(place.step[here], neuron[here], strict=True))
        of_engine = sorted(zip(*engine[k], strict=True))
        if not of_program == of_brian == of_engine:
            raise AssertionError(f"the spikes of trial {k} differ")
    return len(neuron)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="small, and without building: only a test"
    )
    parser.add_argument("--output", type=Path, default=Path("output"), help="folder of all results")
    options = parser.parse_args()
    if options.quick:
        mark_quick_runs()
    output, quick = options.output, options.quick
    output.mkdir(parents=True, exist_ok=True)
    begin = time.perf_counter()

    encoder = {"n_bands": 16, "n_thresholds": 4} if quick else {}
    train, test = timed("read the recordings", lambda: data.spoken_digits(**encoder))
    print(train)
    trainer = timed(
        "train with e-prop", train_network, train, 1 if quick else 5, 32 if quick else 128
    )
    result = trainer.evaluate(test)
    print(f"accuracy on {len(test)} recordings not trained on: {result['accuracy']:.1%}")
    _, ax = plt.subplots(figsize=(5, 3.5), layout="constrained")
    analysis.plot_learning_curve(trainer.history, ax=ax)
    ax.figure.savefig(output / "learning_curve.png", dpi=120)
    timed("measure STDP windows", draw_windows, output / "stdp_windows.png", quick)

    trainer.net.save(output / "digits.npz")
    net, trials = SpikingNetwork.load(output / "digits.npz"), test[:: len(test) // 3]
    if quick:
        export(net, output / "digits_cpp", inputs=trials, overwrite=True)
    else:
        program = timed(
            "export, build and run in C++", run_program, net, trials, output / "digits_cpp"
        )
        count = timed(
            "the same trials in Brian2 and the engine", compare_spikes, net, trials, program
        )
        print(f"all {count} spikes of {len(trials)} trials are the same in all three")

    print(f"\n{'accuracy on new recordings':42s} {result['accuracy']:6.1%}")
    for title, seconds in TIMES.items():
        print(f"{title:42s} {seconds:6.1f} s")
    print(f"{'all':42s} {time.perf_counter() - begin:6.1f} s")
    print(f"results: {output}/learning_curve.png, stdp_windows.png, digits.npz, digits_cpp/")


if __name__ == "__main__":
    main()
