"""What somebody else needs to make the same numbers: versions, seeds, hashes, machine, command."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import sys
from importlib import metadata
from typing import Any

import numpy as np

from neurosnn.core.messages import message, printable, shortened
from neurosnn.engine import compiler
from neurosnn.training.checkpoint import network_fingerprint

__all__ = ["reproducibility_report"]

_PACKAGES = ("neurosnn", "brian2", "numpy", "scipy", "sympy", "torch", "h5py", "neo")


def reproducibility_report(net: Any, trainer: Any = None, data: Any = None) -> str:
    """Versions, seeds, hashes, machine and command of a result, as Markdown for a supplement.

    Parameters
    ----------
    net : SpikingNetwork
        The network; its structure, seed and present weights are hashed.
    trainer : Trainer, optional
        Who trained it: rule, loss, optimizer, seed, backend, updates done.
    data : trials, or mapping of str to trials, optional
        What it was trained on, for example ``{"train": train, "test": test}``.

    Returns
    -------
    str
        Markdown. The same weights, trials and settings give the same hashes on every machine; the
        path of the program and the arguments on its command line are part of the text.

    Raises
    ------
    TypeError
        If `net` is not a network.

    Examples
    --------
    >>> from neurosnn import Input, Layer, Readout, SpikingNetwork, equations
    >>> net = SpikingNetwork(Input(4), Layer(equations.LIF(), 3), Readout(2), seed=7)
    >>> print(reproducibility_report(net).splitlines()[0])
    # How these numbers were made
    """
    if not hasattr(net, "connections") or not hasattr(net, "parameters"):
        raise TypeError(
            message(
                f"net is a {type(net).__name__}.",
                "reproducibility_report",
                "A network comes first.",
                "Write reproducibility_report(net, trainer, data).",
            )
        )
    lines = ["# How these numbers were made", "", "## Program", ""]
    lines += _table({"command": _command(), "Python": platform.python_version(), **_versions()})
    lines += ["", "## Machine", ""]
    lines += _table(
        {
            "system": platform.platform(),
            "processor": _processor(),
            "processors": str(os.cpu_count()),
            "C++ compiler": compiler() or "none",
            "NEUROSNN_CXXFLAGS": os.environ.get("NEUROSNN_CXXFLAGS", "(not set)"),
        }
    )
    lines += ["", "## Network", "", "```", *repr(net).splitlines(), "```", ""]
    weights = {name: np.asarray(array) for name, array in sorted(net.parameters.items())}
    lines += _table(
        {
            "structure": network_fingerprint(net),
            "weights": f"sha256 {_digest(list(weights.values()))}",
            "seed": str(net.seed),
            "dt": str(net.dt),
        }
    )
    if trainer is not None:
        lines += ["", "## Training", ""]
        settings = {
            name: shortened(value, 200)
            for name, value in trainer._settings().items()
            if name != "network"
        }
        lines += _table(settings | {"epochs": str(trainer.epoch), "updates": str(trainer.updates)})
        if len(trainer.history):
            lines += ["", "```", *repr(trainer.history).splitlines(), "```"]
    named = {"data": data} if data is not None and not hasattr(data, "items") else dict(data or {})
    if named:
        lines += ["", "## Data", ""]
        lines += _table({name: _described(trials) for name, trials in named.items()})
    return "\n".join(lines) + "\n"


def _table(rows: dict[str, str]) -> list[str]:
    """Rows of a Markdown table; what would end a cell or begin a tag is written out."""
    clean = {
        "|": "\\|", "<": "&lt;", ">": "&gt;",
    }  # fmt: skip
    lines = ["| | |", "|---|---|"]
    for name, text in rows.items():
        cells = []
        for cell in (name, " ".join(text.split())):
            cell = printable(cell).replace("&", "&amp;")
            for character, written in clean.items():
                cell = cell.replace(character, written)
            cells.append(cell)
        lines.append(f"| {cells[0]} | {cells[1]} |")
    return lines


def _command() -> str:
    return shlex.join([os.path.basename(sys.executable), *sys.argv])


def _versions() -> dict[str, str]:
    installed = {}
    for name in _PACKAGES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return installed


def _processor() -> str:
    """As the system names it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _described(trials: Any) -> str:
    """A set of trials in words, and the hash of its arrays."""
    names = ("times", "units", "features", "images", "offsets", "labels", "durations")
    arrays = [
        np.asarray(getattr(trials, name))
        for name in names
        if getattr(trials, name, None) is not None
    ]
    if not arrays:
        arrays = [np.asarray(trials)]
    if any(array.dtype.hasobject for array in arrays):
        return f"{type(trials).__name__} (not hashed)"
    words = repr(trials) if hasattr(trials, "n_channels") else f"array of shape {arrays[0].shape}"
    return f"{words}; sha256 {_digest(arrays)}"


def _digest(arrays: list[np.ndarray]) -> str:
    """The same for the same numbers on every machine."""
    digest = hashlib.sha256()
    for array in arrays:
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        digest.update(f"{little.dtype.kind}{little.dtype.itemsize}{little.shape}".encode())
        digest.update(np.ascontiguousarray(little).tobytes())
    return digest.hexdigest()[:16]
