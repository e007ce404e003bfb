"""Spoken digits with e-prop or EventProp: the longer recipe, on new recordings and on unseen speakers.

3000 recordings of six speakers (Free Spoken Digit Dataset, embedded as cochlea-like spikes) and one
layer of recurrent neurons: ALIF for e-prop, LIF with synaptic current for EventProp. Two questions, each
with a split that settings were chosen by:

    validation           540 of the 2700 training recordings held out
    official             300 test recordings (0 to 4 of each digit and speaker), speakers known
    validation-speakers  george and lucas held out of the 2700 training recordings
    speakers             all recordings of one speaker, trained on the five others; each in turn

Neurons, encoder, spike dropout, readout, learning rate and number of epochs were fixed on the two
validation splits, before the test recordings were used. With e-prop, known speakers are told best by
fine hearing (700 channels), unknown ones by coarse hearing (140 channels). EventProp hears coarsely,
without what is quiet before and after the word, and through a delay line of five copies of the channels,
each 30 ms later (Nowotny et al. 2025), which its neurons without adaptation need. Recordings of unknown
speakers are equalized: their mean spectrum is moved towards that of the training recordings; more input
spikes are dropped. Since george and lucas helped to choose all this, the mean of the other four is
printed as well.

Five speakers are few to learn from what voices have in common. With ``--words FOLDER`` the network also
hears twelve words of some 1200 further speakers, the training part of Google Speech Commands (see
``examples/speech_commands.py``), brought to the 8 kHz of the digits. Four of them are digits; the others are
classes of their own, which the test leaves out: the answer is the digit with the largest score. Some slower
epochs on the digits alone follow, since the words make four of them more frequent; the mean of their last
weights is tested. It is another task than that without, since it learns from more data.

Accuracies are means over seeds with the Wilson 95 % interval; that of all seeds together counts every
recording once a seed and is too narrow, that of one seed is the one to compare with others.

    python examples/spoken_digits.py                                 # official split, five seeds
    python examples/spoken_digits.py --split speakers --seeds 1 2 3
    python examples/spoken_digits.py --split speakers --seeds 1 2 --words FOLDER
    python examples/spoken_digits.py --rule eventprop
    python examples/spoken_digits.py --quick                         # 64 channels, small: only a test
"""

import argparse
import dataclasses
import time
from pathlib import Path

import numpy as np
from brian2 import Hz, ms
from matplotlib import pyplot as plt
from scipy import signal

from neurosnn import (
    Adam,
    CrossEntropy,
    EProp,
    EventProp,
    Input,
    Layer,
    Readout,
    SpikingNetwork,
    Trainer,
    analysis,
    data,
    equations,
)
from neurosnn.core.drawing import COLORS, mark_quick_runs
from neurosnn.training.callbacks import LiftSilent, MeanWeights
from neurosnn.training.schedules import Exponential

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
USED_TO_CHOOSE = ("george", "lucas")
SPLITS = ("validation", "official", "validation-speakers", "speakers")
COARSE = {"n_bands": 35, "n_thresholds": 4}
KNOWN = {
    "eprop": {"encoder": {}, "dropped": 0.1, "epochs": 20, "decay": 0.88},
    "eventprop": {
        "encoder": COARSE | {"trim": 0.7},
        "copies": 5,
        "dropped": 0.1,
        "epochs": 30,
        "decay": 0.9,
    },
}
UNKNOWN = {
    "eprop": {
        "encoder": COARSE | {"equalize": 0.5},
        "dropped": 0.3,
        "epochs": 12,
        "decay": 0.8,
    },
    "eventprop": {
        "encoder": COARSE | {"equalize": 0.75, "trim": 0.7},
        "copies": 5,
        "dropped": 0.3,
        "epochs": 30,
        "decay": 0.9,
    },
}
#: With recordings of Speech Commands besides: adaptive neurons behind the delay line of EventProp.
WITH_WORDS = {
    "encoder": COARSE | {"equalize": 0.5, "trim": 0.7},
    "copies": 5,
    "tau_m": 40 * ms,
    "dt": 2 * ms,
    "rate": {"rate_target": 15 * Hz, "rate_strength": 1e-5},
    "dropped": 0.3,
    "epochs": 5,
    "decay": 0.7,
}
#: What follows on the digits alone, and the updates whose mean is kept.
ALONE = {"epochs": 3, "decay": 0.75, "learning_rate": 1e-3, "mean": 200}
#: Words of Speech Commands, and the class of each.
WORDS = {"zero": "0", "one": "1", "five": "5", "eight": "8"} | {
    word: word for word in ("down", "go", "left", "right", "up", "bed", "cat", "happy")
}
QUICK = {"encoder": {"n_bands": 16, "n_thresholds": 4}, "epochs": 2}
#: Delay from one copy of the input channels to the next (Nowotny et al. 2025).
SPACING = 30 * ms


