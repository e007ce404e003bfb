"""Whole networks of the literature as their scripts stand: ours against Brian2 C++ standalone, one thread.

Networks of ``_scripts.py``, read with ``SpikingNetwork.from_brian2``. Connections, initial values and what
a PoissonInput draws are the same on both sides, so that both give the same spikes, or the first one that
differs is shown.

    python benchmarks/networks.py [--quick] [--json FILE] [--only TEXT]

Needs the package's C++ compiler. The peer's program is compiled with Brian2's own flags (-O3 -ffast-math
-march=native); its time is that of its run, without compiling, connecting and writing results. Times are
processor times, the shortest of some runs of either side that take turns. ``--quick`` takes a tenth of the
neurons.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _common import Report, arguments, quantity

MILLISECONDS = {"quick": 50, "full": 200}


def build_peer(name, scale, milliseconds, folder):
    """Compile Brian2's standalone program, with what ours has drawn in place of PoissonInput."""
    from _scripts import SCRIPTS, replaying
    from brian2 import Network, defaultclock, get_device, ms, set_device

    set_device("cpp_standalone", build_on_run=False)
    defaultclock.dt = 0.1 * ms
    files = sorted(Path(folder).glob("drawn_*.npy"))
    objects = SCRIPTS[name](scale, replaying([np.load(file) for file in files]))
    monitors = [one for one in objects if type(one).__name__ == "SpikeMonitor"]
    network = Network(*(one for one in objects if type(one).__name__ != "CodeRunner"))
    network.run(milliseconds * ms, namespace={})
    device = get_device()
    device.build(directory=f"{folder}/peer", compile=True, run=False)
    arrays = {
        one.source.name: [device.get_array_filename(one.variables[key]) for key in ("t", "i")]
        for one in monitors
    }
    Path(folder, "arrays.json").write_text(json.dumps(arrays))


