"""Trials for an exported program, written without building it again."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from brian2.units.allunits import second

from neurosnn.core.files import UNREADABLE, atomic_file
from neurosnn.core.messages import message
from neurosnn.core.units import from_plain, to_plain
from neurosnn.core.values import Range, check_value
from neurosnn.losses import BUILT_IN
from neurosnn.rules.eprop import EProp
from neurosnn.standalone.results import MANIFEST, RESULT, VERSION
from neurosnn.standalone.sources import Learning, data_arrays, network_like

__all__ = ["learning_description", "write_inputs"]


def learning_description(learning: Learning) -> dict[str, Any]:
    """How a program learns, as plain strings and numbers."""
    fields = {
        field.name: to_plain(getattr(learning.loss, field.name))
        for field in dataclasses.fields(learning.loss)
        if field.init
    }
    return {
        "rule": repr(learning.rule),
        "rate_strength": float(learning.rule.rate_strength),
        "optimizer": repr(learning.optimizer),
        "batch_size": int(learning.batch_size),
        "loss": {"name": type(learning.loss).__name__, "fields": fields},
    }


def write_inputs(
    project: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    inputs: Any,
    *,
    targets: Any = None,
    parameters: Any = None,
) -> Path:
    """Write trials for an exported program, to be read by ``./run --input FOLDER``.

    Parameters
    ----------
    project : str or Path
        The project that :func:`export` wrote for a SpikingNetwork.
    folder : str or Path
        Where the files go; made if it does not exist.
    inputs : trial or trials
        As for :func:`export`. Several trials need a project that was exported with several; their
        number is free, and none may be longer than the longest of those.
    targets : ndarray, optional
        For a program that learns, as for :func:`export`.
    parameters : mapping of str to ndarray, optional
        Weights and biases to start from, for example ``net.parameters``.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ValueError
        If there is no such project, or the trials do not fit it.

    Examples
    --------
    >>> import tempfile
    >>> from brian2 import ms
    >>> from neurosnn import Input, Layer, Readout, SpikingNetwork, data, equations, export
    >>> from neurosnn import write_inputs
    >>> net = SpikingNetwork(Input(2), Layer(equations.LIF(), 3), Readout(2))
    >>> trials = data.SpikeTrials(times=[0.001, 0.002], units=[0, 1], offsets=[0, 1, 2],
    ...                           labels=[0, 1], n_channels=2, duration=10*ms)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     project = export(net, f"{folder}/lif", inputs=trials)
    ...     files = write_inputs(project, f"{folder}/other", trials[[1, 0, 1]])
    ...     sorted(file.name for file in files.iterdir())
    ['input.i.npy', 'input.t.npy', 'trials.npy']
    """
    manifest = _manifest(Path(project))
    times, network = manifest["trials"], network_like(manifest["network"])
    learning = _learning_of(manifest["learning"])
    arrays = data_arrays(network, inputs, times["period"], learning, targets)
    n_steps = arrays["trials"]
    if len(n_steps) > 1 and not times["several"]:
        raise ValueError(
            message(
                f"there are {len(n_steps)} trials.",
                "write_inputs",
                "The program was exported with one trial, and runs one.",
                "Export it with two or more.",
            )
        )
    if times["longest"] and n_steps.max() > times["longest"]:
        raise ValueError(
            message(
                f"a trial has {n_steps.max()} steps.",
                "write_inputs",
                f"The program was exported for trials of at most {times['longest']} steps.",
                "Export it with trials of that length.",
            )
        )
    known = {entry["file"][:-4] for entry in manifest["inputs"]}
    for name, array in (parameters or {}).items():
        if name not in known:
            raise ValueError(
                message(
                    f"the program has no '{name}'.",
                    "write_inputs",
                    "These are not the parameters of its network.",
                    "Pass net.parameters of the same network.",
                )
            )
        arrays[name] = np.asarray(array, dtype=float)
    folder = Path(folder)
    for name, array in arrays.items():
        if name in known:
            with atomic_file(folder / f"{name}.npy") as file:
                np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)
    return folder


def _manifest(project: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((project / "manifest.json").read_text(encoding="utf-8"))
        if manifest["format"] != MANIFEST or manifest["version"] != VERSION:
            raise ValueError("another format or version")
        if manifest["network"] is None:
            raise ValueError("it was made by a function: write its .npy files yourself")
        for entry in manifest["inputs"]:
            if not RESULT.fullmatch(entry["file"]):
                raise ValueError(f"{entry['file']!r} is not a file of inputs")
        times, network = manifest["trials"], network_like(manifest["network"])
        numbers = [times["period"], times["longest"], network.input.n, network.readout.n]
        numbers += [part.n for part in network.inputs.values()]
        if not isinstance(network.input.real_valued, bool):
            raise ValueError("it does not say what its input is")
        if any(type(number) is not int or number < 0 for number in numbers):
            raise ValueError("its times or sizes are no numbers")
        check_value("dt", network.dt, Range(0 * second), where="manifest.json")
        _learning_of(manifest["learning"])
    except (*UNREADABLE, OSError) as error:
        raise ValueError(
            message(
                f"{project} is not an exported network ({error}).",
                "write_inputs",
                "The files depend on the network and its time step.",
                "Pass the folder that export(net, ...) wrote.",
            )
        ) from error
    return manifest


def _learning_of(entry: dict[str, Any] | None) -> Learning | None:
    if entry is None:
        return None
    loss = entry["loss"]
    known = {cls.__name__: cls for cls in BUILT_IN if cls.brian2 is not None}
    if loss["name"] not in known:
        raise ValueError(
            message(
                f"the loss {loss['name']!r} is not known.",
                "write_inputs",
                "The project was written by another version.",
                "Export it again.",
            )
        )
    fields = {name: from_plain(value) for name, value in loss["fields"].items()}
    rule = EProp(rate_strength=entry["rate_strength"])
    return Learning(rule, known[loss["name"]](**fields), None, entry["batch_size"])
