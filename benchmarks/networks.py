"""Simulation of a Brian2 script as it stands: ours against Brian2's C++ standalone program, one thread.

The conductance-based network of Vogels & Abbott 2005 with 4000 neurons (COBA, benchmark 1 of Brette et
al. 2007), read with ``SpikingNetwork.from_brian2``; without noise, so that both give the same spikes.

    python benchmarks/networks.py [--quick] [--json FILE] [--only TEXT]

Needs the package's C++ compiler. The peer's program is compiled with Brian2's own flags; its time is that
of the program's run, without compiling. A second line gives each synapse a delay of its own.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
from _common import Report, arguments, quantity

N, N_EXCITATORY = 4000, 3200
PROBABILITY = 0.02


def script(seconds, *, delays):
    """All Brian2 objects, with the same values in every process."""
    from brian2 import (
        Network,
        NeuronGroup,
        Quantity,
        SpikeMonitor,
        Synapses,
        defaultclock,
        ms,
        mV,
        second,
    )

    defaultclock.dt = 0.1 * ms
    random = np.random.default_rng(1)
    namespace = {
        "tau_m": 20 * ms, "tau_e": 5 * ms, "tau_i": 10 * ms, "V_t": -50 * mV, "E_l": -60 * mV,
        "E_e": 0 * mV, "E_i": -80 * mV, "w_e": 0.6, "w_i": 6.7,
    }  # fmt: skip
    cells = NeuronGroup(
        N,
        """dv/dt = (ge*(E_e - v) + gi*(E_i - v) + (E_l - v))/tau_m : volt (unless refractory)
           dge/dt = -ge/tau_e : 1
           dgi/dt = -gi/tau_i : 1""",
        threshold="v > V_t",
        reset="v = E_l",
        refractory=5 * ms,
        method="exponential_euler",
        namespace=namespace,
        name="cells",
    )
    cells.v = (-60 + random.normal(-5, 5, N)) * mV
    cells.ge = random.normal(4, 1.5, N) * 10 / 6
    cells.gi = random.normal(20, 12, N) * 10 / 6
    made = [cells]
    for name, first, last, on_pre in (
        ("excitatory", 0, N_EXCITATORY, "ge += w_e"),
        ("inhibitory", N_EXCITATORY, N, "gi += w_i"),
    ):
        synapses = Synapses(cells, cells, on_pre=on_pre, namespace=namespace, name=name)
        i, j = np.nonzero(random.random((last - first, N)) < PROBABILITY)
        synapses.connect(i=i + first, j=j)
        if delays:
            synapses.delay = Quantity(random.uniform(0.1e-3, 5e-3, len(i)), dim=second.dim)
        made.append(synapses)
    monitor = SpikeMonitor(cells, name="spikes")
    return Network(*made, monitor), monitor, seconds * second


def run_peer(seconds, delays):
    """Brian2's standalone program in this process: spikes, seconds of its run, memory."""
    from brian2 import get_device, set_device

    with tempfile.TemporaryDirectory() as folder:
        set_device("cpp_standalone", build_on_run=False)
        network, monitor, duration = script(seconds, delays=delays)
        network.run(duration)
        device = get_device()
        device.build(directory=folder, compile=True, run=False)
        device.run(with_output=False)
        step = np.rint(np.asarray(monitor.t) / 1e-4).astype(int)
        children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        return {
            "seconds": float(device._last_run_time),
            "spikes": sorted(zip(step.tolist(), np.asarray(monitor.i).tolist(), strict=True)),
            "memory": children / 1024,
        }


def run_ours(seconds, delays, dtype, repetitions):
    """The engine in this process: median seconds of a call that simulates the whole trial."""
    from brian2 import ms, prefs

    from neurosnn import Readout, SpikingNetwork
    from neurosnn.data import SpikeTrials
    from neurosnn.engine import Engine

    prefs.codegen.target = "numpy"
    network, _, duration = script(seconds, delays=delays)
    net = SpikingNetwork.from_brian2(network, readout=Readout(1))
    trial = SpikeTrials(
        times=[] * ms,
        units=np.zeros(0, int),
        offsets=[0, 0],
        labels=[0],
        n_channels=1,
        duration=duration,
    )
    engine = Engine(net, dtype=dtype, threads=1)
    engine.simulate(trial)
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        result = engine.simulate(trial)
        times.append(time.perf_counter() - start)
    step, neuron = result.spikes["cells"][0]
    return {
        "seconds": float(np.median(times)),
        "spikes": sorted(zip(step.tolist(), neuron.tolist(), strict=True)),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def in_process(*call):
    """One of the two above in a process of its own."""
    code = f"import json, networks; print(json.dumps(networks.{call[0]}(*{call[1:]!r})))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=sys.path[0]
    )
    return json.loads(done.stdout.splitlines()[-1])


def main():
    """Both lines, and single precision."""
    options = arguments(__doc__.splitlines()[0])
    report = Report(options)
    seconds, repetitions = (0.1, 1) if options.quick else (1.0, 3)
    for name, delays in (("COBA", False), ("COBA, delays of synapses", True)):
        for dtype in ("float64", "float32"):
            label = f"{name}, {dtype}"
            if not report.wants(label):
                continue
            peers = [in_process("run_peer", seconds, delays) for _ in range(repetitions)]
            ours = in_process("run_ours", seconds, delays, dtype, repetitions)
            same = ours["spikes"] == peers[0]["spikes"]
            report.add(
                label,
                ours["seconds"],
                float(np.median([peer["seconds"] for peer in peers])),
                f"{len(ours['spikes'])} and {len(peers[0]['spikes'])} spikes, "
                + ("the same" if same else "not the same")
                + f"; {quantity(ours['memory'], 'MiB')} and {quantity(peers[0]['memory'], 'MiB')}",
            )
    report.close()


if __name__ == "__main__":
    main()
