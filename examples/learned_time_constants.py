"""Does a learned membrane time constant rescue a bad start, whichever rule learns it?

Fang et al. (2021) let backpropagation learn one tau_m a layer. Here the same recurrent network of LIF
neurons with synaptic currents hears spoken digits, and its tau_m starts at --starts and is fixed, or is
learned together with the weights by one of three rules:

    BPTT        surrogate gradient through all paths
    e-prop      surrogate gradient along the neuron's own past, as eligibility trace of tau_m
    EventProp   exact gradient of spike times, which knows nothing of spikes that appear or vanish

Accuracy is that on a fifth of the training recordings; nothing was chosen by it. The test recordings
are not used. The learning rate of tau_m is 300 times that of a weight, in ms.

    python examples/learned_time_constants.py                   # a few minutes
    python examples/learned_time_constants.py --starts 5 80 --seeds 1 2 3 4 5
"""

import argparse
import time
from pathlib import Path

import numpy as np
from brian2 import Hz, ms
from matplotlib import pyplot as plt
from matplotlib.ticker import LogLocator, NullFormatter

from neurosnn import (
    BPTT,
    Adam,
    CrossEntropy,
    EProp,
    EventProp,
    Input,
    Layer,
    Readout,
    SpikingNetwork,
    Trainer,
    data,
    equations,
)
from neurosnn.core.drawing import COLORS, mark_quick_runs
from neurosnn.training.schedules import Exponential

RATE = {"rate_target": 15 * Hz, "rate_strength": 1e-5}
RULES = {
    "BPTT": BPTT(**RATE),
    "e-prop": EProp(feedback="symmetric", **RATE),
    "EventProp": EventProp(smallest_slope=50, **RATE),
}
#: With the usual 0.3 the gradient of BPTT explodes in recurrent networks (05_compare_rules.py).
GAMMA = 0.1
TAU_S = 15 * ms


def make_trainer(rule, tau_m, learned, n_channels, n, seed):
    """The network, its tau_m at the start, and its trainer."""
    net = SpikingNetwork(
        Input(n_channels),
        Layer(
            equations.CurrentLIF(tau_m=tau_m * ms, tau_s=TAU_S, gamma=GAMMA),
            n,
            recurrent=True,
            weight_scale=0.2 * np.sqrt(n_channels),
            weight_mean=0.1,
            learn=("tau_m",) if learned else (),
        ),
        Readout(10, model=equations.CurrentReadout(), weight_scale=0.03 * np.sqrt(n)),
        dt=1 * ms,
        seed=seed,
    )
    net.parameters["recurrent.w"][:] *= 0.02 / net.parameters["recurrent.w"].std()
    return Trainer(
        net,
        RULES[rule],
        optimizer=Adam(5e-3, factors={"*.tau_m": 300} if learned else {}),
        loss=CrossEntropy(readout="linear"),
        schedule=Exponential(0.9),
        augment=lambda trials, rng: data.drop_spikes(trials, 0.1, seed=rng),
        weight_bounds={"*.tau_m": (2 * ms, None)} if learned else None,
        seed=seed,
    )


def train(trainer, epochs, sets):
    """Accuracy on the held-out recordings, and tau_m (ms) after each epoch."""
    start = float(trainer.net.layers[0].model.parameters["tau_m"] / ms)
    taus = [start]

    def note(*_):
        taus.append(1000 * float(trainer.net.learned.get("hidden.tau_m", start / 1000)))

    trainer.fit(sets[0], epochs=epochs, progress=False, callbacks=note)
    return trainer.evaluate(sets[1])["accuracy"], taus


def draw(curves, path):
    """tau_m over the epochs, one panel a rule; a line is one seed."""
    _, axes = plt.subplots(
        1, len(RULES), figsize=(3.6 * len(RULES), 3.4), sharey=True, layout="constrained"
    )
    for ax, rule in zip(axes, RULES, strict=True):
        for k, (start, runs) in enumerate(curves[rule].items()):
            for number, taus in enumerate(runs):
                label = None if number else f"from {start:g} ms"
                ax.plot(taus, color=COLORS[k], lw=1.2, label=label)
        ax.set(xlabel="epoch", title=rule, yscale="log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter(NullFormatter())
        ax.legend(fontsize=7)
    axes[0].set_ylabel("tau_m (ms)")
    axes[0].figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small, two epochs: only a test")
    parser.add_argument("--output", type=Path, default=Path("output"), help="folder of the picture")
    parser.add_argument("--starts", type=float, nargs="+", default=[2.0, 20.0, 200.0], help="ms")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--neurons", type=int, default=128)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    if options.quick:
        mark_quick_runs()
    options.output.mkdir(parents=True, exist_ok=True)
    recordings = data.spoken_digits(n_bands=35, n_thresholds=4, trim=0.7)[0]
    if options.quick:
        options.epochs, options.neurons, options.seeds = 2, 32, [1]
        options.starts, recordings = options.starts[:1], recordings[::9]
    sets = data.validation_split(recordings, 0.2, seed=0)
    print(
        f"{len(sets[0])} recordings to train on, {len(sets[1])} held out, {len(options.seeds)} seeds"
    )
    print("           tau_m at the start      fixed [%]    learned [%]   tau_m at the end [ms]")
    curves = {rule: {} for rule in RULES}
    for rule in RULES:
        for start in options.starts:
            begin, found = time.perf_counter(), {}
            for learned in (False, True):
                size = (sets[0].n_channels, options.neurons)
                runs = [
                    train(make_trainer(rule, start, learned, *size, seed), options.epochs, sets)
                    for seed in options.seeds
                ]
                found[learned] = 100 * np.array([accuracy for accuracy, _ in runs])
            curves[rule][start] = [taus for _, taus in runs]
            ends = " ".join(f"{taus[-1]:.1f}" for _, taus in runs)
            cells = "   ".join(f"{x.mean():5.1f} ± {x.std():3.1f}" for x in found.values())
            print(
                f"{rule:12s} {start:10g} ms       {cells}    {ends}   "
                f"({time.perf_counter() - begin:.0f} s)",
                flush=True,
            )
    path = options.output / "learned_time_constants.png"
    draw(curves, path)
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
