"""Does a graphics processor compute what the engine computes, and how long does a batch take?

    python tools/cuda_check.py --json cuda.json            # equality, then times; needs a GPU
    python tools/cuda_check.py --device processor          # the same equality on a processor, no times

Each case is a process of its own, so that compilers run at the same time. Spikes of float64 must be equal;
gradients to 1e-9 of their largest value (exp differs in the last place), in float32 to 1e-3.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from brian2 import ms

from neurosnn import BPTT, EProp, EventProp, Input, Layer, Readout, SpikingNetwork, equations
from neurosnn.cuda import CudaEngine
from neurosnn.data import SpikeTrials
from neurosnn.engine import Engine
from neurosnn.losses import CrossEntropy

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from engine_cases import MODELS, SCALE, spike_trials

RULES = {"eprop": EProp(), "bptt": BPTT(), "eventprop": EventProp()}
#: Model, rule, precision, delays.
CASES = (
    ("two_conductances", "eventprop", "float64", True),
    ("CurrentLIF", "eventprop", "float64", False),
    ("CurrentLIF", "eventprop", "float32", False),
    ("STDP_ALIF", "bptt", "float64", True),
    ("STDP_ALIF", "eprop", "float64", False),
    ("LIF", "eprop", "float32", False),
)
LIMIT = {"float64": 1e-9, "float32": 1e-3}


def small_network(name: str, delays: bool) -> SpikingNetwork:
    """Two recurrent layers, no multiple of a warp."""
    n = 40
    model = MODELS.get(name) or equations.CurrentLIF()
    scale = float(SCALE.get(name, 4.5 if name == "CurrentLIF" else 1.5))
    delay = np.arange(n) % 4 * ms if delays else 0 * ms
    layers = [Layer(model, n, recurrent=True, delay=delay, weight_scale=scale) for _ in range(2)]
    return SpikingNetwork(Input(30), *layers, Readout(3), dt=1 * ms, seed=1)


def equality(case: tuple, device: str) -> dict:
    """How far the gradients of a case are from those of the engine."""
    name, rule, dtype, delays = case
    net, trials = small_network(name, delays), spike_trials(37, n_steps=200, rate=40)
    ours = CudaEngine(net, RULES[rule], CrossEntropy(), dtype=dtype, device=device)
    theirs = Engine(net, RULES[rule], CrossEntropy(), dtype=dtype)
    results = [engine.run(trials, gradient=True) for engine in (ours, theirs)]
    again = ours.run(ours.prepare(trials), gradient=True)
    a, b = results
    distance = {
        key: float(np.abs(a.gradient[key] - value).max() / max(np.abs(value).max(), 1e-300))
        for key, value in b.gradient.items()
    }
    same_bits = all(np.array_equal(again.gradient[key], value) for key, value in a.gradient.items())
    spikes = all(np.array_equal(a.counts[key], value) for key, value in b.counts.items())
    passed = same_bits and max(distance.values()) < LIMIT[dtype] and (spikes or dtype == "float32")
    return {
        "case": list(case),
        "passed": bool(passed),
        "spikes_equal": bool(spikes),
        "n_spikes": b.spikes,
        "loss": [a.loss, b.loss],
        "gradient_distance": distance,
        "same_bits_again": bool(same_bits),
    }


def shd_shape(n_trials: int, seed: int = 0) -> tuple[SpikingNetwork, SpikeTrials]:
    """700-256-20, recurrent, 1000 steps, 7.7 input spikes a step; about 8 spikes a step in the layer."""
    net = SpikingNetwork(
        Input(700),
        Layer(equations.CurrentLIF(), 256, recurrent=True, weight_scale=8.7),
        Readout(20, model=equations.CurrentReadout()),
        dt=1 * ms,
        seed=1,
    )
    rng = np.random.default_rng(seed)
    counts = rng.poisson(7700, n_trials)
    trials = SpikeTrials(
        times=np.concatenate([np.sort(rng.integers(0, 1000, count)) * 1e-3 for count in counts]),
        units=rng.integers(0, 700, counts.sum()).astype(np.int32),
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        labels=rng.integers(0, 20, n_trials),
        n_channels=700,
        duration=1000 * ms,
    )
    return net, trials


def times(dtype: str, rule: str) -> dict:
    """Seconds of a batch of prepared trials, the best of several."""
    net, trials = shd_shape(512)
    start = time.perf_counter()
    engine = CudaEngine(net, RULES[rule], CrossEntropy(), dtype=dtype)
    result: dict = {"dtype": dtype, "rule": rule, "compile": time.perf_counter() - start}
    result["device"] = engine.machine.name
    start = time.perf_counter()
    prepared = engine.prepare(trials)
    result["prepare_512"] = time.perf_counter() - start
    engine.machine.timing = True
    for size in (1, 32, 128, 256):
        batch = prepared[np.arange(size)]
        for gradient in (False, True):
            seconds, kernels = [], {}
            for _ in range(6):
                start = time.perf_counter()
                done = engine.run(batch, gradient=gradient)
                seconds.append(time.perf_counter() - start)
                kernels = engine.machine.times()
            result[f"{'gradient' if gradient else 'forward'}_{size}"] = {
                "best": min(seconds),
                "kernels": kernels,
                "spikes_a_trial": sum(done.spikes.values()) / size,
            }
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", default="")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--case", default="")
    parser.add_argument("--no-times", action="store_true")
    arguments = parser.parse_args()
    if arguments.case:
        kind, number = arguments.case.split(":")
        if kind == "equality":
            result = equality(CASES[int(number)], arguments.device)
        else:
            result = times(
                *(("float32", "eventprop"), ("float32", "eprop"), ("float64", "eventprop"))[
                    int(number)
                ]
            )
        print(json.dumps(result))
        return 0
    commands = [f"equality:{k}" for k in range(len(CASES))]
    jobs = {
        name: subprocess.Popen(
            [sys.executable, __file__, "--device", arguments.device, "--case", name],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in commands
    }
    results = {name: read(job) for name, job in jobs.items()}
    if arguments.device == "cuda" and not arguments.no_times:
        for k in range(3):  # alone on the machine
            command = [sys.executable, __file__, "--case", f"times:{k}"]
            job = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            results[f"times:{k}"] = read(job)
    text = json.dumps(results, indent=1)
    if arguments.json:
        Path(arguments.json).write_text(text)
    print(text)
    return int(not all(results[name].get("passed") for name in commands))


def read(job: subprocess.Popen) -> dict:
    """What a case printed, or the end of its complaint."""
    out, errors = job.communicate()
    try:
        return json.loads(out.strip().splitlines()[-1])
    except (IndexError, ValueError):
        return {"passed": False, "error": errors[-1500:]}


if __name__ == "__main__":
    sys.exit(main())