def run_peer(folder):
    """Processor seconds of one run of the peer's program, and its memory in MiB."""
    main = f"{folder}/peer/main"
    process = subprocess.Popen([main], cwd=f"{folder}/peer", stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{main} ended with {process.returncode}")
    # Brian2 measures it with std::clock
    seconds = float(Path(folder, "peer/results/last_run_info.txt").read_text().split()[0])
    return {"seconds": seconds, "memory": usage.ru_maxrss / 1024}


def spikes_of_peer(folder):
    """(step, neuron) of all spikes by group."""
    spikes = {}
    for group, files in json.loads(Path(folder, "arrays.json").read_text()).items():
        t, i = (
            np.fromfile(f"{folder}/peer/results/{Path(file).name}", dtype)
            for file, dtype in zip(files, (float, np.int32), strict=True)
        )
        spikes[group] = sorted(zip(np.rint(t / 1e-4).astype(int).tolist(), i.tolist(), strict=True))
    return spikes


def _given_spikes(objects, n_steps):
    """Steps and neurons of the spikes of a SpikeGeneratorGroup, if there is one."""
    for one in objects:
        if type(one).__name__ == "SpikeGeneratorGroup":
            steps = np.rint(np.asarray(one._spike_time) / 1e-4).astype(int)
            order = np.argsort(steps, kind="stable")
            order = order[steps[order] < n_steps]
            return steps[order], np.asarray(one._neuron_index)[order]
    return np.zeros(0, int), np.zeros(0, int)


class Ours:
    """The engine on a network."""

    def __init__(self, name, scale, milliseconds, dtype):
        from _scripts import SCRIPTS
        from brian2 import defaultclock, ms, prefs, start_scope

        from neurosnn import Readout, SpikingNetwork
        from neurosnn.data import SpikeTrials
        from neurosnn.engine import Engine

        prefs.codegen.target = "numpy"
        start_scope()
        defaultclock.dt = 0.1 * ms
        objects = SCRIPTS[name](scale)
        self.groups = [one.source.name for one in objects if type(one).__name__ == "SpikeMonitor"]
        self.net = SpikingNetwork.from_brian2(objects, readout=Readout(1))
        self.n_steps = 10 * milliseconds
        steps, channels = _given_spikes(objects, self.n_steps)
        self.trial = SpikeTrials(
            times=steps * 0.1 * ms,
            units=channels,
            offsets=[0, len(steps)],
            labels=[0],
            n_channels=self.net.input.n,
            duration=milliseconds * ms,
        )
        self.engine = Engine(self.net, dtype=dtype, threads=1)

    def write_drawn(self, folder):
        """What its drives add, for the peer."""
        from neurosnn import Draws

        key = Draws().key(self.net.seed)
        for k, placed in enumerate(self.net.drives):
            parts = [  # in parts: the generator needs ten times the memory of its numbers
                placed.added(self.net, key, 0, np.arange(first, min(first + 50, self.n_steps)))
                for first in range(0, self.n_steps, 50)
            ]
            np.save(f"{folder}/drawn_{k}.npy", np.concatenate(parts))

    def run(self):
        """Processor seconds of one call, and the spikes."""
        start = time.process_time()
        result = self.engine.simulate(self.trial)
        seconds = time.process_time() - start
        return seconds, {
            group: sorted(zip(*(part.tolist() for part in result.spikes[group][0]), strict=True))
            for group in self.groups
        }


def serve(*settings):
    """Ours in a process of its own: a line in, a run and its numbers out."""
    name, scale, milliseconds, dtype, folder = settings
    ours = Ours(name, scale, milliseconds, dtype)
    if dtype == "float64":
        ours.write_drawn(folder)
    ours.run()
    print("ready", flush=True)
    for _ in sys.stdin:
        seconds, spikes = ours.run()
        Path(folder, "ours.json").write_text(json.dumps(spikes))
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": seconds, "memory": memory}), flush=True)


class Served:
    """A process that runs ``serve``."""

    def __init__(self, *settings):
        code = f"import networks; networks.serve(*{settings!r})"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=sys.path[0],
        )
        self.folder = settings[-1]
        for line in self.process.stdout:
            if line.strip() == "ready":
                return
        raise RuntimeError("our side could not be run")

    def run(self):
        """One run."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def spikes(self):
        """(step, neuron) of all spikes of the last run by group."""
        found = json.loads(Path(self.folder, "ours.json").read_text())
        return {group: [tuple(spike) for spike in spikes] for group, spikes in found.items()}

    def close(self):
        """End the process."""
        self.process.stdin.close()
        self.process.wait()


def difference(ours, theirs):
    """Whether spikes are the same, or which is the first that is not."""
    several = len(ours) > 1
    for group, spikes in ours.items():
        if spikes != theirs[group]:
            step, neuron = min(set(spikes) ^ set(theirs[group]))
            where = f" of {group}" if several else ""
            return f"not the same: first neuron {neuron}{where} at {step / 10:g} ms"
    return "the same"


def best(runs):
    """The shortest time and the largest memory of some runs."""
    return {key: f(run[key] for run in runs) for key, f in (("seconds", min), ("memory", max))}


def compare(report, name, scale, milliseconds, repetitions):
    """The lines of one network, in both precisions."""
    with tempfile.TemporaryDirectory() as folder:
        ours = {"float64": Served(name, scale, milliseconds, "float64", folder)}
        build = f"import networks; networks.build_peer(*{(name, scale, milliseconds, folder)!r})"
        subprocess.run(
            [sys.executable, "-c", build], check=True, cwd=sys.path[0], stdout=subprocess.DEVNULL
        )
        ours["float32"] = Served(name, scale, milliseconds, "float32", folder)
        peers, runs = [], {dtype: [] for dtype in ours}
        for _ in range(repetitions):
            peers.append(run_peer(folder))
            for dtype, served in ours.items():
                runs[dtype].append(served.run())
        theirs, peer = spikes_of_peer(folder), best(peers)
        total = sum(map(len, theirs.values()))
        for dtype, served in ours.items():
            served.run()
            spikes, own = served.spikes(), best(runs[dtype])
            count = sum(map(len, spikes.values()))
            # rounding of single precision makes other spikes after a while
            note = difference(spikes, theirs) if dtype == "float64" else "single precision"
            report.add(
                f"{name}, {dtype}",
                own["seconds"],
                peer["seconds"],
                f"{count} and {total} spikes, {note}; {quantity(own['memory'], 'MiB')} and "
                + quantity(peer["memory"], "MiB"),
            )
            served.close()


def main():
    """All networks."""
    from _scripts import SCRIPTS

    options = arguments(__doc__.splitlines()[0])
    report = Report(options)
    size = "quick" if options.quick else "full"
    for name in SCRIPTS:
        if report.wants(name):
            scale, repetitions = (0.1, 2) if options.quick else (1.0, 5)
            compare(report, name, scale, MILLISECONDS[size], repetitions)
    report.close()


if __name__ == "__main__":
    main()
