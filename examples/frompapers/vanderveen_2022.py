"""Does STDP in the neuron help e-prop? ALIF, STDP-ALIF and Izhikevich (van der Veen 2022), again.

The paper trains ALIF, STDP-ALIF and Izhikevich neurons in one, two and three layers with e-prop to
name the phone of every frame of TIMIT. The same comparison here, with mean and spread over seeds:

    digits     the embedded spoken digits, one answer a recording; needs no data
    phonemes   any folder in TIMIT's layout given by --root: 39 MFCC features with derivatives as
               real-valued input, one step a frame, one phone a frame, padding never counted

What differs from the paper, on purpose: psi in the refractory period of STDP-ALIF is -gamma in its
equations and +gamma in its published code, so that both and 0 are run; its Izhikevich neurons never
learned from the error (psi was computed and not used), and with several layers its readout weights
learned from the spikes of the last layer only: both are as in the equations here; weights are those
of the best validation loss. 240 neurons in all instead of 800, fewer epochs, no firing-rate term
(multiplied with the eligibility trace, as in Bellec 2020, it has the wrong sign for a neuron whose
psi is negative, and drives its rate up), gradients clipped to norm 1.

Not as in the equations: the eligibility vectors of the Izhikevich neurons are not clipped. Clipped
traces have no factored form, which the engine needs; at a step of 1 ms they stay finite in these
tasks. With psi = -gamma the trace of the adaptation grows by rho + gamma beta > 1 in every
refractory step; where a network fires so much that the gradient is no longer finite, training stops
there ("x" in the table) and the best weights so far are tested.

    python examples/frompapers/vanderveen_2022.py                              # digits
    python examples/frompapers/vanderveen_2022.py --root TIMIT                 # phonemes
    python examples/frompapers/vanderveen_2022.py --root FOLDER --corpus "My sentences"
        --validation-speakers 0.2 --choose                 # speech of your own, test part untouched
    python examples/frompapers/vanderveen_2022.py --neurons ALIF --layers 1 --seeds 1
"""

import argparse
import dataclasses
import math
import re
import time
from pathlib import Path

import numpy as np
from brian2 import ms
from matplotlib import pyplot as plt

from neurosnn import (
    BPTT,
    Adam,
    EProp,
    Input,
    Layer,
    Readout,
    SpikingNetwork,
    Trainer,
    data,
    equations,
)
from neurosnn.core.drawing import COLORS, mark_quick_runs
from neurosnn.training.callbacks import MeanWeights
from neurosnn.training.schedules import Cosine, WarmUp

RULES = {"e-prop": EProp(feedback="symmetric"), "BPTT": BPTT()}
# Test errors (%) of the paper on TIMIT, 61 phones, one run each; 800 neurons in all.
PAPER = {
    "ALIF": (58.4, 64.5, 74.1),
    "STDP-ALIF": (48.3, 65.3, 88.3),
    "Izhikevich": (93.5, 88.2, 88.5),
}
NEURONS = ("ALIF", "STDP-ALIF 0", "STDP-ALIF -gamma", "STDP-ALIF +gamma", "Izhikevich")
GAMMA, N = 0.3, 240
SILENCE = "sil"  # of the 39 phones


def decay(per_step):
    """The time constant of a decay per step of 1 ms."""
    return -1 / math.log(per_step) * ms


def neuron(name, task):
    """Model, learning rate, and scale of the weights of the first and of the other layers."""
    if name == "Izhikevich":
        first, rate = {"phonemes": (10.0, 0.03), "digits": (30.0, 0.1)}[task]
        return equations.Izhikevich(clip_eligibility=False), rate, first, 40.0
    # A frame of 10 ms is one step with the paper's decays; spikes have steps of 1 ms.
    values = (
        {"tau_m": decay(0.8), "tau_a": decay(0.975), "v_th": 0.95} if task == "phonemes" else {}
    )
    values |= {"beta": 0.184, "t_ref": 2 * ms, "gamma": GAMMA}
    rate = {"phonemes": 0.01, "digits": 0.001}[task]
    if name == "ALIF":
        return equations.ALIF(**values), rate, 1.0, 1.0
    psi = {"0": 0.0, "-gamma": -GAMMA, "+gamma": GAMMA}[name.split()[1]]
    return equations.STDP_ALIF(psi_refractory=psi, **values), rate, 1.0, 1.0


