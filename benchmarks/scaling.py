"""How time and memory of the gradients of e-prop and EventProp grow.

In each line "peer" is what the cost should be if it grew as the design says, computed from the
smallest case; a ratio near or above 1 means that it does not grow faster.

    python benchmarks/scaling.py [--quick] [--json FILE] [--only TEXT]

Memory is the peak of a process of its own, before and after the gradient. EventProp keeps the spikes
of a trial and, for the gradient of a time constant, the history of the states: what more steps add is
compared with twice their size.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
from _common import Report, arguments, timed
from _networks import alif_network, current_network, random_trials, tune
from brian2 import ms

from neurosnn import (
    BPTT,
    CrossEntropy,
    EProp,
    EventProp,
    Input,
    Population,
    Projection,
    Readout,
    SpikingNetwork,
    equations,
)
from neurosnn.engine import Engine
from neurosnn.study import Uniform

#: The case from which one number at a time is changed.
BASE = {
    "n_in": 200,
    "n": 256,
    "n_steps": 500,
    "n_trials": 16,
    "spikes": 2000,
    "hidden": 2000,
    "threads": 1,
}


def engine_of(case):
    """Engine and trials of a case, with the hidden spikes that it asks for."""
    net = alif_network(case["n_in"], case["n"], 20)
    options = {"n_channels": case["n_in"], "n_steps": case["n_steps"], "spikes": case["spikes"]}
    tune(net, random_trials(4, **options), case["hidden"])
    engine = Engine(net, EProp(), CrossEntropy(), threads=case["threads"])
    return engine, engine.prepare(random_trials(case["n_trials"], **options))


def grow(report, name, key, factor, *, expected, also=(), repetitions, **base):
    """Time of the base case against that with `key` (and `also`) multiplied by `factor`."""
    if not report.wants(name):
        return
    small = {**BASE, **base}
    large = {**small, **{one: small[one] * factor for one in (key, *also)}}
    runs, spikes = {}, {}
    for label, case in (("small", small), ("large", large)):
        engine, trials = engine_of(case)
        result = engine.run(trials, gradient=True)
        spikes[label] = sum(result.spikes.values()) / case["n_trials"]
        runs[label] = lambda engine=engine, trials=trials: engine.run(trials, gradient=True)
    seconds = timed(runs, repetitions=repetitions)
    report.add(
        name,
        seconds["large"],
        seconds["small"] * expected,
        f"hidden spikes a trial {spikes['small']:.0f} and {spikes['large']:.0f}",
    )


def measure(case):
    """In a process of its own: peak memory before and after a gradient, its time and its norm."""
    trials = random_trials(
        case["n_trials"],
        n_channels=case["n_in"],
        n_steps=case["n_steps"],
        spikes=case["spikes"],
    )
    if case.get("rule") == "EventProp":
        net, rule, learn = current_network(case["n_in"], case["n"]), EventProp(), ("tau_m",)
        net.connections["input"].w[:] *= case["weight_scale"]
    else:
        rule, learn = EProp(), ()
        net = alif_network(
            case["n_in"],
            case["n"],
            20,
            connectivity=case.get("connectivity", 1.0),
            weight_scale=case["weight_scale"],
        )
    engine = Engine(net, rule, CrossEntropy(), threads=case["threads"], learn={"hidden": learn})
    whole = resident(highest=True)
    forget_peak()
    before = resident()
    start = time.perf_counter()
    result = engine.run(trials, gradient=True)
    seconds = time.perf_counter() - start
    norms = [float(np.abs(block).max()) for block in result.gradient.values()]
    print(
        json.dumps(
            {
                "used": resident(highest=True) - before,
                "process": max(whole, resident(highest=True)),
                "seconds": seconds,
                "spikes": sum(result.spikes.values()) / case["n_trials"],
                "alive": min(norms) > 0,
            }
        )
    )


def delayed_network(rule, delay):
    """The recurrent network of SHD's shape, its recurrent synapses with a delay each or without delays."""
    flow = isinstance(rule, EventProp)
    neuron = equations.CurrentLIF() if flow else equations.ALIF()
    readout = Readout(20, model=equations.CurrentReadout() if flow else equations.LeakyReadout())
    scale = {"weight_scale": 0.25} if flow else {}
    mean = {"weight_mean": 1.0} if flow else {}
    net = SpikingNetwork.from_graph(
        {"hidden": Population(neuron, 256)},
        [
            Projection("input", "hidden", name="input", **scale, **mean),
            Projection("hidden", "hidden", name="recurrent", **scale, **delay),
        ],
        readout,
        input=Input(700),
        dt=1 * ms,
        seed=1,
    )
    tune(net, random_trials(4), 7900, low=0.1 if flow else 0.5)
    return net


def delays_of_synapses(report, repetitions):
    """The gradient with a delay for each recurrent synapse against that without delays."""
    trials, own = random_trials(8), {"delay": Uniform(1 * ms, 20 * ms)}
    for rule in (EProp(), BPTT(), EventProp()):
        for dtype in ("float32", "float64"):
            name = f"time of delays of synapses, {type(rule).__name__}, {dtype}"
            if not report.wants(name):
                continue
            engines = {
                label: Engine(
                    delayed_network(rule, delay), rule, CrossEntropy(), dtype=dtype, threads=1
                )
                for label, delay in (("with", own), ("without", {}))
            }
            runs, spikes = {}, {}
            for label, engine in engines.items():
                batch = engine.prepare(trials)
                runs[label] = partial(engine.run, batch, gradient=True)
                spikes[label] = sum(runs[label]().spikes.values()) / len(trials)
            seconds = timed(runs, repetitions=repetitions)
            report.add(
                name,
                seconds["with"] / len(trials),
                seconds["without"] / len(trials),
                f"hidden spikes a trial {spikes['with']:.0f} and {spikes['without']:.0f}",
            )


