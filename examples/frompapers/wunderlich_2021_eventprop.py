"""EventProp after Wunderlich & Pehle (2021): first spike times on Yin-Yang, latency-coded MNIST.

Two tasks with the paper's networks of LIF neurons with exponential synapses (20 and 5 ms):

    yin_yang   5-200-3, cross-entropy of first spike times (tau_0 0.5 ms, tau_1 6.4 ms, alpha 3e-3)
    mnist      784-350-10, cross-entropy of the mean potential of each output; needs --root with the
               four idx files of MNIST

The paper has 98.1 +- 0.2 % and 97.6 +- 0.1 % (10 seeds; Sci. Rep. 11:12829 and its published runs).

What differs: the paper's simulator is event-driven, here time has steps (0.02 and 1 ms). Yin-Yang has
a lower learning rate (3e-3, not 5e-3) that falls by 4 % an epoch, not 5 %. MNIST has 12 epochs, batches
of 8 instead of 5, 10 % of the input spikes dropped instead of 20 % and learning rates that fall faster.
Small batches matter there: with 32 the network is a point worse after as many epochs. It is told by
the mean potentials instead of the largest ones, whose gradient is noisier on a coarse grid. The test
set of Yin-Yang has 10000 points instead of 1000, for a narrower interval. The weights kept are those
of the epoch with the best accuracy on the validation set; the test set is used once, at the end.

    python examples/frompapers/wunderlich_2021_eventprop.py --seeds 1 2 3 4 5
    python examples/frompapers/wunderlich_2021_eventprop.py --task mnist --root FOLDER --seeds 1 2 3
"""

import argparse
import time
from pathlib import Path

import numpy as np
from brian2 import ms
from matplotlib import pyplot as plt

from neurosnn import (
    Adam,
    CrossEntropy,
    EventProp,
    FirstSpike,
    Input,
    Layer,
    Readout,
    SpikingNetwork,
    Trainer,
    analysis,
    data,
    equations,
)
from neurosnn.core.drawing import mark_quick_runs
from neurosnn.training.callbacks import EarlyStopping
from neurosnn.training.schedules import Exponential

# Means and standard deviations of the initial weights are the paper's.
RECIPES = {
    "yin_yang": {
        "sizes": (5, 200, 3),
        "input": (1.5, 0.78),
        "readout": (0.93, 0.1),
        "dt": 0.02,
        "loss": FirstSpike(),
        "dropped": 0.0,
        "epochs": 100,
        "decay": 0.96,
        "rate": 3e-3,
        "batch": 32,
    },
    "mnist": {
        "sizes": (784, 350, 10),
        "input": (0.078, 0.045),
        "readout": (0.2, 0.37),
        "dt": 1.0,
        "loss": CrossEntropy(),
        "dropped": 0.1,
        "epochs": 12,
        "decay": 0.75,
        "rate": 3e-3,
        "batch": 8,
    },
}


def sets(task, root, quick):
    """Training, validation and test set."""
    if task == "yin_yang":
        sizes = (200, 100, 100) if quick else (5000, 3000, 10000)
        return [data.yin_yang(n, seed=seed) for seed, n in enumerate(sizes)]
    images, test = data.read_mnist(root)
    if quick:
        images, test = images[:1000], test[:500]
    train, validation = data.validation_split(images, 1 / 12, seed=0)
    return [
        data.encode_latency(part, latest=20 * ms, duration=25 * ms, threshold=1 / 255)
        for part in (train, validation, test)
    ]


def make_trainer(recipe, seed):
    """The network and its trainer."""
    n_in, n, n_out = recipe["sizes"]
    (mean, sd), (mean_out, sd_out) = recipe["input"], recipe["readout"]
    net = SpikingNetwork(
        Input(n_in),
        Layer(
            equations.CurrentLIF(tau_m=20 * ms, tau_s=5 * ms),
            n,
            weight_scale=sd * np.sqrt(n_in),
            weight_mean=mean / sd,
        ),
        Readout(
            n_out,
            model=equations.CurrentReadout(tau_m=20 * ms, tau_s=5 * ms),
            bias=False,
            weight_scale=sd_out * np.sqrt(n),
            weight_mean=mean_out / sd_out,
        ),
        dt=recipe["dt"] * ms,
        seed=seed,
    )
    return Trainer(
        net,
        EventProp(),
        optimizer=Adam(recipe["rate"]),
        loss=recipe["loss"],
        schedule=Exponential(recipe["decay"]),
        augment=lambda trials, rng: data.drop_spikes(trials, recipe["dropped"], seed=rng),
        seed=seed,
        threads=1,
    )


