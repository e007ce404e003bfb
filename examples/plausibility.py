"""Which rule learns real speech, and what must its synapses know? Eight spoken words with every rule.

The recordings, the network and the settings are those of ``speech_commands.py``, which lies beside this
script: real words by hundreds of speakers, the official split, 256 recurrent adaptive neurons behind a
delay line. Every rule learns them, and for each are measured:

- accuracy on the official test part: mean over the seeds with its 95 % interval (Student's t), and Wilson's
  95 % interval of that share of the test recordings, whose number limits what can be told apart.
- locality: what a synapse of the hidden layer must know besides its own spikes and the state of its neuron,
  yes or no for each need (``analysis.Locality``); and on the axis the hardest of them, in this order:
  nothing (fixed weights), one signal for all, a signal for each neuron, weights of other synapses, a second
  phase, a pass backward in time.
- alignment: cosine of its gradient of the task in the hidden weights to the full gradient of the same
  network, on the same 64 or so recordings of the validation part, before and after learning. For ALIF,
  which is a recursion, the full gradient is that of BPTT with the same pseudo-derivative; for the neuron
  that is a flow it is EventProp's, exact up to the grid. EqSpike's, in its input weights, is compared with
  that of its steady state.
- firing rate, synaptic events of a test recording, and their energy on a neuromorphic chip.
- delay of credit: input spikes of 10 ms in the middle of a recording are marked, and only the output d
  after them has an error. With g(d) the gradient of the weights, as far as it went through the marked
  spikes, and delta(d) the error of the output, the credit is ``|g(d)| / rms |delta(d)|``; how much of it is
  right is the cosine of g(d) to the same of the full gradient. The delay of credit is the d at which the
  credit has fallen to 1/e of its largest.

EventProp needs the flow that stands behind ALIF, so that its row differs from the others in the neuron too.
Two rows keep weights fixed: only the readout learns (the floor), or all but the recurrent weights. One
signal for all is the sum of the outputs' errors, which is zero for a softmax: in that row the hidden
weights follow the firing-rate term alone. EqSpike learns static patterns: it gets the mean rate of each
channel in each third of the word as a constant current, has no recurrent weights and no delay line.

A training has a quarter of the epochs of the recipe (``--length``). The learning rates were chosen on the
validation part with seed 1 (``--choose``), from 0.003 and 0.01. Where 0.03 was tried as well, symmetric
e-prop and EventProp got worse and the readout alone better. Two rows were not searched and have the 0.01 of
their neighbours: adaptive feedback and fixed recurrent weights. It runs as a study: kill it at any time,
and the same command goes on.

    python examples/plausibility.py --root FOLDER                   # half an hour of a processor
    python examples/plausibility.py --root FOLDER --choose          # learning rates, on the validation part
    python examples/plausibility.py --quick                         # made sounds: only a test
"""

import argparse
import dataclasses
import functools
import time
from pathlib import Path

import numpy as np
import speech_commands as speech
from brian2 import ms
from matplotlib import pyplot as plt

from neurosnn import (
    BPTT,
    Adam,
    CrossEntropy,
    EProp,
    EventProp,
    Input,
    Population,
    Projection,
    Readout,
    SpikingNetwork,
    Trainer,
    analysis,
    data,
    equations,
)
from neurosnn.analysis.energy import LOIHI, count_events, count_network_events, energy
from neurosnn.analysis.equilibrium import steady_state_gradient
from neurosnn.core.drawing import COLORS, mark_quick_runs
from neurosnn.engine.backend import Engine
from neurosnn.losses.base import log_softmax
from neurosnn.rules.equilibrium import EquilibriumNetwork
from neurosnn.study import Study
from neurosnn.training import EquilibriumTrainer
from neurosnn.training.callbacks import LiftSilent
from neurosnn.training.schedules import Cosine, Exponential

