"""Networks in npz files: arrays and one JSON text, no pickle, written at once or not at all."""

from __future__ import annotations

import math
import zipfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from brian2.input.timedarray import TimedArray
from brian2.units.allunits import second
from brian2.units.fundamentalunits import Quantity

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
from neurosnn.model import NeuronModel, PlasticityRule
from neurosnn.model.plain_data import plain_fields
from neurosnn.network.connection import Connection
from neurosnn.network.parts import Input, Layer, Population, Readout
from neurosnn.network.poisson_drive import PlacedDrive, PoissonDrive
from neurosnn.network.projection import Projection
from neurosnn.network.wiring import check_array

if TYPE_CHECKING:
    from neurosnn.network.network import SpikingNetwork

__all__ = ["load_network", "save_network", "timed_arrays", "versions"]

#: A stack has version 1, so that earlier programs read it; a graph has version 2, with synapses that
#: have states version 3, with named inputs or Poisson spikes from outside version 4, and any network whose
#: models read TimedArrays version 5.
FORMAT, STACK, GRAPH, STATES, OUTSIDE, TIMED = "neurosnn network", 1, 2, 3, 4, 5
MAX_BYTES = 8 * 2**30
#: Largest number of neurons or channels of a part: a file of a few bytes can claim any.
MAX_NEURONS = 2**24


def versions() -> dict[str, str]:
    """Versions of what computes the numbers."""
    return {name: metadata.version(name) for name in ("neurosnn", "brian2", "numpy")}


def timed_arrays(net: SpikingNetwork) -> dict[str, TimedArray]:
    """The TimedArrays that the models of a network read, by the names of their files.

    Parameters
    ----------
    net : SpikingNetwork
        The network.

    Returns
    -------
    dict of str to TimedArray
        "hidden.timed.I_ext", and so on.
    """
    models = {layer.name: layer.model for layer in net.layers} | {"readout": net.readout.model}
    return {
        f"{name}.timed.{key}": array
        for name, model in models.items()
        for key, array in model.timed_arrays.items()
    }


def save_network(net: SpikingNetwork, path: str | Path) -> None:
    """Write a network; see `SpikingNetwork.save`."""
    arrays = dict(net.parameters)
    for name, connection in net.connections.items():
        arrays[f"{name}.w"] = connection.w
        parts = {"mask": connection.mask, "pre": connection.pre, "post": connection.post}
        if connection.synaptic:
            parts["delay_steps"] = connection.fixed_delay
        arrays |= {f"{name}.{key}": array for key, array in parts.items() if array is not None}
    timed = {name: array.values for name, array in timed_arrays(net).items()}
    states = any(projection.synapse is not None for projection in net.projections)
    version = STACK if net.is_stack else STATES if states else GRAPH
    version = OUTSIDE if net.drives or _named(net) else version
    version = TIMED if timed else version
    information = {
        "format": FORMAT,
        "version": version,
        "versions": versions(),
        **network_description(net),
    }
    write_arrays(path, arrays | timed, information)


