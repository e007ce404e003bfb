"""Random models and networks: every route against stock Brian2; a difference is shrunk and printed as code.

    python tools/fuzz_models.py 1000 --seed 1 --state fuzz1.json
    python tools/fuzz_models.py --sum fuzz1.json fuzz2.json

A run goes through batches of ten models, the routes in turn, and writes the file after each, all at once:
killed and started again with the same file it goes on where it was. Processes with different seeds and
files can run side by side, and --sum adds them up. Two models of each signature (route and kind of
difference) are shrunk. A batch that does not end (a derivation without end) is given up and written down.
`--without declared,names` leaves out features of the grammar, to look behind a defect that is known.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("examples", type=int, nargs="?", default=100, help="models in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--state", type=Path, help="file of this run, made or continued")
    parser.add_argument(
        "--routes",
        default="engine,factored,eventprop,graph",
        help="names of fuzz.routes.ROUTES; one named twice comes twice as often",
    )
    parser.add_argument("--without", default="", help="features of fuzz.grammar.FEATURES")
    parser.add_argument("--batch", type=int, default=10, help="models in one program")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no batch after")
    parser.add_argument("--patience", type=float, default=300, help="processor seconds for a batch")
    parser.add_argument("--shrink", type=int, default=2, help="models with the same signature")
    parser.add_argument("--rounds", type=int, default=8, help="of shrinking")
    parser.add_argument(
        "--sum", type=Path, nargs="+", metavar="FILE", help="only add up such files"
    )
    return parser.parse_args()


def main() -> int:
    options = arguments()
    if options.sum:
        return show([json.loads(path.read_text()) for path in options.sum])
    sys.path.insert(0, str(ROOT / "tests"))
    from brian2 import prefs
    from brian2.utils.logger import BrianLogger

    BrianLogger.log_level_error()
    prefs.codegen.target = "numpy"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NEUROSNN_CACHE"] = folder  # nobody needs these programs again
        state = begun(options)
        run(options, state)
    return show([state])


def begun(options: argparse.Namespace) -> dict:
    """The state of a run, new or as its file has it."""
    from fuzz import grammar, routes

    names = options.routes.split(",")
    without = [name for name in options.without.split(",") if name]
    for name, known in [(n, routes.ROUTES) for n in names] + [
        (n, grammar.FEATURES) for n in without
    ]:
        if name not in known:
            raise SystemExit(f"{name} is none of {', '.join(known)}")
    given = {"seed": options.seed, "routes": names, "without": without, "batch": options.batch}
    if not (options.state and options.state.exists()):
        new = {"batches": 0, "counts": {}, "seconds": {}, "unfinished": [], "signatures": {}}
        return {**given, "versions": versions(), **new}
    state = json.loads(options.state.read_text())
    if any(state[key] != value for key, value in given.items()):
        raise SystemExit(f"{options.state} is of another run: {state}")
    return state


def versions() -> dict[str, str]:
    """What differs between machines."""
    from importlib.metadata import version

    return {"python": platform.python_version()} | {
        name: version(name) for name in ("numpy", "sympy", "brian2")
    }


def run(options: argparse.Namespace, state: dict) -> None:
    """The batches that are left."""
    from fuzz import search
    from fuzz.remembered import forget, remember

    remember()
    names, end = state["routes"], time.monotonic() + 60 * options.minutes
    while state["batches"] * options.batch < options.examples and time.monotonic() < end:
        begin, k = cpu_seconds(), state["batches"]
        route, start = names[k % len(names)], options.seed * 1_000_003 + k
        dt = (0.5, 1.0, 0.1)[k // len(names) % 3]
        drawn = search.draw(route, options.batch, start, without=state["without"], dt=dt)
        found: list = []
        try:
            with patience(options.patience):
                these, found = search.defects(route, drawn)
            counts = Counter(state["counts"])
            counts.update({f"{route} {kind}": number for kind, number in these.items()})
            state["counts"] = dict(counts)
        except Unfinished:
            state["unfinished"].append(f"{route}, seed {start}, dt {dt}")
            print(f"unfinished: {state['unfinished'][-1]}", flush=True)
        state["batches"] += 1
        state["seconds"][route] = state["seconds"].get(route, 0.0) + cpu_seconds() - begin
        fresh = []
        for one in found:
            shown = state["signatures"].setdefault(one.signature, {"times": 0, "found": []})
            shown["times"] += 1
            text = f"{one.case.code(route)}\n# {one.verdict.reason}\n"
            shown["found"].append({"seed": start, "dt": dt, "code": text})
            fresh.append((one, shown, shown["found"][-1]))
        forget()
        progress(options, state)
        for one, shown, entry in fresh:
            print(
                f"-- {one.signature}, seed {start}, dt {dt}, found in\n{entry['code']}", flush=True
            )
            if sum("shrunk" in other for other in shown["found"]) < options.shrink:
                with contextlib.suppress(Unfinished), patience(10 * options.patience):
                    least = search.shrink(one, rounds=options.rounds)
                    entry["shrunk"] = f"{least.case.code(route)}\n# {least.verdict.reason}\n"
                    print(f"-- shrinks to\n{entry['shrunk']}", flush=True)
                progress(options, state)


class Unfinished(BaseException):
    """A batch took too long; no Exception, which would count as a refusal of a model."""


@contextlib.contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Break off after so many seconds of this process, however busy the machine is."""

    def give_up(signum, frame):
        raise Unfinished

    before = signal.signal(signal.SIGVTALRM, give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def cpu_seconds() -> float:
    """Processor time of this process and its compilers."""
    return sum(os.times()[:4])


def progress(options: argparse.Namespace, state: dict) -> None:
    """One line, and the file, which is replaced all at once."""
    print(
        f"{state['batches'] * options.batch} models: "
        + ", ".join(f"{number} {kind}" for kind, number in sorted(state["counts"].items())),
        flush=True,
    )
    if options.state:
        beside = options.state.with_name(f".{options.state.name}.{os.getpid()}")
        beside.write_text(json.dumps(state, indent=1))
        os.replace(beside, options.state)


def show(states: list[dict]) -> int:
    """Several runs added up; 1 if one of them found something."""
    counts: Counter = Counter()
    seconds: Counter = Counter()
    models: Counter = Counter()
    times: Counter = Counter()
    found: dict[str, list[dict]] = {}
    for state in states:
        counts.update(state["counts"])
        seconds.update(state["seconds"])
        for key, shown in state["signatures"].items():
            times[key] += shown["times"]
            found.setdefault(key, []).extend(shown["found"])
    for kind, number in counts.items():
        models[kind.partition(" ")[0]] += number
    for key, entries in found.items():
        entry = min(entries, key=lambda one: ("shrunk" not in one, len(one["code"])))
        print(f"-- {times[key]} times {key}, as with seed {entry['seed']}")
        print(entry.get("shrunk", entry["code"]))
    unfinished = [one for state in states for one in state["unfinished"]]
    for one in unfinished:
        print(f"unfinished: {one}")
    for route, number in sorted(models.items()):
        kinds = {
            k.partition(" ")[2]: n for k, n in sorted(counts.items()) if k.startswith(f"{route} ")
        }
        each = seconds[route] / number
        print(f"{route}: {number} models, {each:.2f} s each of processor time: {kinds}")
    print(f"{models.total()} models, {times.total()} counterexamples, {len(unfinished)} unfinished")
    return bool(found or unfinished)


if __name__ == "__main__":
    sys.exit(main())
