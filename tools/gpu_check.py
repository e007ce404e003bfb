"""Everything that needs a GPU, in stages with time limits, for a machine that has one and no network.

    python3 tools/gpu_check.py [--out FOLDER] [--only STAGE ...] [--seconds STAGE=N ...]
    python3 tools/gpu_check.py --device processor      # the same commands, small, without a GPU

The stages, most important first; what one leaves in FOLDER is there even if the next is never reached,
and neither an error nor the end of its time stops the others:

    equality    the CUDA engine against the C++ engine: all rules, float64 and float32, the same bits
    memory      one gradient under compute-sanitizer: memory accesses
    races       and races
    tests       the tests marked gpu
    benchmark   benchmarks/gpu.py: an epoch of SHD's shape, PyTorch and Spyx beside it, large networks
    training    CIFAR-10 with the network of Fang et al. 2021, if NEUROSNN_DATA names a folder with it
    exports     ten exported CUDA projects against the C++ ones; needs brian2cuda

All together need 13 minutes on one H100. The interpreter is the one that runs this; what it must have is
said first. Wheels for a machine without a network: pip download --no-deps --only-binary=:all:
--python-version 3.12 --platform manylinux_2_28_x86_64 ..., and there pip install --no-index --no-deps
--target DIR, with DIR in PYTHONPATH. The package itself need not be installed.
"""

from __future__ import annotations

import argparse
import configparser
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LETTERS = 200_000  # of the output of a stage
#: What to install, by the name of what is imported, for all stages and for single ones.
PACKAGES = {
    "numpy": "numpy",
    "scipy": "scipy",
    "sympy": "sympy",
    "jinja2": "jinja2",
    "matplotlib": "matplotlib",
    "tqdm": "tqdm",
    "platformdirs": "platformdirs",
    "brian2": "brian2",
    "Cython": "cython",
    "cpuinfo": "py-cpuinfo",
}
MORE = {
    "equality": {"cuda": "cuda-core[cu13]"},
    "memory": {"cuda": "cuda-core[cu13]"},
    "races": {"cuda": "cuda-core[cu13]"},
    "tests": {
        "pytest": "pytest",
        "hypothesis": "hypothesis",
        "sortedcontainers": "sortedcontainers",
        "attr": "attrs",
    },
    "benchmark": {
        "cuda": "cuda-core[cu13]",
        "torch": "torch",
        "jax": "jax[cuda13]",
        "flax": "flax",
        "spyx": "spyx",
        "grain": "grain",
        "array_record": "array-record",
        "nir": "nir",
        "jax_tqdm": "jax-tqdm",
        "chex": "chex",
        "optax": "optax",
        "cloudpickle": "cloudpickle",
        "portpicker": "portpicker",
    },
    "training": {"torch": "torch"},
    "exports": {"brian2cuda": "brian2cuda==1.0b1"},
}
CIFAR = (
    "--data CIFAR-10 --network CIFAR-10 --steps 4 --device cuda --compiled network --mixed --merge-norm "
    "--batch 128 --rate 1.5e-3 --warm-up 700 --decay 0.05 --dropout 0.3 --shift 4 --mirror --cutout 8 "
    "--held-out 0.1 --seeds 1 --epochs 1024 --verbose --runs"
).split()
DIGITS = (
    "--data digits --quick --steps 2 --warm-up 3 --decay 0.02 --cutout 2 --minutes 0.1 --runs"
).split()


class Stage(NamedTuple):
    """A command with a time limit, and what must be there for it."""

    seconds: float
    command: list[str]
    missing: str = ""


def stages(out: Path, device: str, seconds: dict[str, float], folder: Path) -> dict[str, Stage]:
    """All of them, in the order in which they run."""
    python, small = sys.executable, device != "cuda"
    default = {
        "equality": 100,
        "memory": 30,
        "races": 30,
        "tests": 30,
        "benchmark": 160,
        "training": 320,
        "exports": 110,
    }
    limit = {name: seconds.get(name, value) for name, value in default.items()}

    def minutes(name: str, spare: float) -> str:
        return f"{max(limit[name] - spare, 5) / 60:.3f}"

    equality = [python, "tools/gpu_equality.py", "--device", device]
    one = ["--only", "eventprop, float64", "training"] if small else []
    gradient = [*equality, "--gradient", "eventprop"]
    sanitizer = ["compute-sanitizer", "--error-exitcode", "9", "--tool"]
    without = "" if small or shutil.which("compute-sanitizer") else "compute-sanitizer is not there"
    marked = [
        python,
        "-P",
        "-m",
        "pytest",
        "-q",
        "-m",
        "gpu",
        "tests/test_cuda.py",
        "-p",
        "no:cacheprovider",
    ]
    tests = "" if (ROOT / "tests" / "test_cuda.py").is_file() else "tests/test_cuda.py is not there"
    bench = [python, "benchmarks/gpu.py", "--device", device, "--json", str(out / "gpu.json")]
    bench += ["--minutes", minutes("benchmark", 5), *(["--quick"] if small else [])]
    plif = [python, "examples/frompapers/fang_2021_plif.py", "--output", str(out)]
    plif += ["--log", str(out / "training.jsonl"), *(DIGITS if small else CIFAR), "PLIF 2"]
    plif += [] if small else ["--minutes", minutes("training", 35)]
    data = "" if importlib.util.find_spec("torch") else "torch is not installed"
    if not (small or os.environ.get("NEUROSNN_DATA")):
        data = "NEUROSNN_DATA names no folder"
    projects = [python, "tools/gpu_projects.py", str(folder / "exports")]
    checked = [python, "tools/gpu_check_exports.py", str(folder / "exports"), "--out", str(out)]
    checked += ["--build", str(limit["exports"])]
    export = f"{subprocess.list2cmdline(projects)} && {subprocess.list2cmdline(checked)}"
    if small:
        export = subprocess.list2cmdline([*projects, "--only", "plastic"])
    brian2cuda = "" if importlib.util.find_spec("brian2cuda") else "brian2cuda is not installed"
    return {
        "equality": Stage(
            limit["equality"],
            [
                *equality,
                *one,
                "--out",
                str(out / "equality.json"),
                "--minutes",
                minutes("equality", 3),
            ],
        ),
        "memory": Stage(
            limit["memory"], gradient if small else [*sanitizer, "memcheck", *gradient], without
        ),
        "races": Stage(
            limit["races"], gradient if small else [*sanitizer, "racecheck", *gradient], without
        ),
        "tests": Stage(limit["tests"], marked, tests),
        "benchmark": Stage(limit["benchmark"], bench),
        "training": Stage(limit["training"], plif, data),
        "exports": Stage(limit["exports"], ["sh", "-c", export], brian2cuda),
    }


