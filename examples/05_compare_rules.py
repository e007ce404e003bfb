"""Which rule learns what, and what does it need to know? Spoken digits with every rule.

One recurrent network of current-based LIF neurons learns spoken digits with e-prop (four kinds of
feedback), with backpropagation through time, which is e-prop with the paths through other neurons, and
with EventProp, whose gradient is exact up to the grid. For each rule and seed: accuracy on new recordings,
how well its gradient of the task is aligned with those of backpropagation and of EventProp, firing rate,
and what a recording costs, in synaptic events and in energy on a neuromorphic chip. With the number of
non-local signals that each rule needs at a synapse this is one table and one picture. It runs as a study:
kill it at any time, and the same command goes on.

EqSpike learns static patterns, so it gets less: the mean rate of each input channel over the recording, as
a constant current, in a network with one hidden layer of the same size. It has no recurrent weights and
hears nothing of the order of the sounds; compare it with the others as what can be had without time.
Its alignment is that of the input weights with the exact gradient of its own steady state.

Settings are the same for all rules of the recurrent network. They were chosen on a fifth of the training
recordings, for EventProp, which needs it most: 32 random ones, one seed, six epochs. The others might do
better with their own. The height of the pseudo-derivative is such that the gradient of backpropagation does
not explode at the start. EqSpike has those of ``frompapers/martin_2021_eqspike.py``.

    python examples/05_compare_rules.py                 # some minutes on two processors
    python examples/05_compare_rules.py --workers 0     # without Dask, one after the other
"""

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
from brian2 import Hz
from matplotlib import pyplot as plt

from neurosnn import BPTT, EProp, EventProp, Trainer, analysis, equations
from neurosnn.analysis.energy import LOIHI, count_events, count_network_events, energy
from neurosnn.core.drawing import mark_quick_runs
from neurosnn.study import Study

RATE = {"rate_target": 15 * Hz, "rate_strength": 1e-5}
# A membrane that grazes its threshold has no bounded gradient on a grid of 1 ms.
SMALLEST_SLOPE = 50
# With 0.3 (Bellec 2020) the gradient of backpropagation through time explodes in these recurrent weights:
# it is 1e9 times as long as e-prop's, which keeps its direction for any gamma.
GAMMA = 0.1
WITHOUT_TIME = "EqSpike (mean rates)"
RULES = {
    "e-prop global": EProp(feedback="global", **RATE),
    "e-prop random": EProp(feedback="random", **RATE),
    "e-prop adaptive": EProp(feedback="adaptive", **RATE),
    "e-prop symmetric": EProp(feedback="symmetric", **RATE),
    "BPTT": BPTT(**RATE),
    "EventProp": EventProp(smallest_slope=SMALLEST_SLOPE, **RATE),
    WITHOUT_TIME: equations.EqSpike(),
}
MICROJOULE = 1e-6


def train(rule, n, epochs, every, seed):
    """Train a network with one rule; what it can do in the end, and how its gradient was aligned."""
    from brian2 import ms

    from neurosnn import (
        Adam,
        CrossEntropy,
        Input,
        Layer,
        Readout,
        SpikingNetwork,
        data,
    )

    trials, test = data.spoken_digits(n_bands=16, n_thresholds=4)
    if rule == WITHOUT_TIME:
        return train_without_time(trials[::every], test, n, epochs, seed)
    net = SpikingNetwork(
        Input(trials.n_channels),
        Layer(equations.CurrentLIF(gamma=GAMMA), n, recurrent=True, weight_scale=6.0),
        Readout(10, model=equations.CurrentReadout()),
        dt=1 * ms,
        seed=seed,
    )
    trainer = Trainer(
        net,
        RULES[rule],
        optimizer=Adam(5e-3),
        loss=CrossEntropy(readout="mean"),
        threads=1,
        seed=seed,
    )
    recorder = analysis.AlignmentRecorder(
        {"exact": EventProp(smallest_slope=SMALLEST_SLOPE), "bptt": BPTT()},
        trials[::42],  # they are in the order of the digits
        own=analysis.task_gradient,
    )
    trainer.fit(trials[::every], epochs=epochs, callbacks=[recorder], progress=False)
    result = trainer.evaluate(test)
    counts = count_network_events(net, test)
    found = {
        "accuracy": result["accuracy"],
        "rate": result["rate.hidden"],
        "silent": analysis.network_activity(net, test)["hidden"].silent,
        "events": counts.synaptic_events,
        "energy": energy(counts, LOIHI)["total"],
    }
    for reference, cosines in recorder.cosines.items():
        for block in ("input", "recurrent"):
            mean = float(np.nanmean([row[f"{block}.w"] for row in cosines]))
            found[f"{reference}_{block}"] = mean
    return found


