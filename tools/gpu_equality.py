"""Hold the CUDA engine against the C++ engine: loss, spikes, gradient, and the same bits every time.

    python tools/gpu_equality.py --out equality.json [--device cuda] [--only TEXT ...] [--minutes 2]

Each case is a network, a rule and a loss; the file is written anew after each. In float64 the spikes
of every trial must be those of the C++ engine and all else equal to 1e-12 of the largest value; a
second run must give the same bits, and so must the trials in smaller batches, one by one. In float32
spikes may differ where a voltage lies within rounding of the threshold: in most trials they must not,
and loss and gradient of those trials are compared: to 1e-3, and a block of the gradient that the C++
engine itself finds otherwise in float64 to four times that difference. A network that is silent, or a
gradient with a block of zeros, is refused. ``--device processor`` runs the kernels without a GPU.
``--gradient NAME`` computes the gradient of one case and nothing else, for compute-sanitizer.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

# Most of the time is the compiler's; without more optimization float64 has the same bits.
os.environ.setdefault("NEUROSNN_CXXFLAGS", "-O1")

import numpy as np
from brian2 import Hz, ms
from gpu_projects import LEAKY, N_IN, layers, trials

from neurosnn import (
    BPTT,
    Adam,
    CrossEntropy,
    EProp,
    EventProp,
    FirstSpike,
    Input,
    Layer,
    MaxCrossEntropy,
    Readout,
    SpikingNetwork,
    Trainer,
    equations,
)
from neurosnn.data import FrameTrials
from neurosnn.engine import Engine
from neurosnn.losses import MeanSquareError

TOLERANCE = {"float64": 1e-12, "float32": 1e-3}
#: How many times the error of the C++ engine's float32 an error may be: both round, in another order.
TIMES_ROUNDING = 4.0
TRIALS = 7  # no multiple of anything
#: Izhikevich's neuron is not among them: with it the gradient of BPTT overflows in float32.
SMOOTH = {"CurrentLIF": 20.0, "PLIF": 8.0}
LIMIT = 150.0  # seconds of a case
#: What a row of the history says of the machine.
TIMES = ("seconds", "trials_per_second")


class Case(NamedTuple):
    """A network, what it learns with, and its trials."""

    net: SpikingNetwork
    rule: Any
    loss: Any
    trials: Any
    targets: np.ndarray | None = None


def spiking(rule, *, scales, seed, loss=None, readout=None):
    """Layers of named neurons, some recurrent, some delayed."""
    net = SpikingNetwork(Input(N_IN), *layers(**scales), readout or Readout(2), seed=seed)
    return Case(net, rule, loss or CrossEntropy(), trials(TRIALS, seed=seed))


def unclipped(rule):
    """Izhikevich's neuron with eligibility vectors that e-prop can factor, between two others."""
    net = SpikingNetwork(
        Input(N_IN),
        Layer(equations.CurrentLIF(), 12, weight_scale=20.0),
        Layer(equations.Izhikevich(clip_eligibility=False), 12, recurrent=True, weight_scale=40.0),
        Layer(equations.PLIF(), 12, recurrent=True, weight_scale=8.0, delay=2 * ms),
        Readout(2),
        seed=2,
    )
    return Case(net, rule, CrossEntropy(), trials(TRIALS, seed=2))


def currents(rule=None, *, loss=None, several=1, recurrent=True, n=24, **options):
    """Layers of CurrentLIF, for EventProp."""
    hidden = [
        Layer(
            equations.CurrentLIF(),
            n,
            recurrent=recurrent,
            weight_scale=1.0,
            weight_mean=0.6,
            **options,
        )
        for _ in range(several)
    ]
    readout = Readout(3, model=equations.CurrentReadout(), weight_scale=3.0)
    net = SpikingNetwork(Input(N_IN), *hidden, readout, seed=3)
    return Case(net, rule or EventProp(), loss or CrossEntropy(), trials(TRIALS, seed=3, rate=0.15))