#: The same for all rules, because it is part of the full gradient: with 0.3 that of BPTT explodes.
GAMMA = 0.1
SMALLEST_SLOPE = 50
#: The input spikes whose credit is followed, and when the output has an error after them.
MARKED = (400 * ms, 410 * ms)
DELAYS = np.array([0, 10, 20, 40, 60, 80, 120, 160, 200, 300, 400])  # ms
COMPARED = 64
MICROJOULE = 1e-6
MISSING = (np.nan,) * 3


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the table: a rule, its learning rate, for which neuron, and which weights stay as they are."""

    rule: object
    learning_rate: float
    color: str
    marker: str = "o"
    neuron: str = "ALIF"
    fixed: tuple[str, ...] = ()


EPROP = {
    kind: EProp(feedback=kind, **speech.RATE_TERM)
    for kind in ("symmetric", "adaptive", "random", "global")
}
SYMMETRIC = EPROP["symmetric"]
BLUE, RED, GREEN, PINK, ORANGE, SKY, BLACK, _ = COLORS
ROWS = {
    "only the readout learns": Row(SYMMETRIC, 3e-2, "0.6", fixed=("input.w", "recurrent.w")),
    "e-prop, recurrent weights fixed": Row(SYMMETRIC, 1e-2, "0.6", "s", fixed=("recurrent.w",)),
    "e-prop, global": Row(EPROP["global"], 1e-2, ORANGE),
    "e-prop, random": Row(EPROP["random"], 1e-2, SKY),
    "e-prop, adaptive": Row(EPROP["adaptive"], 1e-2, GREEN),
    "e-prop, symmetric": Row(SYMMETRIC, 1e-2, BLUE),
    "e-prop, STDP-ALIF": Row(SYMMETRIC, 3e-3, BLUE, "v", "STDP-ALIF"),
    "BPTT": Row(BPTT(**speech.RATE_TERM), 1e-2, RED),
    "EqSpike, rates of thirds": Row(equations.EqSpike(), 1e-2, PINK, "D", "EqSpikeLIF"),
    "EventProp, flow": Row(
        EventProp(smallest_slope=SMALLEST_SLOPE, **speech.RATE_TERM), 1e-2, BLACK, "^", "flow"
    ),
}
#: What a rule is compared with, by neuron: the full gradient of the same network.
FULL = {"ALIF": BPTT(), "STDP-ALIF": BPTT(), "flow": EventProp(smallest_slope=SMALLEST_SLOPE)}
RECIPE = {"ALIF": "eprop", "STDP-ALIF": "eprop", "flow": "eventprop", "EqSpikeLIF": "eventprop"}
LOSS = {"flow": CrossEntropy(readout="linear")}
QUICK = ("e-prop, random", "BPTT", "EqSpike, rates of thirds")
#: From the easiest to the hardest: fields of ``analysis.Locality``.
NEEDS = {
    "nothing": "nothing\n(fixed)",
    "third_factor": "one signal\nfor all",
    "neuron_error": "a signal for\neach neuron",
    "weight_transport": "weights of\nother synapses",
    "second_phase": "a second\nphase",
    "backward_in_time": "backward\nin time",
}


def hardest_need(row):
    """Which of the needs is the hardest, as a key of ``NEEDS``."""
    if "input.w" in row.fixed:
        return "nothing"
    needs = analysis.locality(row.rule)
    return [name for name in NEEDS if getattr(needs, name, False)][-1]


def make_network(row, n_channels, n_words, n, seed):
    sizes = (n_channels, n_words, n, seed)
    if row.neuron == "flow":
        return speech.make_flow(*sizes, gamma=GAMMA)
    neuron = {"ALIF": equations.ALIF, "STDP-ALIF": equations.STDP_ALIF}[row.neuron]
    return speech.make_recursion(speech.adaptive(neuron, gamma=GAMMA), *sizes)


@functools.lru_cache(maxsize=1)
def trials(root, quick):
    """Training, validation and test part."""
    return speech.read(root, ("rise", "fall") if quick else speech.WORDS, quick=quick)


def some_of(part):
    """Recordings of all words; they are in the order of the words."""
    return part[:: max(1, len(part) // COMPARED)]


# -- a training ---------------------------------------------------------------------------------------


def train(rule, learning_rate, n, length, root, quick, seed):
    """Train with one rule; what it can do in the end, and how its gradient compares.

    `length` is the number of epochs in units of the recipe's.
    """
    row, parts = ROWS[rule], trials(root, quick)
    recipe = speech.RULES[RECIPE[row.neuron]]
    epochs = max(1, round(length * recipe["epochs"]))
    if row.neuron == "EqSpikeLIF":
        return train_without_time(row, learning_rate, parts, n, epochs, seed)
    net = make_network(row, parts[0].n_channels, parts[0].n_classes, n, seed)
    random = isinstance(row.rule, EProp)
    trainer = Trainer(
        net,
        dataclasses.replace(row.rule, seed=seed) if random else row.rule,
        optimizer=Adam(learning_rate, factors=dict.fromkeys(row.fixed, 0.0)),
        loss=LOSS.get(row.neuron, CrossEntropy(readout="mean")),
        schedule=Exponential(recipe["decay"] ** (1 / length)),
        augment=speech.augmentation(100 * ms, 0.2),
        threads=1,
        seed=seed,
    )
    few = some_of(parts[1])
    aligned = [hidden_alignment(row, trainer, few)]
    begin = time.process_time()
    trainer.fit(
        parts[0],
        epochs=epochs,
        # EventProp cannot reach a neuron without spikes
        callbacks=LiftSilent(0.02) if row.neuron == "flow" else (),
        progress=False,
    )
    seconds = time.process_time() - begin
    aligned.append(hidden_alignment(row, trainer, few))
    result = trainer.evaluate(parts[2])
    some = parts[2][::4]
    counts = count_network_events(net, some)
    return {
        "accuracy": result["accuracy"],
        "total": len(parts[2]),
        "validation": trainer.evaluate(parts[1])["accuracy"],
        "before": aligned[0],
        "after": aligned[1],
        "rate": result["rate.hidden"],
        "silent": analysis.network_activity(net, some)["hidden"].silent,
        "events": counts.synaptic_events,
        "energy": energy(counts, LOIHI)["total"],
        "training": seconds,
        **delayed_credit(row, trainer, few),
    }


def learned_from_error(row):
    """The hidden weights that an error reaches.

    None with one signal for all: the errors of a softmax sum to zero, so that this signal is zero, and
    rounding alone has a direction.
    """
    if row.rule is EPROP["global"]:
        return []
    return [name for name in ("input.w", "recurrent.w") if name not in row.fixed]


def hidden_alignment(row, trainer, few):
    """Cosine of the gradient of the task to the full one, in the hidden weights that learn."""
    names = learned_from_error(row)
    if not names:
        return float("nan")
    full = Trainer(trainer.net, FULL[row.neuron], loss=trainer.loss, threads=1).gradient(few)
    own = analysis.task_gradient(trainer, few)
    return analysis.alignment(own, {name: full[name] for name in names})["all"]


# -- delay of credit ----------------------------------------------------------------------------------


def mark(trials, start, stop):
    """Twice as many channels: the spikes between two times on the first half, all others on the second."""
    inside = (trials.times >= float(start)) & (trials.times < float(stop))
    channel = trials.units + np.where(inside, 0, trials.n_channels)
    return dataclasses.replace(trials, units=channel, n_channels=2 * trials.n_channels)


def with_marked_input(net):
    """The same network, in which the marked spikes go through weights of their own."""
    w = net.parameters
    both = SpikingNetwork.from_graph(
        {"hidden": Population(net.layers[0].model, net.layers[0].n)},
        [
            Projection("marked", "hidden", name="from_marked", weight=w["input.w"]),
            Projection("other", "hidden", name="from_other", weight=w["input.w"]),
            Projection("hidden", "hidden", name="recurrent", weight=w["recurrent.w"]),
            Projection("hidden", "readout", name="readout", weight=w["readout.w"]),
        ],
        Readout(net.readout.n, model=net.readout.model),
        input={"marked": Input(net.input.n), "other": Input(net.input.n)},
        dt=net.dt,
    )
    both.set_parameters({"readout.b": w["readout.b"]})
    return both


def delayed_credit(row, trainer, few):
    """Credit of the marked spikes by the time of the error, and its cosine to the full gradient's."""
    if not learned_from_error(row):
        return {}
    net, marked = with_marked_input(trainer.net), mark(few, *MARKED)
    plain = dataclasses.replace(trainer.rule, rate_strength=0.0)
    own, full = (
        Trainer(net, rule, loss="cross_entropy_per_step", threads=1)
        for rule in (plain, FULL[row.neuron])
    )
    for name, values in trainer.backend.parameters.items():  # feedback weights
        np.copyto(own.backend.parameters[name], values)
    output, found, sizes = Engine(net).simulate(marked).output, {}, []
    for delay in DELAYS:
        step = round(float((MARKED[1] + delay * ms) / net.dt))
        targets = np.full((len(few), output.shape[1]), -1)
        targets[:, step] = few.labels
        error = np.exp(log_softmax(output[:, step])) - np.eye(net.readout.n)[few.labels]
        credit, right = (
            {"marked": one.gradient(marked, targets)["from_marked.w"]} for one in (own, full)
        )
        size = np.linalg.norm(credit["marked"]) / np.sqrt((error**2).sum(axis=1).mean())
        sizes.append(float(size))
        found[f"credit_{delay}"] = sizes[-1]
        found[f"right_{delay}"] = analysis.alignment(credit, right)["marked"]
    return {**found, "delay": fall_time(DELAYS, sizes)}


