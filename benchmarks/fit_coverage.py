"""Fits of neurons whose parameters are known: how far off they are, and how often the intervals hold them.

Stock Brian2 simulates two trials of a neuron, noise of 0.5 mV is added to its voltage, and `fit_model` gets
the voltage, the spike times, the current and wide bounds. Each data set has a current and a noise of its own.
A 95 % interval should hold the parameter in 95 % of the data sets.

    python benchmarks/fit_coverage.py                              # four neurons, 20 data sets each
    python benchmarks/fit_coverage.py --model AdEx --sets 5 --seed 7
"""

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from brian2 import (
    Mohm,
    Network,
    NeuronGroup,
    Quantity,
    SpikeMonitor,
    StateMonitor,
    TimedArray,
    cm,
    mS,
    ms,
    mV,
    nS,
    pA,
    prefs,
    uA,
    uF,
)
from scipy.signal import lfilter
from tqdm import tqdm

from neurosnn import NeuronModel, equations, fit_model
from neurosnn.core.units import si_unit

DT = 0.1 * ms
STEPS = 2000
TRIALS = 2
NOISE = 0.5e-3  # V


class Case(NamedTuple):
    """A neuron with the parameters that its recordings come from, and what is searched."""

    model: NeuronModel
    current: tuple[str, Any, Any]  # variable, mean, standard deviation
    free: dict[str, tuple[Any, Any]]


LIF = NeuronModel(
    name="LIF",
    equations="dv/dt = (E_L - v + R*I)/tau_m : volt (unless refractory)\nI : amp",
    threshold="v > v_th",
    reset="v = v_r",
    refractory="t_ref",
    method="euler",
    inputs=("I",),
    parameters={
        "E_L": -70 * mV,
        "R": 100 * Mohm,
        "tau_m": 20 * ms,
        "v_th": -50 * mV,
        "v_r": -65 * mV,
        "t_ref": 3 * ms,
    },
    initial={"v": "E_L"},
)
PER_AREA = mS / cm**2
CASES = {
    "LIF": Case(
        LIF,
        ("I", 260 * pA, 100 * pA),
        {
            "E_L": (-80 * mV, -60 * mV),
            "R": (20 * Mohm, 500 * Mohm),
            "tau_m": (5 * ms, 80 * ms),
            "v_th": (-60 * mV, -40 * mV),
            "v_r": (-80 * mV, -55 * mV),
            "t_ref": (0.5 * ms, 8 * ms),
        },
    ),
    "AdEx": Case(
        equations.AdEx(),
        ("I_ext", 900 * pA, 200 * pA),
        {
            "g_L": (10 * nS, 100 * nS),
            "E_L": (-90 * mV, -50 * mV),
            "V_T": (-60 * mV, -45 * mV),
            "b": (1 * pA, 500 * pA),
            "tau_w": (10 * ms, 500 * ms),
            "V_r": (-80 * mV, -55 * mV),
        },
    ),
    "Izhikevich": Case(
        equations.Izhikevich(),
        ("I", 12.0, 4.0),
        {
            "a": (0.002, 0.2),
            "b": (0.05, 0.3),
            "c": (-75.0, -50.0),
            "d": (0.5, 10.0),
            "u": (-20.0, 0.0),
        },
    ),
    "HodgkinHuxley": Case(
        equations.HodgkinHuxley(),
        ("I_ext", 10 * uA / cm**2, 4 * uA / cm**2),
        {
            "g_Na": (50 * PER_AREA, 250 * PER_AREA),
            "g_K": (10 * PER_AREA, 100 * PER_AREA),
            "g_L": (0.05 * PER_AREA, 2 * PER_AREA),
            "E_rest": (-75 * mV, -55 * mV),
            "C": (0.5 * uF / cm**2, 3 * uF / cm**2),
        },
    ),
}


