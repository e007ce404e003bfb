"""An epoch of SHD's shape on a GPU: the CUDA engine, and PyTorch, Spyx and the C++ engine beside it.

8156 trials, 700 inputs, 256 recurrent CurrentLIF neurons, 20 readouts, 1000 steps of 1 ms, about 7.7k
input and 8k hidden spikes a trial, Adam with a rate at which the spikes stay as they are, firing-rate
regularization; random spikes in place of recordings, since only the work counts. All begin with the same
weights. Then networks of 10 000 to 100 000 neurons with 100 synapses each: time and memory; the CUDA
engine goes to 20 000 of them, for it keeps full matrices.

    python benchmarks/gpu.py [--json FILE] [--quick] [--device cuda|processor] [--only TEXT] [--minutes 3]

- epoch: everything from the choice of the trials to the new weights; update: the epoch over the number
  of its batches; gradient: one call of the engine that brings the gradient to the processor; kernels:
  what the device needs for it, the floor of an update.
- PyTorch and Spyx do surrogate BPTT. PyTorch's is that of `BPTT` (in float64, on a small network, loss,
  spikes and gradient are compared), as a CUDA graph written by hand (`_torch_gpu.py`) in which nothing is
  left of Python; Spyx has a neuron of its own (`_spyx_peer.py`).
- EventProp needs no surrogate and is another gradient; its epoch is what replaces theirs.
- A network that is silent is refused, and so is a row whose loss is not finite.

Each group of rows runs in a process of its own with a time limit, and the file is written after each row.
Where whole epochs do not fit into the limit, fewer updates are measured, and the row says how many. With
`--device processor` the kernels run without a GPU and --quick makes all of it small: only a test.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _common import cpu_name, quantity, timed, version
from _networks import current_network, random_trials, tune
from brian2 import Hz, ms
from brian2.units.fundamentalunits import DIMENSIONLESS

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
    equations,
)
from neurosnn.data import SpikeTrials
from neurosnn.engine import Engine
from neurosnn.network import Connection
from neurosnn.training.callbacks import Callback

RATE = (1e-5, 14.0)
LEARNING_RATE = 1e-6
FAN_OUT = 100  # synapses of a neuron of the large networks


class Shape(NamedTuple):
    """What is computed, and how much of it."""

    n_trials: int = 8156
    n_in: int = 700
    n: int = 256
    n_out: int = 20
    n_steps: int = 1000
    spikes: int = 7700
    hidden: int = 8000
    batches: tuple[int, ...] = (32, 256)
    large: tuple[int, ...] = (10_000, 20_000)
    larger: tuple[int, ...] = (100_000,)  # for the C++ engine: the other keeps full matrices
    seconds: float = 6.0  # of a measurement


QUICK = Shape(
    n_trials=24,
    n_in=60,
    n=32,
    n_out=5,
    n_steps=100,
    spikes=400,
    hidden=250,
    batches=(4, 8),
    large=(400,),
    larger=(800,),
    seconds=2.0,
)


# -- what all rows share, made once and kept in a folder ------------------------------------


def make_trials(shape: Shape, seed: int = 1) -> dict[str, np.ndarray]:
    """Spikes on random places of the grid, the same number in each trial up to collisions."""
    rng = np.random.default_rng(seed)
    steps, units, counts = [], [], []
    for first in range(0, shape.n_trials, 256):
        drawn = (min(256, shape.n_trials - first), shape.spikes)
        places = np.sort(rng.integers(0, shape.n_steps * shape.n_in, drawn, dtype=np.int32), axis=1)
        new = np.ones(drawn, bool)
        new[:, 1:] = places[:, 1:] != places[:, :-1]
        step, unit = np.divmod(places[new], np.int32(shape.n_in))
        steps.append(step.astype(np.int16))
        units.append(unit.astype(np.int16))
        counts.append(new.sum(1))
    return {
        "steps": np.concatenate(steps),
        "units": np.concatenate(units),
        "offsets": np.concatenate([[0], np.cumsum(np.concatenate(counts))]),
        "labels": rng.integers(0, shape.n_out, shape.n_trials),
    }


def prepare(folder: Path, shape: Shape) -> None:
    """Trials and tuned weights."""
    arrays = make_trials(shape)
    net = network(shape)
    tune(net, as_trials(arrays, shape, 8), shape.hidden, low=0.2, high=8.0)
    for name, array in {**arrays, **{f"w {key}": w for key, w in net.parameters.items()}}.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)


def network(shape: Shape, folder: Path | None = None) -> SpikingNetwork:
    """The network, with the weights of the folder."""
    net = current_network(shape.n_in, shape.n, shape.n_out)
    if folder:
        for key, values in net.parameters.items():
            values[:] = np.load(folder / f"w {key}.npy", allow_pickle=False)
    return net


def as_trials(
    arrays: dict[str, np.ndarray], shape: Shape, number: int | None = None
) -> SpikeTrials:
    """The trials, or the first of them."""
    offsets = arrays["offsets"][: (number or shape.n_trials) + 1]
    return SpikeTrials(
        times=arrays["steps"][: offsets[-1]] * 1e-3,
        units=arrays["units"][: offsets[-1]],
        offsets=offsets,
        labels=arrays["labels"][: len(offsets) - 1],
        n_channels=shape.n_in,
        duration=shape.n_steps * ms,
        class_names=tuple(map(str, range(shape.n_out))),
    )


def read_arrays(folder: Path) -> dict[str, np.ndarray]:
    """What `prepare` has written, not yet in memory."""
    names = ("steps", "units", "offsets", "labels")
    return {key: np.load(folder / f"{key}.npy", mmap_mode="r") for key in names}


# -- measuring ------------------------------------------------------------------------------


class Memory:
    """Largest use of memory while the block runs, in MiB: the GPU's, or this process's."""

    def __init__(self, device: str):
        self.device, self.peak, self.over = device, 0.0, threading.Event()

    def now(self) -> float:
        if self.device == "cuda":
            query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
            done = subprocess.run(query, capture_output=True, text=True, check=True)
            return float(done.stdout.splitlines()[0])
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return 0.0

    def _watch(self) -> None:
        while not self.over.wait(0.5):
            self.peak = max(self.peak, self.now())

    def __enter__(self) -> Memory:
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.over.set()
        self.thread.join()
        self.peak = max(self.peak, self.now())


class Clock(Callback):
    """Seconds of each epoch; its losses are read, so that nothing is left to be computed."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def epoch_begin(self, trainer, epoch):
        self.begin = time.perf_counter()

    def epoch_end(self, trainer, row):
        self.seconds.append(time.perf_counter() - self.begin)
        self.row = row


