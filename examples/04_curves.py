"""More curves of plasticity rules: triplets, quadruplets, frequencies and rates.

The experiments by which rules are told apart, with the fits of Pfister and Gerstner 2006 to two data
sets, and the measurements with their standard errors. Triplets and quadruplets (Wang et al. 2005,
hippocampal culture): the order of three spikes matters, which no rule of pairs can explain. Frequencies
(Sjoestroem et al. 2001, visual cortex): depression turns into potentiation at 40 Hz. Rates: between
independent neurons the triplet rule has a threshold, below which the postsynaptic rate depresses and above
which it potentiates (Bienenstock et al. 1982).

    python examples/04_curves.py
"""

import argparse
from pathlib import Path

import numpy as np
from brian2 import Hz, ms, second
from matplotlib import pyplot as plt

from neurosnn import analysis, equations

# Bounds far away: the fits are changes relative to the weight.
WIDE = {"w_min": -100.0, "w_max": 100.0}
HIPPOCAMPUS = equations.TripletSTDP(data_set="hippocampus", minimal=True, **WIDE)
VISUAL_CORTEX = equations.TripletSTDP(data_set="visual_cortex", minimal=True, **WIDE)
PAIR = equations.PairSTDP(A_plus=0.005, A_minus=-0.00525, **WIDE)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few repetitions: only a test")
    parser.add_argument("--output", type=Path, default=Path("output"), help="folder of the picture")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    n = 3 if options.quick else 60
    figure, axes = plt.subplots(2, 3, figsize=(11, 6), layout="constrained")

    # Sixty repetitions, ten times faster than in the experiment: these traces last 40 ms at most.
    intervals = [[5, 5], [10, 10], [15, 5], [5, 15]] * ms
    for ax, order in zip(axes[0], ("post-pre-post", "pre-post-pre"), strict=False):
        changes = analysis.triplet_changes(
            HIPPOCAMPUS, intervals, order=order, n_repeats=n, rate=4 * Hz
        )
        analysis.plot_triplets(changes, ax=ax, published=analysis.wang_2005(order))
        ax.legend()
    axes[0, 1].sharey(axes[0, 0])

    separations = ([-40, 40] if options.quick else [*range(-80, -9, 10), *range(10, 81, 10)]) * ms
    for rule, name in ((HIPPOCAMPUS, "triplet rule"), (PAIR, "pair rule")):
        curve = analysis.quadruplet_curve(rule, separations, n_repeats=n, rate=4 * Hz)
        points = analysis.wang_2005("quadruplets") if rule is HIPPOCAMPUS else None
        analysis.plot_quadruplets(curve, ax=axes[0, 2], label=name, published=points)
    axes[0, 2].legend(loc="upper left", fontsize="small")

    frequencies = ([20, 40] if options.quick else [5, 10, 20, 30, 40, 50]) * Hz
    for rule, name, ax in (
        (VISUAL_CORTEX, "triplet rule", axes[1, 0]),
        (PAIR, "pair rule", axes[1, 1]),
    ):
        for lag in (10 * ms, -10 * ms):
            curve = analysis.pairing_frequency_curve(rule, frequencies, lag=lag, n_pairs=n)
            analysis.plot_frequency_curve(
                curve, ax=ax, label=f"lag {lag / ms:+.0f} ms", published=analysis.sjostrom_2001(lag)
            )
        ax.set_title(name)
        ax.set_ylim(-0.6, 1.4)
        ax.legend(loc="upper left", fontsize="small")

    rates = (np.array([10, 40]) if options.quick else np.arange(0, 51, 5)) * Hz
    curve = analysis.rate_curve(
        VISUAL_CORTEX,
        rates,
        duration=(0.5 if options.quick else 5) * second,
        n_repeats=10 if options.quick else 60,
    )
    analysis.plot_rate_curve(curve, ax=axes[1, 2], label="triplet rule")
    v = VISUAL_CORTEX.parameters
    theory = v["A2_minus"] * v["tau_minus"] / (v["A3_plus"] * v["tau_plus"] * v["tau_y"])
    print(f"threshold: {curve.threshold / Hz:.1f} Hz measured, {theory / Hz:.1f} Hz in theory")
    figure.savefig(options.output / "curves.png", dpi=120)
    print(f"picture: {options.output / 'curves.png'}")


if __name__ == "__main__":
    main()
