"""Compile generated C++ once and keep the library in the user's cache folder."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from neurosnn.core.files import user_cache_folder
from neurosnn.core.messages import message

__all__ = ["cache_folder", "compiler", "load_library"]

FLAGS = (
    "-std=c++17",
    "-O3",
    "-shared",
    "-fPIC",
    "-pthread",
    "-fno-math-errno",
    "-fno-trapping-math",
)
#: Contraction of a multiplication and an addition, and a multiplication instead of a division by
#: what is the same for all neurons, in float32 only: float64 must round as Brian2.
PRECISION_FLAGS = {
    "float": ("-ffp-contract=fast", "-freciprocal-math"),
    "double": ("-ffp-contract=off",),
}
#: For loops over whole layers: the widest vector registers, of which compilers use half on some processors.
#: Short loops, as those of a convolution, become slower with them.
WIDE = ("-mprefer-vector-width=512",) if platform.machine() in ("x86_64", "AMD64") else ()


def compiler() -> str | None:
    """Path of the C++ compiler: $CXX, else c++, g++ or clang++; None if there is none."""
    for name in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        if name and shutil.which(name):
            return shutil.which(name)
    return None


def cache_folder() -> Path:
    """Folder of compiled engines: $NEUROSNN_CACHE or the platform's cache folder."""
    return user_cache_folder("engine")


def more_flags() -> list[str]:
    """Flags of $NEUROSNN_CXXFLAGS, which come last: ``-O1`` compiles in half the time and runs slower."""
    return shlex.split(os.environ.get("NEUROSNN_CXXFLAGS", ""))


@lru_cache(maxsize=1)
def _machine(command: str) -> str:
    """What a library compiled for this very processor depends on."""
    version = subprocess.run([command, "--version"], capture_output=True, text=True, check=False)
    flags = ""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    except OSError:
        flags = platform.processor()
    return f"{version.stdout}{platform.machine()}{platform.system()}{flags}"


def load_library(source: str, *, real: str, flags: Sequence[str] = ()) -> ctypes.CDLL:
    """Compile a source file, unless the cache has it, and load it.

    Parameters
    ----------
    source : str
        C++17 text.
    real : str
        "float" or "double".
    flags : sequence of str
        More flags of the compiler.

    Returns
    -------
    ctypes.CDLL
        The loaded library.

    Raises
    ------
    RuntimeError
        If there is no compiler or it refuses the source; the message holds its first complaint.
    """
    command = compiler()
    if command is None:
        raise RuntimeError(
            message(
                "no C++ compiler was found.",
                "engine",
                "The engine is compiled on the user's machine.",
                "Install g++ or clang++, or set CXX; backend='brian2' works without.",
            )
        )
    flags = [*FLAGS, "-march=native", *PRECISION_FLAGS[real], *flags, *more_flags()]
    key = hashlib.sha256("\0".join([source, *flags, _machine(command)]).encode()).hexdigest()[:24]
    library = cache_folder() / f"{key}.so"
    if not library.exists():
        _compile(command, flags, source, library)
    return ctypes.CDLL(str(library))


def _compile(command: str, flags: list[str], source: str, library: Path) -> None:
    """Compile into a folder of our own and move the result: two processes may do so at once."""
    library.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        text, compiled = Path(folder) / "trial.cpp", Path(folder) / "trial.so"
        text.write_text(source)
        done = subprocess.run(
            [command, *flags, str(text), "-o", str(compiled)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if "error" in line]
            raise RuntimeError(
                message(
                    f"{command} refused the generated source: {(errors or [done.stderr])[0]}.",
                    "engine",
                    "This is an error of neurosnn or an unsuitable compiler.",
                    "Report it with the equations of your model; backend='brian2' works without.",
                )
            )
        os.replace(compiled, library)
