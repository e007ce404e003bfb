"""Spoken words of Google Speech Commands with e-prop, EventProp or backpropagation through time.

Real recordings of a second by hundreds of speakers through their own microphones (Warden 2018, CC BY 4.0),
here eight words of them, become spikes of cochlea-like cells. One layer of recurrent adaptive neurons
hears them through a delay line of five copies of the channels, each 30 ms later (Nowotny et al. 2025), and
tells the words apart. E-prop and backpropagation through time train the same network of ALIF neurons;
EventProp trains the flow with a jump that stands behind ALIF (``equations.AdaptiveCurrentLIF``), since ALIF
itself is a recursion.

Neurons that oscillate below threshold may take the place of ALIF: SE-adLIF (Baronig et al. 2025) and
balanced resonate-and-fire (Higuchi et al. 2024). Their time constants and frequencies are drawn for each
neuron as in the papers, counted in steps of this network (angular frequencies from 5 to 15 instead of 5 to
10), and are not learned. They need a third of the epochs.

The split is the official one, so that nobody who is heard in the test part was heard before. All settings
were chosen by the validation part; the test part is used once a seed. While the network learns, words begin
up to 100 ms earlier or later and a fifth of the spikes is left out.

The recordings are not part of the package and are never downloaded: unpack speech_commands_v0.02.tar.gz
(download.tensorflow.org/data, 2.3 GB), and pass the folder. They are encoded once; the spikes are kept in
the folder of the environment variable NEUROSNN_CACHE, or in the cache folder of your account.

    python examples/speech_commands.py --root FOLDER                        # BPTT, validation part
    python examples/speech_commands.py --root FOLDER --split official --seeds 1 2 3
    python examples/speech_commands.py --root FOLDER --rule eprop --split official
    python examples/speech_commands.py --root FOLDER --rule eprop --neuron se_adlif --split official
    python examples/speech_commands.py --quick                              # made sounds: only a test
"""

import argparse
import tempfile
import time
import wave
from pathlib import Path

import numpy as np
from brian2 import Hz, ms
from matplotlib import pyplot as plt

