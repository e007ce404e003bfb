"""Networks in npz files: arrays and one JSON text, no pickle, written at once or not at all."""

from __future__ import annotations

import math
import zipfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurosnn.core.files import (
    INFORMATION,
    Damaged,
    members,
    read_information,
    read_member,
    write_arrays,
)
from neurosnn.core.messages import message
from neurosnn.core.texts import check_plain_text
from neurosnn.core.units import from_plain, to_plain
from neurosnn.model import NeuronModel
from neurosnn.network.connection import Connection
from neurosnn.network.parts import Input, Layer, Readout

if TYPE_CHECKING:
    from neurosnn.network.network import SpikingNetwork

__all__ = ["load_network", "save_network", "versions"]

FORMAT, VERSION = "neurosnn network", 1
MAX_BYTES = 8 * 2**30
#: Largest number of neurons or channels of a part: a file of a few bytes can claim any.
MAX_NEURONS = 2**24


def versions() -> dict[str, str]:
    """Versions of what computes the numbers."""
    return {name: metadata.version(name) for name in ("neurosnn", "brian2", "numpy")}


def save_network(net: SpikingNetwork, path: str | Path) -> None:
    """Write a network; see `SpikingNetwork.save`."""
    arrays = dict(net.parameters)
    for name, connection in net.connections.items():
        parts = {"mask": connection.mask, "pre": connection.pre, "post": connection.post}
        arrays |= {f"{name}.{key}": array for key, array in parts.items() if array is not None}
    information = {"format": FORMAT, "version": VERSION, "versions": versions(), **describe(net)}
    write_arrays(path, arrays, information)


def describe(net: SpikingNetwork) -> dict:
    """All of a network except its arrays, as plain strings and numbers."""
    return {
        "dt": to_plain(net.dt),
        "seed": net.seed,
        "input": {
            "n": int(net.input.n),
            "real_valued": bool(net.input.real_valued),
            "delay": to_plain(net.input.delay),
            "learn": list(net.input.learn),
        },
        "layers": [
            {
                "name": layer.name,
                "n": int(layer.n),
                "recurrent": bool(layer.recurrent),
                "delay": to_plain(layer.delay),
                "connectivity": float(layer.connectivity),
                "excitatory": None if layer.excitatory is None else float(layer.excitatory),
                "weight_scale": to_plain(layer.weight_scale),
                "weight_mean": float(layer.weight_mean),
                "learn": list(layer.learn),
                "model": layer.model.to_dict(),
            }
            for layer in net.layers
        ],
        "readout": {
            "n": int(net.readout.n),
            "bias": bool(net.readout.bias),
            "weight_scale": float(net.readout.weight_scale),
            "weight_mean": float(net.readout.weight_mean),
            "model": net.readout.model.to_dict(),
        },
        "synapses": {
            name: connection.n_synapses
            for name, connection in net.connections.items()
            if connection.sparse
        },
        "units": {
            name: [float(power) for power in connection.dimensions._dims]
            for name, connection in net.connections.items()
        },
        **({"class_names": list(net.class_names)} if net.class_names else {}),
    }


