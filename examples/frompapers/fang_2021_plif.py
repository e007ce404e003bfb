"""Learned membrane time constants: PLIF against LIF in convolutional networks (Fang et al. 2021).

Each layer of PLIF neurons learns one time constant tau together with the weights. What the paper
shows, here with small networks and few epochs, mean and spread over seeds:

    PLIF rescues a bad start     from tau = 16 steps, LIF learns badly or not at all, PLIF as from 2
    one tau for each layer       from 2 and from 16 towards similar values, 1 to 2 in convolutions,
                                 longest after the first fully connected layer: about 3 here, 24 to
                                 30 after the paper's 1024 epochs
    max pools are no loss        against average pools

That PLIF learns faster than LIF shows against a bad fixed tau only.

Differences from the paper: its accuracies are the best of 1024 tests on the test set; here the
weights of the best validation epoch are tested once. The learning rate is five times higher: with
the paper's 1e-3 Adam moves the sigmoid's argument by at most 0.001 an update, and 16 is 2.7 away
from 2. --network takes the paper's own networks, by the name of their data, which need a GPU or
patience.

    python examples/frompapers/fang_2021_plif.py                                  # 8 x 8 digits
    python examples/frompapers/fang_2021_plif.py --data Fashion-MNIST --root DATA --train 4000
    python examples/frompapers/fang_2021_plif.py --data N-MNIST --root DATA --folds 10 --shift 2
    python examples/frompapers/fang_2021_plif.py --data N-MNIST --root DATA --network N-MNIST
    python examples/frompapers/fang_2021_plif.py --data "DVS128 Gesture" --root DATA --steps 20
    python examples/frompapers/fang_2021_plif.py --data Fashion-MNIST --root DATA --network Fashion-MNIST \
        --device cuda --compiled network --mixed --merge-norm --batch 64 --rate 2e-3 --dropout 0.5 \
        --shift 2 --mirror --runs "PLIF 2" --seeds 1 --epochs 1024 --minutes 5 --log fashion.jsonl
    python examples/frompapers/fang_2021_plif.py --data CIFAR-10 --root DATA --network CIFAR-10 --steps 4 \
        --device cuda --compiled network --mixed --merge-norm --batch 128 --rate 1.5e-3 --warm-up 700 \
        --decay 0.05 --dropout 0.3 --shift 4 --mirror --cutout 8 --held-out 0.1 --runs "PLIF 2" --seeds 1 \
        --epochs 1024 --minutes 7 --log cifar.jsonl
    python examples/frompapers/fang_2021_plif.py --data CIFAR-10 --root DATA --channels 24 64,64 128,128 \
        --steps 4 --compiled network --mixed --merge-norm --batch 64 --rate 1.5e-3 --warm-up 700 \
        --decay 0.05 --dropout 0.2 --shift 4 --mirror --held-out 0.1 --runs "PLIF 2" --seeds 1 \
        --epochs 1024 --minutes 60

The last line is for two cores and an hour, the one before it for one H100 or H200: at 4 steps a pass
through the 45 000 images multiplies and adds 0.9e15 times, so that 7 minutes are 30 to 40 epochs, and
what short trainings of other networks use is used here too: a rate that rises first, weight decay,
squares cut out of the images.

All frames of CIFAR10-DVS take 26 GB at 20 steps; --train takes the first trials only.
"""

import argparse
import dataclasses
import json
import time
from pathlib import Path

import numpy as np
import torch
from brian2 import ms
from matplotlib import pyplot as plt

from neurosnn import data
from neurosnn.core.drawing import COLORS, mark_quick_runs
from neurosnn.torch import (
    accuracy,
    count_operations,
    fit,
    image_tensors,
    moved,
    plif_network,
    rate_loss,
)
from neurosnn.torch.compiling import compiled
from neurosnn.torch.plif import ARCHITECTURES
from neurosnn.training.callbacks import Callback