def frames(rule):
    """Real-valued input, targets in every step, trials of different lengths."""
    rng = np.random.default_rng(3)
    lengths = rng.integers(20, 50, TRIALS)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    net = SpikingNetwork(
        Input(4, real_valued=True),
        Layer(equations.ALIF(), 12, recurrent=True, weight_scale=2.0),
        Readout(3),
        seed=1,
    )
    given = FrameTrials(features=rng.normal(0, 2, (offsets[-1], 4)), offsets=offsets, frame=1 * ms)
    targets = rng.normal(0, 1, (TRIALS, int(lengths.max()), 3))
    return Case(net, rule, MeanSquareError(), given, targets)


CASES: dict[str, Callable[[], Case]] = {
    "eventprop": currents,
    "eventprop rates": lambda: currents(EventProp(rate_strength=1e-3, rate_target=14 * Hz)),
    "eventprop delays, two layers": lambda: currents(several=2, delay=(np.arange(24) % 4) * ms),
    "eventprop sparse": lambda: currents(connectivity=0.2, n=40),
    "eventprop learns tau": lambda: currents(learn=("tau_m", "tau_s")),
    "eventprop largest score": lambda: currents(loss=MaxCrossEntropy()),
    "eprop leaky": lambda: spiking(EProp(), scales=LEAKY, seed=1),
    "eprop others": lambda: unclipped(EProp()),
    "eprop currents": lambda: currents(EProp()),
    "eprop frames": lambda: frames(EProp()),
    "bptt leaky": lambda: spiking(BPTT(), scales=LEAKY, seed=1),
    "bptt others": lambda: spiking(BPTT(), scales=SMOOTH, seed=2),
    "bptt currents": lambda: currents(BPTT()),
    "bptt frames": lambda: frames(BPTT()),
    "eventprop first spike": lambda: currents(loss=FirstSpike()),
}
TRAINING = "training"  # the last case: a fit of each backend


def cuda_engine(case, dtype, device, **options):
    """The engine under test."""
    from neurosnn.cuda import CudaEngine

    if device != "cuda":
        options["device"] = device
    return CudaEngine(case.net, case.rule, case.loss, dtype=dtype, **options)


def spikes_of(engine, given):
    """Step and neuron of every spike, by layer and trial, and the output."""
    found = engine.simulate(given)
    spikes = {
        layer: [(np.asarray(step), np.asarray(neuron)) for step, neuron in one]
        for layer, one in found.spikes.items()
    }
    return spikes, found


def same_spikes(a, b):
    """Trials in which all spikes are the same, in any order within a step."""

    def ordered(step, neuron):
        order = np.lexsort((neuron, step))
        return step[order], neuron[order]

    def same(one, other):
        return np.array_equal(ordered(*one), ordered(*other))

    trials = range(len(next(iter(b.values()))))
    return np.flatnonzero([all(same(a[layer][k], b[layer][k]) for layer in b) for k in trials])


def off(a, b):
    """Largest difference relative to the largest value of `b`."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("inf")
    return float(np.abs(a - b).max(initial=0) / (np.abs(b).max(initial=0) or 1.0))


def same_bits(a, b):
    """Whether two batches gave the same numbers, bit for bit."""
    arrays = [(a.scores, b.scores), *((a.gradient[key], b.gradient[key]) for key in b.gradient)]
    return a.loss == b.loss and all(np.array_equal(x, y) for x, y in arrays)


def part(case, where):
    """Some of the trials, with their targets."""
    targets = case.targets
    return case.trials[where], targets if targets is None else targets[where]


def rounding_of(case, wanted, chosen, spikes):
    """How far each block of the C++ engine's gradient in float32 is from its own in float64."""
    exact = Engine(case.net, case.rule, case.loss, dtype="float64")
    given, _ = part(case, chosen)
    if len(same_spikes(spikes_of(exact, given)[0], spikes)) < len(chosen):
        return {}  # another spike train has another gradient: that says nothing of rounding
    gradient = exact.run(*part(case, chosen), gradient=True).gradient
    return {key: off(wanted.gradient[key], block) for key, block in gradient.items()}


