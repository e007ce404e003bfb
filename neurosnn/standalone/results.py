"""Results of an exported program, as quantities again."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from brian2.units.allunits import second
from brian2.units.fundamentalunits import DIMENSIONLESS, Quantity, get_or_create_dimension

from neurosnn.core.files import UNREADABLE, read_npy_file
from neurosnn.core.messages import message
from neurosnn.network.simulation import TrialTimes

__all__ = ["MANIFEST", "VERSION", "Results", "TrialSpikes", "read_results"]

MANIFEST, VERSION = "neurosnn export", 2
#: Name of a file of results: in the folder, wherever else a manifest may point.
RESULT = re.compile(r"[A-Za-z_][\w.]*\.npy", flags=re.ASCII)


class TrialSpikes(NamedTuple):
    """Spikes of a layer in one trial: times since the start of the trial, and neurons."""

    t: Quantity
    i: np.ndarray


class Results(NamedTuple):
    """What an exported program computed.

    Attributes
    ----------
    spikes : dict of str to list of TrialSpikes
        For each layer its spikes in each trial.
    output : list of array (n_steps, n_out)
        For each trial the readout at the end of each step.
    parameters : dict of str to ndarray
        What a network that learns has learned, as in ``net.parameters``.
    losses : ndarray (n_trials,) or None
        For a network that learns: the loss of each trial, before its update.
    arrays : dict of str to Quantity or ndarray
        All files by their names, without ".npy".
    settings : dict
        The duration in seconds, and the values given by ``--set``, in SI units.
    """

    spikes: dict[str, list[TrialSpikes]]
    output: list[Quantity | np.ndarray]
    parameters: dict[str, np.ndarray]
    losses: np.ndarray | None
    arrays: dict[str, Quantity | np.ndarray]
    settings: dict[str, Any]


def read_results(path: str | os.PathLike[str]) -> Results:
    """Read the results of an exported program.

    Parameters
    ----------
    path : str or Path
        The project's folder, or the folder that ``./run --out FOLDER`` wrote.

    Returns
    -------
    Results
        Spikes and outputs of each trial, learned weights, and every file as an array with its unit.

    Raises
    ------
    FileNotFoundError
        If there are no results.
    ValueError
        If a file is truncated or the folder was written by another program.
    """
    folder = Path(path)
    if (folder / "tables.h").is_file():
        folder = folder / "results"
    if not (folder / "manifest.json").is_file():
        raise FileNotFoundError(
            message(
                f"there are no results in {folder}.",
                "read_results",
                "",
                "Run make and ./run first.",
            )
        )
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        if manifest["format"] != MANIFEST or manifest["version"] != VERSION:
            raise ValueError("another format or version")
        settings = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        arrays = {entry["file"][:-4]: _read(folder, entry) for entry in manifest["results"]}
        return _results(manifest, settings, arrays)
    except (*UNREADABLE, OSError, ZeroDivisionError) as error:
        raise ValueError(
            message(
                f"the results in {folder} cannot be read ({error}).",
                "read_results",
                "They are incomplete, or of another program or version.",
                "Run the project again.",
            )
        ) from error


def _results(manifest: dict, settings: dict, arrays: dict[str, Any]) -> Results:
    trials = manifest["trials"]
    if trials is None:
        return Results({}, [], {}, None, arrays, settings)
    n_steps = np.array(arrays["trials"], dtype=np.int64)
    if n_steps.ndim != 1 or not len(n_steps) or n_steps.min() < 1:
        raise ValueError("trials.npy has no trials")
    period = trials["period"] or int(n_steps[0])
    trial_times = TrialTimes(n_steps, period, manifest["dt"] * second)
    network = manifest["network"]
    if manifest["learning"] is not None:
        loss = np.asarray(arrays["readout_trials.loss"])
        if len(loss) != len(n_steps) + 1:
            raise ValueError("readout_trials.loss.npy has another number of trials")
        names = [entry["file"][:-4] for entry in manifest["results"]]
        learned = [name for name in names if name.endswith(".w") or name.startswith("feedback.")]
        learned += ["readout.b"] if network["readout"]["bias"] else []
        parameters = {name: np.array(arrays[name]) for name in learned}
        return Results({}, [], parameters, loss[1:].sum(axis=1), arrays, settings)
    names = [layer["name"] for layer in network["layers"]]
    spikes = {name: _split_spikes(arrays, name, trial_times) for name in names}
    output = arrays["readout_states.output"]
    if len(output) != len(n_steps) * period:
        raise ValueError("readout_states.output.npy has another number of steps than the trials")
    starts = np.arange(len(n_steps)) * period
    parts = [output[a : a + n] for a, n in zip(starts, n_steps, strict=True)]
    return Results(spikes, parts, {}, None, arrays, settings)


def _read(folder: Path, entry: dict) -> Any:
    name, dtype, shape = entry["file"], np.dtype(entry["dtype"]), entry["shape"]
    if not RESULT.fullmatch(name) or dtype.kind not in "fiub":
        raise ValueError(f"{name!r} is not a file of results")
    values = read_npy_file(folder / name)
    fits = values.ndim == len(shape) and all(
        n is None or n == size for n, size in zip(shape, values.shape, strict=True)
    )
    if values.dtype != dtype or not fits:
        raise ValueError(f"{name} has the type {values.dtype} and the shape {values.shape}")
    dimensions = get_or_create_dimension(entry["dimensions"])
    return values if dimensions is DIMENSIONLESS else Quantity(values, dim=dimensions)


def _split_spikes(arrays: dict, name: str, trial_times: TrialTimes) -> list[TrialSpikes]:
    i, t = arrays[f"{name}_spikes.i"], arrays[f"{name}_spikes.t"]
    if len(i) != len(t):
        raise ValueError(f"the files of the spikes of {name} hold {len(i)} and {len(t)} spikes")
    place = trial_times.locate(t)
    return [
        TrialSpikes(place.step[place.trial == k] * trial_times.dt, i[place.trial == k])
        for k in range(len(trial_times.n_steps))
    ]
