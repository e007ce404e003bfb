"""STDP windows of classical rules and of e-prop: what one pair of spikes does to a synapse.

First picture: rules that are written down as rules of spikes, and the same pair repeated at several
frequencies (Sjoestroem et al. 2001): the triplet rule of Pfister and Gerstner 2006, here with their
parameters for visual cortex, answers to a single pair with depression only and needs a third spike
for potentiation.

Second picture: e-prop with a constant learning signal of 1. E-prop knows nothing of spike pairs; its
window is what the neuron's own dynamics make of them, and it depends on where the neuron is held
meanwhile. At rest only the STDP neurons of Traub et al. 2020 react, and only with depression; held at
0.6 of the threshold all potentiate, and the STDP neurons have a trough of depression around lag 0.

    python examples/01_stdp_window.py
"""

import argparse
import time
from pathlib import Path

from brian2 import Hz, ms
from matplotlib import pyplot as plt

from neurosnn import EProp, analysis, equations


def lags(quick):
    """Which lags to measure."""
    return {"max_lag": 20 * ms, "step": 5 * ms} if quick else {"max_lag": 50 * ms, "step": 1 * ms}


def classical(quick):
    """Rules of spike pairs and triplets: windows, and pairs repeated 30 times."""
    rules = {
        "pair": equations.PairSTDP(
            A_plus=0.01, A_minus=-0.0105, tau_plus=20 * ms, tau_minus=20 * ms
        ),
        "triplet": equations.TripletSTDP(),
        "inhibitory": equations.InhibitorySTDP(),
    }
    _, axes = plt.subplots(1, 2, figsize=(10, 3.5), layout="constrained")
    for name, rule in rules.items():
        window = analysis.stdp_window(rule, **lags(quick))
        largest = abs(window.dw).max()
        analysis.plot_stdp_window(
            (window.lag, window.dw / largest), ax=axes[0], label=name, marker=""
        )
    axes[0].set_ylabel("Δw / largest")
    axes[0].legend()
    frequencies = ([10, 50] if quick else [1, 5, 10, 20, 30, 40, 50]) * Hz
    for name, color in (("pair", "#0072B2"), ("triplet", "#D55E00"))[quick:]:
        for lag, style in ((10 * ms, "o-"), (-10 * ms, "o--"))[quick:]:
            curve = analysis.pairing_frequency_curve(
                rules[name], frequencies, lag=lag, n_pairs=10 if quick else 30
            )
            label = f"{name}, lag {lag / ms:+.0f} ms"
            axes[1].plot(curve.frequency / Hz, curve.dw, style, color=color, ms=3, label=label)
    axes[1].axhline(0, color="0.75", lw=0.8, zorder=0)
    axes[1].set(xlabel="frequency of the pair (Hz)", ylabel="Δw after all pairs")
    axes[1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    return axes[0].figure


def eprop(quick):
    """E-prop with L = 1: neurons held at 0.6 of the threshold, and at rest."""
    neurons = {
        "LIF": equations.LIF(t_ref=5 * ms),
        "ALIF": equations.ALIF(t_ref=5 * ms),
        "STDP_LIF": equations.STDP_LIF(t_ref=5 * ms),
        "STDP_ALIF": equations.STDP_ALIF(t_ref=5 * ms),
    }
    _, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    for ax, background in zip(axes, (0.6, 0.0), strict=True):
        for name, neuron in list(neurons.items())[2 * quick : 4 - quick]:
            window = analysis.stdp_window(
                EProp(), post=neuron, background=background, **lags(quick)
            )
            analysis.plot_stdp_window(window, ax=ax, label=name, marker="", lw=1.5)
        ax.set_title(f"held at {background} of the threshold" if background else "at rest")
    axes[1].legend()
    return axes[0].figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few lags: only a test")
    parser.add_argument(
        "--output", type=Path, default=Path("output"), help="folder of the pictures"
    )
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    for name, draw in (("classical", classical), ("eprop", eprop)):
        begin = time.perf_counter()
        path = options.output / f"stdp_window_{name}.png"
        draw(options.quick).savefig(path, dpi=120)
        print(f"{path}  ({time.perf_counter() - begin:.1f} s)", flush=True)


if __name__ == "__main__":
    main()
