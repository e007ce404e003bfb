"""Recipes: a training described by a TOML file, for the command line and for sharing."""

from __future__ import annotations

import inspect
import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from brian2.core.namespace import DEFAULT_UNITS
from brian2.units.allunits import msecond
from brian2.units.fundamentalunits import Quantity

from neurosnn import data, equations
from neurosnn.core.messages import did_you_mean, message
from neurosnn.core.texts import check_plain_text
from neurosnn.network import Input, Layer, Readout, SpikingNetwork
from neurosnn.rules import NAMED
from neurosnn.training import Trainer
from neurosnn.training.optimizers import Adam

__all__ = ["Recipe", "built_in", "load_recipe", "quantity"]

DATA = ("spoken_digits", "digits_8x8")
#: What a recipe may say, and which of it it must.
FIELDS = {
    "data": {"name": False, "path": False, "test": False, "test_fraction": False, "limit": False},
    "network": {"neuron": True, "n": True, "recurrent": False, "tau_readout": False, "dt": False,
                "seed": False, "weight_scale": False, "parameters": False},
    "training": {"rule": True, "learning_rate": False, "epochs": True, "batch_size": False,
                 "seed": False, "options": False},
}  # fmt: skip
_NUMBER = (int | float, "a number")
_WHOLE = (int, "a whole number")
#: Of which type what a recipe says must be.
KINDS: dict[str, dict[str, tuple[Any, str]]] = {
    "data": {"limit": _WHOLE, "path": (str, "the path of a file"), "test": (str, "the path of a file"),
             "test_fraction": _NUMBER},
    "network": {"n": _WHOLE, "recurrent": (bool, "true or false"), "seed": _WHOLE,
                "weight_scale": _NUMBER, "parameters": (dict, "a table")},
    "training": {"learning_rate": _NUMBER, "epochs": _WHOLE, "batch_size": _WHOLE, "seed": _WHOLE,
                 "options": (dict, "a table")},
}  # fmt: skip


class Recipe(NamedTuple):
    """A checked recipe; its sections as dictionaries."""

    name: str
    title: str
    data: dict[str, Any]
    network: dict[str, Any]
    training: dict[str, Any]
    folder: Path = Path()

    def trials(self) -> tuple[Any, Any]:
        """Trials to train on and to test with."""
        if "path" in self.data:
            train, test = self._trials_of_files()
        elif self.data["name"] == "spoken_digits":
            train, test = data.spoken_digits()
        else:
            rng = np.random.default_rng(0)
            train, test = (
                data.encode_poisson(images, duration=50 * msecond, seed=int(rng.integers(2**31)))
                for images in data.digits_8x8()
            )
        limit = self.data.get("limit")
        return (train, test) if limit is None else (train[:limit], test[:limit])

    def _trials_of_files(self) -> tuple[Any, Any]:
        """Trials of the files that the recipe names, relative to its folder."""
        train = data.read_trials(self.folder / self.data["path"])
        if "test" in self.data:
            return train, data.read_trials(self.folder / self.data["test"])
        share = self.data.get("test_fraction", 0.2)
        return train.split(float(share), seed=self.training.get("seed", 0))

    def changed(self, **settings: Any) -> Recipe:
        """The recipe with other settings of the training; a seed holds for the network as well."""
        new = {name: value for name, value in settings.items() if value is not None}
        network = self.network | ({"seed": new["seed"]} if "seed" in new else {})
        training = self.training | new
        if training["rule"] != self.training["rule"]:  # they belong to the other rule
            training.pop("options", None)
        return self._replace(network=network, training=training)

    def build(self, train: Any) -> SpikingNetwork:
        """The network before training."""
        network = self.network
        values = {key: quantity(value, key) for key, value in network.get("parameters", {}).items()}
        model = _made(getattr(equations, network["neuron"]), values, f"recipe {self.name}")
        layer = Layer(
            model,
            network["n"],
            recurrent=network.get("recurrent", False),
            weight_scale=network.get("weight_scale", 1.0),
        )
        n_out = train.n_classes
        readout = Readout(n_out, tau=quantity(network.get("tau_readout", "20 ms"), "tau_readout"))
        return SpikingNetwork(
            Input(train.n_channels, real_valued=hasattr(train, "features")),
            layer,
            readout,
            dt=quantity(network.get("dt", "1 ms"), "dt"),
            seed=network.get("seed", 0),
        )

    def trainer(self, net: SpikingNetwork, **settings: Any) -> Trainer:
        """What trains it."""
        training = self.training
        rule = _made(NAMED[training["rule"]], training.get("options", {}), f"recipe {self.name}")
        optimizer = Adam(training.get("learning_rate", 1e-3))
        loss = "cross_entropy_per_step" if net.input.real_valued else "cross_entropy"
        return Trainer(
            net, rule, optimizer=optimizer, loss=loss, seed=training.get("seed", 0), **settings
        )


def _made(maker: Any, values: dict[str, Any], where: str) -> Any:
    """A model or rule with these settings, as far as it knows them."""
    known = inspect.signature(maker).parameters
    for name in values:
        if name not in known:
            what = f"{maker.__name__} has no '{name}'."
            raise ValueError(message(what, where, "", did_you_mean(name, known)))
    return maker(**values)


