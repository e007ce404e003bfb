"""STDP windows of classical rules and of e-prop: what one pair of spikes does to a synapse.

Rules that are written down as rules of spikes, the same pair repeated at several frequencies, and e-prop,
which knows nothing of pairs: its window is what the dynamics of the neuron make of them.

    python examples/01_stdp_window.py             # writes output/stdp_window_*.png
    python examples/01_stdp_window.py --quick     # few lags: only a test
"""

import sys
from pathlib import Path

from brian2 import Hz, ms
from matplotlib import pyplot as plt

from neurosnn import EProp, analysis, equations
from neurosnn.core.drawing import mark_quick_runs

quick = "--quick" in sys.argv
if quick:
    mark_quick_runs()
output = Path("output")
output.mkdir(exist_ok=True)
lags = {"max_lag": 20 * ms, "step": 5 * ms} if quick else {"max_lag": 50 * ms, "step": 1 * ms}

# %%
# Rules of pairs and triplets
# ---------------------------
# The triplet rule of Pfister and Gerstner (2006), here with their parameters for visual cortex, answers to a
# single pair with depression only: it needs a third spike for potentiation. Each window is divided by its
# largest change.

rules = {
    "pair": equations.PairSTDP(A_plus=0.01, A_minus=-0.0105, tau_plus=20 * ms, tau_minus=20 * ms),
    "triplet": equations.TripletSTDP(),
    "inhibitory": equations.InhibitorySTDP(),
}
figure, ax = plt.subplots(figsize=(5, 3.5), layout="constrained")
for name, rule in rules.items():
    window = analysis.stdp_window(rule, **lags)
    curve = (window.lag, window.dw / abs(window.dw).max())
    analysis.plot_stdp_window(curve, ax=ax, label=name, marker="")
ax.set_ylabel("Δw / largest")
ax.legend()
figure.savefig(output / "stdp_window_classical.png", dpi=120)

# %%
# The same pair, repeated
# -----------------------
# As in Sjoestroem et al. (2001): thirty pairs at several frequencies. At high ones the triplet rule
# potentiates whatever the order, a rule of pairs does not.

frequencies = ([10, 50] if quick else [1, 5, 10, 20, 30, 40, 50]) * Hz
figure, ax = plt.subplots(figsize=(5, 3.5), layout="constrained")
for name, color in (("pair", "#0072B2"), ("triplet", "#D55E00"))[quick:]:
    for lag, style in ((10 * ms, "-"), (-10 * ms, "--"))[quick:]:
        curve = analysis.pairing_frequency_curve(
            rules[name], frequencies, lag=lag, n_pairs=10 if quick else 30
        )
        analysis.plot_frequency_curve(
            curve, ax=ax, label=f"{name}, lag {lag / ms:+.0f} ms", color=color, linestyle=style
        )
ax.legend(fontsize="small")
figure.savefig(output / "stdp_window_frequencies.png", dpi=120)

# %%
# E-prop
# ------
# With a constant learning signal of 1. The window depends on where the neuron is held meanwhile: at rest only
# the STDP neurons of Traub et al. (2020) react, and only with depression; held at 0.6 of the threshold all
# potentiate, and the STDP neurons have a trough of depression around lag 0.

neurons = {
    name: getattr(equations, name)(t_ref=5 * ms)
    for name in ("LIF", "ALIF", "STDP_LIF", "STDP_ALIF")[2 * quick : 4 - quick]
}
figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
for ax, background in zip(axes, (0.6, 0.0), strict=True):
    for name, neuron in neurons.items():
        window = analysis.stdp_window(EProp(), post=neuron, background=background, **lags)
        analysis.plot_stdp_window(window, ax=ax, label=name, marker="", lw=1.5)
    ax.set_title(f"held at {background} of the threshold" if background else "at rest")
axes[1].legend()
figure.savefig(output / "stdp_window_eprop.png", dpi=120)