def compare(case, dtype, device):
    """The row of one case in one type of numbers."""
    ours = cuda_engine(case, dtype, device)
    theirs = Engine(case.net, case.rule, case.loss, dtype=dtype)
    given = ours.prepare(case.trials)
    begin = time.perf_counter()
    whole = ours.run(given, case.targets, gradient=True)
    row: dict[str, Any] = {"seconds": time.perf_counter() - begin}
    (a, simulated), (b, reference) = spikes_of(ours, given), spikes_of(theirs, case.trials)
    same = same_spikes(a, b)
    row["trials with the same spikes"] = len(same)
    row["wrong"] = wrong = []
    if len(same) < (TRIALS if dtype == "float64" else TRIALS // 2 + 1):
        wrong.append(f"spikes differ in {TRIALS - len(same)} of {TRIALS} trials")
    chosen = part(case, same if len(same) else np.arange(TRIALS))
    found, wanted = ours.run(*chosen, gradient=True), theirs.run(*chosen, gradient=True)
    row["spikes"] = {layer: int(n) for layer, n in wanted.spikes.items()}
    within = np.arange(reference.output.shape[1]) < np.asarray(reference.n_steps)[:, None]
    row["loss"] = off(found.loss, wanted.loss)
    row["scores"] = off(found.scores, wanted.scores)
    row["output"] = off(*(each.output[same][within[same]] for each in (simulated, reference)))
    row["gradient"] = {
        key: off(found.gradient.get(key, 0.0), block) for key, block in wanted.gradient.items()
    }
    row["off"] = max(row["loss"], row["scores"], row["output"], *row["gradient"].values())
    rounding = {}
    if dtype == "float32" and not row["off"] <= TOLERANCE[dtype]:
        spikes = {layer: [one[k] for k in same] for layer, one in b.items()}
        rounding = row["rounding"] = rounding_of(case, wanted, same, spikes) if len(same) else {}
    limit = {key: TIMES_ROUNDING * rounding.get(key, 0.0) for key in row["gradient"]}
    far = [row[key] for key in ("loss", "scores", "output") if not row[key] <= TOLERANCE[dtype]]
    far += [
        error
        for key, error in row["gradient"].items()
        if not error <= max(TOLERANCE[dtype], limit[key])
    ]
    wrong += [f"{layer} never spikes" for layer, n in row["spikes"].items() if not n]
    wrong += [f"the gradient of {key} is zero" for key, v in wanted.gradient.items() if not v.any()]
    if len(same) and found.spikes != wanted.spikes:
        wrong.append(f"counts {found.spikes} of spikes")
    if len(same) and far:
        wrong.append(f"off by {max(far):.3g}")
    if not same_bits(ours.run(given, case.targets, gradient=True), whole):
        wrong.append("a second run gives other bits")
    for size in (1, 3):
        pieces = [slice(k, k + size) for k in range(0, TRIALS, size)]
        scores = [ours.run(*part(case, piece)).scores for piece in pieces]
        if not np.array_equal(np.concatenate(scores), whole.scores):
            wrong.append(f"batches of {size} give other bits")
    return row


def trained(device):
    """Two epochs with Adam through the trainer, with either backend: history and weights."""
    results = []
    for cuda in (True, False):
        case = currents(EventProp(rate_strength=1e-3, rate_target=14 * Hz))
        backend = cuda_engine(case, "float64", device) if cuda and device != "cuda" else "engine"
        if cuda and device == "cuda":
            backend = "cuda"
        start = case.net.parameters["input.w"].copy()
        trainer = Trainer(
            case.net, case.rule, optimizer=Adam(1e-2), backend=backend, dtype="float64", seed=4
        )
        history = trainer.fit(case.trials, epochs=2, batch_size=3, progress=False)
        results.append((history.rows, case.net.parameters))
        moved = off(case.net.parameters["input.w"], start)
    (ours, found), (theirs, wanted) = results
    row: dict[str, Any] = {
        "moved": moved,
        "history": max(
            off(a[key], b[key])
            for a, b in zip(ours, theirs, strict=True)
            for key in b
            if key not in TIMES
        ),
        "weights": {key: off(found[key], wanted[key]) for key in wanted},
        "wrong": [] if moved > 1e-3 else ["the weights have not moved"],
    }
    row["off"] = max(row["history"], *row["weights"].values())
    if not row["off"] <= 1e-9:  # Adam divides by small numbers
        row["wrong"].append(f"off by {row['off']:.3g}")
    return row


def row_of(title, device):
    """The row of a case, whatever happens."""
    name, dtype = title.rsplit(", ", 1)
    try:
        row = trained(device) if name == TRAINING else compare(CASES[name](), dtype, device)
    except Exception as error:
        first = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        log = traceback.format_exc().splitlines()[-12:]
        return {"state": "error", "wrong": [first], "log": log}
    return row | {"state": "differs" if row["wrong"] else "equal"}


def in_own_process(title, device, end):
    """The same where neither a crash nor a lost GPU takes the other cases along."""
    left = min(LIMIT, end - time.monotonic())
    if left < 5:
        return {"state": "not run", "wrong": ["no time left"]}
    arguments = [sys.executable, __file__, "--device", device, "--one", title]
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=left)
    except subprocess.TimeoutExpired:
        return {"state": "stopped", "wrong": [f"took longer than {left:.0f} s"]}
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        log = done.stderr.splitlines()[-12:]
        return {"state": "error", "wrong": [f"exit code {done.returncode}"], "log": log}
    return json.loads(lines[-1])