def network_description(net: SpikingNetwork) -> dict:
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
        **(
            {"inputs": [[name, int(entry.n)] for name, entry in net.inputs.items()]}
            if _named(net)
            else {}
        ),
        "layers": [_population(layer) for layer in net.layers],
        **({} if net.is_stack else {"projections": [_projection(net, p) for p in net.projections]}),
        **({"drives": [_drive(placed) for placed in net.drives]} if net.drives else {}),
        "readout": {
            "n": int(net.readout.n),
            "bias": bool(net.readout.bias),
            "weight_scale": float(net.readout.weight_scale),
            "weight_mean": float(net.readout.weight_mean),
            "model": plain_fields(net.readout.model, _about_array),
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


def _about_array(array: TimedArray) -> dict:
    """A TimedArray without its values, which are an array of the file."""
    return {
        "shape": list(array.values.shape),
        "dimensions": [float(power) for power in array.dim._dims],
        "dt": float(array.dt),
    }


def _named(net: SpikingNetwork) -> bool:
    """Whether the input has other names than "input"."""
    return list(net.inputs) != ["input"]


def _population(population: Population) -> dict:
    plain = {
        "name": population.name,
        "n": int(population.n),
        "learn": list(population.learn),
        "model": plain_fields(population.model, _about_array),
    }
    if not isinstance(population, Layer):
        return plain
    return plain | {
        "recurrent": bool(population.recurrent),
        "delay": to_plain(population.delay),
        "connectivity": float(population.connectivity),
        "excitatory": None if population.excitatory is None else float(population.excitatory),
        "weight_scale": to_plain(population.weight_scale),
        "weight_mean": float(population.weight_mean),
    }


def _projection(net: SpikingNetwork, projection: Projection) -> dict:
    """A projection without what its arrays say: which synapses there are, and their weights."""
    connection = net.connections[projection.name]
    sign = None if projection.sign is None else np.asarray(projection.sign).tolist()
    delay = 0 * second if connection.synaptic else projection.delay
    return {
        "name": projection.name,
        "source": projection.source,
        "target": projection.target,
        "input": projection.input,
        "delay": to_plain(delay.ravel() if np.ndim(delay) else delay),
        "synaptic": connection.synaptic,
        "sign": sign,
        "autapses": bool(projection.autapses),
        "learn": list(projection.learn),
        "sparse": connection.sparse,
        # its values are in the order of the connection, as the arrays are
        **({} if connection.synapse is None else {"synapse": connection.synapse.to_dict()}),
    }


def _drive(placed: PlacedDrive) -> dict:
    drive = placed.drive
    return {
        "target": drive.target,
        "n": int(drive.n),
        "rate": to_plain(drive.rate),
        "weight": to_plain(drive.weight),
        "name": drive.name,
        "input": drive.input,
        "place": placed.place,
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
            return _read_archive(network, path, archive)
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


def _read_archive(
    network: type[SpikingNetwork], path: Path, archive: zipfile.ZipFile
) -> SpikingNetwork:
    try:
        entries = members(archive)
        data = read_information(archive, entries)
    except Damaged as error:
        raise _Refused(path, str(error).removeprefix("it ")) from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise _Refused(path, f"is not in the format {FORMAT!r}")
    if data["version"] not in (STACK, GRAPH, STATES, OUTSIDE, TIMED):
        readable = f"{STACK} to {TIMED}"
        raise _Refused(
            path, f"has format version {data['version']!r}, this program reads {readable}"
        )
    if (data["version"] == TIMED) != bool(_timed_arrays(path, data)):
        raise _Refused(path, "disagrees with itself about whether its models read TimedArrays")
    if data["version"] != TIMED:
        _check_version(path, data)
    expected = _expected_arrays(path, data)
    strange = sorted(set(entries) - {f"{name}.npy" for name in expected} - {INFORMATION})
    if strange:
        raise _Refused(path, f"holds something unknown: {strange[0]!r}")
    arrays = {}
    for name, (dtype, shape, optional) in expected.items():
        if f"{name}.npy" in entries:
            try:
                arrays[name] = read_member(archive, entries[f"{name}.npy"], dtype, shape)
            except Damaged as error:
                raise _Refused(path, str(error).removeprefix("it ")) from error
        elif not optional:
            raise _Refused(path, f"lacks the array {name!r}")
    return _build(network, path, data, arrays)


def _check_version(path: Path, data: dict) -> None:
    """A file without TimedArrays has the version of what else it holds."""
    if (data["version"] != STACK) != ("projections" in data):
        raise _Refused(path, "disagrees with itself about whether it is a graph")
    states = any("synapse" in projection for projection in data.get("projections", ()))
    if (data["version"] == OUTSIDE) != bool(data.get("drives") or "inputs" in data):
        raise _Refused(
            path, "disagrees with itself about named inputs or Poisson spikes from outside"
        )
    if data["version"] != OUTSIDE and (data["version"] == STATES) != states:
        raise _Refused(path, "disagrees with itself about whether its synapses have states")


def _timed_arrays(path: Path, data: dict) -> dict[str, tuple[Any, tuple[int, ...], bool]]:
    """Type and shape of the values of the models' TimedArrays."""
    arrays = {}
    for name, part in (*((p["name"], p) for p in data["layers"]), ("readout", data["readout"])):
        for key, about in part["model"].get("timed_arrays", {}).items():
            shape = tuple(about["shape"])
            if len(shape) not in (1, 2) or not all(type(n) is int and n > 0 for n in shape):
                raise _Refused(path, f"has {shape!r:.80} in place of rows and columns")
            arrays[f"{name}.timed.{key}"] = (np.float64, shape, False)
    return arrays


def _expected_arrays(path: Path, data: dict) -> dict[str, tuple[Any, tuple[int, ...], bool]]:
    """Type and shape of each array that belongs to the network, and whether it may be missing."""
    n_in, n_out = _count(path, data["input"]["n"]), _count(path, data["readout"]["n"])
    if "inputs" in data and sum(_count(path, n) for _, n in data["inputs"]) != n_in:
        raise _Refused(path, "disagrees with itself about the channels of its inputs")
    sizes = [_count(path, layer["n"]) for layer in data["layers"]]
    graph = "projections" in data
    shapes, sparse, connectivity = (_shapes_of_graph if graph else _shapes_of_stack)(
        data, n_in, sizes, n_out
    )
    if set(data["synapses"]) != {name for name, is_sparse in sparse.items() if is_sparse}:
        raise _Refused(path, "disagrees with itself about which connections are sparse")
    expected: dict[str, tuple[Any, tuple[int, ...], bool]] = {}
    for name, shape in shapes.items():
        if sparse.get(name):
            number = data["synapses"][name]
            if type(number) is not int or not 0 <= number <= math.prod(shape):
                raise _Refused(path, f"has {number!r:.80} in place of a number of synapses")
            # The synapses are drawn before they are replaced by those of the file.
            if not connectivity.get(name, 0) * math.prod(shape) <= 4 * number + 100_000:
                raise _Refused(path, f"disagrees with itself about how many synapses '{name}' has")
            expected[f"{name}.w"] = (np.float64, (number,), False)
            expected[f"{name}.pre"] = expected[f"{name}.post"] = (np.int32, (number,), False)
            continue
        expected[f"{name}.w"] = (np.float64, shape, False)
        expected[f"{name}.mask"] = (np.bool_, shape, True)
    expected |= _learned(data["input"], "input", n_in)
    for projection in data.get("projections", ()):
        name = projection["name"]
        size = (data["synapses"][name],) if projection["synaptic"] else shapes[name][:1]
        if projection["synaptic"]:
            expected[f"{name}.delay_steps"] = (np.int32, size, False)
        for key in projection["learn"]:
            if key not in ("w", "delay"):
                expected[f"{name}.{key}"] = (np.float64, (), False)
        if "delay" in projection["learn"]:
            expected[f"{name}.delay"] = (np.float64, size, False)
    for layer, n in zip(data["layers"], sizes, strict=True):
        expected |= _learned(layer, layer["name"], n)
    if data["readout"]["bias"]:
        expected["readout.b"] = (np.float64, (n_out,), False)
    expected |= _timed_arrays(path, data)
    total = sum(
        math.prod(shape) * np.dtype(dtype).itemsize for dtype, shape, _ in expected.values()
    )
    if total > MAX_BYTES:
        raise _Refused(path, f"claims arrays of {total / 2**30:.3g} GiB")
    return expected


def _shapes_of_stack(data: dict, n_in: int, sizes: list[int], n_out: int) -> tuple:
    """Shape of each connection, whether it is sparse, and how densely it is drawn."""
    several = len(sizes) > 1
    shapes: dict[str, tuple[int, int]] = {}
    sparse: dict[str, bool] = {}
    connectivity: dict[str, float] = {}
    for k, (layer, n) in enumerate(zip(data["layers"], sizes, strict=True), start=1):
        of_layer = {"input" if k == 1 else f"forward{k}": (n_in if k == 1 else sizes[k - 2], n)}
        if layer["recurrent"]:
            of_layer[f"recurrent{k}" if several else "recurrent"] = (n, n)
        sparse |= dict.fromkeys(of_layer, layer["connectivity"] < 1)
        connectivity |= dict.fromkeys(of_layer, layer["connectivity"])
        shapes |= of_layer | {f"readout{k}" if several else "readout": (n, n_out)}
    return shapes, sparse, connectivity


def _shapes_of_graph(data: dict, n_in: int, sizes: list[int], n_out: int) -> tuple:
    """The same of a graph, in which nothing is drawn."""
    number = {"readout": n_out, **dict(data.get("inputs", [["input", n_in]]))}
    number |= {layer["name"]: n for layer, n in zip(data["layers"], sizes, strict=True)}
    shapes = {p["name"]: (number[p["source"]], number[p["target"]]) for p in data["projections"]}
    return shapes, {p["name"]: bool(p["sparse"]) for p in data["projections"]}, {}


def _learned(part: dict, name: str, n: int) -> dict[str, tuple[Any, tuple[int, ...], bool]]:
    """Arrays of what is learned besides weights; one value for all neurons has no axis."""
    arrays = {}
    for key in part.get("learn", ()):
        value = part["delay"] if key == "delay" else part["model"]["parameters"][key]
        several = key == "delay" or np.ndim(from_plain(value)) > 0
        arrays[f"{name}.{key}"] = (np.float64, (n,) if several else (), False)
    return arrays


def _count(path: Path, value: Any) -> int:
    if type(value) is not int or not 1 <= value <= MAX_NEURONS:
        raise _Refused(path, f"has {value!r:.80} in place of a number of neurons")
    return value


def _build(
    network: type[SpikingNetwork], path: Path, data: dict, arrays: dict[str, np.ndarray]
) -> SpikingNetwork:
    entry = dict(data["input"])
    if "delay" in entry:  # earlier files have no delays of the input
        entry["delay"] = from_plain(entry["delay"])
    source: Any = Input(**entry)
    if "inputs" in data:
        source = {name: Input(n, real_valued=source.real_valued) for name, n in data["inputs"]}
    fields = dict(data["readout"])
    fields["model"] = _model("readout", fields["model"], arrays)
    readout = Readout(fields.pop("n"), **fields)
    settings = {"dt": from_plain(data["dt"]), "seed": data["seed"]}
    if "projections" in data:
        populations = {
            layer["name"]: Population(**_part(layer, arrays)) for layer in data["layers"]
        }
        projections: list[Any] = [
            _as_projection(entry, arrays, settings["dt"]) for entry in data["projections"]
        ]
        for entry in reversed(data.get("drives", [])):  # so that the places of the others stay
            fields = {key: value for key, value in entry.items() if key != "place"}
            fields |= {key: from_plain(entry[key]) for key in ("rate", "weight")}
            projections.insert(entry["place"], PoissonDrive(**fields))
        net = network.from_graph(populations, projections, readout, input=source, **settings)
    else:
        layers = [Layer(**_part(layer, arrays)) for layer in data["layers"]]
        net = network(source, *layers, readout, **settings)
    for name, connection in net.connections.items():
        mask = arrays.get(f"{name}.mask")
        if (mask is None) != (connection.mask is None):
            raise _Refused(path, f"disagrees with itself about which synapses of '{name}' exist")
        if [float(power) for power in connection.dimensions._dims] != data["units"][name]:
            raise _Refused(path, f"disagrees with itself about the unit of '{name}'")
        connection.mask = mask
        if connection.sparse and "projections" not in data:
            _wire(path, connection, arrays[f"{name}.pre"], arrays[f"{name}.post"])
        if not connection.plastic:
            check_array(f"{name}.w", arrays[f"{name}.w"], connection.w.shape, connection, str(path))
            np.copyto(connection.w, arrays[f"{name}.w"])
    net.set_parameters({name: array for name, array in arrays.items() if name in net.parameters})
    net.class_names = _class_names(path, data.get("class_names", []), net.readout.n)
    return net


def _model(name: str, fields: dict, arrays: dict[str, np.ndarray]) -> NeuronModel:
    """The model of a part, with the values of its TimedArrays."""
    timed = {
        key: {
            "values": {
                "value": arrays[f"{name}.timed.{key}"],
                "dimensions": about["dimensions"],
            },
            "dt": about["dt"],
        }
        for key, about in fields.get("timed_arrays", {}).items()
    }
    return NeuronModel.from_dict({**fields, "timed_arrays": timed})


def _part(layer: dict, arrays: dict[str, np.ndarray]) -> dict:
    """Arguments of a layer or population."""
    fields = {**layer, "model": _model(layer["name"], layer["model"], arrays)}
    return fields | {
        key: from_plain(fields[key]) for key in ("delay", "weight_scale") if key in fields
    }


def _as_projection(entry: dict, arrays: dict[str, np.ndarray], dt: Quantity) -> Projection:
    """A projection with the synapses of the file; its weights are overwritten."""
    fields = dict(entry)
    name = fields["name"]
    fields["delay"] = from_plain(fields["delay"])
    if fields.pop("sparse"):
        fields["connectivity"] = (arrays[f"{name}.pre"], arrays[f"{name}.post"])
        if np.ndim(fields["delay"]):  # of axons: beside arrays, (n,) are those of synapses
            fields["delay"] = fields["delay"][:, None]
    if "synapse" in fields:
        fields["synapse"] = PlasticityRule.from_dict(fields["synapse"])
    if fields.pop("synaptic"):
        fields["delay"] = arrays[f"{name}.delay_steps"] * dt
    return Projection(**fields)


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