def load_network(network: type[SpikingNetwork], path: str | Path) -> SpikingNetwork:
    """Read a network of that class; see `SpikingNetwork.load`."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            message(
                "there is no such file.", str(path), "", "A network is written with net.save(path)."
            )
        )
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(network, path, archive)
    except _Refused as error:
        raise ValueError(str(error)) from error.__cause__
    except Exception as error:  # whatever a foreign file makes zip, JSON and Brian2 raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(str(_Refused(path, f"cannot be read as a network ({reason})"))) from error


class _Refused(Exception):
    """A file that is not a network, with its name and the reason."""

    def __init__(self, path: Path, what: str):
        text = message(
            f"the file {what}.",
            str(path),
            "It is truncated, was changed, or was written by another program.",
            "Save the network again with net.save(path).",
        )
        super().__init__(text)


def _read(network: type[SpikingNetwork], path: Path, archive: zipfile.ZipFile) -> SpikingNetwork:
    try:
        entries = members(archive)
        data = read_information(archive, entries)
    except Damaged as error:
        raise _Refused(path, str(error).removeprefix("it ")) from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise _Refused(path, f"is not in the format {FORMAT!r}")
    if data["version"] != VERSION:
        raise _Refused(
            path, f"has format version {data['version']!r}, this program reads {VERSION}"
        )
    wanted = _wanted(path, data)
    strange = sorted(set(entries) - {f"{name}.npy" for name in wanted} - {INFORMATION})
    if strange:
        raise _Refused(path, f"holds something unknown: {strange[0]!r}")
    arrays = {}
    for name, (dtype, shape, optional) in wanted.items():
        if f"{name}.npy" in entries:
            try:
                arrays[name] = read_member(archive, entries[f"{name}.npy"], dtype, shape)
            except Damaged as error:
                raise _Refused(path, str(error).removeprefix("it ")) from error
        elif not optional:
            raise _Refused(path, f"lacks the array {name!r}")
    return _build(network, path, data, arrays)


def _wanted(path: Path, data: dict) -> dict[str, tuple[Any, tuple[int, ...], bool]]:
    """Type and shape of each array that belongs to the network, and whether it may be missing."""
    n_in, n_out = _count(path, data["input"]["n"]), _count(path, data["readout"]["n"])
    sizes = [_count(path, layer["n"]) for layer in data["layers"]]
    several = len(sizes) > 1
    shapes: dict[str, tuple[int, int]] = {}
    sparse: dict[str, bool] = {}
    connectivity: dict[str, float] = {}
    for k, (layer, n) in enumerate(zip(data["layers"], sizes, strict=True), start=1):
        own = {"input" if k == 1 else f"forward{k}": (n_in if k == 1 else sizes[k - 2], n)}
        if layer["recurrent"]:
            own[f"recurrent{k}" if several else "recurrent"] = (n, n)
        sparse |= dict.fromkeys(own, layer["connectivity"] < 1)
        connectivity |= dict.fromkeys(own, layer["connectivity"])
        shapes |= own | {f"readout{k}" if several else "readout": (n, n_out)}
    if set(data["synapses"]) != {name for name, is_sparse in sparse.items() if is_sparse}:
        raise _Refused(path, "disagrees with itself about which connections are sparse")
    wanted: dict[str, tuple[Any, tuple[int, ...], bool]] = {}
    for name, shape in shapes.items():
        if sparse.get(name):
            number = data["synapses"][name]
            if type(number) is not int or not 0 <= number <= math.prod(shape):
                raise _Refused(path, f"has {number!r:.80} in place of a number of synapses")
            # The synapses are drawn before they are replaced by those of the file.
            if not connectivity[name] * math.prod(shape) <= 4 * number + 100_000:
                raise _Refused(path, f"disagrees with itself about how many synapses '{name}' has")
            wanted[f"{name}.w"] = (np.float64, (number,), False)
            wanted[f"{name}.pre"] = wanted[f"{name}.post"] = (np.int32, (number,), False)
            continue
        wanted[f"{name}.w"] = (np.float64, shape, False)
        wanted[f"{name}.mask"] = (np.bool_, shape, True)
    wanted |= _learned(data["input"], "input", n_in)
    for layer, n in zip(data["layers"], sizes, strict=True):
        wanted |= _learned(layer, layer["name"], n)
    if data["readout"]["bias"]:
        wanted["readout.b"] = (np.float64, (n_out,), False)
    total = sum(math.prod(shape) * np.dtype(dtype).itemsize for dtype, shape, _ in wanted.values())
    if total > MAX_BYTES:
        raise _Refused(path, f"claims arrays of {total / 2**30:.3g} GiB")
    return wanted


def _learned(part: dict, name: str, n: int) -> dict[str, tuple[Any, tuple[int, ...], bool]]:
    """Arrays of what is learned besides weights; one value for all neurons has no axis."""
    found = {}
    for key in part.get("learn", ()):
        value = part["delay"] if key == "delay" else part["model"]["parameters"][key]
        several = key == "delay" or np.ndim(from_plain(value)) > 0
        found[f"{name}.{key}"] = (np.float64, (n,) if several else (), False)
    return found


def _count(path: Path, value: Any) -> int:
    if type(value) is not int or not 1 <= value <= MAX_NEURONS:
        raise _Refused(path, f"has {value!r:.80} in place of a number of neurons")
    return value


def _build(
    network: type[SpikingNetwork], path: Path, data: dict, arrays: dict[str, np.ndarray]
) -> SpikingNetwork:
    layers = []
    for entry in data["layers"]:
        fields = dict(entry)
        model = NeuronModel.from_dict(fields.pop("model"))
        fields["delay"] = from_plain(fields["delay"])
        fields["weight_scale"] = from_plain(fields["weight_scale"])
        layers.append(Layer(model, fields.pop("n"), **fields))
    readout = dict(data["readout"])
    readout["model"] = NeuronModel.from_dict(readout["model"])
    entry = dict(data["input"])
    if "delay" in entry:  # earlier files have no delays of the input
        entry["delay"] = from_plain(entry["delay"])
    net = network(
        Input(**entry),
        *layers,
        Readout(readout.pop("n"), **readout),
        dt=from_plain(data["dt"]),
        seed=data["seed"],
    )
    for name, connection in net.connections.items():
        mask = arrays.get(f"{name}.mask")
        if (mask is None) != (connection.mask is None):
            raise _Refused(path, f"disagrees with itself about which synapses of '{name}' exist")
        if [float(power) for power in connection.dimensions._dims] != data["units"][name]:
            raise _Refused(path, f"disagrees with itself about the unit of '{name}'")
        connection.mask = mask
        if connection.sparse:
            _wire(path, connection, arrays[f"{name}.pre"], arrays[f"{name}.post"])
    net.set_parameters({name: array for name, array in arrays.items() if name in net.parameters})
    net.class_names = _class_names(path, data.get("class_names", []), net.readout.n)
    return net


def _class_names(path: Path, names: Any, n_out: int) -> tuple[str, ...]:
    """What the outputs mean, if the file says it."""
    if not isinstance(names, list) or len(names) > n_out:
        raise _Refused(path, "has something else in place of the names of its classes")
    for name in names:
        check_plain_text(name, field="the name of a class", where=str(path), longest=1000)
    return tuple(names)


def _wire(path: Path, connection: Connection, pre: np.ndarray, post: np.ndarray) -> None:
    """Replace the synapses that the seed draws: another version of numpy may draw others."""
    n_pre, n_post = connection.shape
    inside = (pre >= 0) & (pre < n_pre) & (post >= 0) & (post < n_post)
    if connection.source == connection.target:
        inside &= pre != post
    ascending = np.diff(pre.astype(np.int64) * n_post + post) > 0
    if not (np.all(inside) and np.all(ascending)):
        raise _Refused(path, f"holds synapses of '{connection.name}' that cannot be")
    connection.pre, connection.post, connection.w = pre, post, np.zeros(len(pre))
