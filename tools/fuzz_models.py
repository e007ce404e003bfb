"""Random models and networks: every route against stock Brian2; a difference is shrunk and printed as code.

    python tools/fuzz_models.py --examples 1000 --seed 1 --resume fuzz.json

A run goes through batches of ten cases, the routes in turn, and writes the file after each; started again
with the same file it goes on where it was. Two cases of each signature (route and kind of difference) are
shrunk.
`--without declared,names` leaves out features of the grammar, to look behind a defect that is known.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--routes", default="engine,factored", help="names of fuzz.routes.ROUTES")
    parser.add_argument("--without", default="", help="features of fuzz.grammar.FEATURES")
    parser.add_argument("--batch", type=int, default=10, help="cases in one program")
    parser.add_argument("--shrink", type=int, default=2, help="cases with the same signature")
    parser.add_argument("--rounds", type=int, default=8, help="of shrinking")
    parser.add_argument("--resume", type=Path, help="file of this run, made or continued")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    sys.path.insert(0, str(ROOT / "tests"))
    from brian2 import prefs
    from brian2.utils.logger import BrianLogger

    BrianLogger.log_level_error()
    prefs.codegen.target = "numpy"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NEUROSNN_CACHE"] = folder  # nobody needs these programs again
        return run(options)


def run(options: argparse.Namespace) -> int:
    from fuzz import grammar, routes, search

    names = options.routes.split(",")
    without = [name for name in options.without.split(",") if name]
    for name, known in [(n, routes.ROUTES) for n in names] + [
        (n, grammar.FEATURES) for n in without
    ]:
        if name not in known:
            raise SystemExit(f"{name} is none of {', '.join(known)}")
    given = {"seed": options.seed, "routes": names, "without": without, "batch": options.batch}
    state = {**given, "batches": 0, "counts": {}, "seconds": 0.0, "signatures": {}}
    if options.resume and options.resume.exists():
        state = json.loads(options.resume.read_text())
        if any(state[key] != value for key, value in given.items()):
            raise SystemExit(f"{options.resume} is of another run: {state}")
    counts = Counter(state["counts"])
    while state["batches"] * options.batch < options.examples:
        begin, k = time.monotonic(), state["batches"]
        route, start = names[k % len(names)], options.seed * 1_000_003 + k
        dt = (0.5, 1.0, 0.1)[k // len(names) % 3]
        drawn = search.draw(route, options.batch, start, without=without, dt=dt)
        these, found = search.defects(route, drawn)
        counts.update({f"{route} {kind}": number for kind, number in these.items()})
        for one in found:
            shown = state["signatures"].setdefault(one.signature, {"times": 0, "shrunk": []})
            shown["times"] += 1
            if len(shown["shrunk"]) >= options.shrink:
                continue
            print(f"-- {one.signature}, seed {start}, dt {dt}, found in\n{one.case}", flush=True)
            print(f"# {one.verdict.reason}\n-- shrinks to", flush=True)
            least = search.shrink(one, rounds=options.rounds)
            text = f"{least.case.code(route)}\n# {least.verdict.reason}\n"
            print(text, flush=True)
            shown["shrunk"].append(text)
        state["batches"] += 1
        state["seconds"] += time.monotonic() - begin
        state["counts"] = dict(counts)
        done = state["batches"] * options.batch
        print(
            f"{done} examples, {state['seconds'] / done:.1f} s each: "
            + ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items())),
            flush=True,
        )
        if options.resume:
            options.resume.write_text(json.dumps(state, indent=1))
    for signature, what in state["signatures"].items():
        print(f"{what['times']} times: {signature}")
    return bool(state["signatures"])


if __name__ == "__main__":
    sys.exit(main())
