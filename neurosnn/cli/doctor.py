"""What this machine has, what is missing, and how to get it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from importlib.util import find_spec

from neurosnn.core.optional import PACKAGES, how_to_install
from neurosnn.engine import compiler
from neurosnn.engine.build import cache_folder

__all__ = ["report"]

#: A program that needs C++17, a thread and nothing else.
PROGRAM = """#include <optional>
#include <thread>
int main() { std::optional<int> n; std::thread t([&] { n = 0; }); t.join(); return *n; }
"""


def report() -> tuple[list[str], bool]:
    """Lines to print, and whether all is there that training and exported programs need.

    Returns
    -------
    list of str
        One line for each thing: "ok" or "missing", and what to do.
    bool
        Whether a C++ compiler that works, make and writable cache folders were found.

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
    for title, place in needed.items():
        well &= place is not None
        lines.append(_line(place is not None, title, _version(place) if place else use[title]))
    program = needed["C++ compiler"]
    if program is not None:
        fault = _does_not_compile(program)
        well &= not fault
        mend = (
            f"{fault}: install a C++17 compiler, or name one in CXX" if fault else "C++17, threads"
        )
        lines.append(_line(not fault, "compiling", mend))
    cython = find_spec("Cython") is not None
    lines.append(
        _line(
            cython,
            "Cython",
            metadata.version("Cython") if cython else "Brian2 is slow without: pip install cython",
        )
    )
    for title, cache, variable in (
        ("cache folder", str(cache_folder()), "NEUROSNN_CACHE"),
        ("Brian2's cache", _brian2_cache(), "HOME"),
    ):
        writable = _writable(cache)
        well &= writable
        mend = f"{cache} cannot be written: set {variable} to a folder of yours"
        lines.append(_line(writable, title, cache if writable else mend))
    nvcc = shutil.which("nvcc")
    mend = "builds CUDA projects: install the CUDA toolkit, and put its bin into PATH"
    lines.append(_line(nvcc is not None, "nvcc", _version(nvcc) if nvcc else mend))
    gpu = shutil.which("nvidia-smi")
    lines.append(
        _line(
            gpu is not None,
            "GPU driver",
            _gpu(gpu)
            if gpu
            else "runs CUDA projects, which can be written without: install NVIDIA's",
        )
    )
    lines += [_package(name, purpose) for name, (purpose, _) in PACKAGES.items()]
    return lines, well


def _package(package: str, purpose: str) -> str:
    """A line on an optional package."""
    if find_spec(package) is not None:
        try:
            return _line(True, package, metadata.version(package))
        except metadata.PackageNotFoundError:
            return _line(True, package, "version not known")
    return _line(False, package, f"{purpose}: {how_to_install(package)}")


def _does_not_compile(program: str) -> str:
    """What goes wrong when a small C++17 program is made and run; empty if nothing."""
    with tempfile.TemporaryDirectory() as folder:
        source, made = os.path.join(folder, "a.cpp"), os.path.join(folder, "a.out")
        with open(source, "w", encoding="ascii") as file:
            file.write(PROGRAM)
        try:
            for command in ([program, "-std=c++17", "-pthread", source, "-o", made], [made]):
                done = subprocess.run(command, capture_output=True, text=True, timeout=60)
                if done.returncode:
                    words = " ".join(done.stderr.split())[:150]
                    return f"{os.path.basename(command[0])} fails ({words or done.returncode})"
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{program} does not run ({error})"
    return ""


def _brian2_cache() -> str:
    """Where Brian2 keeps what it has compiled."""
    try:
        from brian2.codegen.runtime.cython_rt.extension_manager import get_cython_cache_dir

        return os.path.expanduser(str(get_cython_cache_dir()))
    except ImportError:
        return os.path.expanduser("~")


def _gpu(program: str) -> str:
    """The GPUs that the driver names."""
    query = [program, "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{program} does not run: {error}"
    names = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    return f"{program} ({', '.join(names) or 'no GPU'})"


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
