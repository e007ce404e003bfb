"""Changes one line of the package at a time and runs the tests that should notice.

    nice .venv/bin/python tools/mutants.py --resume mutants.jsonl
    .venv/bin/python tools/mutants.py --only 'eventprop*'

A mutant that no test notices is a line that nobody checks: write the test. The table holds what decides
about numbers; add a line to it when you find a change that passes. Every mutant is applied to a copy of
the package, laid out as an installed one, and compiled without optimization into a cache of its own;
your tree and your caches are not touched. First the same tests run on the unchanged copy: one that fails
there says nothing. The suite checks that the table fits the code (tests/test_mutants.py); the mutants
themselves are run by hand, one of them takes 1 to 15 seconds. Each runs in a fork of an interpreter that
has imported Brian2 and others, and imports the package with the change. Those of neurosnn.torch need an
interpreter that has PyTorch; elsewhere they are reported as not run.
"""

from __future__ import annotations

import argparse
import compileall
import fnmatch
import json
import os
import py_compile
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

from mutants_table import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 900.0
#: Signals that end a program which reads what is not its own; not those by which others end it.
CRASHES = {getattr(signal, f"SIG{name}", None) for name in ("SEGV", "ABRT", "BUS", "FPE")}
KILLED, SURVIVED, NOT_RUN, BROKEN = "killed", "SURVIVED", "not run", "BROKEN"


def source_of(mutant: Mutant) -> Path:
    """The file of a mutant in the tree."""
    return ROOT / mutant.file


def mutated(mutant: Mutant) -> str:
    """The text of the file with the one change."""
    text = source_of(mutant).read_text(encoding="utf-8")
    count = text.count(mutant.old)
    if count != 1:
        raise ValueError(
            f"{mutant.name}: {mutant.file} holds {mutant.old!r} {count} times, not once"
        )
    return text.replace(mutant.old, mutant.new)