READERS = {
    "digits": lambda root: data.digits_8x8(),
    "MNIST": data.read_mnist,
    "Fashion-MNIST": data.read_fashion_mnist,
    "CIFAR-10": data.read_cifar10,
    "N-MNIST": data.read_nmnist,
    "CIFAR10-DVS": data.read_cifar10_dvs,
    "DVS128 Gesture": data.read_dvs_gesture,
}
#: Mean and standard deviation of the pixels of images, as in the authors' code.
PIXELS = {
    "digits": (0.3, 0.37),
    "MNIST": (0.1307, 0.3081),
    "Fashion-MNIST": (0.2860, 0.3530),
    "CIFAR-10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
}
#: The input of each is that of the paper's network for it.
SHAPED = ARCHITECTURES | {"digits": dataclasses.replace(ARCHITECTURES["small"], side=8)}
#: Trials whose operations are counted.
COUNTED = 200
RUNS = {
    "PLIF 2": {"tau": 2.0},
    "PLIF 16": {"tau": 16.0},
    "LIF 2": {"tau": 2.0, "learn_tau": False},
    "LIF 16": {"tau": 16.0, "learn_tau": False},
    "PLIF 2 average pool": {"tau": 2.0, "pool": "average"},
}


def read(name, root, n_train, n_steps, held_out):
    """Training, validation and test tensors, and what they need of the network."""
    shape = {key: getattr(SHAPED[name], key) for key in ("channels", "side", "classes", "frames")}
    train, test = READERS[name](root)
    train, validation = train.split(held_out, seed=0)
    if n_train:
        train, validation = train[:n_train], validation[: n_train // 3]

    def tensors(part):
        if name in PIXELS:
            mean, deviation = PIXELS[name]
            return image_tensors(part, mean=mean, deviation=deviation)
        frames = torch.from_numpy(data.slice_by_number(part, n_steps))
        pixels = (shape["channels"], shape["side"], shape["side"])
        return frames.unflatten(2, pixels), torch.from_numpy(np.array(part.labels))

    return [tensors(part) for part in (train, validation, test)], shape | {"n_steps": n_steps}


class TimeFirst(torch.nn.Module):
    """A network of frames for batches (n, n_steps, ...), as `fit` cuts them."""

    def __init__(self, net, whole=False):
        super().__init__()
        self.net, self.whole = net, whole

    def forward(self, x):
        x = x.transpose(0, 1) if self.net.architecture.frames else x
        return (compiled(apply) if self.whole and self.training else apply)(self.net, x)


class BothSides(torch.nn.Module):
    """Mean output for a trial and its mirror image."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return (self.net(x) + self.net(x.flip(-1))) / 2


def apply(net, x):
    """What `--compiled network` compiles."""
    return net(x)


def note(settings, **row):
    """A line of JSON in the log, written at once."""
    if settings.log:
        with settings.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


class Regularized(Callback):
    """A learning rate that rises over the first updates, and decoupled weight decay.

    Decay as in Loshchilov & Hutter (2019): after each update the weights of convolutions and products
    shrink by rate times decay; normalizations and time constants do not.
    """

    def __init__(self, net, warm_up, decay):
        self.weights = [p for p in net.parameters() if p.ndim > 1]
        self.warm_up, self.decay, self.updates = warm_up, decay, 0

    def epoch_begin(self, trainer, epoch):
        if not self.updates:
            self.rise(trainer)

    def batch_end(self, trainer, result):
        with torch.no_grad():
            rate = trainer.optimizer.param_groups[0]["lr"]
            torch._foreach_mul_(self.weights, 1 - rate * self.decay)
        self.rise(trainer)

    def rise(self, trainer):
        """The rate of the next update, which the clock of `fit` has set."""
        self.updates += 1
        if self.updates <= self.warm_up:
            trainer.optimizer.param_groups[0]["lr"] *= self.updates / self.warm_up


def cut_out(x, side):
    """Images without a square of so many pixels at a random place (DeVries & Taylor 2017)."""
    corner = torch.rand(2, len(x), 1, device=x.device)
    hidden = [
        (place >= first) & (place < first + side)
        for size, share in zip(x.shape[-2:], corner, strict=True)
        for place in [torch.arange(size, device=x.device)]
        for first in [(share * (size + side - 1)).floor() - side + 1]
    ]
    square = hidden[0][:, :, None] & hidden[1][:, None, :]
    return x.masked_fill(square.view(len(x), *[1] * (x.ndim - 3), *square.shape[1:]), 0.0)


def augmented(x, settings):
    """Trials, each shifted, turned, scaled, half of them mirrored, as the settings have it."""
    if settings.shift or settings.turn or settings.zoom:
        x = moved(x, settings.shift, degrees=settings.turn, zoom=settings.zoom)
    if settings.mirror:
        mirrored = (torch.rand(len(x)) < 0.5).to(x.device)
        x = torch.where(mirrored.view(-1, *[1] * (x.ndim - 1)), x.flip(-1), x)
    return cut_out(x, settings.cutout) if settings.cutout else x


def run(options, sets, shape, seed, settings):
    """Test accuracy, validation accuracy and tau of each layer after each epoch, operations a trial."""
    torch.manual_seed(seed)
    net = plif_network(
        settings.network,
        **shape,
        **options,
        dropout=settings.dropout,
        merge_norm=settings.merge_norm,
        compiled=settings.compiled == "neurons",
        mixed=settings.mixed,
    ).to(settings.device)
    sets = [tuple(part.to(settings.device) for part in pair) for pair in sets]
    taus, rows = [[tau / ms for tau in net.time_constants()]], []
    begin = time.perf_counter()

    def after_epoch(_, row):
        if settings.verbose:
            print(row, flush=True)
        rows.append(row["validation_accuracy"])
        taus.append([tau / ms for tau in net.time_constants()])
        since = (time.perf_counter() - begin) / 60
        note(
            settings, data=settings.data, seed=seed, **options, **row, minutes=since, taus=taus[-1]
        )

    wrapped = TimeFirst(net, settings.compiled == "network")
    fit(
        wrapped,
        sets[0],
        rate_loss,
        epochs=settings.epochs,
        batch_size=settings.batch,
        validation=sets[1],
        learning_rate=settings.rate,
        half_period=settings.half_period,
        minutes=settings.minutes,
        seed=seed,
        augment=lambda x: augmented(x, settings),
        callbacks=[after_epoch, Regularized(net, settings.warm_up, settings.decay)],
        progress=False,
    )
    right = accuracy(wrapped, *sets[2])
    # a second figure, which nothing is chosen by
    mirrored = {"mirrored": accuracy(BothSides(wrapped), *sets[2])} if settings.mirror else {}
    shown = sets[2][0][:COUNTED]
    count = count_operations(net, shown.transpose(0, 1) if net.architecture.frames else shown)
    note(
        settings,
        data=settings.data,
        seed=seed,
        **options,
        test_accuracy=right,
        **count,
        **mirrored,
        minutes=(time.perf_counter() - begin) / 60,
        best_validation=max(rows),
        best_epoch=1 + int(np.argmax(rows)),
        taus=[tau / ms for tau in net.time_constants()],
    )
    return right, rows, np.array(taus), count


def cross_validate(options, sets, shape, seed, settings):
    """As `run`, with every trial of all three sets in the test set of one of the folds.

    The fold after it validates, the others train.
    """
    x, labels = (torch.cat(parts) for parts in zip(*sets, strict=True))
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels.numpy()[order], kind="stable")]  # equal shares of each class
    fold = np.empty(len(labels), dtype=int)
    fold[order] = np.arange(len(labels)) % settings.folds
    results, right, tested = [], 0, 0
    for k in settings.only_folds or range(settings.folds):
        test, validation = fold == k, fold == (k + 1) % settings.folds
        parts = [(x[p], labels[p]) for p in (~test & ~validation, validation, test)]
        results.append(run(options, parts, shape, seed, settings))
        right, tested = right + round(results[-1][0] * test.sum()), tested + test.sum()
        print(
            f"  fold {k}: {100 * results[-1][0]:.2f} % of {test.sum()} on test, best "
            f"validation {100 * max(results[-1][1]):.2f} %",
            flush=True,
        )
    _, rows, taus, counts = zip(*results, strict=True)
    count = {name: np.mean([one[name] for one in counts]) for name in counts[0]}
    return right / tested, list(np.mean(rows, axis=0)), np.mean(taus, axis=0), count


def epochs_to(rows, share=0.9):
    """Epochs until the validation accuracy has reached a share of its last value."""
    return 1 + next(k for k, value in enumerate(rows) if value >= share * rows[-1])


def spread(values):
    """Mean and standard deviation."""
    return f"{np.mean(values):.2f} ± {np.std(values):.2f}"


def draw(results, title, path):
    """Validation accuracy and time constants over the epochs; thin lines are single seeds."""
    shown = [name for name in ("PLIF 2", "PLIF 16") if name in results]
    _, axes = plt.subplots(
        1, 1 + bool(shown), figsize=(5 + 5 * bool(shown), 4), layout="constrained", squeeze=False
    )
    left, *right = axes[0]
    for color, (name, runs) in zip(COLORS, results.items(), strict=False):
        rows = 100 * np.array([run[1] for run in runs])
        epochs = range(1, rows.shape[1] + 1)
        left.plot(epochs, rows.mean(0), ".-", color=color, label=name)
        if len(rows) > 1:
            left.plot(epochs, rows.T, color=color, lw=0.4)
    left.set(xlabel="epoch", ylabel="validation accuracy (%)", title=title)
    for ax in right:
        for name in shown:
            style = "-" if name == "PLIF 2" else "--"
            tau = np.mean([run[2] for run in results[name]], axis=0).T
            for layer, (color, values) in enumerate(zip(COLORS, tau, strict=False)):
                label = f"layer {layer + 1}" if name == shown[0] else None
                ax.plot(values, style, color=color, label=label)
        starts = " and ".join("2 (—)" if name == "PLIF 2" else "16 (- -)" for name in shown)
        ax.set(xlabel="epoch", ylabel="tau (steps)", yscale="log", title=f"tau from {starts}")
        low, high = ax.get_ylim()
        ticks = [tick for tick in (1, 1.5, 2, 3, 5, 10, 20, 50) if low <= tick <= high]
        ax.set_yticks(ticks, [str(tick) for tick in ticks])
        ax.minorticks_off()
    for ax in axes[0]:
        ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        ax.legend(fontsize="small")
    left.figure.savefig(path, dpi=120)


def widths(text):
    """Channels of the convolutions between two pools: "24", or "64,64"."""
    return tuple(int(width) for width in text.split(","))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small, two epochs: only a test")
    parser.add_argument("--output", type=Path, default=Path("output"), help="folder of the picture")
    parser.add_argument("--data", default="digits", choices=tuple(READERS))
    parser.add_argument("--root", help="folder of the data; default: NEUROSNN_DATA")
    parser.add_argument("--network", default="small", choices=tuple(ARCHITECTURES))
    parser.add_argument(
        "--channels",
        type=widths,
        nargs="+",
        default=[(8,), (16,)],
        help="of each convolution, for 'small'; 64,64 are two before a pool",
    )
    parser.add_argument("--train", type=int, help="training images; default: all")
    parser.add_argument("--steps", type=int, default=8, help="time steps")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument(
        "--rate", type=float, default=5e-3, help="learning rate at the start (paper: 1e-3)"
    )
    parser.add_argument(
        "--half-period", type=int, default=64, help="epochs until the learning rate is 0"
    )
    parser.add_argument(
        "--minutes", type=float, help="of a training; the rate falls to 0 over them"
    )
    parser.add_argument("--device", default="cpu", help="cuda: a GPU, which holds all data")
    parser.add_argument(
        "--compiled",
        nargs="?",
        const="neurons",
        choices=("neurons", "network"),
        help="by torch, for long runs: the neurons, or the whole network as for a GPU",
    )
    parser.add_argument(
        "--mixed", action="store_true", help="weights times spikes in bfloat16: faster where known"
    )
    parser.add_argument(
        "--merge-norm", action="store_true", help="normalize all steps together: faster"
    )
    parser.add_argument("--dropout", type=float, default=0.2, help="paper: 0.5")
    parser.add_argument("--shift", type=int, default=0, help="augmentation, pixels")
    parser.add_argument("--turn", type=float, default=0, help="augmentation, degrees")
    parser.add_argument("--zoom", type=float, default=0, help="augmentation, 0.1: 10 % at most")
    parser.add_argument("--mirror", action="store_true", help="augmentation, left and right")
    parser.add_argument("--cutout", type=int, default=0, help="augmentation, pixels of a square")
    parser.add_argument("--warm-up", type=int, default=0, help="updates, with --minutes")
    parser.add_argument("--decay", type=float, default=0.0, help="of the weights, decoupled")
    parser.add_argument("--held-out", type=float, default=0.15, help="share that validates")
    parser.add_argument("--folds", type=int, help="cross-validate over all trials; for small sets")
    parser.add_argument("--only-folds", type=int, nargs="+", help="some of the folds, from 0 on")
    parser.add_argument("--runs", nargs="+", choices=tuple(RUNS), default=tuple(RUNS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--verbose", action="store_true", help="print every epoch")
    parser.add_argument("--log", type=Path, help="a line of JSON for every epoch and test")
    settings = parser.parse_args()
    settings.output.mkdir(parents=True, exist_ok=True)
    if settings.quick:
        mark_quick_runs()
        settings.epochs, settings.seeds, settings.train = 2, [1], 300
        settings.channels, settings.steps = [(4,), (8,)], 4
    if settings.warm_up and not settings.minutes:
        parser.error("--warm-up needs --minutes, whose clock sets the rate of each update")
    if settings.device == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
    begin = time.perf_counter()
    sets, shape = read(
        settings.data, settings.root, settings.train, settings.steps, settings.held_out
    )
    note(settings, read_seconds=time.perf_counter() - begin)
    if settings.network == "small":
        shape["convolutions"] = tuple(settings.channels)
    print(f"{settings.data}: {', '.join(str(len(y)) for _, y in sets)} trials, network {shape}")

    results = {}
    for name in settings.runs:
        for seed in settings.seeds:
            begin = time.perf_counter()
            train = cross_validate if settings.folds else run
            result = train(RUNS[name], sets, shape, seed, settings)
            results.setdefault(name, []).append(result)
            tau = " ".join(f"{value:.2f}" for value in result[2][-1])
            print(
                f"{name:20s} seed {seed}: {100 * result[0]:.2f} % on test, best validation "
                f"{100 * max(result[1]):.2f} %, 90 % after {epochs_to(result[1])} epochs, "
                f"tau {tau}, {time.perf_counter() - begin:.0f} s",
                flush=True,
            )
    print(
        f"\n{'':20s} {'test (%)':>15s} {'validation, 1st epoch':>22s} {'epochs to 90 %':>15s}"
        f" {'multiplications':>16s} {'additions':>11s}   tau of each layer at the end (steps)"
    )
    for name, runs in results.items():
        right, rows, taus, counts = zip(*runs, strict=True)
        operations = [np.mean([c[key] for c in counts]) for key in ("multiplications", "additions")]
        first, epochs = [100 * row[0] for row in rows], [epochs_to(row) for row in rows]
        tau = " ".join(f"{v:6.2f}" for v in np.mean([values[-1] for values in taus], axis=0))
        print(
            f"{name:20s} {spread(100 * np.array(right)):>15s} {spread(first):>22s} "
            f"{spread(epochs):>15s} {operations[0]:16.0f} {operations[1]:11.0f}   {tau}"
        )
    path = settings.output / "fang_2021_plif.png"
    draw(results, f"{settings.data}, {len(sets[0][1])} images", path)
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
