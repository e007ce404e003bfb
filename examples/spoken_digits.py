"""Spoken digits with e-prop: the longer recipe, on new recordings and on unseen speakers.

3000 recordings of six speakers (Free Spoken Digit Dataset, embedded as spikes of 700 cochlea-like
channels) and 256 recurrent LIF neurons. Model, encoder, augmentation and number of epochs were fixed
on a validation split of the training recordings (`--split validation`); the test recordings, 0 to 4
of each digit and speaker, play no part in it. Three questions:

    validation   540 of the 2700 training recordings held out: what settings were chosen by
    official     300 test recordings of the six speakers trained on
    speakers     all recordings of one speaker, trained on the five others; each speaker in turn

Accuracies of several seeds are pooled and given with the Wilson 95 % interval; trials of different
seeds are the same recordings, so that the interval of one seed is given as well.

    python examples/spoken_digits.py                                 # official split, five seeds
    python examples/spoken_digits.py --split speakers --seeds 1 2
    python examples/spoken_digits.py --quick                         # 64 channels, small: only a test
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
    EProp,
    Input,
    Layer,
    Readout,
    SpikingNetwork,
    Trainer,
    analysis,
    data,
    equations,
)
from neurosnn.schedules import Exponential

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
CELLS_A_BAND = 10


def drop(trials, rng):
    """Leave out a tenth of the input spikes."""
    return data.drop_spikes(trials, 0.1, seed=rng)


def shift(trials, rng):
    """Move each recording by up to two of the 70 mel bands: a higher or a lower voice."""
    bands = np.repeat(rng.integers(-2, 3, len(trials)), np.diff(trials.offsets))
    units = trials.units + (CELLS_A_BAND * bands).astype(np.int32)
    inside = (units >= 0) & (units < trials.n_channels)
    offsets = np.append(0, np.cumsum(inside))[trials.offsets]
    return trials.with_spikes(trials.times[inside], units[inside], offsets)


def make_trainer(n_channels, seed, n=256):
    """The network and its trainer: every number that was chosen on the validation split."""
    net = SpikingNetwork(
        Input(n_channels),
        Layer(equations.LIF(tau_m=20 * ms), n, recurrent=True),
        Readout(10, tau=20 * ms),
        dt=1 * ms,
        seed=seed,
    )
    return Trainer(
        net,
        EProp(feedback="symmetric"),
        optimizer=Adam(3e-3),
        loss=CrossEntropy(readout="exponential", tau=400 * ms),
        schedule=Exponential(0.95),
        augment=[drop, shift],
        seed=seed,
    )


def parts(split, **encoder):
    """(name, training set, test set) of each training that answers a question."""
    if split == "speakers":
        for name in SPEAKERS:
            yield name, *data.spoken_digits("speaker", test_speaker=name, **encoder)
        return
    train, test = data.spoken_digits(**encoder)
    if split == "validation":
        train, test = data.validation_split(train, 0.2, seed=0)
    yield split, train, test


def wilson(correct, total, z=1.96):
    """The 95 % interval of a share, in percent."""
    share, spread = correct / total, z**2 / total
    middle = (share + spread / 2) / (1 + spread)
    half = z * np.sqrt(share * (1 - share) / total + spread / total / 4) / (1 + spread)
    return 100 * (middle - half), 100 * (middle + half)


def report(name, accuracies, n_test):
    """One line: mean and spread over seeds, and the intervals of one seed and of all."""
    mean, n_seeds = np.mean(accuracies), len(accuracies)
    low, high = wilson(mean * n_test, n_test)
    all_low, all_high = wilson(mean * n_test * n_seeds, n_test * n_seeds)
    print(
        f"{name:10s} {100 * mean:5.1f} % (standard deviation {100 * np.std(accuracies):.1f}, "
        f"{n_seeds} seeds x {n_test}); Wilson 95 %: {low:.1f} to {high:.1f} one seed, "
        f"{all_low:.1f} to {all_high:.1f} pooled",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few channels and epochs: only a test")
    parser.add_argument("--output", type=Path, default=Path("output"), help="folder of the picture")
    parser.add_argument(
        "--split", choices=("validation", "official", "speakers"), default="official"
    )
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    epochs, seeds, n, encoder = options.epochs, options.seeds, 256, {}
    if options.quick:
        epochs, seeds, n = 2, seeds[:1], 32
        encoder = {"n_bands": 16, "n_thresholds": 4}

    _, ax = plt.subplots(figsize=(5, 3.5), layout="constrained")
    means = []
    for name, train, test in parts(options.split, **encoder):
        accuracies = []
        for seed in seeds:
            begin = time.perf_counter()
            trainer = make_trainer(train.n_channels, seed, n)
            history = trainer.fit(train, epochs=epochs, batch_size=32)
            seconds = time.perf_counter() - begin
            accuracies.append(trainer.evaluate(test)["accuracy"])
            print(
                f"{name:10s} seed {seed}: {100 * accuracies[-1]:.1f} % of {len(test)} after "
                f"{epochs} epochs, {seconds:.0f} s",
                flush=True,
            )
            label = f"{name}, seed {seed}" if len(seeds) < 6 else None
            analysis.plot_learning_curve(
                history, ax=ax, marker="", color=f"C{seed % 10}", label=label
            )
        report(name, accuracies, len(test))
        means.append(np.mean(accuracies))
    if len(means) > 1:
        print(f"mean of the speakers: {100 * np.mean(means):.1f} %")
    ax.set_title(f"training accuracy, {options.split} split")
    ax.figure.savefig(options.output / f"spoken_digits_{options.split}.png", dpi=120)
    print(f"picture: {options.output / f'spoken_digits_{options.split}.png'}")


if __name__ == "__main__":
    main()
