"""What is there on this machine, what is missing, and how to get it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from importlib.util import find_spec

from neurosnn.engine import cache_folder, compiler

__all__ = ["report"]

#: Packages of the extras, what they are for, and how to get them.
EXTRAS = {
    "h5py": ("reads SHD, SSC and DVS recordings", "pip install 'neurosnn[data]'"),
    "soundfile": ("reads recorded speech", "pip install 'neurosnn[data]'"),
    "librosa": ("makes mel spectrograms", "pip install 'neurosnn[data]'"),
    "torch": ("neurosnn.torch", "pip install torch"),
    "brian2cuda": ("writes CUDA projects", "Python 3.12 or newer: pip install 'neurosnn[cuda]'"),
}


def report() -> tuple[list[str], bool]:
    """Lines to print, and whether all is there that training and exported programs need.

    Returns
    -------
    list of str
        One line for each thing: "ok" or "missing", and what to do.
    bool
        Whether a C++ compiler, make and a writable cache folder were found.

    Examples
    --------
    >>> lines, _ = report()
    >>> lines[0].split()[:2]
    ['ok', 'neurosnn']
    """
    lines, well = [], True
    for package in ("neurosnn", "brian2", "numpy", "sympy"):
        lines.append(_line(True, package, metadata.version(package)))
    lines.append(_line(True, "Python", f"{platform.python_version()}, {sys.executable}"))
    lines.append(_line(True, "processors", str(os.cpu_count())))
    needed = {
        "C++ compiler": compiler(),
        "make": shutil.which("make") or shutil.which("gmake"),
    }
    use = {
        "C++ compiler": "training is slow without one, and programs cannot be built: "
        "apt install g++, or xcode-select --install",
        "make": "exported programs are built with it: apt install make",
    }
    for title, found in needed.items():
        well &= found is not None
        lines.append(_line(found is not None, title, _version(found) if found else use[title]))
    cache = str(cache_folder())
    writable = _writable(cache)
    well &= writable
    lines.append(
        _line(
            writable,
            "cache folder",
            cache if writable else f"{cache} cannot be written: set NEUROSNN_CACHE",
        )
    )
    nvcc = shutil.which("nvcc")
    lines.append(_line(nvcc is not None, "nvcc", _version(nvcc) if nvcc else
                       "builds CUDA projects; install the CUDA toolkit"))  # fmt: skip
    gpu = shutil.which("nvidia-smi")
    lines.append(
        _line(gpu is not None, "GPU driver", gpu or "runs CUDA projects; not needed to write them")
    )
    for package, (purpose, how) in EXTRAS.items():
        there = find_spec(package) is not None
        lines.append(
            _line(there, package, metadata.version(package) if there else f"{purpose}; {how}")
        )
    return lines, well


def _line(there: bool, title: str, text: str) -> str:
    return f"{'ok' if there else 'missing':<8} {title:<14} {text}"


def _version(program: str) -> str:
    """The program and the line of its --version that says most."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{program} does not run: {error}"
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    says = next((line for line in lines if "release" in line), lines[0] if lines else "")
    return f"{program} ({says.strip()})"


def _writable(folder: str) -> bool:
    """Whether files can be made there, or in the first folder above it that exists."""
    while not os.path.isdir(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    return os.access(folder, os.W_OK)