from neurosnn import (
    BPTT,
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
from neurosnn.training.callbacks import LiftSilent
from neurosnn.training.schedules import Exponential

WORDS = ("down", "go", "left", "right", "up", "bed", "cat", "happy")
#: Coarse hearing: 35 bands, in each of them four cells with thresholds of their own.
ENCODER = {"n_bands": 35, "n_thresholds": 4, "f_max": 7000 * Hz}
#: Copies of the channels besides the original, and the delay from one to the next.
COPIES, SPACING = 5, 30 * ms
TIME_STEP = 2 * ms
RATE_TERM = {"rate_target": 15 * Hz, "rate_strength": 1e-5}
#: Factor of the learning rate from one epoch to the next, and epochs.
RULES = {
    "bptt": {"epochs": 16, "decay": 0.88},
    "eprop": {"epochs": 16, "decay": 0.88},
    "eventprop": {"epochs": 24, "decay": 0.92},
}
#: The same for the two neurons that oscillate, which learn in fewer epochs.
OSCILLATING = {"epochs": 5, "decay": 0.7}
#: Size of the first weights to the neurons, and of their learning rate: a step of the two that oscillate
#: takes up a small share of its input.
SIZES = {"alif": 1, "se_adlif": 15, "brf": 120}


def make_neuron(name, rule, n, seed):
    """The model of n neurons; those that oscillate differ in how fast they do."""
    rng = np.random.default_rng(seed)
    if name == "se_adlif":
        return equations.SE_adLIF(
            tau_u=rng.uniform(10, 50, n) * ms,
            tau_w=rng.uniform(120, 600, n) * ms,
            a=rng.uniform(0, 1, n),
            b=rng.uniform(0, 2, n),
        )
    if name == "brf":
        return equations.BalancedResonateAndFire(
            omega=rng.uniform(5, 15, n), b=rng.uniform(2, 3, n)
        )
    # backpropagation multiplies by the height at each spike on its way; to e-prop with Adam it is nothing
    return adaptive(equations.ALIF, gamma=0.1 if rule == "bptt" else 0.3)


def adaptive(neuron, **parameters):
    """ALIF or a neuron like it, with the times of this task."""
    return neuron(tau_m=40 * ms, tau_a=200 * ms, **parameters)


def make_network(rule, neuron, n_channels, n_words, n, seed):
    """A recurrent layer of neurons that adapt or oscillate, and how it learns."""
    sizes = (n_channels, n_words, n, seed)
    if rule == "eventprop":
        gradient = EventProp(smallest_slope=50, **RATE_TERM)
        settings = {"optimizer": Adam(5e-3), "loss": CrossEntropy(readout="linear")}
        return make_flow(*sizes), gradient, settings
    size = SIZES[neuron]
    net = make_recursion(make_neuron(neuron, rule, n, seed), *sizes, weight_scale=size)
    gradient = BPTT(**RATE_TERM) if rule == "bptt" else EProp(feedback="symmetric", **RATE_TERM)
    optimizer = Adam(3e-3, factors={"input.w": size, "recurrent.w": size})
    return net, gradient, {"optimizer": optimizer, "loss": CrossEntropy(readout="mean")}


def make_recursion(neuron, n_channels, n_words, n, seed, *, weight_scale=1):
    """The network for neurons that are given by their steps, such as ALIF."""
    return SpikingNetwork(
        Input(n_channels),
        Layer(neuron, n, recurrent=True, weight_scale=weight_scale),
        Readout(n_words, tau=40 * ms),
        dt=TIME_STEP,
        seed=seed,
    )


def make_flow(n_channels, n_words, n, seed, **parameters):
    """The same for EventProp: slow currents and membranes cross the threshold at times a grid can tell."""
    neuron = equations.AdaptiveCurrentLIF(
        tau_m=40 * ms, tau_s=20 * ms, tau_a=200 * ms, **parameters
    )
    net = SpikingNetwork(
        Input(n_channels),
        Layer(
            neuron,
            n,
            recurrent=True,
            weight_scale=0.2 * np.sqrt(n_channels),
            weight_mean=0.1,
        ),
        Readout(n_words, model=equations.CurrentReadout(), weight_scale=0.03 * np.sqrt(n)),
        dt=TIME_STEP,
        seed=seed,
    )
    net.parameters["recurrent.w"][:] *= 0.02 / net.parameters["recurrent.w"].std()
    return net


def augmentation(shift, dropped):
    """While it learns words begin earlier or later, by up to `shift`, and some spikes are left out."""

    def augment(trials, rng):
        return data.drop_spikes(data.shift_times(trials, shift, seed=rng), dropped, seed=rng)

    return augment


def train_one(train, valid, seed, options):
    """A trainer after its training, its history, and the seconds of processor time."""
    recipe = RULES[options.rule] if options.neuron == "alif" else OSCILLATING
    net, gradient, settings = make_network(
        options.rule, options.neuron, train.n_channels, train.n_classes, options.neurons, seed
    )
    trainer = Trainer(
        net,
        gradient,
        **settings,
        schedule=Exponential(recipe["decay"]),
        augment=augmentation(options.shift * ms, options.dropped),
        threads=options.threads,
        seed=seed,
    )
    begin = time.process_time()
    history = trainer.fit(
        train,
        epochs=options.epochs or recipe["epochs"],
        validation=valid,
        # EventProp cannot reach a neuron without spikes
        callbacks=LiftSilent(0.02) if options.rule == "eventprop" else (),
    )
    return trainer, history, time.process_time() - begin


def report(name, rights, total):
    """The share of right answers with its interval; of several seeds also mean and spread."""
    for seed, right in rights.items():
        low, high = 100 * analysis.wilson_interval(right / total, total)
        print(
            f"{name}, seed {seed}: {right} of {total} right, {100 * right / total:.2f} % "
            f"(Wilson 95 %: {low:.1f} to {high:.1f})",
            flush=True,
        )
    if len(rights) > 1:
        shares = 100 * np.array(list(rights.values())) / total
        print(f"{name}: {shares.mean():.2f} %, standard deviation {shares.std():.2f} over seeds")


def make_sounds(root):
    """A folder in the layout of Speech Commands with rising and falling tones in place of words."""
    rng = np.random.default_rng(0)
    lists = {"valid": [], "test": []}
    t = np.arange(16000) / 16000
    for word, slope in (("rise", 2500), ("fall", -2500)):
        (root / word).mkdir(parents=True)
        for part, speakers in (("train", 12), ("valid", 4), ("test", 4)):
            for k in range(speakers):
                begin = rng.uniform(0.1, 0.4)
                inside = np.clip(t - begin, 0, 0.4)
                pitch = rng.uniform(0.8, 1.2) * (1500 + slope * (inside - 0.2))
                tone = np.sin(2 * np.pi * np.cumsum(pitch) / 16000) * (inside > 0) * (inside < 0.4)
                name = f"{word}/{part}{k:04d}_nohash_0.wav"
                with wave.open(str(root / name), "wb") as file:
                    file.setnchannels(1)
                    file.setsampwidth(2)
                    file.setframerate(16000)
                    noise = rng.normal(0, 50, len(t))
                    file.writeframes((9000 * tone + noise).astype("<i2").tobytes())
                lists.get(part, []).append(name)
    (root / "validation_list.txt").write_text("\n".join(lists["valid"]))
    (root / "testing_list.txt").write_text("\n".join(lists["test"]))


def read(root, words, *, quick=False):
    """Training, validation and test part as spikes, behind the delay line; made sounds if `quick`."""
    with tempfile.TemporaryDirectory() as folder:
        cache, encoder = None, ENCODER
        if quick:
            root, cache = Path(folder) / "sounds", Path(folder) / "encoded"
            encoder = ENCODER | {"n_bands": 16, "n_thresholds": 2}
            make_sounds(root)
        parts = data.read_speech_commands(root, words=words, cache=cache, **encoder)
    return [data.delay_line(trials, COPIES, SPACING) for trials in parts]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="made sounds, two epochs: only a test")
    parser.add_argument("--output", type=Path, default=Path("output"), help="folder of the picture")
    parser.add_argument("--root", help="folder of Speech Commands")
    parser.add_argument("--words", nargs="+", default=WORDS, help="eight if nothing else is said")
    parser.add_argument("--rule", choices=tuple(RULES), default="bptt")
    parser.add_argument("--neuron", choices=tuple(SIZES), default="alif", help="not for EventProp")
    parser.add_argument("--split", choices=("validation", "official"), default="validation")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--neurons", type=int, default=256)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--shift", type=float, default=100.0, help="largest shift of a word, in ms")
    parser.add_argument("--dropped", type=float, default=0.2, help="share of spikes left out")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if options.rule == "eventprop" and options.neuron != "alif":
        parser.error("EventProp needs a flow with jumps; --neuron is for e-prop and BPTT.")
    options.output.mkdir(parents=True, exist_ok=True)
    if options.quick:
        options.words, options.neurons, options.epochs = ("rise", "fall"), 32, 2
    train, valid, test = read(options.root, options.words, quick=options.quick)
    judged = valid if options.split == "validation" else test
    print(
        f"{len(options.words)} words, {train.n_channels} channels: {len(train)} recordings to train "
        f"on, {len(valid)} to validate, {len(judged)} in the part that is judged"
    )
    _, ax = plt.subplots(figsize=(5, 3.5), layout="constrained")
    rights = {}
    for seed in options.seeds[:1] if options.quick else options.seeds:
        trainer, history, seconds = train_one(train, valid, seed, options)
        confusion = trainer.confusion(judged)
        rights[seed] = int(np.trace(confusion.counts))
        ms_a_trial = 1e3 * seconds / (trainer.epoch * len(train))
        print(
            f"seed {seed}: {trainer.epoch} epochs, {seconds:.0f} s of processor time "
            f"({ms_a_trial:.2f} ms a recording)",
            flush=True,
        )
        analysis.plot_learning_curve(history, ax=ax, marker="", label=f"seed {seed}")
    print(confusion.table())
    report(f"{options.rule}, {options.split} part", rights, len(judged))
    ax.set_title(f"{len(options.words)} words of Speech Commands, {options.rule}")
    path = options.output / f"speech_commands_{options.rule}.png"
    ax.figure.savefig(path, dpi=120)
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
