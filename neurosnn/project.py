"""What turns the files that Brian2 writes into a portable project that describes itself."""

from __future__ import annotations

import json
import re
import shutil
from importlib import metadata, resources
from pathlib import Path
from string import Template

from neurosnn.checks import message
from neurosnn.network import SpikingNetwork
from neurosnn.results import MANIFEST
from neurosnn.simulation import Schedule
from neurosnn.storage import describe, versions

__all__ = ["finish", "harden"]

LICENCES = {
    "brian2": "brianlib/ and the C++ files made from Brian2's templates: CeCILL 2.1, compatible with the "
    "GNU GPL\n(https://cecill.info), see LICENSE-brian2.txt.\n",
    "brian2cuda": "The files made from brian2cuda's templates: GNU GPL 3, see LICENSE-brian2cuda.txt.\n",
}


def finish(
    net: SpikingNetwork,
    folder: Path,
    schedule: Schedule,
    files: list[dict],
    device: str,
    arch: str,
    name: str,
) -> None:
    """Make what Brian2 wrote portable, and describe it."""
    shutil.rmtree(folder / "results", ignore_errors=True)
    harden(folder)
    cuda = device == "cuda_standalone"
    std = re.search(r"-std=(\S+)", (folder / "makefile").read_text(encoding="utf-8"))
    values = {"std": "c++17" if cuda else std.group(1) if std else "c++11", "arch": arch}
    _write(folder / "makefile", f"makefile.{'cuda' if cuda else 'cpp'}", values)
    _write(folder / "run", "run.sh")
    (folder / "run").chmod(0o755)
    (folder / "results.list").write_text(
        "".join(f"{file.pop('raw')} {file['file']}\n" for file in files), encoding="utf-8"
    )
    packages = ("brian2", "brian2cuda") if cuda else ("brian2",)
    for package in packages:
        _copy_licence(package, folder)
    used = {**versions(), **{package: metadata.version(package) for package in packages}}
    manifest = {
        "format": MANIFEST,
        "version": 1,
        "device": device,
        "versions": used,
        "network": describe(net),
        "trials": {
            "n_steps": [int(n) for n in schedule.n_steps],
            "period": schedule.period,
            "dt": float(schedule.dt),
        },
        "results": files,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    title = f"{name}: {' - '.join(layer.model.name for layer in net.layers)}"
    n_trials = len(schedule.n_steps)
    _write(
        folder / "README.txt",
        "README.txt",
        {
            "title": f"{title}\n{'=' * len(title)}",
            "version": used["neurosnn"],
            "brian2": used["brian2"],
            "needs": "nvcc (CUDA)" if cuda else "a C++ compiler",
            "trials": "one trial of"
            if n_trials == 1
            else f"{n_trials} trials, one after the other and each from the initial state, of",
            "network": "\n".join(f"    {line}" for line in repr(net).splitlines()),
            "period": schedule.period,
            "licences": "".join(LICENCES[package] for package in packages),
        },
    )


def _write(path: Path, template: str, values: dict | None = None) -> None:
    text = resources.files("neurosnn").joinpath("templates", template).read_text(encoding="utf-8")
    path.write_text(text if values is None else Template(text).substitute(values), encoding="utf-8")


def _copy_licence(package: str, folder: Path) -> None:
    for file in metadata.distribution(package).files or ():
        if file.name.upper().startswith(("LICENSE", "LICENCE", "COPYING")):
            text = file.read_text(encoding="utf-8")
            (folder / f"LICENSE-{package}.txt").write_text(text, encoding="utf-8")
            return


def harden(folder: Path) -> None:
    """Brian2's program goes on when a file cannot be read or written; ours stops with an error."""
    source = next(folder.glob("objects.c*"))
    text = source.read_text(encoding="utf-8")
    stop = 'std::cerr << "{}" << std::endl; std::exit(1);'
    rules = (
        (r'std::cout << "(Error (?:opening|writing)[^"]*)" << (?:std::)?endl;', stop.format(r"\1")),
        (
            r"(f_static_array_\w+)\.read\(([^;]*)\);",
            r"\1.read(\2); if (!\1) { " + stop.format(r"Error: too short a file for \1") + " }",
        ),
        (
            r"(outfile_\w+)\.close\(\);",
            r"\1.close(); if (\1.fail()) { " + stop.format(r"Error writing \1 (disk full?)") + " }",
        ),
    )
    for pattern, replacement in rules:
        text, count = re.subn(pattern, replacement, text)
        if not count:
            raise RuntimeError(
                message(
                    f"nothing in {source.name} matches {pattern!r}.",
                    "export",
                    f"Brian2 {metadata.version('brian2')} writes other code than the versions known here.",
                    "Use a supported version of Brian2.",
                )
            )
    source.write_text("#include <cstdlib>\n#include <iostream>\n" + text, encoding="utf-8")
