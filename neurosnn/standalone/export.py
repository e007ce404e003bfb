"""Networks as programs: C++ or CUDA projects that build with make and run without Python."""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from brian2.core.network import Network
from brian2.core.preferences import prefs
from brian2.devices.cpp_standalone.device import CPPStandaloneDevice
from brian2.units.allunits import second
from brian2.units.fundamentalunits import Quantity

from neurosnn.core.messages import did_you_mean, message
from neurosnn.core.values import Range, check_value, check_whole
from neurosnn.losses import as_loss
from neurosnn.model.timed import refuse_timed_arrays
from neurosnn.network import SpikingNetwork
from neurosnn.network.simulation import TrialTimes, read_inputs
from neurosnn.network.storage import network_description
from neurosnn.standalone.brian2_objects import plain_arrays, plain_source
from neurosnn.standalone.cuda import cuda_device, settings
from neurosnn.standalone.inputs import learning_description, write_inputs
from neurosnn.standalone.project import finish
from neurosnn.standalone.results import MANIFEST, Results, read_results
from neurosnn.standalone.sources import (
    Learning,
    data_arrays,
    for_duration,
    learning_source,
    network_source,
)

__all__ = ["Results", "export", "read_results", "write_inputs"]

# brian2.devices has an attribute of the same name, which hides its own module.
devices = importlib.import_module("brian2.devices.device")
DEVICES = ("cpp_standalone", "cuda_standalone")


def export(
    net: SpikingNetwork | Callable[[], Network],
    path: str | os.PathLike[str],
    *,
    device: str = "cpp_standalone",
    inputs: Any = None,
    duration: Quantity | None = None,
    rule: Any = None,
    loss: Any = "cross_entropy_per_step",
    optimizer: Any = None,
    batch_size: int = 1,
    epochs: int = 1,
    targets: Any = None,
    overwrite: bool = False,
    threads: int = 0,
    arch: str = "sm_80",
) -> Path:
    """Write a network as a project that builds with ``make`` and runs with ``./run``.

    The program reads its trials, weights and parameters when it starts: ``./run --input FOLDER
    --set hidden.tau_m=0.025 --out results``, all in SI units. :func:`write_inputs` writes other trials.

    Parameters
    ----------
    net : SpikingNetwork or function
        The network, whose present weights become the program's; or a function without arguments
        that makes Brian2 objects and returns a ``brian2.Network`` of them, plastic synapses included.
        Its SpikeGeneratorGroups and TimedArrays become input files, its monitors and the
        variables of its synapses results.
    path : str or Path
        Folder of the project. It must not exist yet; it appears when everything is written.
    device : {"cpp_standalone", "cuda_standalone"}, optional
        C++ for any machine, or CUDA (needs the extra ``neurosnn[cuda]``, but no GPU).
    inputs : trial or trials, optional
        As for ``net.brian2``: one trial or many, run one after the other.
    duration : Quantity (second), optional
        Time to simulate, for no inputs, a single trial or a function; else the length of the trials.
    rule : EProp, optional
        Let the program learn from the trials: online e-prop in every synapse, with the
        learning signal, the updates and the loss as in ``OnlineTraining``. Results are the weights.
    loss : Loss or str, optional
        For a rule: "cross_entropy_per_step" or "mean_square".
    optimizer : SGD or Adam, optional
        For a rule: ``Adam(1e-3)`` if None.
    batch_size, epochs : int, optional
        For a rule: trials of an update, and how often the program goes through all trials.
    targets : ndarray (n_steps, n_outputs) or (n_trials, n_steps, n_outputs), optional
        For a rule with a mean square error.
    overwrite : bool, optional
        Replace an existing folder if it is such a project; nothing else is ever replaced.
    threads : int, optional
        OpenMP threads of the program; 0: none, the only choice that is tested to be bit-equal.
    arch : str, optional
        Architecture of the GPU, for CUDA: "sm_80" is an A100.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ValueError
        If the device is unknown, neither inputs nor a duration is given, or options do not fit.
    TypeError
        If `net` is neither a network nor a function that makes one.
    FileExistsError
        If there is something at `path` that may not be replaced.
    ImportError
        If brian2cuda is not installed.

    Notes
    -----
    The program computes in float64 without fast math, like ``net.brian2``, and its spikes equal those.
    ``make FAST_MATH=-ffast-math`` reorders sums: results differ by rounding, and in the long run
    spikes may. A CUDA program adds the spikes of a step in any order, with the same effect; the
    projects of all named models and rules were run on a GPU and equal the C++ ones
    (``tools/gpu_check_exports.py``).
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
    check_whole("threads", threads, 0, where="export")
    learning = _learning(net, rule, loss, optimizer, batch_size)
    if learning is not None:
        check_whole("epochs", epochs, 1, where="export")
        inputs, targets = _repeat(inputs, targets, epochs)
    make, arrays, description, text = _parts_of_project(net, inputs, duration, learning, targets)
    cuda = device == "cuda_standalone"
    folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part"))
    try:
        with _standalone(cuda, arch, threads) as target:
            if isinstance(net, SpikingNetwork):
                target.defaultclock.dt = net.dt
                target.seed(net.seed)
            source = make()
            source.note_defaults(target)
            source.network.run(source.duration, namespace={})
            target.build(directory=str(folder), compile=False, run=False, with_output=False)
            source.note_timed(target)
            arrays = arrays(source) if callable(arrays) else {**arrays, **source.arrays}
            known = {"trials", *source.timed, *(value.file for value in source.values)}
            known |= {f"{group.name}.{k}" for group in source.generators for k in "it"}
            finish(
                source,
                folder,
                target,
                device=device,
                arch=arch,
                threads=threads,
                name=path.name,
                arrays={file: array for file, array in arrays.items() if file in known},
                description=description,
                text=text,
            )
        folder.chmod(0o755)
        _move(folder, path)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return path


def _parts_of_project(
    net: Any, inputs: Any, duration: Any, learning: Learning | None, targets: Any
) -> tuple:
    """A function that makes the objects, the input files, the manifest's entries, and a text."""
    if isinstance(net, SpikingNetwork):
        described = None if learning is None else learning_description(learning)
        description = {"network": network_description(net), "learning": described}
        title = " - ".join(layer.model.name for layer in net.layers)
        if learning is not None:
            _refuse_trials_of_arrays(net)
            period = read_inputs(net, inputs, idle=1).trial_times.period
            return (
                lambda: learning_source(net, inputs, learning, targets),
                data_arrays(net, inputs, period, learning, targets),
                description,
                f"{title}, learning with {learning.rule!r} and {learning.optimizer!r}\n{net!r}",
            )
        trial_times = _trial_times(net, inputs, duration)
        several = len(trial_times.n_steps) > 1
        if several:
            _refuse_trials_of_arrays(net)
        arrays = data_arrays(net, inputs, trial_times.period if several else 0)
        if not several:
            arrays = for_duration(arrays, trial_times.period)
        make = functools.partial(network_source, net, inputs, trial_times)
        return make, arrays, description, f"{title}\n{net!r}"
    if not callable(net) or isinstance(net, type):
        raise TypeError(
            message(
                f"net must be a SpikingNetwork or a function, got {type(net).__name__}.",
                "export",
                "Brian2 objects must be made for the program, so existing ones cannot be used.",
                "Write a function that makes them and returns a brian2.Network.",
            )
        )
    if duration is None or inputs is not None:
        raise ValueError(
            message(
                "a function needs a duration and no inputs.",
                "export",
                "Its inputs are the SpikeGeneratorGroups and TimedArrays that it makes.",
                "Pass duration=1*second.",
            )
        )
    check_value("duration", duration, Range(0 * second), where="export")
    title = getattr(net, "__name__", "network")
    description = {"network": None, "learning": None}
    return lambda: plain_source(net, duration), plain_arrays, description, f"{title} (Brian2)"