def fall_time(delays, credit):
    """When the credit has fallen to 1/e of its largest value, ms; nan if it has not."""
    first = int(np.argmax(credit))
    level = 1 + np.log(np.maximum(credit[first:], 1e-30) / credit[first])
    below = np.flatnonzero(level < 0)
    if not len(below):
        return float("nan")
    k = below[0]
    return float(np.interp(0, [level[k], level[k - 1]], delays[first:][[k, k - 1]]))


# -- without time -------------------------------------------------------------------------------------


def rates_of_thirds(part, scale=None):
    """Mean rates of the channels in each third of the word, as grey values; full white is the largest.

    A word lasts from the time by which a twentieth of its spikes has come to that by which all but a
    twentieth have. The delay line is left out: channels of the original only.
    """
    n, rates = part.n_channels // (speech.COPIES + 1), []
    for k in range(len(part)):
        inside = slice(part.offsets[k], part.offsets[k + 1])
        times, units = part.times[inside], part.units[inside]
        times, units = times[units < n], units[units < n]
        if not len(times):
            rates.append(np.zeros((3, n)))
            continue
        begin, end = np.quantile(times, (0.05, 0.95))
        third = np.clip(3 * (times - begin) / max(end - begin, 1e-3), 0, 2.999).astype(int)
        counts = np.zeros((3, n))
        np.add.at(counts, (third, units), 1)
        rates.append(3 * counts / max(end - begin, 1e-3))
    rates = np.array(rates)
    scale = np.maximum(np.quantile(rates, 0.99, axis=0), 1e-9) if scale is None else scale
    pixels = np.round(255 * np.minimum(rates / scale, 1)).astype(np.uint8)
    return data.Images(images=pixels, labels=part.labels, class_names=part.class_names), scale


