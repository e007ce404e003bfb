"""Packages that only some functions need: what each is for, and what to say where one is missing."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from neurosnn.core.messages import message

__all__ = ["PACKAGES", "how_to_install", "import_optional"]

#: What each package does, and the extra of neurosnn that brings it ("" where none does).
PACKAGES = {
    "h5py": ("reads and writes h5 files, as of SHD, SSC and DVS recordings", "data"),
    "soundfile": ("reads recorded speech", "data"),
    "librosa": ("makes mel spectrograms", "data"),
    "aedat": ("reads .aedat4 files of event cameras", ""),
    "torch": ("does dense learning in neurosnn.torch", "torch"),
    "distributed": ("is Dask, which runs studies on many processes", "study"),
    "optuna": ("searches for parameters", "search"),
    "neo": ("reads and writes recordings", "neo"),
    "nir": ("exchanges networks", "nir"),
    "ipywidgets": ("draws progress in notebooks", "notebook"),
    "pandas": ("holds tables: to_dataframe", ""),
    "pyarrow": ("writes parquet files", ""),
    "brian2cuda": ("writes CUDA projects, for which no GPU is needed", "cuda"),
}


def how_to_install(package: str) -> str:
    """The command that brings one of the optional packages."""
    extra = PACKAGES[package][1]
    how = f"pip install 'neurosnn[{extra}]'" if extra else f"pip install {package}"
    if package == "brian2cuda" and sys.version_info < (3, 12):
        how = f"with Python 3.12 or newer {how}"
    return how


def import_optional(module: str, *, where: str, instead: str = "") -> Any:
    """Import an optional package, or a module of it.

    Parameters
    ----------
    module : str
        Of a package in :data:`PACKAGES`.
    where : str
        What needs it.
    instead : str
        What does without it, as a command: ``"use to_csv"``.

    Returns
    -------
    module
        The module.

    Raises
    ------
    ImportError
        The package is not installed; the message says what it is for and how to get it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        fix = how_to_install(package) + (f", or {instead}." if instead else "")
        raise ImportError(
            message(
                f"the package {package} is not installed.",
                where,
                f"It {PACKAGES[package][0]}.",
                f"Install it: {fix}",
            )
        ) from error