def draw_figure(trainer, trials, axes):
    """Points of Yin-Yang at x and y, by the answer, and the first spikes of two trials."""
    answer, points = trainer.predict(trials), trials.times.reshape(len(trials), -1)
    order = np.argsort(trials.units.reshape(len(trials), -1), axis=1)
    x, y = np.take_along_axis(points, order, axis=1)[:, :2].T * 1000
    for label, name in enumerate(trials.class_names):
        chosen = answer == label
        axes[0].plot(x[chosen], y[chosen], ".", markersize=2, label=name)
    wrong = answer != trials.labels
    axes[0].plot(x[wrong], y[wrong], "kx", markersize=4, label="wrong")
    axes[0].set(xlabel="spike of x (ms)", ylabel="spike of y (ms)", aspect="equal")
    axes[0].legend(fontsize=7)
    output = trainer.backend.simulate(trials[:1]).output[0]
    t = np.arange(len(output)) * trainer.net.dt
    for k, name in enumerate(trials.class_names):
        analysis.plot_state(t, output[:, k], ax=axes[1], name="output", label=name)
    axes[1].axhline(1, color="gray", lw=0.8)
    axes[1].set_ylim(0, 2)
    axes[1].set_title(f"a trial of {trials.class_names[trials.labels[0]]}")
    axes[1].legend(fontsize=7)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few points and epochs: only a test")
    parser.add_argument("--output", type=Path, default=Path("output"), help="folder of the picture")
    parser.add_argument("--task", choices=sorted(RECIPES), default="yin_yang")
    parser.add_argument("--root", help="folder of MNIST")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--epochs", type=int)
    options = parser.parse_args()
    if options.quick:
        mark_quick_runs()
    options.output.mkdir(parents=True, exist_ok=True)
    recipe = RECIPES[options.task]
    epochs = options.epochs or (2 if options.quick else recipe["epochs"])
    train, validation, test = sets(options.task, options.root, options.quick)
    columns = 3 if options.task == "yin_yang" else 1
    _, axes = plt.subplots(1, columns, figsize=(4.2 * columns, 3.8), layout="constrained")
    axes = np.atleast_1d(axes)
    accuracies = []
    for seed in options.seeds:
        begin, trainer = time.perf_counter(), make_trainer(recipe, seed)
        history = trainer.fit(
            train,
            epochs=epochs,
            validation=validation,
            batch_size=recipe["batch"],
            early_stopping=EarlyStopping(epochs, monitor="validation_accuracy"),
        )
        seconds = time.perf_counter() - begin
        result = trainer.evaluate(test)
        accuracies.append(result["accuracy"])
        print(
            f"seed {seed}: {100 * accuracies[-1]:.2f} % of {len(test)}; validation at best "
            f"{100 * max(history['validation_accuracy']):.2f} %, {epochs} epochs in {seconds:.0f} s, "
            f"{result['rate.hidden'] * float(test.duration):.2f} spikes a hidden neuron and trial",
            flush=True,
        )
        analysis.plot_learning_curve(history, ax=axes[0], marker="", label=f"seed {seed}")
    mean, n_seeds = float(np.mean(accuracies)), len(accuracies)
    one, all_seeds = (100 * analysis.wilson_interval(mean, len(test) * n) for n in (1, n_seeds))
    print(
        f"{options.task}: {100 * mean:.2f} % (standard deviation {100 * np.std(accuracies):.2f}, "
        f"{n_seeds} seeds); Wilson 95 %: {one[0]:.2f} to {one[1]:.2f} one seed, "
        f"{all_seeds[0]:.2f} to {all_seeds[1]:.2f} pooled"
    )
    if options.task == "yin_yang":
        draw_figure(trainer, test[:2000], axes[1:])
    path = options.output / f"wunderlich_2021_{options.task}.png"
    axes[0].figure.savefig(path, dpi=120)
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