def _refuse_trials_of_arrays(net: SpikingNetwork) -> None:
    """A program reads a TimedArray at the time since it started."""
    for part in (*net.layers, net.readout):
        refuse_timed_arrays(
            part.model,
            why="A program reads it at the time since it started, and its trials begin one after the other.",
            fix="Export a single trial without a rule, and start the program once for each trial.",
        )


def _learning(net: Any, rule: Any, loss: Any, optimizer: Any, batch_size: int) -> Learning | None:
    if rule is None:
        return None
    if not isinstance(net, SpikingNetwork):
        raise ValueError(
            message(
                "a rule is given with a function.",
                "export",
                "What the function makes learns as its own synapses say.",
                "Leave rule out, and make plastic synapses in the function.",
            )
        )
    from neurosnn.training.optimizers import Adam

    return Learning(rule, as_loss(loss), optimizer or Adam(1e-3), batch_size)


def _repeat(inputs: Any, targets: Any, epochs: int) -> tuple[Any, Any]:
    """All trials as often as there are epochs."""
    if inputs is None:
        raise ValueError(
            message(
                "a rule is given without trials.", "export", "", "Pass inputs=train, with labels."
            )
        )
    if epochs == 1:
        return inputs, targets
    n = len(inputs)
    if targets is not None and np.ndim(targets) == 3:
        targets = np.concatenate([targets] * epochs)
    return inputs[np.tile(np.arange(n), epochs)], targets


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


def _trial_times(net: SpikingNetwork, inputs: Any, duration: Quantity | None) -> TrialTimes:
    trial_times = net.trial_times(inputs)
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
        return trial_times
    if len(trial_times.n_steps) > 1:
        raise ValueError(
            message(
                f"a duration is given with {len(trial_times.n_steps)} trials.",
                "export",
                "Trials have their own length.",
                "Leave duration out, or export a single trial.",
            )
        )
    steps = net.steps(duration)
    return TrialTimes(np.array([steps]), steps, net.dt)


@contextlib.contextmanager
def _standalone(cuda: bool, arch: str, threads: int = 0) -> Iterator[Any]:
    """A standalone device of our own as the active one; Brian2 is as before afterwards."""
    wanted = settings(arch) if cuda else {}
    wanted |= {
        "codegen.cpp.include_dirs": [],
        "codegen.cpp.library_dirs": [],
        "codegen.cpp.runtime_library_dirs": [],
        "devices.cpp_standalone.openmp_threads": threads,
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
