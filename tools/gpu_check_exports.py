"""Build and run exported CUDA projects on a machine with a GPU, and compare them with the C++ ones.

    python tools/gpu_check_exports.py FOLDER --out OUT [--jobs 16] [--build 300] [--run 60] [--keep]

FOLDER holds cpp/NAME and cuda/NAME, as ``tools/gpu_projects.py`` writes them. Needs Python, numpy, make
and nvcc, and none of neurosnn or Brian2. The C++ results are those in cpp/NAME/results; without them
that project is built and run here as well. A project that fails does not stop the others.

After each project OUT/exports.json and OUT/exports.txt are written anew: whether it built and ran, its
spikes, and the largest difference of each array from the C++ project's, relative to the largest value
of the array. For a project that fails, exports.json also has the output of its commands, the values that
differ most, and the files of its results with their sizes; the results of both are in OUT/failed/NAME.

Spikes must be equal in number, time and neuron (in any order within a step), everything else to 1e-12.
Networks must be alive: spikes in every layer, and weights that have changed.
"""

import argparse
import concurrent.futures
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

TOLERANCE = 1e-12
LINES = 25  # of the output of a command in exports.txt
LETTERS = 100_000  # in exports.json
LARGEST = 4_000_000  # bytes of results that are kept


def curand(folder):
    """Arguments of make where curand comes from a Python package: headers, and a plain library name."""
    found = importlib.util.find_spec("nvidia")
    for place in (found.submodule_search_locations or ()) if found else ():
        for library in sorted(Path(place).glob("*/lib/libcurand.so*")):
            include = library.parent.parent / "include"
            if (include / "curand.h").is_file():
                link = Path(folder, "libcurand.so")
                link.symlink_to(library)
                return [f"CPPFLAGS=-I{include}", f"LDFLAGS=-L{folder}"], str(library.parent)
    return [], ""