def mean_rates(trials, scale=None):
    """Mean rate of each channel in each recording as a grey value; full white is the largest."""
    from neurosnn import data

    row = np.repeat(np.arange(len(trials)), np.diff(trials.offsets))
    counts = np.zeros((len(trials), trials.n_channels))
    np.add.at(counts, (row, trials.units), 1)
    rates = counts / trials.durations[:, None]
    scale = np.maximum(rates.max(axis=0), 1e-9) if scale is None else scale
    pixels = np.round(255 * np.minimum(rates / scale, 1)).astype(np.uint8)
    return data.Images(images=pixels[:, None, :], labels=trials.labels), scale


def train_without_time(trials, test, n, epochs, seed):
    """Equilibrium propagation with spikes on the mean rates of the input channels."""
    from neurosnn import Adam
    from neurosnn.analysis.equilibrium import steady_state_gradient
    from neurosnn.rules.equilibrium import EquilibriumNetwork
    from neurosnn.training import EquilibriumTrainer
    from neurosnn.training.schedules import Cosine

    images, scale = mean_rates(trials)
    new, _ = mean_rates(test, scale)
    net = EquilibriumNetwork((trials.n_channels, n, 10), seed=seed)
    trainer = EquilibriumTrainer(
        net, optimizer=Adam(3e-3), schedule=Cosine(epochs, 0.01), threads=1, seed=seed
    )
    some = slice(None, None, max(1, len(images) // 64))
    x = images.pixels()[some]
    targets = trainer.targets(images.labels[some])
    cosines = []

    def compare(trainer, row):
        signs = np.where(np.arange(len(x)) % 2, 1, -1)
        result = trainer.engine.run(x, targets=targets, beta=trainer.beta * signs)
        exact = steady_state_gradient(net, x, targets, start=result.free)
        cosines.append(analysis.alignment(result.gradient, exact)["input_hidden.w"])

    trainer.fit(images, epochs=epochs, callbacks=compare, progress=False)
    result = trainer.evaluate(new)
    x = new.pixels()
    counts = count_events(net, trainer.engine.run(x), x, learning=False)
    return {
        "accuracy": result["accuracy"],
        "rate": result["rate.hidden"],
        "events": counts.synaptic_events + counts.constant_inputs,
        "energy": energy(counts, LOIHI)["total"],
        "exact_input": float(np.nanmean(cosines)),
    }


def statistics(table, column):
    """Mean, lower and upper limit of a result, by rule; rules without this result are left out."""
    means = table.mean(column, by="rule")
    return {
        rule: (means.mean[k], means.low[k], means.high[k]) for k, rule in enumerate(means.value)
    }


def report(table):
    """The table as text."""
    columns = ("accuracy", "bptt_input", "bptt_recurrent", "exact_input", "exact_recurrent", "rate",
               "silent", "events", "energy")  # fmt: skip
    found = {name: statistics(table, name) for name in columns}
    lines = [" ".join(["rule".ljust(20), *(name.rjust(17) for name in columns)])]
    for rule in found["accuracy"]:
        cells = []
        for name in columns:
            mean, _, high = found[name].get(rule, (np.nan, np.nan, np.nan))
            text = "" if np.isnan(mean) else f"{mean:.3g}"
            cells.append((text + (f" ± {high - mean:.2g}" if high == high else "")).rjust(17))
        lines.append(" ".join([rule.ljust(20), *cells]))
    return "\n".join(lines)


def limits(accuracy):
    """Limits of the accuracy axis in percent, upper part first: two where one rule is far below the rest."""
    spans = sorted(
        (np.nanmin([low, mean]), np.nanmax([high, mean])) for mean, low, high in accuracy.values()
    )
    gaps = [above[0] - below[1] for below, above in pairwise(spans)]
    k = int(np.argmax(gaps)) + 1
    parts = [spans]
    if gaps[k - 1] > max(high for _, high in spans[k:]) - spans[k][0]:
        parts = [spans[k:], spans[:k]]
    return [(100 * part[0][0] - 2, 100 * max(high for _, high in part) + 2) for part in parts]


def draw(table, path):
    """Accuracy against locality, alignment, rate and energy, a colour and a marker a rule."""
    from neurosnn.core.drawing import COLORS

    panels = (
        ("non-local signals at a synapse", {}, 1),
        ("cosine to BPTT\n(recurrent weights)", ("bptt_recurrent",), 1),
        ("cosine to the exact gradient\n(recurrent; EqSpike: input)",
         ("exact_recurrent", "exact_input"), 1),
        ("firing rate (Hz)", ("rate",), 1),
        (f"energy of a recording\n({LOIHI.name}, µJ)", ("energy",), 1 / MICROJOULE),
    )  # fmt: skip
    accuracy = statistics(table, "accuracy")
    parts = limits(accuracy)
    heights = [high - low for low, high in parts]
    heights = [max(height, max(heights) / 3) for height in heights]
    figure, grid = plt.subplots(
        len(parts), 5, figsize=(13, 4.6), layout="constrained", sharex="col", sharey="row",
        height_ratios=heights, squeeze=False,
    )  # fmt: skip
    for column, (label, names, scale) in enumerate(panels):
        # the first of the names that a rule has
        measured = {}
        for name in reversed(names):
            measured |= statistics(table, name)
        places = {}  # rules that need as many signals stand beside each other
        for k, (rule, values) in enumerate(accuracy.items()):
            y, low, high = (100 * value for value in values)
            if names:
                if rule not in measured:
                    continue
                x, left, right = (scale * value for value in measured[rule])
            else:
                needed = analysis.locality(RULES[rule]).n_non_local
                x = left = right = needed + 0.18 * places.setdefault(needed, 0)
                places[needed] += 1
            for ax in grid[:, column]:
                ax.errorbar(
                    [x],
                    [y],
                    yerr=np.nan_to_num([[y - low], [high - y]]),
                    xerr=np.nan_to_num([[x - left], [right - x]]),
                    label=rule,
                    color=COLORS[k],
                    marker="osD^vPX"[k],
                    markersize=7,
                    elinewidth=1,
                    linestyle="none",
                )
        grid[-1, column].set_xlabel(label)
    for row, part in zip(grid, parts, strict=True):
        row[0].set_ylim(part)
        for ax in row:
            ax.grid(alpha=0.3)
    if len(parts) == 2:
        break_axes(grid)
    grid[-1, 0].set(xlim=(-0.5, 5), xticks=range(5))
    grid[-1, 4].set_xlim(left=0)
    figure.supylabel("accuracy on new recordings (%)", fontsize="medium")
    seeds = len(np.unique(table["seed"]))
    bars = f"bars: 95 % interval of the mean of {seeds} seeds" if seeds > 1 else "one seed, no bars"
    figure.legend(
        *grid[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=7, title=bars
    )
    figure.savefig(path, dpi=110)


def break_axes(grid):
    """Two rows of axes as one with a gap, marked by strokes."""
    stroke = {"marker": [(-1, -0.6), (1, 0.6)], "markersize": 8, "linestyle": "none",
              "color": "k", "mec": "k", "mew": 1, "clip_on": False}  # fmt: skip
    for above, below in grid.T:
        above.spines.bottom.set_visible(False)
        below.spines.top.set_visible(False)
        above.tick_params(bottom=False)
        above.plot([0, 1], [0, 0], transform=above.transAxes, **stroke)
        below.plot([0, 1], [1, 1], transform=below.transAxes, **stroke)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small and short: only a test")
    parser.add_argument("--output", type=Path, default=Path("output"), help="folder of the results")
    parser.add_argument("--workers", type=int, help="processes; one a processor if not given")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    if options.quick:
        mark_quick_runs()
    options.output.mkdir(parents=True, exist_ok=True)
    if options.quick:
        sizes = {"n": [24], "epochs": [1], "every": [28]}
        options.seeds, options.workers = options.seeds[:1], 0
    else:
        sizes = {"n": [128], "epochs": [options.epochs], "every": [1]}
    study = Study(
        options.output / "compare_rules", train, {"rule": list(RULES), **sizes}, seeds=options.seeds
    )
    table = study.run(workers=options.workers)
    if len(table.failed):
        raise SystemExit(table.failed["error"][0])
    print(analysis.locality_table(RULES), "\n")
    print(report(table))
    table.to_csv(options.output / "compare_rules.csv")
    draw(table, options.output / "compare_rules.png")
    print(f"table: {options.output / 'compare_rules.csv'}")
    print(f"picture: {options.output / 'compare_rules.png'}")


if __name__ == "__main__":
    main()