def resident(highest: bool = False) -> float:
    """Memory of this process now, or its peak since `forget_peak`, in MiB."""
    key = "VmHWM:" if highest else "VmRSS:"
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    raise OSError("memory is measured on Linux only")


def forget_peak():
    """Let the peak start again from what is in use."""
    Path("/proc/self/clear_refs").write_text("5")


def in_own_process(**changes) -> dict:
    """`measure` of the base case with changes."""
    case = {**BASE, "weight_scale": 3.0, **changes}
    done = subprocess.run(
        [sys.executable, __file__, "--measure", json.dumps(case)],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def memory(report):
    """Peak memory against the number of trials, steps and threads."""
    # long trials of many neurons with few spikes: what is measured is not the input
    base = {"n": 1000, "n_steps": 2000, "spikes": 500, "n_trials": 16}
    small = in_own_process(**base)
    for name, changes, bound in (
        ("memory of 8 times the trials", {"n_trials": 128}, 1.0),
        ("memory of twice the steps", {"n_steps": 4000}, 2.0),
        ("memory of two threads", {"threads": 2}, 2.0),
    ):
        if report.wants(name):
            large = in_own_process(**{**base, **changes})
            report.add(
                name,
                large["used"],
                small["used"] * bound,
                f"gradient alive {small['alive'] and large['alive']}; whole processes "
                f"{small['process']:.0f} and {large['process']:.0f} MiB",
                unit="MiB",
            )


def memory_of_eventprop(report):
    """Peak memory against the number of trials, and what steps add against what has to be kept."""
    base = {"rule": "EventProp", "n": 1000, "n_steps": 4000, "spikes": 1000, "weight_scale": 20.0}
    name = "memory of EventProp, 8 times the trials"
    if report.wants(name):
        small, large = (in_own_process(**{**base, "n_trials": n}) for n in (16, 128))
        note = f"hidden spikes a trial {large['spikes']:.0f}, gradient alive {large['alive']}"
        report.add(name, large["used"], small["used"], note, unit="MiB")
    name = "memory that twice the steps add to EventProp, {} thread{}, against twice what is kept"
    for threads, several in ((1, ""), (2, "s")):
        if not report.wants(name.format(threads, several)):
            continue
        pair = [
            in_own_process(**{**base, "threads": threads, "n_steps": n_steps, "spikes": spikes})
            for n_steps, spikes in ((4000, 1000), (8000, 2000))
        ]
        # two float32 states of each hidden neuron and readout in each step, 8 bytes a spike
        states = 4000 * (base["n"] + 20) * 2 * 4
        spikes = 8 * (1000 + pair[1]["spikes"] - pair[0]["spikes"])
        report.add(
            name.format(threads, several),
            pair[1]["used"] - pair[0]["used"],
            2 * threads * (states + spikes) / 2**20,
            f"hidden spikes a trial {pair[0]['spikes']:.0f} and {pair[1]['spikes']:.0f}, gradient "
            f"alive {all(found['alive'] for found in pair)}",
            unit="MiB",
        )


def sparse(report):
    """10 000 neurons with 1 % of the recurrent synapses within 2 GiB."""
    found = in_own_process(
        n_in=700,
        n=10_000,
        n_steps=1000,
        spikes=7700,
        n_trials=1,
        connectivity=0.01,
        weight_scale=2.0,
    )
    report.add(
        "memory of the process, 10 000 neurons, 1 % recurrent, 1000 steps, against 2 GiB",
        found["process"],
        2048.0,
        f"one trial in {found['seconds']:.3g} s, {found['spikes']:.0f} hidden spikes, "
        f"gradient alive {found['alive']}",
        unit="MiB",
    )


def main():
    """All comparisons that the command line asks for."""
    given = arguments(__doc__)
    report = Report(given)
    repetitions = 3 if given.quick else 15
    several = {"repetitions": repetitions}
    both = ("spikes", "hidden")
    grow(report, "time of 4 times the steps", "n_steps", 4, expected=4, also=both, **several)
    grow(report, "time of 4 times the spikes", "spikes", 4, expected=4, also=("hidden",), **several)
    # the gradient blocks, whose number is fixed, grow with the square: several trials share one
    same = {"n": 128, "n_trials": 64, **several}
    grow(report, "time of 4 times the neurons, same spikes", "n", 4, expected=4, **same)
    grow(report, "time of 4 times the trials", "n_trials", 4, expected=4, **several)
    grow(report, "time of two threads", "threads", 2, expected=0.5, n_trials=64, **several)
    delays_of_synapses(report, repetitions)
    if report.wants("memory of"):
        memory(report)
    memory_of_eventprop(report)
    if report.wants("memory of the process, 10 000 neurons"):
        sparse(report)
    report.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(json.loads(sys.argv[2]))
    else:
        main()