def write(path, value):
    """JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.part")
    new.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    new.replace(path)


def line(name, row):
    """A row for people."""
    spikes = " ".join(f"{layer} {n}" for layer, n in row.get("spikes", {}).items())
    worst = f"{row['off']:.2g}" if "off" in row else ""
    return f"{name:40s} {row['state']:8s} {worst:>9s}  {spikes}  {'; '.join(row['wrong'])}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("output", "equality.json"))
    parser.add_argument("--device", default="cuda", choices=("cuda", "processor"))
    parser.add_argument("--only", nargs="+", default=[""], help="cases whose name has one of these")
    parser.add_argument("--minutes", type=float, default=60.0, help="no case begins after them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="cases at a time")
    parser.add_argument("--one", metavar="CASE", help="print the row of this case as JSON")
    parser.add_argument("--gradient", metavar="CASE", help="compute this gradient, nothing else")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(row_of(given.one, given.device)))
        return
    if given.gradient:
        case = CASES[given.gradient]()
        engine = cuda_engine(case, "float32", given.device)
        result = engine.run(case.trials, case.targets, gradient=True)
        blocks = {key: float(np.abs(block).max()) for key, block in result.gradient.items()}
        print(f"loss {result.loss:.6g}, spikes {result.spikes}, largest gradients {blocks}")
        raise SystemExit(not all(blocks.values()) or not all(result.spikes.values()))
    both = [(name, dtype) for dtype in ("float64", "float32") for name in CASES]
    both.insert(len(CASES), (TRAINING, "float64"))
    titles = [", ".join(pair) for pair in both]
    titles = [title for title in titles if any(text in title for text in given.only)]
    end, rows = time.monotonic() + 60 * given.minutes, {}
    with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
        running = {pool.submit(in_own_process, t, given.device, end): t for t in titles}
        for done in concurrent.futures.as_completed(running):
            title = running[done]
            rows[title] = done.result()
            write(given.out, rows)
            print(line(title, rows[title]), flush=True)
    states = [row["state"] for row in rows.values()]
    print(f"{states.count('equal')} of {len(states)} equal the C++ engine")
    raise SystemExit(states.count("equal") < len(states) or not states)


if __name__ == "__main__":
    main()
