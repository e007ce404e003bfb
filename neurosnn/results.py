"""Results of an exported program, as quantities again."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from brian2.units.allunits import second
from brian2.units.fundamentalunits import DIMENSIONLESS, Quantity, get_or_create_dimension

from neurosnn.checks import message
from neurosnn.simulation import Schedule

__all__ = ["MANIFEST", "Results", "TrialSpikes", "read_results"]

MANIFEST = "neurosnn export"


class TrialSpikes(NamedTuple):
    """Spikes of a layer in one trial: times since the start of the trial, and neurons."""

    t: Quantity
    i: np.ndarray


class Results(NamedTuple):
    """What an exported program computed.

    `spikes` has for each layer a list of one TrialSpikes per trial; `output` is a list of one array
    (n_steps, n_out) per trial, the readout at the end of each step.
    """

    spikes: dict[str, list[TrialSpikes]]
    output: list[Quantity | np.ndarray]


def read_results(path: str | os.PathLike[str]) -> Results:
    """Read the results of an exported program.

    Parameters
    ----------
    path : str or Path
        The project's folder, or the folder that ``./run --out FOLDER`` wrote.

    Returns
    -------
    Results
        Spikes of each layer and trial, and the readout's output of each trial.

    Raises
    ------
    FileNotFoundError
        If there are no results.
    ValueError
        If a file is truncated or the folder was written by another program.
    """
    folder = Path(path)
    if (folder / "results.list").is_file():
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
        if manifest["format"] != MANIFEST or manifest["version"] != 1:
            raise ValueError("another format or version")
        trials = manifest["trials"]
        schedule = Schedule(
            np.array(trials["n_steps"], dtype=np.int64), trials["period"], trials["dt"] * second
        )
        arrays = {entry["file"]: _read(folder, entry) for entry in manifest["results"]}
        layers = [layer["name"] for layer in manifest["network"]["layers"]]
        spikes = {name: _split_spikes(arrays, name, schedule) for name in layers}
        output = arrays["readout_states_output.bin"]
        if len(output) != len(schedule.n_steps) * schedule.period:
            raise ValueError(
                "readout_states_output.bin has another number of steps than the trials"
            )
    except (KeyError, TypeError, ValueError, AttributeError, OSError, OverflowError) as error:
        raise ValueError(
            message(
                f"the results in {folder} cannot be read ({error}).",
                "read_results",
                "They are incomplete, or of another program or version.",
                "Run the project again.",
            )
        ) from error
    starts = np.arange(len(schedule.n_steps)) * schedule.period
    return Results(
        spikes, [output[a : a + n] for a, n in zip(starts, schedule.n_steps, strict=True)]
    )


def _read(folder: Path, entry: dict) -> Any:
    name, dtype = entry["file"], np.dtype(entry["dtype"])
    if not isinstance(name, str) or os.path.basename(name) != name or dtype.kind not in "fiub":
        raise ValueError(f"{name!r} is not a file of results")
    values = np.frombuffer((folder / name).read_bytes(), dtype=dtype)
    fixed = [n for n in entry["shape"] if n is not None]
    if values.size % math.prod(fixed) or (
        len(fixed) == len(entry["shape"]) and values.size != math.prod(fixed)
    ):
        raise ValueError(f"{name} has {values.size} values for the shape {entry['shape']}")
    values = values.reshape([-1 if n is None else n for n in entry["shape"]])
    dimensions = get_or_create_dimension(entry["dimensions"])
    return values if dimensions is DIMENSIONLESS else Quantity(values, dim=dimensions)


def _split_spikes(arrays: dict, name: str, schedule: Schedule) -> list[TrialSpikes]:
    i, t = arrays[f"{name}_spikes_i.bin"], arrays[f"{name}_spikes_t.bin"]
    n = int(arrays[f"{name}_spikes_N.bin"][0])
    if not len(i) == len(t) == n:
        raise ValueError(
            f"the files of the spikes of {name} hold {len(i)} and {len(t)} instead of {n}"
        )
    place = schedule.locate(t)
    return [
        TrialSpikes(place.step[place.trial == k] * schedule.dt, i[place.trial == k])
        for k in range(len(schedule.n_steps))
    ]