def row(name: str, updates: int, seconds: float, shape: Shape, batch: int, **more: Any) -> dict:
    """A measurement of so many updates, for people and for the file."""
    whole = -(-shape.n_trials // batch)
    return {
        "name": name,
        "batch": batch,
        "epoch": seconds / updates * whole,
        "update": seconds / updates,
        "measured_updates": updates,
        "whole_epoch": updates == whole,
        **more,
    }


def enough(per_update: float, shape: Shape, batch: int, share: float = 3.0) -> int:
    """Updates of an epoch, or as many as fit three times into the time."""
    whole = -(-shape.n_trials // batch)
    return min(whole, max(3, int(shape.seconds / share / per_update)))


def fitted(name, make, trials, batch, shape, device, engine=None):
    """A row of one of our backends; `make` makes a trainer."""
    trainer, clock = make(), Clock()
    begin = time.perf_counter()
    trainer.fit(trials[: 3 * batch], epochs=2, batch_size=batch, callbacks=[clock], progress=False)
    start = time.perf_counter() - begin
    pilot = clock.seconds[-1] / 3
    n = enough(pilot, shape, batch)
    several, clock = trials[: n * batch], Clock()
    epochs = int(np.clip(shape.seconds / (n * pilot), 3, 10))
    with Memory(device) as memory:
        trainer.fit(several, epochs=epochs, batch_size=batch, callbacks=[clock], progress=False)
    rate = next(value for key, value in clock.row.items() if key.startswith("rate."))
    more = {
        "epochs": clock.seconds,
        "start": start,
        "memory": memory.peak,
        "spikes": rate * shape.n * shape.n_steps * 1e-3,
        "loss": clock.row["loss"],
    }
    if engine is not None:
        given = engine.prepare(trials[:batch])
        run = {"gradient": lambda: engine.run(given, gradient=True)}
        more |= timed(run, repetitions=5)
        if hasattr(engine, "machine") and hasattr(engine.machine, "timing"):
            engine.machine.timing = True
            run["gradient"]()
            more["kernels"] = engine.machine.times()
            engine.machine.timing = False
    return row(name, n, statistics.median(clock.seconds[1:]), shape, batch, **more)


def rule_named(name: str):
    """A rule; that of EventProp holds the firing rates, as in training with SHD."""
    if name == "EventProp":
        return EventProp(rate_strength=RATE[0], rate_target=RATE[1] * Hz)
    return {"e-prop": EProp, "BPTT": BPTT}[name]()


def cuda_engine(net, rule, device, dtype="float32"):
    """The CUDA engine, or the same kernels on the processor."""
    from neurosnn.cuda import CudaEngine

    options = {} if device == "cuda" else {"device": device}
    return CudaEngine(net, rule, CrossEntropy(), dtype=dtype, **options)


def cuda_trainer(net, rule, device):
    """A trainer with the CUDA engine."""
    backend = "cuda" if device == "cuda" else cuda_engine(net, rule, device)
    return Trainer(net, rule, optimizer=Adam(LEARNING_RATE), backend=backend)


# -- groups of rows: each a process of its own ----------------------------------------------

#: What a group yields first: all is read and imported, the GPU not yet touched.
READY = None


def ours(folder, shape, device, rules):
    """The CUDA engine through `Trainer.fit`."""
    trials = as_trials(read_arrays(folder), shape)
    yield READY
    for name in rules:
        for batch in shape.batches:
            net, rule = network(shape, folder), rule_named(name)
            yield fitted(
                f"CUDA engine, {name}",
                lambda net=net, rule=rule: cuda_trainer(net, rule, device),
                trials,
                batch,
                shape,
                device,
                cuda_engine(net, rule, device),
            )


def processors(folder, shape, device):
    """The C++ engine on all processors."""
    number = min(shape.n_trials, 8 * max(shape.batches))
    trials = as_trials(read_arrays(folder), shape, number)
    yield READY
    for batch in shape.batches:
        net, rule = network(shape, folder), rule_named("EventProp")
        yield fitted(
            f"C++ engine, {os.cpu_count()} threads, EventProp",
            lambda net=net, rule=rule: Trainer(
                net, rule, optimizer=Adam(LEARNING_RATE), backend="engine"
            ),
            trials,
            batch,
            shape,
            "processor",
            Engine(net, rule, CrossEntropy()),
        )


def bptt_reference():
    """A small network, its trials, and loss, spikes and gradient of BPTT in float64."""
    net = current_network(30, 16, 3)
    few = random_trials(4, n_channels=30, n_steps=200, spikes=400, n_classes=3)
    for name in ("input.w", "recurrent.w"):
        net.parameters[name][:] *= 3.0
    return net, few, Engine(net, BPTT(), CrossEntropy(), dtype="float64").run(few, gradient=True)


def same_as_bptt(device, net, few, wanted) -> bool:
    """Whether loss, spikes and gradient of PyTorch's form are those of BPTT."""
    import torch
    from _torch_gpu import TorchOnGPU, dense_raster

    raster, labels = dense_raster(few, net.dt, device), torch.tensor(few.labels, device=device)
    peer = TorchOnGPU(net, raster, labels, len(few), dtype=torch.float64)
    peer.chosen.copy_(torch.arange(len(few)))
    peer.gradient()
    return (
        int(peer.spikes) == sum(wanted.spikes.values()) > 0
        and bool(np.isclose(float(peer.loss), wanted.loss, rtol=1e-12))
        and all(
            np.allclose(peer.weights[key].grad.cpu().numpy(), block, rtol=1e-9, atol=1e-13)
            for key, block in wanted.gradient.items()
        )
    )


def torch_rows(folder, shape, device):
    """PyTorch, in TF32 and in bfloat16."""
    import torch
    from _torch_gpu import TorchOnGPU, dense_raster

    where = torch.device("cuda" if device == "cuda" else "cpu")
    trials = as_trials(read_arrays(folder), shape)
    net = network(shape, folder)
    reference = bptt_reference()
    yield READY
    torch.backends.cuda.matmul.allow_tf32 = False
    same = same_as_bptt(where, *reference)
    torch.backends.cuda.matmul.allow_tf32 = True
    labels = torch.tensor(np.array(trials.labels), dtype=torch.int64, device=where)
    raster = dense_raster(trials, net.dt, where)
    generator = torch.Generator().manual_seed(1)
    for kind, products in (("TF32", None), ("bfloat16", torch.bfloat16)):
        for batch in shape.batches:
            peer = TorchOnGPU(
                net,
                raster,
                labels,
                batch,
                products=products,
                rate=RATE,
                learning_rate=LEARNING_RATE,
            )
            begin = time.perf_counter()
            if device == "cuda":
                peer.capture()

            def updates(n, peer=peer, batch=batch):
                order = torch.randperm(shape.n_trials, generator=generator).to(where)
                for k in range(n):
                    peer.update(order[k * batch : (k + 1) * batch])
                return float(peer.loss)

            updates(1)
            start, begin = time.perf_counter() - begin, time.perf_counter()
            updates(2)
            n = enough((time.perf_counter() - begin) / 2, shape, batch, share=2.0)
            n = min(n, shape.n_trials // batch)
            with Memory(device) as memory:
                begin = time.perf_counter()
                loss = updates(n)
                seconds = time.perf_counter() - begin
            yield row(
                f"PyTorch {torch.__version__}, BPTT, CUDA graph, {kind}",
                n,
                seconds,
                shape,
                batch,
                start=start,
                memory=memory.peak,
                spikes=float(peer.spikes) / batch,
                loss=loss,
                same_as_bptt=same,
            )
            del peer


def spyx_rows(folder, shape, device):
    """Spyx, in JAX's float32 (TF32 products on a GPU)."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if device != "cuda":
        os.environ["JAX_PLATFORMS"] = "cpu"
    import jax
    from _spyx_peer import SpyxNetwork

    arrays = read_arrays(folder)
    raster = np.zeros((shape.n_trials, shape.n_steps, shape.n_in), np.uint8)
    trial = np.repeat(np.arange(shape.n_trials), np.diff(arrays["offsets"]))
    raster[trial, arrays["steps"], arrays["units"]] = 1
    net, labels = network(shape, folder), np.array(arrays["labels"])
    rng = np.random.default_rng(1)
    yield READY
    for batch in reversed(shape.batches):
        peer = SpyxNetwork(net, raster, labels, learning_rate=LEARNING_RATE)

        def updates(n, peer=peer, batch=batch):
            order = jax.numpy.asarray(rng.permutation(shape.n_trials))
            for k in range(n):
                results = peer.update(order[k * batch : (k + 1) * batch])
            peer.wait(results)
            return [float(value) for value in results]

        begin = time.perf_counter()
        updates(2)
        start, begin = time.perf_counter() - begin, time.perf_counter()
        updates(2)
        n = enough((time.perf_counter() - begin) / 2, shape, batch, share=2.0)
        n = min(n, shape.n_trials // batch)
        with Memory(device) as memory:
            begin = time.perf_counter()
            loss, spikes = updates(n)
            seconds = time.perf_counter() - begin
        yield row(
            f"Spyx {version('spyx')}, JAX {jax.__version__}, BPTT",
            n,
            seconds,
            shape,
            batch,
            start=start,
            memory=memory.peak,
            spikes=spikes / batch,
            loss=loss,
        )


def sparse_network(n_in, n, n_out, scale):
    """Neurons with FAN_OUT synapses each onto random others, and the same input in any size."""
    rng = np.random.default_rng(5)

    def connection(name, source, target, n_pre, n_post, **drawn):
        return Connection(
            name=name,
            source=source,
            target=target,
            n_post=n_post,
            mask=None,
            fixed_delay=np.zeros(n_pre, np.int32),
            channel=np.zeros(n_pre, np.int32),
            sign=None,
            dimensions=DIMENSIONLESS,
            **drawn,
        )

    def synapses(n_pre, fan_out, mean):
        pre = np.repeat(np.arange(n_pre, dtype=np.int64), fan_out)
        places = np.unique(pre * n + rng.integers(0, n, n_pre * fan_out))
        pre, post = (part.astype(np.int32) for part in np.divmod(places, n))
        return {"pre": pre, "post": post, "w": scale * (mean + rng.standard_normal(len(pre)))}

    readout = {"pre": None, "post": None, "w": rng.standard_normal((n, n_out)) / np.sqrt(n)}
    return SpikingNetwork(
        Input(n_in),
        Layer(equations.CurrentLIF(), n, recurrent=True, connectivity=FAN_OUT / n),
        Readout(n_out, model=equations.CurrentReadout()),
        connections={
            "input": connection(
                "input", "input", "hidden", n_in, n, **synapses(n_in, n // 50, 1.0)
            ),
            "recurrent": connection(
                "recurrent", "hidden", "hidden", n, n, **synapses(n, FAN_OUT, 0)
            ),
            "readout": connection("readout", "hidden", "readout", n, n_out, **readout),
        },
    )


def sparse_rows(folder, shape, device, make, sizes):
    """Time and memory of a gradient of large sparse networks, one batch."""
    batch = min(shape.batches)
    given = as_trials(read_arrays(folder), shape, batch)
    # the same input and as many synapses onto each neuron: the rate does not depend on the size
    low, high = 0.02, 2.0
    small = sparse_network(shape.n_in, min(shape.large), shape.n_out, 1.0)
    initial = {key: small.parameters[f"{key}.w"].copy() for key in ("input", "recurrent")}
    engine = Engine(small, EProp())
    for _ in range(10):
        scale = (low + high) / 2
        for key, w in initial.items():
            small.parameters[f"{key}.w"][:] = scale * w
        rate = engine.simulate(given[:1]).counts["hidden"].mean() / (shape.n_steps * 1e-3)
        low, high = (scale, high) if rate < 10 else (low, scale)
    yield READY
    for n in sizes:
        begin = time.perf_counter()
        engine = make(sparse_network(shape.n_in, n, shape.n_out, scale), EventProp(), device)
        prepared = engine.prepare(given)
        result = engine.run(prepared, gradient=True)
        start = time.perf_counter() - begin
        with Memory(device) as memory:
            seconds = timed(
                {"gradient": lambda e=engine, p=prepared: e.run(p, gradient=True)}, repetitions=3
            )
        name = type(engine).__name__
        yield {
            "name": f"{name}, {n} neurons with {FAN_OUT} synapses each, EventProp",
            "batch": batch,
            "update": seconds["gradient"],
            "start": start,
            "memory": memory.peak,
            "spikes": sum(result.spikes.values()) / batch,
            "loss": float(result.loss),
            "alive": all(np.abs(block).max() > 0 for block in result.gradient.values()),
        }


def cpp_engine(net, rule, device):
    """What `cuda_engine` is for the CUDA engine."""
    return Engine(net, rule, CrossEntropy())


GROUPS = {
    "EventProp": lambda *given: ours(*given, ["EventProp"]),
    "PyTorch": torch_rows,
    "rules": lambda *given: ours(*given, ["BPTT", "e-prop"]),
    "processors": processors,
    "Spyx": spyx_rows,
    "large": lambda *given: sparse_rows(*given, cuda_engine, given[1].large),
    "large, processors": lambda folder, shape, _: sparse_rows(
        folder, shape, "processor", cpp_engine, shape.large + shape.larger
    ),
}
#: What must be installed for a group.
NEEDS = {"PyTorch": "torch", "Spyx": "spyx"}


# -- the command ----------------------------------------------------------------------------


def refused(found: dict) -> str:
    """Why a row does not count."""
    if not found.get("spikes", 1) > 0 or found.get("alive") is False:
        return "silent"
    if not np.isfinite(found.get("loss", 0.0)):
        return "loss not finite"
    return "" if found.get("same_as_bptt", True) else "not the gradient of BPTT"


def text(found: dict) -> str:
    """A row for people."""
    if found.get("problem") and "update" not in found:
        return f"{found['name']}: {found['problem']}"
    parts = [f"{found['name']}, batch {found['batch']}:"]
    if "epoch" in found:
        parts.append(f"epoch {quantity(found['epoch'], 's')}")
        parts.append("" if found["whole_epoch"] else f"from {found['measured_updates']} updates,")
    parts.append(f"update {quantity(found['update'], 's')}")
    if "gradient" in found:
        parts.append(f"gradient alone {quantity(found['gradient'], 's')}")
    if "kernels" in found:
        parts.append(f"kernels {quantity(sum(found['kernels'].values()), 's')}")
    parts.append(f"({found['spikes']:.0f} spikes a trial, {found['memory']:.0f} MiB,")
    parts.append(f"first {found['start']:.0f} s) {found.get('problem', '')}")
    return " ".join(part for part in parts if part)


class Results:
    """All rows, written anew after each."""

    def __init__(self, path: Path | None, machine: dict):
        self.path, self.rows, self.machine = path, [], machine

    def add(self, found: dict) -> None:
        problem = found.get("problem") or refused(found)
        self.rows.append({**found, "problem": problem} if problem else found)
        print(text(self.rows[-1]), flush=True)
        if self.path:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            part = self.path.with_name(f".{self.path.name}.part")
            content = {"machine": self.machine, "rows": self.rows}
            part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            part.replace(self.path)


def machine(device: str) -> dict:
    """What ran it."""
    packages = ("neurosnn", "brian2", "numpy", "torch", "jax", "spyx", "cuda-core")
    gpu = ""
    if device == "cuda":
        query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        gpu = subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip()
    versions = {name: version(name) for name in packages}
    return {"gpu": gpu, "processor": cpu_name(), "processors": os.cpu_count(), **versions}


class Group:
    """A process that makes the rows of a group: it reads what it needs at once, and then waits."""

    def __init__(self, name: str, arguments: list[str]):
        self.name, self.errors = name, []
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--group", name, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.reader = threading.Thread(target=self._read_errors, daemon=True)
        self.reader.start()

    def _read_errors(self) -> None:
        self.errors.extend(self.process.stderr)

    def run(self, limit: float, results: Results) -> None:
        """Let it begin; its rows as they come."""
        late = threading.Timer(limit, self.process.kill)
        late.start()
        try:
            self.process.stdin.write("go\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has failed already, and says why
        for line in self.process.stdout:
            if line.startswith("{"):
                results.add(json.loads(line))
        code = self.process.wait()
        stopped = not late.is_alive()
        late.cancel()
        self.reader.join(5)
        if stopped:
            results.add({"name": self.name, "problem": f"stopped after {limit:.0f} s"})
        elif code:
            last = [line.strip() for line in self.errors if line.strip()][-12:]
            reason = last[-1][:300] if last else f"exit code {code}"
            results.add({"name": self.name, "problem": f"failed: {reason}", "log": last})

    def stop(self) -> None:
        """End it if it has not begun."""
        self.process.kill()
        self.process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="written after each row")
    parser.add_argument("--quick", action="store_true", help="everything small: only a test")
    parser.add_argument(
        "--device", choices=("cuda", "processor"), help="default: a GPU if it is there"
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="groups whose name has it")
    parser.add_argument("--minutes", type=float, default=60.0, help="for all of it")
    parser.add_argument("--limit", type=float, default=75.0, help="seconds of a group")
    parser.add_argument("--group", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    shape = QUICK if given.quick else Shape()
    if given.group:
        rows = GROUPS[given.group](given.folder, shape, given.device)
        next(rows)
        sys.stdin.readline()
        for found in rows:
            print(json.dumps(found), flush=True)
        return 0
    if given.device is None:
        there = subprocess.run("nvidia-smi", shell=True, capture_output=True).returncode == 0
        if not there and not given.quick:
            print("not run: no GPU here (--device processor --quick runs it without one)")
            return 0
        given.device = "cuda" if there else "processor"
    end, results = time.monotonic() + 60 * given.minutes, Results(given.json, machine(given.device))
    print(", ".join(f"{key} {value}" for key, value in results.machine.items() if value))
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        prepare(Path(folder), shape)
        print(f"trials and weights: {time.perf_counter() - begin:.0f} s", flush=True)
        common = ["--folder", folder, "--device", given.device]
        common += ["--quick"] if given.quick else []
        names = [name for name in GROUPS if given.only in name]
        groups: dict[str, Group] = {}
        try:
            for k, name in enumerate(names):
                for ahead in names[k : k + max(1, (os.cpu_count() or 1) // 2)]:
                    needed = NEEDS.get(ahead)
                    if ahead not in groups and (not needed or importlib.util.find_spec(needed)):
                        groups[ahead] = Group(ahead, common)
                left = min(given.limit, end - time.monotonic())
                if name not in groups:
                    results.add(
                        {"name": name, "problem": f"not run: {NEEDS[name]} is not installed"}
                    )
                elif left < 5:
                    results.add({"name": name, "problem": "not run: no time left"})
                else:
                    groups[name].run(left, results)
        finally:
            for group in groups.values():
                group.stop()
    return any("problem" in found and "not run" not in found["problem"] for found in results.rows)


if __name__ == "__main__":
    sys.exit(main())
