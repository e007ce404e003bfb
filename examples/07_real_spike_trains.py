"""From spike trains of a real neuron to a model: an odour response, judged on trials that were not fitted.

Extracellular recordings have spikes and no voltage. A leaky neuron with adaptation, driven by a constant
current and a filtered odour puff, is fitted to every other trial by the distance of filtered spike trains,
and predicts the others. Repetitions of the same puff differ, so that no model can be right about all of them:
the fitted trials as a prediction of the others say how much can be had.

The recording is a neuron of the cockroach's antennal lobe (Chaffiol; R package STAR, GPL), which is not part
of this package. docs/fitting.md has the lines of R that write it as CAL1V_neuron1.csv, a trial and a time in
seconds in each line. Without the file, a simulated random neuron stands in for it.

    NEUROSNN_DATA=folder python examples/07_real_spike_trains.py      # some seconds
    python examples/07_real_spike_trains.py --file mine.csv --puff 6.0 6.5 --duration 15
"""

import argparse
import dataclasses
import os
from pathlib import Path

import numpy as np
from brian2 import ms, second
from matplotlib import pyplot as plt

from neurosnn import NeuronModel, VanRossumLoss, fit_model

DT = 1 * ms
BIN = 0.1  # s
NEURON = NeuronModel(
    name="adaptive LIF",
    equations="""
        dv/dt = (I_0 + g*y - a - v)/tau_m : 1
        da/dt = -a/tau_a : 1
        dx/dt = (puff - x)/tau_x : 1
        dy/dt = (x - y)/tau_x : 1
        puff : 1
        """,
    threshold="v > 1",
    reset="v = 0\na += b",
    method="euler",
    inputs=("puff",),
    parameters={
        "I_0": 1.1,
        "g": 2.0,
        "b": 0.1,
        "tau_m": 20 * ms,
        "tau_a": 300 * ms,
        "tau_x": 50 * ms,
    },
)
FREE = {
    "I_0": (0.8, 2.0),
    "g": (0.1, 20.0),
    "b": (0.005, 1.0),
    "tau_m": (5 * ms, 100 * ms),
    "tau_a": (50 * ms, 3000 * ms),
    "tau_x": (20 * ms, 400 * ms),
}


def read(path):
    """Spike times of each trial in seconds, from lines "trial,seconds"."""
    trial, seconds = np.loadtxt(path, delimiter=",", skiprows=1, unpack=True)
    return [np.sort(seconds[trial == k]) for k in np.unique(trial)]


def stand_in(puff, duration, n_trials=20):
    """Trials of a random neuron whose rate rises and falls with the puff."""
    rng = np.random.default_rng(0)
    time = np.arange(0, duration, 1e-3)
    after = np.maximum(time - puff[0], 0) / 0.25
    rate = 8 + 70 * after * np.exp(1 - after)
    return [time[rng.random(len(time)) < rate * 1e-3] for _ in range(n_trials)]


def rate_of(trains, duration):
    """Spikes a second in each bin, over trials."""
    bins = np.arange(0, duration + 1e-9, BIN)
    return np.mean([np.histogram(train, bins)[0] for train in trains], axis=0) / BIN


def explained(rate, held):
    """Part of the variance of the held-out rate that another one explains."""
    return 1 - ((rate - held) ** 2).sum() / ((held - held.mean()) ** 2).sum()


def with_units(trains):
    """Trains as Quantities."""
    return [train * second for train in trains]


def draw(held, model, rates, puff):
    """Held-out trials, the model's train above them, and the rates of both."""
    figure, (top, bottom) = plt.subplots(
        2, sharex=True, figsize=(8, 5), height_ratios=(2, 1.5), layout="constrained"
    )
    for row, train in enumerate(held):
        top.plot(train, np.full(len(train), row), "|", color="0.4", ms=5)
    top.plot(model, np.full(len(model), len(held)), "|", color="C0", ms=8)
    top.set(ylabel="held-out trial, model on top", yticks=[0, len(held) - 1])
    for label, (rate, color) in rates.items():
        bottom.step(BIN * np.arange(len(rate)), rate, where="post", color=color, label=label)
    bottom.set(xlabel="time (s)", ylabel="rate (Hz)", xlim=(puff[0] - 1.5, puff[1] + 3))
    bottom.legend()
    for ax in (top, bottom):
        ax.axvspan(*puff, color="0.9", zorder=0)
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    folder = Path(os.environ.get("NEUROSNN_DATA", "."))
    parser.add_argument("--file", type=Path, default=folder / "CAL1V_neuron1.csv")
    parser.add_argument("--puff", type=float, nargs=2, default=(4.49, 4.99), help="seconds")
    parser.add_argument("--duration", type=float, default=10.0, help="seconds")
    parser.add_argument("--quick", action="store_true", help="fewer starts")
    parser.add_argument("--output", type=Path, default=Path("output"), help="folder of the picture")
    options = parser.parse_args()

    duration = options.duration
    if options.file.exists():
        trials = read(options.file)
        print(f"{options.file.name}: {len(trials)} trials, {sum(map(len, trials))} spikes")
    else:
        print(f"There is no {options.file}: a simulated random neuron stands in.")
        trials = stand_in(options.puff, duration)
    trials = [train[train < duration] for train in trials]
    fitted, held = trials[::2], trials[1::2]

    time = np.arange(0, duration, float(DT))
    puff = ((time >= options.puff[0]) & (time < options.puff[1])).astype(float)
    fit = fit_model(
        NEURON,
        current={"puff": puff},
        spikes=with_units(fitted),
        dt=DT,
        free=FREE,
        loss=VanRossumLoss(tau=50 * ms),
        starts=2 if options.quick else 64,
        seed=1,
    )
    print(fit)

    model = np.asarray(fit.fitted_spikes[0])  # the same in all trials: the model is not random
    rates = {"held-out trials": (rate_of(held, duration), "0.4")}
    rates["model"] = (rate_of([model], duration), "C0")
    target = rates["held-out trials"][0]
    print("part of the variance of the held-out rate that is explained")
    print(f"  by the model          {explained(rates['model'][0], target):.2f}")
    print(f"  by the fitted trials  {explained(rate_of(fitted, duration), target):.2f}")
    predictions = {
        "model": [model] * len(held),
        "another held-out trial": held[1:] + held[:1],
    }
    print("coincidence with held-out trials within 4 ms")
    for name, trains in predictions.items():
        compared = dataclasses.replace(
            fit, spikes=with_units(held), fitted_spikes=with_units(trains)
        )
        print(f"  of {name:22} {compared.coincidence(4 * ms):.2f}")

    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "real_spike_trains.png"
    draw(held, model, rates, options.puff).savefig(path, dpi=150)
    print(f"picture in {path}")


if __name__ == "__main__":
    main()