def train_without_time(row, learning_rate, parts, n, epochs, seed):
    """Equilibrium propagation with spikes on the rates."""
    images, scale = rates_of_thirds(parts[0])
    valid, test = (rates_of_thirds(part, scale)[0] for part in parts[1:])
    few = some_of(valid)
    net = EquilibriumNetwork((images.n_channels, n, images.n_classes), dt=2 * ms, seed=seed)
    trainer = EquilibriumTrainer(
        net, optimizer=Adam(learning_rate), schedule=Cosine(epochs, 0.01), threads=1, seed=seed
    )
    x, targets = few.pixels(), trainer.targets(few.labels)

    def aligned():
        beta = trainer.beta * np.where(np.arange(len(x)) % 2, 1, -1)
        result = trainer.engine.run(x, targets=targets, beta=beta)
        full = steady_state_gradient(net, x, targets, start=result.free)
        return analysis.alignment(result.gradient, full)["input_hidden.w"]

    before, begin = aligned(), time.process_time()
    trainer.fit(images, epochs=epochs, progress=False)
    seconds = time.process_time() - begin
    result = trainer.evaluate(test)
    x_test = test[::4].pixels()
    counts = count_events(net, trainer.engine.run(x_test), x_test, learning=False)
    return {
        "accuracy": result["accuracy"],
        "total": len(test),
        "validation": trainer.evaluate(valid)["accuracy"],
        "before": before,
        "after": aligned(),
        "rate": result["rate.hidden"],
        "events": counts.synaptic_events + counts.constant_inputs,
        "energy": energy(counts, LOIHI)["total"],
        "training": seconds,
    }