def make_eprop(n_channels, n_classes, n, seed, *, tau_m=20 * ms, dt=1 * ms, rate=None, **_):
    """A network of ALIF neurons, and how it learns with e-prop."""
    net = SpikingNetwork(
        Input(n_channels),
        Layer(equations.ALIF(tau_m=tau_m, tau_a=200 * ms), n, recurrent=True),
        Readout(n_classes, tau=40 * ms),
        dt=dt,
        seed=seed,
    )
    settings = {"optimizer": Adam(3e-3), "loss": CrossEntropy(readout="mean")}
    return net, EProp(feedback="symmetric", **rate or {}), settings


def make_eventprop(n_channels, n_classes, n, seed, **_):
    """A network of LIF neurons with synaptic currents, and how it learns with EventProp."""
    net = SpikingNetwork(
        Input(n_channels),
        Layer(
            # slow membranes: a steep crossing of the threshold has a gradient that a grid can tell
            equations.CurrentLIF(tau_m=40 * ms, tau_s=20 * ms),
            n,
            recurrent=True,
            weight_scale=0.2 * np.sqrt(n_channels),
            weight_mean=0.1,
        ),
        Readout(n_classes, model=equations.CurrentReadout(), weight_scale=0.03 * np.sqrt(n)),
        dt=1 * ms,
        seed=seed,
    )
    net.parameters["recurrent.w"][:] *= 0.02 / net.parameters["recurrent.w"].std()
    rule = EventProp(rate_target=15 * Hz, rate_strength=1e-5, smallest_slope=50)
    return net, rule, {"optimizer": Adam(5e-3), "loss": CrossEntropy(readout="linear")}


def make_trainer(rule, train, seed, threads, *, n, dropped, decay, **recipe):
    """The network and its trainer."""
    make = {"eprop": make_eprop, "eventprop": make_eventprop}[rule]
    net, gradient, settings = make(train.n_channels, train.n_classes, n, seed, **recipe)
    return Trainer(
        net,
        gradient,
        **settings,
        schedule=Exponential(decay),
        augment=lambda trials, rng: data.drop_spikes(trials, dropped, seed=rng),
        threads=threads,
        seed=seed,
    )


def learn_alone(trainer, train, seed, threads):
    """Some slower epochs on the digits alone, in which each of them is as frequent as the others."""
    trainer = Trainer(
        trainer.net,
        trainer.rule,
        loss=trainer.loss,
        optimizer=Adam(ALONE["learning_rate"]),
        schedule=Exponential(ALONE["decay"]),
        augment=trainer.augment,
        threads=threads,
        seed=seed,
    )
    mean = MeanWeights(ALONE["mean"])
    trainer.fit(digits_of(train), epochs=ALONE["epochs"], callbacks=mean)
    mean.put_into(trainer.net)
    return trainer


def digits_of(trials):
    """Those of the six speakers of the digits."""
    names = np.array(trials.speaker_names)[trials.speaker]
    return trials.select(np.isin(names, SPEAKERS))


def parts(split, encoder, copies=0, words=None, **_):
    """(name, training set, test set) of each training that answers a question."""
    for name, train, test in spikes_of(split, encoder):
        if words is not None:
            speakers = np.unique(train.speaker)
            train = data.join_trials(train, words_as_spikes(words, speakers, **encoder))
            test = dataclasses.replace(test, class_names=train.class_names)
        sets = train, test
        yield name, *(data.delay_line(one, copies, SPACING) if copies else one for one in sets)


def spikes_of(split, encoder):
    """As `parts`, before the delay line."""
    train, test = data.spoken_digits(**encoder)
    if split == "official":
        yield split, train, test
    elif split == "validation":
        yield split, *data.validation_split(train, 0.2, seed=0)
    elif split == "speakers":
        for name in SPEAKERS:
            yield name, *data.spoken_digits("speaker", test_speaker=name, **encoder)
    else:
        held_out = [train.speaker == SPEAKERS.index(name) for name in USED_TO_CHOOSE]
        others = train.select(~np.logical_or(*held_out))
        for name, mask in zip(USED_TO_CHOOSE, held_out, strict=True):
            yield name, others, train.select(mask)