def run(name: str, stage: Stage, out: Path, environment: dict[str, str]) -> dict:
    """The row of a stage; its output is in a file of its name."""
    if stage.missing:
        return {"state": "skipped", "seconds": 0.0, "last": stage.missing}
    begin, log = time.monotonic(), out / f"{name}.txt"
    with log.open("wb") as file:
        process = subprocess.Popen(
            stage.command,
            cwd=ROOT,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            code = process.wait(stage.seconds)
            state = "passed" if code == 0 else f"failed ({code})"
        except subprocess.TimeoutExpired:
            state = "out of time"
        finally:
            try:  # whatever it has started
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
    text = log.read_text(encoding="utf-8", errors="replace")
    if len(text) > LETTERS:
        log.write_text(text[: LETTERS // 4] + "\n...\n" + text[-LETTERS // 2 :], encoding="utf-8")
    lines = [line for line in text.splitlines() if line.strip()]
    last = lines[-1].strip()[:160] if lines else ""
    return {"state": state, "seconds": time.monotonic() - begin, "last": last}


def write(path: Path, text: str) -> None:
    """A file, whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text + "\n", encoding="utf-8")
    part.replace(path)


def table(rows: dict[str, dict]) -> str:
    """All stages, a line each."""
    return "\n".join(
        f"{name:10s} {row['state']:12s} {row['seconds']:6.0f} s  {row['last']}"
        for name, row in rows.items()
    )


def layout(folder: Path) -> str:
    """The package as it would be installed, for an interpreter that does not have it."""
    target = folder / "package" / "neurosnn"
    shutil.copytree(ROOT / "neurosnn", target)
    for part in ("equations", "analysis"):
        shutil.copytree(ROOT / part, target / part)
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    version = settings["metadata"]["version"]
    described = target.parent / f"neurosnn-{version}.dist-info"
    described.mkdir()
    (described / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: neurosnn\nVersion: {version}\n"
    )
    return str(target.parent)


def say_missing(wanted: list[str]) -> None:
    """What to bring along, by the names pip knows."""
    for name, packages in [("all stages", PACKAGES), *((n, MORE.get(n, {})) for n in wanted)]:
        absent = [pip for found, pip in packages.items() if not importlib.util.find_spec(found)]
        if absent:
            print(f"{name}: not installed: {' '.join(absent)}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=ROOT / "output" / "gpu")
    parser.add_argument("--device", default="cuda", choices=("cuda", "processor"))
    parser.add_argument("--only", nargs="+", default=[], metavar="STAGE")
    parser.add_argument("--seconds", nargs="+", default=[], metavar="STAGE=N", help="other limits")
    given = parser.parse_args()
    given.out = given.out.resolve()
    given.out.mkdir(parents=True, exist_ok=True)
    seconds = {name: float(value) for name, value in (item.split("=") for item in given.seconds)}
    with tempfile.TemporaryDirectory() as folder:
        chosen = stages(given.out, given.device, seconds, Path(folder))
        unknown = {*given.only, *seconds} - set(chosen)
        if unknown:
            parser.error(f"{sorted(unknown)[0]!r} is none of {', '.join(chosen)}")
        chosen = {name: chosen[name] for name in chosen if name in given.only or not given.only}
        say_missing(list(chosen))
        paths = [layout(Path(folder)), os.environ.get("PYTHONPATH", "")]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
            "PYTHONUNBUFFERED": "1",
            "MPLBACKEND": "Agg",
        }
        print(f"{sum(stage.seconds for stage in chosen.values()):.0f} s at most", flush=True)
        rows: dict[str, dict] = {}
        for name, stage in chosen.items():
            rows[name] = run(name, stage, given.out, environment)
            write(given.out / "check.json", json.dumps(rows, indent=1))
            print(table({name: rows[name]}), flush=True)
    print("\n" + table(rows))
    return any(row["state"] not in ("passed", "skipped") for row in rows.values())


if __name__ == "__main__":
    sys.exit(main())
