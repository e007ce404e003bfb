"""Equilibrium propagation with spikes, after EqSpike (Martin et al. 2021).

A network with symmetric synapses settles while it sees an image; then its output is nudged to the
label, the network moves a little, and each synapse changes at the spikes of its two neurons by how
fast the trace of the other one moves. No error is sent anywhere, and nothing is stored. Shown here:

    learning    accuracy and firing rates, with the spike-driven rule and the variants of it
    window      weight change of isolated pairs of spikes; weight updates of the learning network by
                the lag of the nearest spikes, and the same with spikes of unrelated trials
    direction   cosine of the updates to the two-point rule and to the exact gradient, by layer
    energy      counted events of an inference and of a training trial, times the energies of a chip, and
                of a processor that reads and writes its memory

Martin et al., iScience 24:102222 (2021) report 97.6 % on MNIST, weight updates that look like STDP,
and an energy two to three orders below a GPU. The paper's full text and code were not at hand: rule
and constants are a reconstruction from continual equilibrium propagation (Ernoult et al. 2020), all
numbers were found by running, and what follows is about them, not about the authors' hardware.

What keeps it stable: both signs of the nudge in each batch (what is not the gradient, from unfinished
relaxation and from correlations of spikes, is the same for both and cancels), a strong nudge (that
error is divided by it), and pixels as constant currents, whose changes telescope to the two-point rule.
Wide convolutions are nudged by both signs in each trial, and only where the right output is not ahead
by half of the largest rate: the spikes of images that are right already are noise. On Fashion-MNIST
they see what ON and OFF cells of a retina see, at two scales.

    python examples/frompapers/martin_2021_eqspike.py                                   # 8 x 8 digits
    python examples/frompapers/martin_2021_eqspike.py --data mnist --root DIR --hidden 300
    python examples/frompapers/martin_2021_eqspike.py --data mnist --root DIR --input spikes
    python examples/frompapers/martin_2021_eqspike.py --data mnist --root DIR --hidden 300 100
    python examples/frompapers/martin_2021_eqspike.py --data mnist --root DIR --network conv --seeds 1

`--network conv` is a convolution with average pooling (Lin, Bal & Sengupta, arXiv:2405.02546, 2024, who
report 99.03 % on MNIST and 91.11 % on Fashion-MNIST with other neurons, two convolutions and two dense
layers): the same strings, weights shared over positions. One wide convolution learns better than two.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from brian2 import Quantity, ms
from matplotlib import pyplot as plt

from neurosnn import Adam, analysis, data, equations
from neurosnn.analysis.energy import LOIHI, PROCESSOR_45NM, V100, count_events, energy
from neurosnn.analysis.equilibrium import learning_window, update_directions
from neurosnn.core.drawing import mark_quick_runs
from neurosnn.rules.equilibrium import Convolution, EquilibriumNetwork
from neurosnn.rules.equilibrium.engine import EquilibriumEngine
from neurosnn.training import EquilibriumTrainer, RateEquilibrium
from neurosnn.training.schedules import Cosine

READERS = {"mnist": data.read_mnist, "fashion_mnist": data.read_fashion_mnist}
VARIANTS = ("spike_derivative", "presynaptic", "trace_product", "antisymmetric")


def shifted(x, random):
    """Augmentation of images of 28 x 28, of any channels: moved by up to one pixel each way."""
    images = np.pad(x.reshape(len(x), 28, 28, -1), ((0, 0), (1, 1), (1, 1), (0, 0)))
    moves = random.integers(0, 3, (len(x), 2))
    moved = [im[a : a + 28, b : b + 28] for im, (a, b) in zip(images, moves, strict=True)]
    return np.reshape(moved, x.shape)


def shifted_and_mirrored(x, random):
    """Augmentation of images of 28 x 28: moved by up to one pixel, half of the images mirrored."""
    images = shifted(x, random).reshape(len(x), 28, 28, -1)
    turned = random.random(len(images)) < 0.5
    images[turned] = images[turned, :, ::-1]
    return images.reshape(x.shape)


def shifted_a_little(x, random):
    """Augmentation for coarse images: moved by up to half a pixel each way, interpolated."""
    side = round(x.shape[1] ** 0.5)
    images = x.reshape(-1, side, side)
    for axis in (1, 2):
        move = random.uniform(-0.5, 0.5, (len(x), 1, 1)).astype(x.dtype)
        padded = np.pad(images, [(0, 0), *[(int(k == axis),) * 2 for k in (1, 2)]])
        before, after = (padded.take(range(k, k + side), axis) for k in (0, 2))
        images = (1 - abs(move)) * images + np.where(move > 0, move * before, -move * after)
    return images.reshape(x.shape)


class Settings(NamedTuple):
    """How a network is trained."""

    dt: Quantity
    batch: int
    rate: float
    epochs: int
    augment: Callable
    scale: float | tuple[float, ...] = 1.0  # of the weights at the start
    free: Quantity = 300 * ms
    nudged: Quantity = 150 * ms
    sign: str = "trial"
    margin: float | None = None
    surrounds: tuple[float, ...] = ()  # of ON and OFF channels in place of pixels


SETTINGS = {
    ("dense", "digits"): Settings(1 * ms, 20, 3e-3, 80, shifted_a_little),
    ("dense", "mnist"): Settings(2 * ms, 100, 3e-3, 12, shifted),
    ("conv", "digits"): Settings(1 * ms, 20, 3e-3, 80, shifted_a_little, (2.5, 1.0)),
    ("conv", "mnist"): Settings(
        2 * ms,
        100,
        1e-3,
        10,
        shifted,
        (3.0, 1.0),
        free=200 * ms,
        nudged=100 * ms,
        sign="both",
        margin=0.5,
    ),
}
SETTINGS["dense", "fashion_mnist"] = SETTINGS["dense", "mnist"]
SETTINGS["conv", "fashion_mnist"] = SETTINGS["conv", "mnist"]._replace(
    batch=48,
    rate=7e-4,
    epochs=14,
    augment=shifted_and_mirrored,
    scale=(5.0, 1.0),
    surrounds=(1.0, 4.0),
)
CONVOLUTIONS = {
    "digits": ((8, 8), Convolution(16, 3, pool=2), 10),
    "mnist": ((28, 28), Convolution(256, 7, pool=2), 10),
    "fashion_mnist": ((28, 28, 4), Convolution(256, 5, pool=2), 10),
}


def make(options, sizes, seed, variant="spike_derivative"):
    """A new network."""
    chosen = options.settings
    return EquilibriumNetwork(
        sizes,
        variant=variant,
        input=options.input,
        dt=chosen.dt,
        free=chosen.free,
        nudged=chosen.nudged,
        scale=chosen.scale,
        seed=seed,
    )


def train(options, net, images, validation, seed, *, epochs=None, two_point=False):
    """Train a network; returns the trainer."""
    chosen = options.settings
    epochs = epochs or options.epochs or chosen.epochs
    trainer = EquilibriumTrainer(
        net,
        optimizer=Adam(chosen.rate),
        schedule=Cosine(epochs, 0.01),
        sign=chosen.sign,
        margin=chosen.margin,
        two_point=two_point,
        augment=chosen.augment,
        threads=options.threads,
        seed=seed,
    )
    trainer.fit(images, epochs=epochs, batch_size=chosen.batch, validation=validation)
    return trainer


def rates_only(options, sizes, images, seed, epochs):
    """Rate-based equilibrium propagation of the same size (Scellier and Bengio 2017)."""
    if len(sizes) > 3 or options.network == "conv":
        return None
    epochs = epochs or options.epochs or options.settings.epochs
    augment = options.settings.augment
    model = RateEquilibrium(sizes, seed=seed, augment=augment, schedule=Cosine(epochs, 0.01))
    model.fit(images, epochs=epochs, progress=False)
    return model


def direction(options, net, images, path, beta=4.0):
    """Cosines of the updates of a batch, before and after training, layer by layer."""
    n = 100 if sum(net.sizes) < 2000 else 10  # the exact gradient solves equations in all rates
    x, labels = images.pixels()[:n], np.asarray(images.labels)[:n]
    targets, signs = np.eye(10)[labels], np.where(np.arange(len(x)) % 2, beta, -beta)
    start = make(options, net.structure, net.seed)
    start.parameters["output.b"] += 0.2
    rows = {}
    for moment, network in (("at the start", start), ("trained", net)):
        result = EquilibriumEngine(network, threads=options.threads).run(
            x,
            targets=targets,
            beta=signs,
            phase=np.random.default_rng(0).random(x.shape),
            both=options.settings.sign == "both",
        )
        found = update_directions(network, result, x, targets, signs)
        rows[f"{moment}: to the two-point rule"] = found.to_two_point
        rows[f"{moment}: to the exact gradient"] = found.to_exact
    _, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
    for k, (label, found) in enumerate(rows.items()):
        ax.bar(np.arange(len(found)) + 0.2 * k, list(found.values()), 0.2, label=label)
        print(f"  {label:34s}", "  ".join(f"{name} {value:.3f}" for name, value in found.items()))
    ax.set_xticks(np.arange(len(found)) + 0.3, list(found))
    ax.set_ylabel("cosine")
    ax.set_ylim(top=1.6)
    ax.legend(fontsize="small", ncols=2, loc="upper center")
    ax.figure.savefig(path, dpi=120)


def windows(options, net, images, path, step):
    """Windows of isolated pairs, and of the updates of the network."""
    _, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    for variant in ("spike_derivative", "presynaptic", "antisymmetric"):
        rule = equations.EqSpike(variant=variant, eta=1.0)
        window = analysis.stdp_window(
            rule, post=equations.EqSpikeLIF(), background=0.0, max_lag=80 * ms, step=step
        )
        analysis.plot_stdp_window(window, ax=axes[0], label=variant, marker="")
    axes[0].legend(fontsize="small")
    axes[0].set_title("isolated pairs")
    x, labels = images.pixels()[:40], np.asarray(images.labels)[:40]
    engine = EquilibriumEngine(net, threads=options.threads)
    targets, signs = np.eye(10)[labels], np.where(np.arange(len(x)) % 2, 4.0, -4.0)
    phase = np.random.default_rng(0).random(x.shape)
    result = engine.run(x, targets=targets, beta=signs, phase=phase, record=True)
    last = net.connections[-1].name
    found = learning_window(net, result, connection=last, max_lag=48, width=4)
    lag = found.lag * float(net.dt / ms)
    axes[1].plot(lag, found.dw, label="learning network")
    axes[1].plot(lag, found.shuffled, "--", label="spikes of unrelated trials")
    axes[1].axhline(0, color="0.7", lw=0.8)
    axes[1].set(xlabel="lag to the nearest spike (ms)", ylabel="mean slope a at a spike (1/s)")
    axes[1].set_title(f"updates of {last}, nudged phase")
    axes[1].legend(fontsize="small")
    axes[0].figure.savefig(path, dpi=120)
    near, far = np.abs(lag) <= 8, np.abs(lag) > 40
    print(
        f"window: near lags {np.nanmean(found.dw[near]):+.2f}, far {np.nanmean(found.dw[far]):+.2f} "
        f"1/s; shuffled {np.nanmean(found.shuffled[near]):+.2f}, "
        f"{np.nanmean(found.shuffled[far]):+.2f}"
    )


def costs(options, net, images):
    """Energy of an inference and of a training trial."""
    x, labels = images.pixels()[:100], np.asarray(images.labels)[:100]
    engine = EquilibriumEngine(net, threads=options.threads)
    phase = np.random.default_rng(0).random(x.shape)
    chosen = options.settings
    result = engine.run(
        x,
        targets=np.eye(10)[labels],
        beta=4.0,
        phase=phase,
        both=chosen.sign == "both",
        margin=chosen.margin,
    )
    operations = 2 * sum(connection.wiring.products for connection in net.connections)
    print(f"energy on {LOIHI.name} ({LOIHI.source.split(',')[0]}), a network of this size on a GPU")
    print("that is fully used (V100: 300 W / 15.7 TFLOPS), without any of its overhead, and the")
    print(
        f"events on a {PROCESSOR_45NM.name} ({PROCESSOR_45NM.source.split(',')[0]}), cache of 1 MB:"
    )
    for name, learning, factor in (("inference", False, 1), ("training trial", True, 3)):
        counts = count_events(net, result, x, learning=learning)
        joules, parts = energy(counts, LOIHI)["total"], energy(counts, PROCESSOR_45NM)
        print(
            f"  {name:14s} {counts.spikes:.0f} spikes, {counts.synaptic_events:.3g} synaptic events, "
            f"{counts.constant_inputs:.3g} constant inputs, {counts.updates:.3g} updates: "
            f"{joules * 1e6:.1f} uJ; GPU {factor * operations * V100 * 1e6:.1f} uJ; processor "
            f"{parts['total'] * 1e6:.1f} uJ, of which {parts['memory'] * 1e6:.1f} uJ are "
            f"{counts.traffic / 1e6:.2f} MB of memory traffic"
        )


def curves(trainers, path):
    """Accuracy and firing rates over the epochs."""
    _, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    for label, trainer in trainers.items():
        history, net = trainer.history, trainer.net
        axes[0].plot(history["epoch"], history["validation_accuracy"], ".-", label=label)
        for name, style in (("output", ".:"), (list(net.layers)[1], ".-")):
            rate = history[f"rate.{name}"] * float(net.neuron.parameters["t_ref"])
            axes[1].plot(history["epoch"], rate, style, label=f"{label}, {name}")
    axes[0].set(xlabel="epoch", ylabel="accuracy on the validation set")
    axes[1].set(xlabel="epoch", ylabel="firing rate / largest rate")
    axes[0].legend(fontsize="small")
    axes[1].legend(fontsize="x-small")
    axes[0].figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=["digits", *READERS], default="digits")
    parser.add_argument("--root", type=Path, help="folder of MNIST or Fashion-MNIST")
    parser.add_argument("--network", choices=["dense", "conv"], default="dense")
    parser.add_argument("--hidden", type=int, nargs="+", default=[100], help="dense layers")
    parser.add_argument("--input", choices=["constant", "spikes"], default="constant")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, help="instead of those of the settings")
    parser.add_argument("--variants", action="store_true", help="train the other rules as well")
    parser.add_argument("--threads", type=int, help="all processors if not given")
    parser.add_argument("--quick", action="store_true", help="one short run: only a test")
    parser.add_argument("--output", type=Path, default=Path("output"), help="folder of pictures")
    options = parser.parse_args()
    if options.quick:
        mark_quick_runs()
    options.settings = SETTINGS[options.network, options.data]
    options.output.mkdir(parents=True, exist_ok=True)
    if options.data == "digits":
        images, test = data.digits_8x8()
        fit, validation = images.split(0.15, seed=0)
    else:
        images, test = READERS[options.data](options.root)
        if options.settings.surrounds:
            images, test = (part.on_off(options.settings.surrounds) for part in (images, test))
        fit, validation = images.split(1 / 12, seed=0)
    if options.quick:
        fit, validation, options.seeds, options.epochs = fit[:100], validation[:50], [1], 2
    sizes = (fit.n_channels, *options.hidden, 10)
    if options.network == "conv":
        sizes = CONVOLUTIONS[options.data]

    trainers, found = {}, []
    for seed in options.seeds:
        trainer = train(options, make(options, sizes, seed), fit, validation, seed)
        result = trainer.evaluate(test)
        found.append(result["accuracy"])
        trainers[f"seed {seed}"] = trainer
        rates = "  ".join(f"{k} {v:.1f} Hz" for k, v in result.items() if k.startswith("rate."))
        print(f"{trainer.net!r}, seed {seed}: test {100 * found[-1]:.2f} %  {rates}", flush=True)
    print(f"mean of {len(found)}: {100 * np.mean(found):.2f} %, {100 * np.std(found):.2f} apart")
    net = next(iter(trainers.values())).net
    if options.variants or options.quick:
        epochs = 1 if options.quick else None
        for variant in (*VARIANTS[1:], "two-point rule"):
            two_point = variant == "two-point rule"
            other = make(options, sizes, 1, VARIANTS[0] if two_point else variant)
            trainer = train(options, other, fit, validation, 1, epochs=epochs, two_point=two_point)
            print(f"  {variant}: test {100 * trainer.evaluate(test)['accuracy']:.2f} %", flush=True)
            trainers[variant] = trainer
        rates = rates_only(options, sizes, fit, 1, epochs)
        if rates:
            print(f"  rate-based: test {100 * rates.evaluate(test)['accuracy']:.2f} %", flush=True)
    prefix = f"{options.output}/martin_2021"
    curves(trainers, f"{prefix}_learning.png")
    print("cosine of the updates of a batch")
    direction(options, net, fit, f"{prefix}_direction.png")
    windows(options, net, fit, f"{prefix}_window.png", (20 if options.quick else 2) * ms)
    costs(options, net, test)
    print(f"pictures: {prefix}_*.png")


if __name__ == "__main__":
    main()
