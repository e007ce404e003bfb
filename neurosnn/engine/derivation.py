"""What was derived for a network, kept in the cache folder: a second start needs no sympy.

A file holds the pieces of C++ of all layers and the whole source, as JSON. It is found by a hash of
everything that the derivation reads: the models' strings, names and units, the wiring, the rule, and the
program itself with the versions of what it calls. Values of parameters and weights are not part of it:
they reach the compiled code at every call.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import brian2
import jinja2
import sympy

from neurosnn.core.files import atomic_file
from neurosnn.core.units import si_unit, to_plain
from neurosnn.engine.backward import Backward
from neurosnn.engine.build import cache_folder
from neurosnn.engine.codegen import LayerCode
from neurosnn.model import NeuronModel

__all__ = ["derivation_key", "determining_files", "read_derivation", "write_derivation"]

#: Modules and packages, below neurosnn, whose text determines the code that is generated.
DETERMINES = (
    "core/draws",
    "core/names",
    "core/statements",
    "core/symbolic",
    "core/units",
    "model",
    "calculus",
    "losses",
    "engine",
)
#: Fields of a model that hold values, or texts for people.
NOT_DERIVED_FROM = (
    "parameters",
    "initial",
    "ranges",
    "sources",
    "eligibility_bounds",
    "reference",
    "dt",
)


def derivation_key(
    models: dict[str, NeuronModel], *, backward: Backward | None = None, **settings: Any
) -> str:
    """Name of the file for a network.

    Parameters
    ----------
    models : dict of str to NeuronModel
        Layers and readout in their order.
    backward : Backward, optional
        The backward pass: its class, its templates and the files that it names.
    **settings
        All else that the source depends on, as JSON can hold it.

    Returns
    -------
    str
        Hexadecimal digits.
    """
    strings = {name: _strings(model) for name, model in models.items()}
    parts = [_program(), _backward(backward), list(strings.items()), settings]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]


def read_derivation(key: str) -> tuple[list[LayerCode], str] | None:
    """Layers and source that :func:`write_derivation` kept, None if there are none or they are broken."""
    try:
        data = json.loads(_file(key).read_text(encoding="utf-8"))
        return [_layer(fields) for fields in data["layers"]], str(data["source"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_derivation(key: str, layers: list[LayerCode], source: str) -> None:
    """Keep layers and source; two processes may do so at once.

    Parameters
    ----------
    key : str
        From :func:`derivation_key`.
    layers : list of LayerCode
        The pieces of all layers.
    source : str
        The C++ file made of them.
    """
    data = {"layers": [dataclasses.asdict(layer) for layer in layers], "source": source}
    with atomic_file(_file(key)) as file:
        file.write(json.dumps(data).encode())


def _file(key: str) -> Path:
    return cache_folder() / f"{key}.json"


def _strings(model: NeuronModel) -> dict[str, Any]:
    """All of a model that the derivation reads."""
    fields = {
        field.name: getattr(model, field.name)
        for field in dataclasses.fields(model)
        if field.name not in NOT_DERIVED_FROM
    }
    return fields | {
        "refractory": to_plain(model.refractory),
        "parameters": [
            (name, si_unit(model.dimensions[name]), model.per_neuron(name))
            for name in model.parameters
        ],
        "initial": {name: value for name, value in model.initial.items() if isinstance(value, str)},
        "timed_arrays": [
            (name, si_unit(array.dim), array.values.ndim)
            for name, array in model.timed_arrays.items()
        ],
    }


def _backward(backward: Backward | None) -> list[Any]:
    if backward is None:
        return []
    files = [fingerprint([file]) for file in backward.sources()]
    cls = type(backward)
    return [
        cls.__module__,
        cls.__qualname__,
        dict(backward.templates),
        list(backward.numbers),
        files,
    ]


@lru_cache(maxsize=1)
def _program() -> str:
    """Fingerprint of the program, since a version number stays the same while one works on it."""
    versions = [f"{package.__name__} {package.__version__}" for package in (brian2, sympy, jinja2)]
    return fingerprint(determining_files(), "\n".join(versions))


def determining_files(root: Path | None = None) -> list[Path]:
    """The files of neurosnn that determine generated code, besides those of a backward pass.

    Parameters
    ----------
    root : path, optional
        The package's folder, that of the running program if None.

    Returns
    -------
    list of Path
        In a fixed order. A house test holds that nothing else is imported by what derives code.
    """
    root = Path(__file__).parents[1] if root is None else root
    named = [root / f"{name}.py" for name in DETERMINES if (root / f"{name}.py").is_file()]
    folders = [root / name for name in DETERMINES if (root / name).is_dir()]
    return [
        *named,
        *(
            file
            for folder in folders
            for kind in ("*.py", "*.jinja")
            for file in sorted(folder.glob(kind))
        ),
    ]


def fingerprint(files: list[Path], text: str = "") -> str:
    """A hash of the names and contents of ``files``, and of a ``text``."""
    digest = hashlib.sha256(text.encode())
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _layer(fields: dict[str, Any]) -> LayerCode:
    """A LayerCode from JSON, which knows lists only."""
    layer = LayerCode(**fields)
    for field in dataclasses.fields(layer):
        value = getattr(layer, field.name)
        if str(field.type).startswith("tuple"):
            setattr(layer, field.name, tuple(value))
        elif isinstance(value, list):
            pairs = [tuple(entry) if isinstance(entry, list) else entry for entry in value]
            setattr(layer, field.name, pairs)
    return layer