def command(arguments, folder, limit, libraries=""):
    """Run a command with a time limit: whether it succeeded, the seconds, and its output."""
    begin = time.perf_counter()
    paths = [path for path in (libraries, os.environ.get("LD_LIBRARY_PATH", "")) if path]
    process = subprocess.Popen(
        arguments,
        cwd=folder,
        env={**os.environ, "LD_LIBRARY_PATH": ":".join(paths)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        text, _ = process.communicate(timeout=limit)
        good = process.returncode == 0
        text += "" if good else f"\nexit code {process.returncode}"
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        text, good = process.communicate()[0] + f"\nstopped after {limit} s", False
    return good, time.perf_counter() - begin, text[-LETTERS:]


def results(folder):
    """All arrays of a results folder, spikes in the order of time and neuron."""
    arrays = {path.stem: np.load(path, allow_pickle=False) for path in folder.glob("*.npy")}
    for name in [key[:-2] for key in arrays if key.endswith(".t")]:
        if f"{name}.i" in arrays:
            i, t = arrays[f"{name}.i"], arrays[f"{name}.t"]
            order = np.lexsort((i, t))
            arrays[f"{name}.i"], arrays[f"{name}.t"] = i[order], t[order]
    return arrays


def largest(a, b, n=3):
    """The values that differ most, and how many differ at all."""
    gaps = np.abs(a.astype(float) - b.astype(float))
    first = [np.unravel_index(k, gaps.shape) for k in np.argsort(-gaps, axis=None)[:n]]
    pairs = [f"[{', '.join(map(str, at))}] {float(a[at])!r} for {float(b[at])!r}" for at in first]
    return f", {np.count_nonzero(a != b)} of {a.size} values; " + ", ".join(pairs)


def files(folder):
    """Name and size of each file of the results, and of what a run that failed has left."""
    return {
        str(path.relative_to(folder)): path.stat().st_size
        for top in folder.glob("*results*")
        for path in sorted(top.rglob("*"))
        if path.is_file()
    }


def keep(project, reference, out):
    """Copy the results of both, if they are small."""
    for kind, folder in (("cuda", project), ("cpp", reference)):
        if (folder / "results").is_dir() and sum(files(folder).values()) <= LARGEST:
            shutil.copytree(folder / "results", out / kind, dirs_exist_ok=True)


def compare(found, wanted):
    """What differs between two sets of arrays, and the spikes of each layer."""
    rows, spikes, wrong = {}, {}, []
    for name in sorted(found.keys() ^ wanted.keys()):
        wrong.append(f"{name} is missing in one of them")
    for name in sorted(found.keys() & wanted.keys()):
        a, b = found[name], wanted[name]
        if a.shape != b.shape or a.dtype != b.dtype:
            rows[name] = None
            wrong.append(f"{name}: {a.dtype}{a.shape} instead of {b.dtype}{b.shape}")
            continue
        event = f"{name[:-2]}.i" in wanted and f"{name[:-2]}.t" in wanted
        if event and name.endswith(".i"):
            spikes[name[:-2]] = len(a)
        if not np.isfinite(b).all() or not np.isfinite(a).all():
            wrong.append(f"{name} is not finite")
        scale = float(np.abs(b).max(initial=0)) or 1.0
        off = float(np.abs(a.astype(float) - b.astype(float)).max(initial=0))
        rows[name] = off / scale
        exact = event or a.dtype.kind in "iub"
        if not (np.array_equal(a, b) if exact else rows[name] <= TOLERANCE):
            wrong.append(f"{name} is off by {off:.3g} ({off / scale:.3g} of the largest value)")
            wrong[-1] += largest(a, b)
    return rows, spikes, wrong


def lifeless(folder, found, spikes):
    """Layers without a spike, and weights that are as they were at the start."""
    silent = [f"{name} never spikes" for name, n in spikes.items() if n == 0]
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    learns = manifest["learning"] is not None
    for name, values in found.items():
        start = folder / "inputs" / f"{name}.npy"
        if not (learns or manifest["network"] is None) or not name.endswith(".w"):
            continue
        if start.is_file():
            first = np.load(start, allow_pickle=False)
            if first.size == values.size and np.array_equal(first.ravel(), values.ravel()):
                silent.append(f"{name} has not changed")
    return silent


class Report:
    """Rows of all projects, written anew after each."""

    def __init__(self, out):
        self.out, self.rows, self.lock = out, {}, threading.Lock()
        out.mkdir(parents=True, exist_ok=True)

    def add(self, name, row):
        with self.lock:
            self.rows[name] = row
            self._write("exports.json", json.dumps(self.rows, indent=1))
            self._write("exports.txt", self.table())
            print(self.line(name), flush=True)

    def _write(self, name, text):
        part = self.out / f".{name}"
        part.write_text(text + "\n", encoding="utf-8")
        part.replace(self.out / name)

    def line(self, name):
        row = self.rows[name]
        largest = max((v for v in row.get("off", {}).values() if v is not None), default=None)
        off = "" if largest is None else f"{largest:.2g}"
        spikes = " ".join(f"{layer} {n}" for layer, n in row.get("spikes", {}).items())
        times = f"{row.get('build', 0):6.1f} s {row.get('run', 0):6.2f} s"
        problems = "; ".join(row.get("wrong", [])[:6])
        return f"{name:26s} {row['state']:14s} {times} {off:>9s}  {spikes}  {problems}"

    def table(self):
        head = f"{'project':26s} {'state':14s} {'build':>8s} {'run':>8s} {'off by':>9s}  spikes"
        lines = [head, *(self.line(name) for name in self.rows)]
        for name, row in self.rows.items():
            if row.get("log"):
                lines += ["", f"-- {name}", *row["log"].splitlines()[-LINES:]]
        return "\n".join(lines)


def check(name, settings, arguments, libraries, running):
    """The row of one project."""
    project, reference = settings.folder / "cuda" / name, settings.folder / "cpp" / name
    row = {"state": "", "build": 0.0, "built": False}

    def build(folder, *more):
        return command(["make", *more], folder, settings.build)

    def run(folder):
        with running:
            return command(["./run"], folder, settings.run, libraries)

    def failed(state, **more):
        keep(project, reference, settings.out / "failed" / name)
        return row | {"state": state, "files": files(project), **more}

    if not (reference / "results").is_dir():
        good, _, log = build(reference)
        good, _, log = run(reference) if good else (good, 0, log)
        if not good:
            return failed("no reference", log=log)
    ran = False
    if settings.keep and os.access(project / "run", os.X_OK):
        ran, row["run"], log = run(project)
    if not ran:
        row["built"], row["build"], log = build(project, *arguments)
        if not row["built"]:
            return failed("not built", log=log)
        ran, row["run"], log = run(project)
        if not ran:
            return failed("not run", log=log)
    found, wanted = results(project / "results"), results(reference / "results")
    row["off"], row["spikes"], wrong = compare(found, wanted)
    wrong += lifeless(project, found, row["spikes"])
    if wrong:
        return failed("differs", wrong=wrong, log=log)
    return row | {"state": "equal", "wrong": []}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("output"))
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--build", type=float, default=400, help="seconds at most")
    parser.add_argument("--run", type=float, default=60, help="seconds at most")
    parser.add_argument("--arch", default="sm_90", help="of the GPU")
    parser.add_argument("--keep", action="store_true", help="use a program that is there already")
    parser.add_argument("--only", nargs="+", help="names of projects")
    settings = parser.parse_args()
    names = settings.only or sorted(path.name for path in (settings.folder / "cuda").iterdir())
    report, running = Report(settings.out), threading.Lock()
    with tempfile.TemporaryDirectory() as folder:
        arguments, libraries = curand(folder)

        def one(name):
            try:
                row = check(
                    name, settings, [f"ARCH={settings.arch}", *arguments], libraries, running
                )
            except Exception as error:  # a project must not take the others along
                row = {"state": "error", "log": f"{type(error).__name__}: {error}"}
            report.add(name, row)

        with concurrent.futures.ThreadPoolExecutor(settings.jobs) as pool:
            list(pool.map(one, names))
    states = [row["state"] for row in report.rows.values()]
    print(f"{states.count('equal')} of {len(names)} projects equal the C++ ones")
    raise SystemExit(states.count("equal") < len(names))


if __name__ == "__main__":
    main()
