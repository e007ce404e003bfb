"""More curves of plasticity rules: triplets, quadruplets, frequencies and rates.

The experiments by which rules are told apart, with the fits of Pfister and Gerstner (2006) to two data
sets, and the measurements with their standard errors.

    python examples/04_curves.py             # writes output/curves_*.png
    python examples/04_curves.py --quick     # few repetitions: only a test
"""

import sys
from pathlib import Path

import numpy as np
from brian2 import Hz, ms, second
from matplotlib import pyplot as plt

from neurosnn import analysis, equations
from neurosnn.core.drawing import mark_quick_runs

quick = "--quick" in sys.argv
if quick:
    mark_quick_runs()
output = Path("output")
output.mkdir(exist_ok=True)
n = 3 if quick else 60

# Bounds far away: the fits are changes relative to the weight.
wide = {"w_min": -100.0, "w_max": 100.0}
hippocampus = equations.TripletSTDP(data_set="hippocampus", minimal=True, **wide)
visual_cortex = equations.TripletSTDP(data_set="visual_cortex", minimal=True, **wide)
pair = equations.PairSTDP(A_plus=0.005, A_minus=-0.00525, **wide)

# %%
# Triplets and quadruplets
# ------------------------
# Wang et al. (2005), hippocampal culture: the order of three spikes matters, which no rule of pairs can
# explain. Sixty repetitions, ten times faster than in the experiment: these traces last 40 ms at most.

figure, axes = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
intervals = [[5, 5], [10, 10], [15, 5], [5, 15]] * ms
for ax, order in zip(axes, ("post-pre-post", "pre-post-pre"), strict=False):
    changes = analysis.triplet_changes(
        hippocampus, intervals, order=order, n_repeats=n, rate=4 * Hz
    )
    analysis.plot_triplets(changes, ax=ax, published=analysis.wang_2005(order))
    ax.legend(fontsize="small")
axes[1].sharey(axes[0])
separations = ([-40, 40] if quick else [*range(-80, -9, 10), *range(10, 81, 10)]) * ms
for rule, name in ((hippocampus, "triplet rule"), (pair, "pair rule")):
    curve = analysis.quadruplet_curve(rule, separations, n_repeats=n, rate=4 * Hz)
    points = analysis.wang_2005("quadruplets") if rule is hippocampus else None
    analysis.plot_quadruplets(curve, ax=axes[2], label=name, published=points)
axes[2].legend(loc="upper left", fontsize="small")
figure.savefig(output / "curves_patterns.png", dpi=120)

# %%
# Frequencies
# -----------
# Sjoestroem et al. (2001), visual cortex: depression turns into potentiation at 40 Hz.

figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained", sharey=True)
frequencies = ([20, 40] if quick else [5, 10, 20, 30, 40, 50]) * Hz
for ax, rule, name in zip(axes, (visual_cortex, pair), ("triplet rule", "pair rule"), strict=True):
    for lag in (10 * ms, -10 * ms):
        curve = analysis.pairing_frequency_curve(rule, frequencies, lag=lag, n_pairs=n)
        analysis.plot_frequency_curve(
            curve, ax=ax, label=f"lag {lag / ms:+.0f} ms", published=analysis.sjostrom_2001(lag)
        )
    ax.set(title=name, ylim=(-0.6, 1.6))
    ax.legend(loc="upper left", fontsize="small", ncols=2)
figure.savefig(output / "curves_frequencies.png", dpi=120)

# %%
# Rates
# -----
# Between independent neurons the triplet rule has a threshold, below which the postsynaptic rate depresses
# and above which it potentiates (Bienenstock et al. 1982).

rates = (np.array([10, 40]) if quick else np.arange(0, 51, 5)) * Hz
curve = analysis.rate_curve(
    visual_cortex,
    rates,
    duration=(0.5 if quick else 5) * second,
    n_repeats=10 if quick else 60,
)
figure, ax = plt.subplots(figsize=(4.5, 3.2), layout="constrained")
analysis.plot_rate_curve(curve, ax=ax, label="triplet rule")
v = visual_cortex.parameters
theory = v["A2_minus"] * v["tau_minus"] / (v["A3_plus"] * v["tau_plus"] * v["tau_y"])
print(f"threshold: {curve.threshold / Hz:.1f} Hz measured, {theory / Hz:.1f} Hz in theory")
figure.savefig(output / "curves_rates.png", dpi=120)