def built_in() -> dict[str, str]:
    """Names of the recipes that come with neurosnn, and their titles."""
    folder = resources.files("neurosnn.cli").joinpath("recipe_files")
    files = sorted(file.name for file in folder.iterdir() if file.name.endswith(".toml"))
    return {
        name[:-5]: tomllib.loads(folder.joinpath(name).read_text(encoding="utf-8"))["title"]
        for name in files
    }


def quantity(text: Any, name: str) -> Any:
    """A value with a unit from text such as ``"20 ms"``; numbers are left as they are.

    Parameters
    ----------
    text : str or float
        A number, or a number and the name of one of Brian2's units.
    name : str
        What it is, for the message.

    Returns
    -------
    Quantity or float
        The value; nothing in the text is run.

    Raises
    ------
    ValueError
        If it is neither.

    Examples
    --------
    >>> quantity("20 ms", "tau_m")
    20. * msecond
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        return text
    match = re.fullmatch(r"\s*([-+\d.]+(?:[eE][-+]?\d+)?)\s*\*?\s*([A-Za-z]\w*)?\s*", str(text))
    try:
        number, unit = match.groups()  # type: ignore[union-attr]
        return float(number) if unit is None else Quantity(float(number) * DEFAULT_UNITS[unit])
    except (ValueError, AttributeError, KeyError) as error:
        raise ValueError(
            message(
                f"{name} = {text!r} is not a value with a unit.",
                "recipe",
                "",
                f'Write a number and a unit of Brian2, for example {name} = "20 ms".',
            )
        ) from error


def load_recipe(recipe: str) -> Recipe:
    """Read and check a recipe.

    Parameters
    ----------
    recipe : str
        Name of one that comes with neurosnn, or the path of a TOML file.

    Returns
    -------
    Recipe
        With everything in it known.

    Raises
    ------
    ValueError
        If there is no such recipe, the file cannot be read, or something in it is not known.
    """
    name, place = recipe, Path()
    if recipe in built_in():
        folder = resources.files("neurosnn.cli").joinpath("recipe_files")
        text = folder.joinpath(f"{recipe}.toml").read_text(encoding="utf-8")
    else:
        path = Path(recipe)
        if not path.is_file():
            raise _refuse(name, "there is no such recipe.", did_you_mean(recipe, built_in()))
        name, place = path.stem, path.parent
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise _refuse(name, f"cannot be read: {error}.", "Pass a TOML file.") from error
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _refuse(name, f"is not TOML: {error}.", "Correct that line.") from error
    title = content.pop("title", name)
    try:
        check_plain_text(title, field="title", where=f"recipe {name}", longest=500)
    except TypeError as error:
        raise ValueError(str(error)) from error
    for section in content:
        if section not in FIELDS:
            raise _refuse(name, f"unknown section '{section}'.", did_you_mean(section, FIELDS))
    for section, fields in FIELDS.items():
        entries = content.get(section)
        if not isinstance(entries, dict):
            raise _refuse(name, f"the section [{section}] is missing.", "Write it.")
        for field in entries:
            if field not in fields:
                raise _refuse(
                    name, f"unknown '{field}' in [{section}].", did_you_mean(field, fields)
                )
        for field, needed in fields.items():
            if needed and field not in entries:
                raise _refuse(name, f"'{field}' is missing in [{section}].", "Write it.")
    _check_data(name, content["data"])
    for section, field, known in (
        *([("data", "name", DATA)] if "name" in content["data"] else []),
        ("network", "neuron", equations.__all__),
        ("training", "rule", NAMED),
    ):
        value = content[section][field]
        if not isinstance(value, str) or value not in known:
            raise _refuse(name, f"unknown {field} {value!r}.", did_you_mean(str(value), known))
    for section, kinds in KINDS.items():
        for field, (kind, wanted) in kinds.items():
            value = content[section].get(field)
            flag = isinstance(value, bool) and kind is not bool
            if value is not None and (flag or not isinstance(value, kind)):
                raise _refuse(name, f"{field} in [{section}] is {value!r}.", f"Write {wanted}.")
    return Recipe(name, title, content["data"], content["network"], content["training"], place)


def _check_data(name: str, section: dict[str, Any]) -> None:
    """Either an embedded data set or a file of the user."""
    if ("name" in section) == ("path" in section):
        known = ", ".join(DATA)
        what = "'name' and 'path' are" if "name" in section else "'name' is"
        fix = f'Write name = (one of {known}), or path = "trials.npz" (npz, h5, nwb and others).'
        missing = "both given" if "name" in section else "missing"
        raise _refuse(name, f"{what} {missing} in [data].", fix)
    if "path" not in section and {"test", "test_fraction"} & set(section):
        raise _refuse(name, "'test' needs 'path'.", "Leave it out.")
    if {"test", "test_fraction"} <= set(section):
        raise _refuse(name, "'test' and 'test_fraction' are both given.", "Leave one out.")


def _refuse(name: str, what: str, fix: str) -> ValueError:
    return ValueError(message(what, f"recipe {name}", "", fix))
