"""Intervals between the spikes of a real neuron: a noisy neuron that has them, judged on the other half.

A Purkinje cell that fires on its own gives no stimulus that a spike could be compared with; what a model can
have is the distribution of its intervals. A leaky neuron with white noise is simulated with thousands of
sets of parameters, and the set is kept whose deciles of the intervals are nearest to those of the first half
of the recording. Noise that is drawn beforehand is a current like any other.

The recording is a Purkinje cell under bicuculline, which takes its inhibition away (Delescluse; R package
STAR, GPL), and no part of this package. docs/fitting.md has the lines of R that write it as sPK_bicu.csv, a
trial and a time in seconds in each line. Without the file, intervals of a random walk stand in for it.

    NEUROSNN_DATA=folder python examples/08_real_intervals.py      # half a minute
    python examples/08_real_intervals.py --file mine.csv
"""

import argparse
import os
from pathlib import Path

import numpy as np
from brian2 import Quantity, ms, second
from matplotlib import pyplot as plt
from scipy.stats import ks_2samp

from neurosnn import NeuronModel, simulate_many

DT = 0.5 * ms
DECILES = np.arange(0.1, 0.95, 0.1)
NEURON = NeuronModel(
    name="noisy LIF",
    equations="""
        dv/dt = (mu - v)/tau_m + sigma*noise*tau_m**-0.5 : 1
        noise : second**-0.5
        """,
    threshold="v > 1",
    reset="v = 0",
    method="euler",
    inputs=("noise",),
    parameters={"mu": 1.2, "sigma": 0.1, "tau_m": 50 * ms},
)
#: Bounds of mu, sigma and tau_m [s]; the last two are drawn on a logarithmic scale.
LOW, HIGH = np.array([0.9, 0.01, 0.005]), np.array([2.5, 1.0, 0.3])
LOGARITHMIC = np.array([False, True, True])


def read(path):
    """Spike times in seconds of the first trial, from lines "trial,seconds"."""
    trial, seconds = np.loadtxt(path, delimiter=",", skiprows=1, unpack=True)
    return np.sort(seconds[trial == trial[0]])


def stand_in(duration=300.0):
    """Spikes whose intervals are those of a random walk with drift: Wald's distribution."""
    return np.cumsum(np.random.default_rng(0).wald(0.104, 5.0, int(duration / 0.104)))


def deciles(simulations):
    """Deciles of the intervals of each set; infinite where there are too few."""
    rows = np.full((len(simulations.fired), len(DECILES)), np.inf)
    for row, fired in zip(rows, simulations.fired[:, 0], strict=True):
        intervals = np.diff(np.flatnonzero(fired)) * float(simulations.dt)
        if len(intervals) > 20:
            row[:] = np.quantile(intervals, DECILES)
    return rows


def simulate(sets, noise, features=None):
    """Many sets of parameters with the same noise."""
    parameters = {"mu": sets[:, 0], "sigma": sets[:, 1], "tau_m": sets[:, 2] * second}
    return simulate_many(NEURON, parameters, current={"noise": noise}, dt=DT, features=features)


def drawn(n_steps, seed):
    """White noise, held during each step, as xi is."""
    values = np.random.default_rng(seed).standard_normal(n_steps) / np.sqrt(float(DT))
    return Quantity(values, dim=(second**-0.5).dim)