def copy_package(folder: Path) -> None:
    """The package as it is installed, with bytecode that is checked against the text."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "neurosnn", folder / "neurosnn", ignore=ignore)
    for name in ("equations", "analysis"):
        shutil.copytree(ROOT / name, folder / "neurosnn" / name, ignore=ignore)
    mode = py_compile.PycInvalidationMode.CHECKED_HASH
    compileall.compile_dir(folder, quiet=2, invalidation_mode=mode)


def place_in(folder: Path, mutant: Mutant) -> Path:
    """Where the file of a mutant lies in the copy."""
    inside = mutant.file if mutant.file.startswith("neurosnn/") else f"neurosnn/{mutant.file}"
    return folder / inside


class Copy:
    """A copy of the package, and an interpreter that runs tests on it.

    The interpreter has imported what others wrote; each run imports the package, and with it the change.
    """

    def __init__(self, folder: Path):
        if str(ROOT / "tests") not in sys.path:
            sys.path.append(str(ROOT / "tests"))
        from interpreter import Interpreter

        copy_package(folder)
        self.folder = folder
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "NEUROSNN_CACHE": str(folder / "cache"),
            "MPLBACKEND": "Agg",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        self.interpreter = Interpreter(
            "brian2", "matplotlib.pyplot", "pytest", "scipy.optimize", env=self.environment
        )

    def run_pytest(
        self, tests: Iterable[str], k: str, limit: float | None = None
    ) -> subprocess.CompletedProcess:
        """Run tests on the copy; the first failure ends it."""
        command = ["-m", "pytest", f"--rootdir={ROOT}", f"--config-file={ROOT}/setup.cfg"]
        command += ["-q", "-x", "--tb=line", "-p", "no:cacheprovider", "-p", "no:xdist"]
        command += [str(ROOT / "tests" / test) for test in tests]
        command += ["-k", k] if k else []
        return self.interpreter.run(command, cwd=self.folder, env=self.environment, timeout=limit)


def tail_of(done: subprocess.CompletedProcess) -> str:
    """The last lines of the output."""
    return "\n".join((done.stdout + done.stderr).splitlines()[-6:])


def run_tests(mutant: Mutant, copy: Copy) -> tuple[str, str]:
    """What the tests say of the copy, and the last lines of their output."""
    if needs_torch(mutant) and find_spec("torch") is None:
        return NOT_RUN, "PyTorch is not installed"
    try:
        done = copy.run_pytest(mutant.tests, mutant.k, LIMIT)
    except subprocess.TimeoutExpired:
        return KILLED, f"not finished after {LIMIT:.0f} s"
    tail = tail_of(done)
    if "refused the generated source" in done.stdout:
        return BROKEN, f"the change is no C++\n{tail}"
    if -done.returncode in CRASHES:
        return KILLED, f"the interpreter crashed, {signal.Signals(-done.returncode).name}"
    if done.returncode == 1 and re.search(r"\d+ failed", tail):
        return KILLED, tail
    if done.returncode == 0:
        return (SURVIVED if re.search(r"\d+ passed", tail) else NOT_RUN), tail
    return BROKEN, tail


def needs_torch(mutant: Mutant) -> bool:
    """Whether all its tests are skipped without PyTorch."""
    return all("torch" in test for test in mutant.tests)


def control(mutants: Iterable[Mutant], copy: Copy) -> str:
    """Run the tests of all mutants on the unchanged copy; what fails, or nothing."""
    groups: dict[str, dict[str, None]] = {}
    for mutant in mutants:
        if not needs_torch(mutant) or find_spec("torch") is not None:
            groups.setdefault(mutant.k, {}).update(dict.fromkeys(mutant.tests))
    for k, tests in groups.items():
        done = copy.run_pytest(tests, k)
        if done.returncode:
            return tail_of(done)
    return ""


def check_unchanged(copy: Copy) -> None:
    """The tests must see the copy, not an installed package."""
    script = copy.folder / "place.py"
    script.write_text(
        "import sys\n"
        "assert 'neurosnn' not in sys.modules, 'it was imported before it was changed'\n"
        "import neurosnn\n"
        "print(neurosnn.__file__)\n"
    )
    done = copy.interpreter.run([str(script)], cwd=copy.folder, env=copy.environment)
    if done.returncode:
        raise RuntimeError(f"the tests would not see the copy:\n{tail_of(done)}")
    place = done.stdout.strip()
    if Path(place).parent.parent.resolve() != copy.folder.resolve():
        raise RuntimeError(f"the tests would import {place}, not the copy in {copy.folder}")


def main() -> int:
    """Run the mutants that are asked for; 1 if one survives, 2 if tests fail without them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", metavar="PATTERN", help="of names or files")
    parser.add_argument("--jobs", type=int, default=1, help="how many at a time")
    parser.add_argument(
        "--resume", type=Path, metavar="FILE", help="go on with a run that was broken off"
    )
    parser.add_argument("--no-control", action="store_true", help="not the unchanged copy first")
    parser.add_argument("--verbose", action="store_true", help="show what pytest says")
    arguments = parser.parse_args()
    chosen = [
        mutant
        for mutant in MUTANTS
        if not arguments.only
        or any(
            fnmatch.fnmatch(mutant.name, p) or fnmatch.fnmatch(mutant.file, p)
            for p in arguments.only
        )
    ]
    if not chosen:
        print("no change has such a name or file: --only takes patterns such as 'eventprop*'")
        return 2
    texts = {mutant.name: mutated(mutant) for mutant in MUTANTS}
    known: dict[str, dict] = {}
    if arguments.resume and arguments.resume.exists():
        lines = arguments.resume.read_text(encoding="utf-8").splitlines()
        known = {line["name"]: line for line in map(json.loads, lines)}
    results: dict[str, str] = {}
    entries = {mutant.name: json.loads(json.dumps(mutant._asdict())) for mutant in chosen}
    for name, entry in entries.items():
        before = known.get(name)
        if before and before["result"] == KILLED and before["mutant"] == entry:
            results[name] = KILLED
    pending = [mutant for mutant in chosen if mutant.name not in results]
    with tempfile.TemporaryDirectory(prefix="mutants.") as scratch, ExitStack() as stack:
        copies = [Copy(Path(scratch) / str(k)) for k in range(arguments.jobs)]
        free: queue.Queue[Copy] = queue.Queue()
        for copy in copies:
            stack.callback(copy.interpreter.close)
            check_unchanged(copy)
            free.put(copy)
        failed = "" if arguments.no_control else control(pending, copies[0])
        if failed:
            print(f"Tests fail on the unchanged package:\n{failed}")
            return 2

        def run(mutant: Mutant) -> None:
            copy = free.get()
            place, start = place_in(copy.folder, mutant), time.monotonic()
            original = place.read_bytes()
            try:
                place.write_text(texts[mutant.name], encoding="utf-8")
                result, tail = run_tests(mutant, copy)
            finally:
                place.write_bytes(original)
                free.put(copy)
            results[mutant.name] = result
            seconds = round(time.monotonic() - start, 1)
            print(f"{result:9} {seconds:6.1f} s  {mutant.name}", flush=True)
            if arguments.verbose or result in (SURVIVED, BROKEN):
                print("    " + tail.replace("\n", "\n    "), flush=True)
            if arguments.resume:
                line = {"name": mutant.name, "result": result, "seconds": seconds}
                line["mutant"] = entries[mutant.name]
                with arguments.resume.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")

        with ThreadPoolExecutor(arguments.jobs) as pool:
            list(pool.map(run, pending))
    for kind in (KILLED, SURVIVED, BROKEN, NOT_RUN):
        names = [name for name, result in results.items() if result == kind]
        if names:
            print(f"{kind}: {len(names)}" + ("" if kind == KILLED else f" ({', '.join(names)})"))
    return int(any(result in (SURVIVED, BROKEN) for result in results.values()))


if __name__ == "__main__":
    sys.exit(main())
