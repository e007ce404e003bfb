"""Networks as programs: C++ or CUDA projects that build with make and run without Python."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from brian2.core.preferences import prefs
from brian2.devices.cpp_standalone.device import CPPStandaloneDevice
from brian2.units.fundamentalunits import Quantity

from neurosnn.checks import did_you_mean, message, unit_name
from neurosnn.cuda import cuda_device, settings
from neurosnn.network import SpikingNetwork
from neurosnn.project import finish
from neurosnn.results import MANIFEST, Results, read_results
from neurosnn.simulation import Schedule, build

__all__ = ["Results", "export", "read_results"]

# brian2.devices has an attribute of the same name, which hides its own module.
devices = importlib.import_module("brian2.devices.device")
DEVICES = ("cpp_standalone", "cuda_standalone")


def export(
    net: SpikingNetwork,
    path: str | os.PathLike[str],
    *,
    device: str = "cpp_standalone",
    inputs: Any = None,
    duration: Quantity | None = None,
    overwrite: bool = False,
    arch: str = "sm_80",
) -> Path:
    """Write a network as a project that builds with ``make`` and runs with ``./run``.

    Parameters
    ----------
    net : SpikingNetwork
        The network; its present weights are written into the project.
    path : str or Path
        Folder of the project. It must not exist yet; it appears when everything is written.
    device : {"cpp_standalone", "cuda_standalone"}, optional
        C++ for any machine, or CUDA (needs the extra ``neurosnn[cuda]``, but no GPU).
    inputs : trial or trials, optional
        As for ``net.brian2``: one trial or many, run one after the other.
    duration : Quantity (second), optional
        Time to simulate, for no inputs or a single trial; by default the length of the trials.
    overwrite : bool, optional
        Replace an existing folder if it is such a project; nothing else is ever replaced.
    arch : str, optional
        Architecture of the GPU, for CUDA: "sm_80" is an A100.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ValueError
        If the device is unknown, or neither inputs nor a duration is given.
    FileExistsError
        If there is something at `path` that may not be replaced.
    ImportError
        If brian2cuda is not installed.

    Notes
    -----
    The program computes in float64 without fast math, like ``net.brian2``, and its spikes equal those.
    A CUDA program adds the spikes of a step in any order, so that rounding, and in rare cases a spike,
    may differ; CUDA projects are compiled in our tests, but were never run for lack of a GPU.
    Brian2's device and preferences are left as they were.

    Examples
    --------
    >>> import tempfile
    >>> from brian2 import ms
    >>> from neurosnn import Input, Layer, Readout, SpikingNetwork, equations, export
    >>> net = SpikingNetwork(Input(4), Layer(equations.LIF(), 3), Readout(2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sorted(file.name for file in export(net, f"{folder}/lif", duration=50*ms).glob("ma*"))
    ['main.cpp', 'makefile', 'manifest.json']
    """
    if device not in DEVICES:
        raise ValueError(
            message(f"unknown device {device!r}.", "export", "", did_you_mean(str(device), DEVICES))
        )
    path = Path(os.path.abspath(path))
    _check_target(path, overwrite)
    schedule = _schedule(net, inputs, duration)
    cuda = device == "cuda_standalone"
    folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part"))
    try:
        with _standalone(cuda, arch) as target:
            target.defaultclock.dt = net.dt
            simulation = build(net, inputs, record=("spikes", "output"))
            target.seed(net.seed)
            simulation.run(schedule.duration, namespace={})
            target.build(directory=str(folder), compile=False, run=False, with_output=False)
            files = _result_files(net, simulation, target)
        finish(net, folder, schedule, files, device, arch, path.name)
        folder.chmod(0o755)
        _move(folder, path)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return path


def _check_target(path: Path, overwrite: bool) -> None:
    if not path.parent.is_dir():
        raise FileNotFoundError(
            message(
                f"the folder {path.parent} does not exist.",
                "export",
                "",
                "Create it, or correct the path.",
            )
        )
    if not os.path.lexists(path):
        return
    if not overwrite:
        raise FileExistsError(
            message(
                f"{path} exists already.",
                "export",
                "Its contents would be lost.",
                "Choose another path, or pass overwrite=True.",
            )
        )
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        ours = not path.is_symlink() and manifest.get("format") == MANIFEST
    except (OSError, ValueError, AttributeError):
        ours = False
    if not ours:
        raise FileExistsError(
            message(
                f"{path} is not an exported project.",
                "export",
                "overwrite=True replaces only those.",
                "Choose another path, or remove it yourself.",
            )
        )


def _move(folder: Path, path: Path) -> None:
    """Put the new project in its place; the old one is removed only when that has succeeded."""
    if not path.exists():
        folder.rename(path)
        return
    old = folder.with_suffix(".old")
    path.rename(old)
    try:
        folder.rename(path)
    except OSError:
        old.rename(path)
        raise
    shutil.rmtree(old)


def _schedule(net: SpikingNetwork, inputs: Any, duration: Quantity | None) -> Schedule:
    schedule = net.schedule(inputs)
    if duration is None:
        if inputs is None:
            raise ValueError(
                message(
                    "neither inputs nor a duration is given.",
                    "export",
                    "The program would not know how long to run.",
                    "Pass inputs=test[:10], or duration=1*second.",
                )
            )
        return schedule
    if len(schedule.n_steps) > 1:
        raise ValueError(
            message(
                f"a duration is given with {len(schedule.n_steps)} trials.",
                "export",
                "Trials have their own length.",
                "Leave duration out, or export a single trial.",
            )
        )
    steps = net.steps(duration)
    return Schedule(np.array([steps]), steps, net.dt)


@contextlib.contextmanager
def _standalone(cuda: bool, arch: str) -> Iterator[Any]:
    """A standalone device of our own as the active one; Brian2 is as before afterwards."""
    wanted = settings(arch) if cuda else {}
    wanted |= {
        "codegen.cpp.include_dirs": [],
        "codegen.cpp.library_dirs": [],
        "codegen.cpp.runtime_library_dirs": [],
        "devices.cpp_standalone.openmp_threads": 0,
    }
    with cuda_device() if cuda else contextlib.nullcontext(CPPStandaloneDevice()) as target:
        active, before = devices.active_device, {name: prefs[name] for name in prefs}
        try:
            devices.active_device = target
            target.activate(build_on_run=False)
            for name, value in wanted.items():
                prefs[name] = value
            yield target
        finally:
            devices.active_device = active
            for name, value in before.items():
                if prefs[name] is not value:
                    prefs[name] = value


def _result_files(net: SpikingNetwork, simulation: Any, target: Any) -> list[dict]:
    """What the program writes that is a result, with Brian2's name of the file."""
    wanted = [
        (simulation[f"{layer.name}_spikes"], name, meaning.format(layer.name))
        for layer in net.layers
        for name, meaning in (
            ("N", "number of spikes of {}"),
            ("i", "neuron of each spike of {}"),
            ("t", "time of each spike of {}"),
        )
    ]
    wanted.append((simulation["readout_states"], "output", "output at the end of each step"))
    files = []
    for monitor, name, meaning in wanted:
        variable = monitor.variables[name]
        shape = {"N": [1], "output": [None, net.readout.n]}.get(name, [None])
        files.append(
            {
                "file": f"{monitor.name}_{name}.bin",
                "raw": os.path.basename(target.get_array_filename(variable)),
                "dtype": np.dtype(variable.dtype).newbyteorder("<").str,
                "shape": shape,
                "unit": unit_name(variable.dim),
                "dimensions": [float(power) for power in variable.dim._dims],
                "meaning": meaning,
            }
        )
    return files