# -- table and picture --------------------------------------------------------------------------------


def statistics(table, column):
    """Mean, lower and upper limit of a result, by rule; rules without this result are left out."""
    if column not in table.columns:
        return {}
    means = table.mean(column, by="rule")
    return {
        rule: (means.mean[k], means.low[k], means.high[k]) for k, rule in enumerate(means.value)
    }


def report(table):
    """The table as text."""
    columns = {
        "accuracy": ("accuracy (%)", 100, 1),
        "before": ("cosine before", 1, 2),
        "after": ("cosine after", 1, 2),
        "rate": ("rate (Hz)", 1, 1),
        "silent": ("silent (%)", 100, 1),
        "events": ("events (1000)", 1e-3, 0),
        "energy": ("energy (µJ)", 1 / MICROJOULE, 1),
        "delay": ("delay of credit (ms)", 1, 0),
        "training": ("training (s)", 1, 0),
    }
    found = {name: statistics(table, name) for name in columns}
    total = int(max(table["total"]))
    heads = ["rule", "hardest need", "Wilson (%)", *(head for head, *_ in columns.values())]
    rows = []
    for rule, (accuracy, *_) in found["accuracy"].items():
        low, high = 100 * analysis.wilson_interval(accuracy, total)
        cells = [
            rule,
            NEEDS[hardest_need(ROWS[rule])].replace("\n", " "),
            f"{low:.1f} to {high:.1f}",
        ]
        for name, (_, scale, digits) in columns.items():
            mean, _, high = found[name].get(rule, MISSING)
            text = "" if np.isnan(mean) else f"{scale * mean:.{digits}f}"
            cells.append(text + (f" ± {scale * (high - mean):.{digits}f}" if high == high else ""))
        rows.append(cells)
    widths = [max(len(row[k]) for row in [heads, *rows]) for k in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [heads, *rows]
    )


def point(ax, x, y, row, *, vertical=True, filled=True, label=None):
    """One mean with its interval."""
    mean, low, high = y
    error = np.abs(np.nan_to_num([[mean - low], [high - mean]]))  # an axis may be turned over
    place = {"x": [x], "y": [mean], "yerr": error}
    if not vertical:
        place = {"x": [mean], "y": [x], "xerr": error}
    ax.errorbar(
        **place, color=row.color, marker=row.marker, mfc=row.color if filled else "white",
        markersize=7, elinewidth=1, linestyle="none", label=label,
    )  # fmt: skip


