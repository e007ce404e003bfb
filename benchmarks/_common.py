"""Timing, comparison and output that all benchmarks share.

Every comparison runs ours and the peer alternately in one process, on the same input, after warm-up
calls, and reports the median time of each together with a proof that both did the same work.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

MISSING = "not run: {0} is not installed (pip install {0})"


def arguments(description: str) -> argparse.Namespace:
    """The command line of every benchmark."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, under 60 s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results there")
    parser.add_argument("--only", default="", metavar="TEXT", help="comparisons whose name has it")
    return parser.parse_args()


def cpu_name() -> str:
    """The processor, as the operating system calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def version(package: str) -> str | None:
    """Installed version, None if there is none."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def timed(
    functions: dict[str, Callable], *, repetitions: int, warm_up: int = 1
) -> dict[str, float]:
    """Median seconds of a call of each function; they take turns, so that all see the same load."""
    for _ in range(warm_up):
        for function in functions.values():
            function()
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repetitions):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def quantity(value: float, unit: str) -> str:
    """A number with its unit, for people."""
    if unit == "s" and value < 1:
        return f"{value * 1e3:.3g} ms"
    return f"{value:.3g} {unit}" if value < 1000 else f"{value:.0f} {unit}"


def largest_difference(ours: dict, theirs: dict) -> float:
    """Largest difference of two gradients, each block relative to its largest entry."""
    return max(
        float(abs(ours[key] - block).max() / abs(block).max()) for key, block in theirs.items()
    )


class Report:
    """Collects comparisons, prints a line for each and writes them to a file at the end."""

    def __init__(self, given: argparse.Namespace, *packages: str):
        self.given, self.results = given, []
        found = {name: version(name) for name in ("neurosnn", "brian2", "numpy", *packages)}
        versions = ", ".join(f"{name} {number}" for name, number in found.items() if number)
        print(
            f"{cpu_name()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}; {versions}"
        )

    def wants(self, name: str) -> bool:
        """Whether the command line asks for this comparison."""
        return self.given.only in name

    def add(self, name: str, ours: float, peer: float, same_work: str, *, unit: str = "s") -> None:
        """One comparison: ours, the peer, and what shows that both did the same work."""
        result = {
            "name": name,
            "ours": ours,
            "peer": peer,
            "ratio": peer / ours,
            "same_work": same_work,
        }
        self.results.append(result)
        print(
            f"{name}: ours {quantity(ours, unit)}, peer {quantity(peer, unit)}, "
            f"ratio {peer / ours:.3g} ({same_work})",
            flush=True,
        )

    def note(self, text: str) -> None:
        """A line that is no comparison."""
        print(text, flush=True)

    def close(self) -> None:
        """Write the file that the command line names."""
        if self.given.json:
            self.given.json.write_text(json.dumps(self.results, indent=1) + "\n")