def read_words(root):
    """Recordings of the training part of Speech Commands, and their loudness at the digits' 8 kHz."""
    words, *_ = data.read_speech_commands_waves(root, words=tuple(WORDS))
    waves = [signal.resample(wave, len(wave) // 2) for wave in words.waves]
    return words, data.log_mel(waves, words.sample_rate / 2, hop=5 * ms)


def words_as_spikes(words, speakers, *, n_bands, n_thresholds, equalize=0.0, trim=0.0):
    """The words encoded as the digits of these speakers are, whose mean spectrum is the aim."""
    recordings, frames = words
    digits = data.spoken_digit_frames()
    digits = digits.select(np.isin(digits.speaker, speakers))
    frames, digits = (data.trim_quiet(one, trim) for one in (frames, digits))
    _, frames = data.equalize_bands(digits, frames, strength=equalize)
    return data.encode_cochlea(
        frames,
        n_bands=n_bands,
        n_thresholds=n_thresholds,
        labels=recordings.word,
        class_names=[WORDS[word] for word in recordings.words],
        speaker=recordings.speaker,
        speaker_names=recordings.speaker_names,
    )


def share_right(trainer, test):
    """Share of recordings whose digit has the largest score among the ten digits."""
    scores = trainer.scores(test)[:, :10]
    return float(np.mean(scores.argmax(axis=1) == test.labels))


def report(name, accuracies, n_test):
    """One line: mean and spread over seeds, and the intervals of one seed and of all."""
    mean, n_seeds = np.mean(accuracies), len(accuracies)
    low, high = 100 * analysis.wilson_interval(mean, n_test)
    all_low, all_high = 100 * analysis.wilson_interval(mean, n_test * n_seeds)
    print(
        f"{name:10s} {100 * mean:5.1f} % (standard deviation {100 * np.std(accuracies):.1f}, "
        f"{n_seeds} seeds x {n_test}); Wilson 95 %: {low:.1f} to {high:.1f} one seed, "
        f"{all_low:.1f} to {all_high:.1f} pooled",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few channels and epochs: only a test")
    parser.add_argument("--output", type=Path, default=Path("output"), help="folder of the picture")
    parser.add_argument("--split", choices=SPLITS, default="official")
    parser.add_argument("--rule", choices=("eprop", "eventprop"), default="eprop")
    parser.add_argument("--words", help="folder of Speech Commands, for unseen speakers and e-prop")
    parser.add_argument("--epochs", type=int, help="each recipe has its own if nothing is said")
    parser.add_argument("--neurons", type=int, default=256)
    parser.add_argument("--threads", type=int, help="all processors if nothing is said")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    options = parser.parse_args()
    if options.quick:
        mark_quick_runs()
    options.output.mkdir(parents=True, exist_ok=True)
    if options.words and (options.rule != "eprop" or "speakers" not in options.split):
        parser.error("--words helps with unseen speakers: --split speakers, and e-prop.")
    recipe = (UNKNOWN if "speakers" in options.split else KNOWN)[options.rule]
    words = read_words(options.words) if options.words else None
    if words:
        recipe = WITH_WORDS
    if options.quick:
        recipe, options.neurons = recipe | QUICK, 32
    callbacks = LiftSilent(0.02) if options.rule == "eventprop" else ()
    epochs, seeds = options.epochs or recipe["epochs"], options.seeds
    if options.quick:
        seeds = seeds[:1]

    _, ax = plt.subplots(figsize=(5, 3.5), layout="constrained")
    means = {}
    for name, train, test in parts(options.split, words=words, **recipe):
        accuracies = []
        for seed in seeds:
            begin = time.perf_counter()
            trainer = make_trainer(
                options.rule, train, seed, options.threads, n=options.neurons, **recipe
            )
            history = trainer.fit(train, epochs=epochs, callbacks=callbacks)
            if words:
                trainer = learn_alone(trainer, train, seed, options.threads)
            seconds = time.perf_counter() - begin
            accuracies.append(share_right(trainer, test))
            print(
                f"{name:10s} seed {seed}: {100 * accuracies[-1]:.1f} % of {len(test)} after "
                f"{epochs} epochs, {seconds:.0f} s",
                flush=True,
            )
            label = f"{name}, seed {seed}" if len(seeds) < 6 else None
            analysis.plot_learning_curve(
                history, ax=ax, marker="", color=COLORS[seed % len(COLORS)], label=label
            )
        report(name, accuracies, len(test))
        means[name] = 100 * np.mean(accuracies)
    if len(means) > 1:
        print(f"mean of the speakers: {np.mean(list(means.values())):.1f} %")
        rest = [value for name, value in means.items() if name not in USED_TO_CHOOSE]
        if rest:
            print(f"mean of those that no setting was chosen by: {np.mean(rest):.1f} %")
    ax.set_title(f"training accuracy, {options.rule}, {options.split} split")
    path = options.output / f"spoken_digits_{options.rule}_{options.split}.png"
    ax.figure.savefig(path, dpi=120)
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