def draw(table, path):
    """Accuracy against locality, alignment, and the delay of credit with its direction."""
    figure, axes = plt.subplots(2, 2, figsize=(12, 8.5), layout="constrained")
    places, accuracy = {}, statistics(table, "accuracy")
    for rule, values in accuracy.items():  # rules with the same need stand beside each other
        need = hardest_need(ROWS[rule])
        places.setdefault(need, []).append((rule, 100 * np.array(values)))
    for need, rules in places.items():
        for k, (rule, values) in enumerate(rules):
            x = list(NEEDS).index(need) + 0.14 * (k - (len(rules) - 1) / 2)
            point(axes[0, 0], x, 100 - values, ROWS[rule], label=rule)
    axes[0, 0].set_xticks(range(len(NEEDS)), NEEDS.values(), fontsize=7)
    axes[0, 0].set(
        xlim=(-0.6, len(NEEDS) - 0.4),
        xlabel="hardest need of a hidden synapse",
        ylabel="errors on the test part (%): 100 - accuracy",
        yscale="log",
    )
    axes[0, 0].invert_yaxis()  # better is higher
    axes[0, 0].yaxis.set_major_formatter("{x:.0f}")
    axes[0, 0].yaxis.set_minor_formatter("{x:.0f}")
    compared = [rule for rule in accuracy if rule in statistics(table, "after")][::-1]
    for k, rule in enumerate(compared):
        before, after = (statistics(table, name)[rule] for name in ("before", "after"))
        axes[0, 1].plot([before[0], after[0]], [k, k], color="0.85", zorder=0)
        point(axes[0, 1], k, before, ROWS[rule], vertical=False, filled=False)
        point(axes[0, 1], k, after, ROWS[rule], vertical=False)
    axes[0, 1].axvline(0, color="0.75", lw=0.8, zorder=0)
    axes[0, 1].set_yticks(range(len(compared)), compared, fontsize=8)
    axes[0, 1].set_xlabel("cosine to the full gradient\n(open: before learning, filled: after)")
    for rule in accuracy:
        if rule not in statistics(table, "right_0"):
            continue
        style = {"color": ROWS[rule].color, "marker": ROWS[rule].marker, "markersize": 4, "lw": 1}
        credit = np.array([statistics(table, f"credit_{d}").get(rule, MISSING)[0] for d in DELAYS])
        axes[1, 0].plot(DELAYS, credit / np.nanmax(credit), **style)
        # none where the full gradient has exploded
        right = np.array([statistics(table, f"right_{d}").get(rule, MISSING) for d in DELAYS])
        axes[1, 1].plot(DELAYS, right[:, 0], **style)
        axes[1, 1].fill_between(DELAYS, *right[:, 1:].T, color=ROWS[rule].color, alpha=0.12, lw=0)
    axes[1, 0].axhline(1 / np.e, color="0.75", lw=0.8, zorder=0)
    axes[1, 0].set(yscale="log", ylim=(1e-3, 1.5), ylabel="credit / largest credit")
    axes[1, 1].axhline(0, color="0.75", lw=0.8, zorder=0)
    axes[0, 1].set_xlim(max(-1.05, axes[0, 1].get_xlim()[0]), 1.05)
    axes[1, 1].set_ylim(max(-1.05, axes[1, 1].get_ylim()[0]), 1.05)
    axes[1, 1].set_ylabel("cosine of this credit to the full gradient's")
    for ax in axes[1]:
        ax.set_xlabel("time from the input spikes to the error (ms)")
    for ax in axes.flat:
        ax.grid(alpha=0.3)
    seeds = len(np.unique(table["seed"]))
    bars = (
        f"bars and bands: 95 % interval of the mean of {seeds} seeds" if seeds > 1 else "one seed"
    )
    figure.legend(loc="outside lower center", ncols=4, fontsize=8, title=bars)
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="made sounds: only a test")
    parser.add_argument("--output", type=Path, default=Path("output"), help="folder of the results")
    parser.add_argument("--root", help="folder of Speech Commands")
    parser.add_argument("--rules", nargs="+", choices=tuple(ROWS), help="all if not given")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--choose", action="store_true", help="compare learning rates, seed 1")
    parser.add_argument("--rates", type=float, nargs="+", default=[3e-3, 1e-2], help="which")
    parser.add_argument("--length", type=float, default=0.25, help="epochs, in those of the recipe")
    parser.add_argument("--workers", type=int, default=0, help="processes besides this one")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    fixed = {"n": 256, "length": options.length, "root": options.root, "quick": options.quick}
    if options.quick:
        mark_quick_runs()
        options.rules, options.seeds = options.rules or QUICK, [1]
        fixed |= {"n": 16, "length": 0.1}
    if options.choose:
        options.seeds = [1]
    points = []
    for rule in options.rules or ROWS:
        rates = options.rates if options.choose else (ROWS[rule].learning_rate,)
        grid = {"rule": [rule], "learning_rate": rates, **{k: [v] for k, v in fixed.items()}}
        study = Study(options.output / "plausibility", train, grid, seeds=options.seeds)
        points += study.points
    study.points = sorted(points, key=lambda point: point.values["seed"])
    table = study.run(workers=options.workers)
    if len(table.failed):
        raise SystemExit(table.failed["error"][0])
    if options.choose:
        for row in table.rows:
            share = 100 * row["validation"]
            print(
                f"{row['rule']:34s} {row['learning_rate']:<6g} {share:.2f} % of the validation part"
            )
        return
    print(
        analysis.locality_table({name: ROWS[name].rule for name in np.unique(table["rule"])}), "\n"
    )
    print(report(table))
    table.to_csv(options.output / "plausibility.csv")
    draw(table, options.output / "plausibility.png")
    print(f"table: {options.output / 'plausibility.csv'}")
    print(f"picture: {options.output / 'plausibility.png'}")


if __name__ == "__main__":
    main()