def make_trainer(name, task, n_channels, n_classes, n_layers, seed, settings):
    """A network of `settings.size` neurons in all, every layer recurrent and read out, and its trainer."""
    model, rate, first, others = neuron(name, task)
    layers = [
        Layer(model, settings.size // n_layers, recurrent=True, weight_scale=others if k else first)
        for k in range(n_layers)
    ]
    net = SpikingNetwork(
        Input(n_channels, real_valued=task == "phonemes"),
        *layers,
        Readout(n_classes, tau=decay(0.8) if task == "phonemes" else 20 * ms),
        dt=1 * ms,
        seed=seed,
    )
    loss = "cross_entropy_per_step" if task == "phonemes" else "cross_entropy"
    return Trainer(
        net,
        RULES[settings.rule],
        optimizer=Adam(settings.rate or rate, epsilon=1e-5),
        loss=loss,
        schedule=WarmUp(1, Cosine(settings.epochs) if settings.falling else None),
        clip_gradient=1.0,
        seed=seed,
    )


def errors_on_test(trainer, sets, epochs, mean):
    """Train and take the weights of the best validation loss, or the mean of so many updates' last ones.

    Test error (%), that of the frames with speech (None for digits), firing rates, exploded?
    """
    train, validation, test = sets
    best = {"loss": math.inf, "weights": {}}

    def keep_best(trainer, row):
        if row["validation_loss"] < best["loss"]:
            best["loss"] = row["validation_loss"]
            best["weights"] = {k: array.copy() for k, array in trainer.net.parameters.items()}

    exploded = False
    means = MeanWeights(mean) if mean else None
    callbacks = [keep_best, means] if mean else [keep_best]
    try:
        trainer.fit(
            train, epochs=epochs, validation=validation, callbacks=callbacks, progress=False
        )
    except FloatingPointError:
        exploded = True
    if mean and not exploded:
        means.put_into(trainer.net)
    else:
        trainer.net.set_parameters(best["weights"])
    result = trainer.evaluate(test)
    rates = [value for key, value in result.items() if key.startswith("rate.")]
    speech = None
    if SILENCE in test.class_names:
        speech = 100 * (1 - trainer.evaluate(speech_only(test))["accuracy"])
    return 100 * (1 - result["accuracy"]), speech, rates, exploded


def speech_only(trials):
    """The same frames, of which those of silence are not scored."""
    silence = trials.class_names.index(SILENCE)
    labels = np.where(trials.labels == silence, -1, trials.labels)
    return dataclasses.replace(trials, labels=labels)


def asked_later(trials, frames):
    """Trials whose every frame is asked for some frames later, when more has been heard.

    All frames stay scored: the last one of a trial is heard again until the answers are complete.
    """
    features, labels = [], []
    for trial in trials:
        features.append(np.pad(trial.features, ((0, frames), (0, 0)), mode="edge"))
        labels.append(np.pad(trial.labels, (frames, 0), constant_values=-1))
    return dataclasses.replace(
        trials,
        features=np.concatenate(features),
        labels=np.concatenate(labels),
        offsets=trials.offsets + frames * np.arange(len(trials) + 1),
    )


def asked_less_in_silence(trials, share, random):
    """Trials of whose silent frames only a share, drawn at random, is asked for."""
    silent = trials.labels == trials.class_names.index(SILENCE)
    dropped = silent & (random.random(len(silent)) >= share)
    return dataclasses.replace(trials, labels=np.where(dropped, -1, trials.labels))


def read(settings):
    """Task, and training, validation and test set."""
    quick = settings.quick
    if settings.root is not None:
        sets = data.read_timit(
            settings.root,
            validation_speakers=settings.validation_speakers,
            seed=settings.split_seed,
        )
        train, *others = (asked_later(part, settings.later) for part in sets)
        if settings.everybody:
            train = data.join_trials(train, others[0])
        if settings.silence < 1:
            random = np.random.default_rng(settings.split_seed)
            train = asked_less_in_silence(train, settings.silence, random)
        return "phonemes", (train, *others)
    train, test = data.spoken_digits(n_bands=16 if quick else 35, n_thresholds=4)
    train, validation = data.validation_split(train[::10] if quick else train)
    return "digits", (train, validation, test)


def table(errors, layers, part):
    """Mean and standard deviation over the seeds beside the numbers of the paper."""
    lines = [
        f"{part + ' error (%)':22s}"
        + "".join(f"{f'layers: {n}':>16s}" for n in layers)
        + "   paper"
    ]
    for name in dict.fromkeys(key[0] for key in errors):
        cells = []
        for n in layers:
            values, exploded = zip(*errors[name, n], strict=True)
            mark = "x" if any(exploded) else " "
            cells.append(f"{np.mean(values):10.1f} ±{np.std(values):4.1f}{mark}")
        paper = "  ".join(f"{PAPER[name.split()[0]][n - 1]:.1f}" for n in layers)
        lines.append(f"{name:22s}" + "".join(cells) + f"   {paper}")
    return "\n".join(lines)


def draw(errors, layers, title, label, path):
    """The table as a picture: one bar a neuron and number of layers, one dot a seed."""
    names = list(dict.fromkeys(key[0] for key in errors))
    _, ax = plt.subplots(figsize=(8, 3.5), layout="constrained")
    for k, name in enumerate(names):
        x = np.arange(len(layers)) + (k - len(names) / 2 + 0.5) * 0.16
        values = [[error for error, _ in errors[name, n]] for n in layers]
        ax.bar(x, [np.mean(v) for v in values], width=0.15, label=name, color=COLORS[k], alpha=0.6)
        for place, dots in zip(x, values, strict=True):
            ax.plot([place] * len(dots), dots, ".", color="black", ms=3)
    ax.set_xticks(range(len(layers)), [f"{n} layers" if n > 1 else "1 layer" for n in layers])
    ax.set(ylabel=label, title=title)
    ax.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    ax.figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small, one epoch: only a test")
    parser.add_argument("--output", type=Path, default=Path("output"), help="folder of the picture")
    parser.add_argument("--root", help="folder or zip in TIMIT's layout; default: spoken digits")
    parser.add_argument("--corpus", help="its name in titles and file names; default: the folder's")
    parser.add_argument(
        "--validation-speakers", type=float, help="share of the training speakers, see read_timit"
    )
    parser.add_argument("--split-seed", type=int, default=0, help="draws these speakers")
    parser.add_argument(
        "--choose", action="store_true", help="show validation errors, leave the test part alone"
    )
    parser.add_argument("--rule", choices=tuple(RULES), default="e-prop")
    parser.add_argument("--rate", type=float, help="learning rate, instead of the neuron's own")
    parser.add_argument(
        "--falling", action="store_true", help="the learning rate falls to 0 (half a cosine)"
    )
    parser.add_argument(
        "--later", type=int, default=0, help="a phone is asked for so many frames later"
    )
    parser.add_argument(
        "--silence", type=float, default=1.0, help="share of the silent frames that train"
    )
    parser.add_argument(
        "--mean", type=int, help="test the mean weights of about so many last updates"
    )
    parser.add_argument(
        "--everybody", action="store_true", help="with --mean: the held-out speakers train as well"
    )
    parser.add_argument("--size", type=int, default=N, help="neurons in all")
    parser.add_argument("--neurons", nargs="+", choices=NEURONS, default=NEURONS)
    parser.add_argument("--layers", type=int, nargs="+", choices=(1, 2, 3), default=(1, 2, 3))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, help="30 for phonemes, 10 for digits if not given")
    options = parser.parse_args()
    if options.quick:
        mark_quick_runs()
    if options.everybody and (options.choose or not options.mean):
        parser.error("--everybody needs --mean and no --choose: nothing is left that could choose")
    if options.root is None and (options.everybody or options.later or options.silence < 1):
        parser.error("--later, --silence and --everybody are for phones: give --root")
    options.output.mkdir(parents=True, exist_ok=True)
    task, sets = read(options)
    if options.choose:
        sets = (*sets[:2], sets[1])
    part = "validation" if options.choose else "test"
    corpus = options.corpus or sets[2].name
    options.epochs = options.epochs or {"phonemes": 30, "digits": 10}[task]
    names, layers, seeds = options.neurons, options.layers, options.seeds
    if options.quick:
        names, layers, seeds = ("STDP-ALIF -gamma", "Izhikevich"), (2,), seeds[:1]
        options.epochs, options.size = 1, 32
    print("\n".join(map(repr, sets)), flush=True)

    errors = {}
    for name in names:
        for n_layers in layers:
            for seed in seeds:
                begin = time.perf_counter()
                trainer = make_trainer(
                    name, task, sets[0].n_channels, sets[0].n_classes, n_layers, seed, options
                )
                error, speech, rates, exploded = errors_on_test(
                    trainer, sets, options.epochs, options.mean
                )
                errors.setdefault((name, n_layers), []).append((error, exploded))
                print(
                    f"{name:16s} layers: {n_layers}, seed {seed}: {error:5.1f} % wrong, "
                    f"{'' if speech is None else f'{speech:.1f} % of speech frames wrong, '}"
                    f"{'/'.join(f'{rate:.0f}' for rate in rates)} Hz, "
                    f"{time.perf_counter() - begin:.0f} s{', exploded' if exploded else ''}",
                    flush=True,
                )
    print(
        f"\n{corpus}, {part} part, {options.rule}, {options.size} neurons, {len(seeds)} seeds; "
        f"paper: TIMIT, e-prop, 800 neurons, one run"
    )
    print(table(errors, layers, part))
    where = "_".join(re.findall(r"[a-z0-9]+", options.corpus.lower())) if options.corpus else task
    path = options.output / f"vanderveen_2022_{where}.png"
    title = f"{corpus}: {options.rule}, {options.size} neurons in all"
    draw(errors, layers, title, f"{part} error (%)", path)
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
