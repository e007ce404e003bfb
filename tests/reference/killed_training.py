"""Run as a script: trainings killed at many moments, resumed, and compared with one that was not.

    python killed_training.py FOLDER random|write

Children are forked, so that the packages are imported only once. The last line printed says how many
kills there were and at how many positions.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
from brian2 import ms

sys.path.append(str(Path(__file__).parent.parent))

from neurosnn import equations
from neurosnn.core import files
from neurosnn.data import SpikeTrials
from neurosnn.losses import CrossEntropy
from neurosnn.network import Input, Layer, Readout, SpikingNetwork
from neurosnn.training import Trainer
from neurosnn.training.callbacks import EarlyStopping
from neurosnn.training.checkpoint import Checkpoint, load_checkpoint
from neurosnn.training.optimizers import Adam
from neurosnn.training.schedules import Cosine
from reference.linear_backend import LinearBackend

EPOCHS, KILLS = 6, 20


def make_trials(n=60, channels=8, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    counts = rng.poisson(np.where(np.arange(channels) % 3 == labels[:, None], 4.0, 1.0))
    offsets = np.append(0, np.cumsum(counts.sum(axis=1)))
    units = np.concatenate([np.repeat(np.arange(channels), row) for row in counts])
    times = np.concatenate([np.sort(rng.uniform(0, 0.02, n)) for n in np.diff(offsets)])
    return SpikeTrials(
        times=times,
        units=units,
        offsets=offsets,
        labels=labels,
        n_channels=channels,
        duration=20 * ms,
    )


def drop_spikes(trials, rng):
    """Leave out a tenth of the spikes."""
    kept = rng.random(len(trials.times)) > 0.1
    offsets = np.append(0, np.cumsum(kept))[trials.offsets]
    return trials.with_spikes(trials.times[kept], trials.units[kept], offsets)


def train(path, pause=0.0, started=None):
    layer = Layer(equations.LIF(), 6, recurrent=True, excitatory=0.5)
    net = SpikingNetwork(Input(8), layer, Readout(3), seed=2)

    def wait(backend):
        if started is not None and not backend.calls:
            os.write(started, b"!")
        time.sleep(pause)

    backend = LinearBackend(net, CrossEntropy(), before=[wait])
    trainer = Trainer(
        net,
        "a rule",
        backend=backend,
        optimizer=Adam(3e-3, weight_decay=0.01),
        schedule=Cosine(EPOCHS),
        augment=drop_spikes,
        clip_gradient=5.0,
        weight_bounds=(-1, 1),
        seed=7,
    )
    checkpoint = Checkpoint(path, every_batches=1) if pause else path
    stopping = EarlyStopping(EPOCHS, monitor="validation_accuracy")
    trainer.fit(
        make_trials(),
        epochs=EPOCHS,
        batch_size=8,
        validation=0.2,
        checkpoint=checkpoint,
        early_stopping=stopping,
        progress=False,
    )
    return net


def in_a_child(function, kill_after=None):
    """Whether a forked child came to its end; killed some time after it has begun with a batch."""
    ready, started = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            function(started)
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
    os.close(started)
    if kill_after is not None:
        os.read(ready, 1)
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    os.close(ready)
    _, status = os.waitpid(child, 0)
    assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0, "the child failed"
    return os.WIFEXITED(status)


def die_in_write(path, number, stage):
    """Train, and kill the process in write `number`: before, in the middle, at the end, after."""
    count = 0
    real = {name: getattr(files.os, name) for name in ("open", "fsync", "replace")}

    def at(where):
        if (count, where) == (number, stage):
            os.kill(os.getpid(), signal.SIGKILL)

    def opened(name, *arguments, **keywords):
        nonlocal count
        count += str(name).endswith(".partial")
        at("begin")
        return real["open"](name, *arguments, **keywords)

    def flushed(descriptor):
        if (count, stage) == (number, "middle"):
            os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
        at("middle")
        real["fsync"](descriptor)

    def replaced(*arguments):
        at("end")
        real["replace"](*arguments)
        at("after")

    files.os.open, files.os.fsync, files.os.replace = opened, flushed, replaced
    train(path, pause=1e-4)


def kill_at_random(path, expected):
    chance, positions, kills = random.Random(3), set(), 0
    while kills < KILLS:
        if in_a_child(lambda fd: train(path, 8e-3, fd), kill_after=chance.uniform(0, 0.15)):
            compare(expected, path)
            path.unlink()
        else:
            kills += 1
        if path.exists():
            progress = load_checkpoint(path).progress
            positions.add((progress["epoch"], progress["fit"]["batch"]))
    return kills, len(positions)


def kill_in_writes(path, expected):
    stages = [
        (number, stage) for number in (1, 2, 4) for stage in ("begin", "middle", "end", "after")
    ]
    for number, stage in stages:
        assert not in_a_child(lambda _, n=number, s=stage: die_in_write(path, n, s)), (
            number,
            stage,
        )
        if path.exists():
            load_checkpoint(path)
    return len(stages), len(stages)


def compare(expected, path):
    """All that a checkpoint holds must be equal, the times that it took aside."""
    wanted, got = load_checkpoint(expected), load_checkpoint(path)
    for block in ("weights", "optimizer", "best"):
        for name, array in getattr(wanted, block).items():
            other = getattr(got, block)[name]
            assert array.dtype == other.dtype
            assert np.array_equal(array, other), f"{block} {name}"
    for state in (wanted, got):
        for row in state.progress["history"]:
            assert row.pop("seconds") > 0
            row.pop("trials_per_second")
    assert wanted.progress == got.progress


def main():
    folder, how = Path(sys.argv[1]), sys.argv[2]
    expected, path = folder / "expected.npz", folder / "killed.npz"
    whole = train(expected).parameters
    kill = {"random": kill_at_random, "write": kill_in_writes}[how]
    kills, positions = kill(path, expected)
    net = train(path)
    for name, array in whole.items():
        assert np.array_equal(net.parameters[name], array), f"{name} differs"
    compare(expected, path)
    moved = max(np.abs(array).max() for array in whole.values())
    print(json.dumps({"kills": kills, "positions": positions, "moved": float(moved)}))


if __name__ == "__main__":
    main()