def search(target, duration, n_sets, rounds, seed=1):
    """Sets whose deciles are nearest to the target, the best first, and their distances."""
    rng = np.random.default_rng(seed)
    noise = drawn(int(duration / float(DT)), seed)
    low, high = (np.where(LOGARITHMIC, np.log(x), x) for x in (LOW, HIGH))
    kept, distances = np.empty((0, 3)), np.empty(0)
    for _ in range(rounds):
        places = rng.uniform(low, high, (n_sets, 3))
        sets = np.where(LOGARITHMIC, np.exp(places), places)
        rows = simulate(sets, noise, deciles)
        new = np.sqrt(np.mean((rows / target - 1) ** 2, axis=1))
        kept, distances = np.concatenate([kept, sets]), np.concatenate([distances, new])
        best = np.argsort(distances, kind="stable")[: max(n_sets // 50, 5)]
        kept, distances = kept[best], distances[best]
        # the next round is drawn where the best of this one are, and a little beyond
        places = np.where(LOGARITHMIC, np.log(kept), kept)
        margin = 0.2 * np.ptp(places, axis=0)
        low = np.maximum(low, places.min(axis=0) - margin)
        high = np.minimum(high, places.max(axis=0) + margin)
    return kept, distances


def described(intervals):
    """Mean, coefficient of variation and correlation of neighbours, as text."""
    neighbours = np.corrcoef(intervals[1:], intervals[:-1])[0, 1]
    spread = intervals.std() / intervals.mean()
    return f"{1e3 * intervals.mean():7.1f} ms {spread:6.3f} {neighbours:10.3f}"


def distance(one, other):
    """Kolmogorov's distance of two distributions."""
    return ks_2samp(one, other).statistic


def draw(groups):
    """Distributions of intervals, as they are and over their own means."""
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.5), sharey=True, layout="constrained")
    for ax, scaled in zip(axes, (False, True), strict=True):
        for label, (intervals, color) in groups.items():
            values = np.sort(intervals / intervals.mean() if scaled else 1e3 * intervals)
            ax.plot(values, np.linspace(0, 1, len(values)), color=color, label=label)
    axes[0].set(xlabel="interval (ms)", ylabel="fraction of shorter intervals", xlim=(50, 180))
    axes[1].set(xlabel="interval / mean of its group", xlim=(0.5, 1.6))
    axes[0].legend(loc="lower right", fontsize="small")
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    folder = Path(os.environ.get("NEUROSNN_DATA", "."))
    parser.add_argument("--file", type=Path, default=folder / "sPK_bicu.csv")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter simulations")
    parser.add_argument("--output", type=Path, default=Path("output"), help="folder of the picture")
    options = parser.parse_args()

    if options.file.exists():
        spikes = read(options.file)
        print(f"{options.file.name}: {len(spikes)} spikes in {spikes[-1]:.0f} s")
    else:
        print(f"There is no {options.file}: intervals of a random walk stand in.")
        spikes = stand_in()
    half = (spikes[0] + spikes[-1]) / 2
    fitted, held = np.diff(spikes[spikes < half]), np.diff(spikes[spikes >= half])

    duration, n_sets, rounds = (30.0, 200, 2) if options.quick else (150.0, 1000, 4)
    kept, distances = search(np.quantile(fitted, DECILES), duration, n_sets, rounds)
    # once more with other noise, so that the best set is not judged by the noise that chose it
    again = simulate(kept[:1], drawn(int(300.0 / float(DT)), seed=2))
    model = np.diff(np.flatnonzero(again.fired[0, 0])) * float(DT)

    print(f"best of {n_sets * rounds} sets: deciles are {100 * distances[0]:.1f} % off")
    for name, values in zip(("mu", "sigma", "tau_m (s)"), kept.T, strict=True):
        print(
            f"  {name:10} {values[0]:.3f}, the best {len(kept)} sets {values.min():.3f} to {values.max():.3f}"
        )
    groups = {
        "first half, fitted": (fitted, "0.6"),
        "second half, held out": (held, "k"),
        "model": (model, "C0"),
    }
    print("                       mean interval  CV   correlation of neighbours")
    for label, (intervals, _) in groups.items():
        print(f"{label:22} {described(intervals)}")
    print(
        "Kolmogorov's distance of the held-out intervals; in brackets, of intervals over their mean"
    )
    for label in ("model", "first half, fitted"):
        intervals = groups[label][0]
        shape = distance(intervals / intervals.mean(), held / held.mean())
        print(f"  from {label:20} {distance(intervals, held):.3f} ({shape:.3f})")

    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "real_intervals.png"
    draw(groups).savefig(path, dpi=150)
    print(f"picture in {path}")


if __name__ == "__main__":
    main()
