"""Which rule learns what, and what does it need to know? Spoken digits with every rule.

One recurrent network of current-based LIF neurons learns spoken digits with e-prop (four kinds of
feedback) and with EventProp, whose gradient is exact up to the grid. For each rule and seed: accuracy on
new recordings, how well its gradient of the task is aligned with the exact one, firing rate, sparseness,
and how many synaptic events a recording takes. With the number of non-local signals that each rule needs
at a synapse this is one table and one picture. It runs as a study: kill it at any time, and the same
command goes on.

Settings are the same for all rules. They were chosen on a fifth of the training recordings, for EventProp,
which needs it most: 32 random ones, one seed, six epochs. E-prop might do better with its own.

    python examples/05_compare_rules.py                 # some minutes on two processors
    python examples/05_compare_rules.py --workers 0     # without Dask, one after the other
"""

import argparse
import dataclasses
from pathlib import Path

import numpy as np
from brian2 import Hz
from matplotlib import pyplot as plt

from neurosnn import EProp, EventProp, Trainer, analysis
from neurosnn.study import Study

RATE = {"rate_target": 15 * Hz, "rate_strength": 1e-5}
RULES = {
    "e-prop global": EProp(feedback="global", **RATE),
    "e-prop random": EProp(feedback="random", **RATE),
    "e-prop adaptive": EProp(feedback="adaptive", **RATE),
    "e-prop symmetric": EProp(feedback="symmetric", **RATE),
    # A membrane that grazes its threshold has no bounded gradient on a grid of 1 ms.
    "EventProp": EventProp(smallest_slope=50, **RATE),
}


def without_rate_term(rule):
    """The gradient of the task alone: the firing-rate term has another scale in each rule."""
    plain, made = dataclasses.replace(rule, rate_strength=0.0), []

    def gradient(trainer, batch):
        if not made:
            made.append(Trainer(trainer.net, plain, loss=trainer.loss, threads=1))
        for name, values in trainer.backend.parameters.items():  # learned feedback weights
            np.copyto(made[0].backend.parameters[name], values)
        return made[0].gradient(batch)

    return gradient


def train(rule, n, epochs, n_train, seed):
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
        equations,
    )

    trials, test = data.spoken_digits(n_bands=16, n_thresholds=4)
    net = SpikingNetwork(
        Input(trials.n_channels),
        Layer(equations.CurrentLIF(), n, recurrent=True, weight_scale=6.0),
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
        {"exact": EventProp(smallest_slope=50)}, trials[:64], own=without_rate_term(RULES[rule])
    )
    trainer.fit(trials[:n_train], epochs=epochs, callbacks=[recorder], progress=False)
    result = trainer.evaluate(test)
    activity = analysis.network_activity(net, test)["hidden"]
    # A spike reaches all its synapses: of the input to the layer, of the layer to itself and readout.
    inputs = len(test.times) / len(test)
    outgoing = sum(c.n_synapses for c in net.connections.values() if c.source == "hidden") / n
    alignment = {
        block: float(np.nanmean([row[f"{block}.w"] for row in recorder.cosines["exact"]]))
        for block in ("input", "recurrent")
    }
    return {
        "accuracy": result["accuracy"],
        "rate": result["rate.hidden"],
        "silent": activity.silent,
        "sparseness": activity.sparseness,
        "events": inputs * n + activity.spikes_per_trial * outgoing,
        "alignment_input": alignment["input"],
        "alignment_recurrent": alignment["recurrent"],
    }


def draw(table, path):
    """Accuracy against locality, alignment, rate and events, a colour a rule."""
    from neurosnn.analysis.drawing import COLORS

    panels = (
        ("non-local signals at a synapse", None, 1),
        ("alignment with the exact gradient\n(recurrent weights)", "alignment_recurrent", 1),
        ("firing rate (Hz)", "rate", 1),
        ("synaptic events a recording (1000)", "events", 1e-3),
    )
    figure, axes = plt.subplots(1, 4, figsize=(13, 3.6), layout="constrained", sharey=True)
    accuracy = table.mean("accuracy", by="rule")
    for k, rule in enumerate(accuracy.value):
        style = {"color": COLORS[k], "marker": "o", "ms": 6, "capsize": 3, "linestyle": "none"}
        y = 100 * accuracy.mean[k]
        spread = np.nan_to_num(
            100 * np.array([[y / 100 - accuracy.low[k]], [accuracy.high[k] - y / 100]])
        )
        for ax, (label, column, scale) in zip(axes, panels, strict=True):
            if column is None:
                x, wide = analysis.locality(RULES[rule]).n_non_local, None
            else:
                means = table.mean(column, by="rule")
                x = scale * means.mean[k]
                wide = np.nan_to_num([[x - scale * means.low[k]], [scale * means.high[k] - x]])
            ax.errorbar([x], [y], yerr=spread, xerr=wide, label=rule, **style)
            ax.set_xlabel(label)
    axes[0].set_ylabel("accuracy on new recordings (%)")
    axes[0].set_xlim(-0.5, 5)
    axes[0].legend(fontsize=8)
    figure.suptitle("spoken digits: mean over seeds with 95 % intervals", fontsize=10)
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small and short: only a test")
    parser.add_argument("--output", type=Path, default=Path("output"), help="folder of the results")
    parser.add_argument("--workers", type=int, help="processes; one a processor if not given")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    if options.quick:
        sizes = {"n": [24], "epochs": [1], "n_train": [96]}
        options.seeds, options.workers = options.seeds[:1], 0
    else:
        sizes = {"n": [128], "epochs": [options.epochs], "n_train": [2700]}
    study = Study(
        options.output / "compare_rules", train, {"rule": list(RULES), **sizes}, seeds=options.seeds
    )
    table = study.run(workers=options.workers)
    if len(table.failed):
        raise SystemExit(table.failed["error"][0])
    print(analysis.locality_table(RULES), "\n")
    columns = ("accuracy", "alignment_input", "alignment_recurrent", "rate", "silent", "sparseness",
               "events")  # fmt: skip
    means = {name: table.mean(name, by="rule") for name in columns}
    print("rule".ljust(18), *(name.rjust(20) for name in columns))
    for k, rule in enumerate(means["accuracy"].value):
        cells = []
        for name in columns:
            half = means[name].high[k] - means[name].mean[k]
            text = f"{means[name].mean[k]:.3g}"
            cells.append((text + (f" ± {half:.2g}" if half == half else "")).rjust(20))
        print(str(rule).ljust(18), *cells)
    table.to_csv(options.output / "compare_rules.csv")
    draw(table, options.output / "compare_rules.png")
    print(f"table: {options.output / 'compare_rules.csv'}")
    print(f"picture: {options.output / 'compare_rules.png'}")


if __name__ == "__main__":
    main()