def group_of(model: NeuronModel, name: str, current: Any) -> NeuronGroup:
    """Stock Brian2's group of the model's strings; a trial is a neuron, the current a TimedArray."""
    lines = [
        line for line in model.equations.split("\n") if not line.strip().startswith(f"{name} :")
    ]
    group = NeuronGroup(
        TRIALS,
        "\n".join([*lines, f"{name} = injected(t, i) : {si_unit(model.dimensions[name])}"]),
        threshold=model.threshold,
        reset=model.reset,
        refractory=model.refractory,
        method=model.method,
        dt=DT,
        namespace={
            **{key: value for key, value in model.parameters.items() if key != name},
            "injected": TimedArray(current.T, dt=DT),
        },
    )
    for key, value in model.initial.items():
        setattr(group, key, value)
    return group


def recording(case: Case, seed: int) -> tuple[dict[str, Any], np.ndarray]:
    """What `fit_model` gets, and what it should find, in SI units."""
    rng = np.random.default_rng(seed)
    slow = lfilter([1], [1, -0.99], rng.standard_normal((TRIALS, STEPS)), axis=1)
    name, mean, spread = case.current
    current = mean + spread * slow / slow.std()
    group = group_of(case.model, name, current)
    truth = [
        float(
            case.model.parameters[key] if key in case.model.parameters else getattr(group, key)[0]
        )
        for key in case.free
    ]
    monitor, spikes = StateMonitor(group, "v", record=True), SpikeMonitor(group)
    Network(group, monitor, spikes).run(STEPS * DT)
    dim = case.model.dimensions["v"]
    noise = NOISE / (mV if dim.is_dimensionless else 1) * rng.standard_normal(monitor.v.shape)
    given = {
        "current": {name: current},
        "voltage": {"v": Quantity(np.asarray(monitor.v) + np.asarray(noise), dim=dim)},
        "spikes": list(spikes.spike_trains().values()),
        "dt": DT,
        "free": case.free,
    }
    return given, np.array(truth)


def coverage(name: str, sets: int, seed: int) -> dict[str, Any]:
    """Errors and intervals of all data sets of a neuron."""
    case = CASES[name]
    rows, seconds = [], 0.0
    for number in tqdm(range(sets), desc=name, disable=None):
        given, truth = recording(case, 1000 * seed + number)
        start = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = fit_model(case.model, **given, seed=seed)
        seconds += time.process_time() - start
        found = np.array([float(value) for value in fit.parameters.values()])
        low, high = np.array([[float(x) for x in ends] for ends in fit.intervals.values()]).T
        rows.append((found, low, high, truth))
    found, low, high, truth = np.moveaxis(np.array(rows), 1, 0)
    inside = (low <= truth) & (truth <= high)
    error = np.median(np.abs(found / truth - 1), axis=0)
    width = np.median(np.abs((high - low) / truth), axis=0)
    print(
        f"{name}: {inside.mean():.1%} of {inside.size} intervals hold the parameter; {seconds:.0f} s"
    )
    for key, part, off, wide in zip(case.free, inside.mean(axis=0), error, width, strict=True):
        print(
            f"  {key:6} {part:4.0%}, median error {off:.2%}, interval {wide:.2%} wide", flush=True
        )
    return {
        "model": name,
        "sets": sets,
        "seed": seed,
        "covered": float(inside.mean()),
        "parameters": {
            key: {"covered": float(c), "median_error": float(e), "median_width": float(w)}
            for key, c, e, w in zip(case.free, inside.mean(axis=0), error, width, strict=True)
        },
        "processor_seconds": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=CASES, help="one of the neurons; all if left out")
    parser.add_argument("--sets", type=int, default=20, help="data sets of each")
    parser.add_argument("--quick", action="store_true", help="two data sets of each")
    parser.add_argument("--seed", type=int, default=1, help="of currents, noise and starts")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results there")
    options = parser.parse_args()
    prefs.codegen.target = "numpy"
    results = [
        coverage(name, 2 if options.quick else options.sets, options.seed)
        for name in CASES
        if options.model in (None, name)
    ]
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
