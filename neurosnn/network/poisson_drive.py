"""Poisson spikes from outside the network: Brian2's PoissonInput as a part of a graph."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from brian2.units.allunits import hertz
from brian2.units.fundamentalunits import Quantity, get_dimensions

from neurosnn.core.arguments import explained
from neurosnn.core.binomial import Binomial
from neurosnn.core.draws import DRAWS_OF_A_LAYER
from neurosnn.core.messages import did_you_mean, message
from neurosnn.core.texts import check_identifier
from neurosnn.core.values import Range, check_value, check_whole, unit_name

if TYPE_CHECKING:
    from neurosnn.network.network import SpikingNetwork

__all__ = ["PlacedDrive", "PoissonDrive", "check_drives", "refuse_drives"]


@explained(
    target="PoissonDrive('E', 1000, 10*Hz, weight=0.1*mV)",
    n="PoissonDrive('E', 1000, 10*Hz, weight=0.1*mV)",
    rate="PoissonDrive('E', 1000, 10*Hz, weight=0.1*mV)",
)
@dataclasses.dataclass(frozen=True, eq=False)
class PoissonDrive:
    r"""Independent Poisson spikes that reach each neuron of a population: Brian2's ``PoissonInput``.

    In each step each neuron gets

    .. math::  x \mathrel{+}= w\,k, \qquad k \sim \mathrm{Binomial}(n, r\,\Delta t)

    in the slot of the synapses. Where :math:`n r \Delta t` and :math:`n (1 - r \Delta t)` exceed 5, Brian2
    draws k from a normal distribution of the same mean and variance, and so does this.

    Parameters
    ----------
    target : str
        Name of a population.
    n : int
        Sources of each neuron.
    rate : Quantity (hertz)
        Of each source.
    weight : float or Quantity
        What a spike adds, in the unit of the input variable; one value, or one for each neuron.
    name : str, optional
        "poisson_to_<target>" if None.
    input : str, optional
        The variable, one of the ``inputs`` of the target's model; the first one if None.

    Raises
    ------
    ValueError
        If a number is out of range; and, when a network is made of it, if there is no such population or
        input, the weight has another unit, or a source fires more than once a step.

    Notes
    -----
    Cost: one random number a neuron and step. Gradients go along the path, with the draws held: BPTT and
    EProp on the engine. The number of each neuron, step and trial follows from the network's seed
    (:class:`Draws`).

    Examples
    --------
    >>> from brian2 import Hz, mV
    >>> from neurosnn import PoissonDrive
    >>> PoissonDrive("E", 1000, 10*Hz, weight=0.1*mV).name
    'poisson_to_E'
    """

    target: str
    n: int
    rate: Quantity
    weight: Any = dataclasses.field(kw_only=True)
    name: str = dataclasses.field(default=None, kw_only=True)  # type: ignore[assignment]
    input: str | None = dataclasses.field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_identifier(self.target, field="the target", where="PoissonDrive")
        if self.name is None:
            object.__setattr__(self, "name", f"poisson_to_{self.target}")
        check_identifier(self.name, field="the name", where="PoissonDrive", longest=200)
        if self.input is not None:
            check_identifier(self.input, field="the input", where="PoissonDrive")
        check_whole("n", self.n, 1, where=self.where, why="It counts sources.")
        check_value("rate", self.rate, Range(0 * hertz, includes_low=True), where=self.where)
        if np.ndim(self.rate):
            raise ValueError(
                message(
                    f"rate has shape {np.shape(self.rate)}.",
                    self.where,
                    "All sources of all neurons have one rate, as in Brian2.",
                    "Make a drive for each rate, with weights that are zero in the other neurons.",
                )
            )
        check_value("weight", self.weight, where=self.where)

    @property
    def where(self) -> str:
        """What it is called in messages."""
        return f"PoissonDrive {self.name}"

    def binomial(self, dt: Quantity) -> Binomial:
        """The number of spikes of a neuron in a step."""
        return Binomial(int(self.n), float(self.rate) * float(dt))


class PlacedDrive(NamedTuple):
    """A drive of a network.

    Attributes
    ----------
    drive : PoissonDrive
        What it adds.
    place : int
        Number of the connection before whose spikes it arrives.
    number : int
        Which draws it gets: the last ones of its population, since those of its strings are the first.
    """

    drive: PoissonDrive
    place: int
    number: int

    def input_of(self, net: SpikingNetwork) -> str:
        """The variable that it adds to."""
        return self.drive.input or net.layer(self.drive.target).model.inputs[0]

    def weights(self, net: SpikingNetwork) -> np.ndarray:
        """One weight for each neuron, in SI values."""
        n = net.layer(self.drive.target).n
        return np.broadcast_to(np.asarray(self.drive.weight, dtype=float), (n,))

    def added(
        self, net: SpikingNetwork, key: np.ndarray, trial: int, steps: np.ndarray
    ) -> np.ndarray:
        """What it adds in some steps of a trial, (n_steps, n_neurons), in SI values."""
        weights = self.weights(net)
        counts = self.drive.binomial(net.dt).drawn(
            key, trial, steps[:, None], self.number, np.arange(len(weights))
        )
        return counts * weights


def check_drives(
    net: SpikingNetwork, drives: list[tuple[PoissonDrive, int]]
) -> tuple[PlacedDrive, ...]:
    """The drives of a network, with the draws that they get.

    Parameters
    ----------
    net : SpikingNetwork
        With its populations and time step.
    drives : list of (PoissonDrive, int)
        Each with its place among the connections.

    Returns
    -------
    tuple of PlacedDrive
        In the same order.

    Raises
    ------
    ValueError
        If one does not fit the population.
    """
    placed: list[PlacedDrive] = []
    index = {str(layer.name): k for k, layer in enumerate(net.layers)}
    for drive, place in drives:
        if drive.target not in index:
            raise ValueError(
                message(
                    f"there is no population '{drive.target}'.",
                    drive.where,
                    "",
                    did_you_mean(drive.target, index),
                )
            )
        model, n = net.layer(drive.target).model, net.layer(drive.target).n
        variable = drive.input or model.inputs[0]
        if variable not in model.inputs:
            raise ValueError(
                message(
                    f"'{variable}' is no input of {model.name}.",
                    drive.where,
                    "Spikes add to an input variable.",
                    did_you_mean(variable, model.inputs),
                )
            )
        if get_dimensions(drive.weight) is not model.dimensions[variable]:
            raise ValueError(
                message(
                    f"weight is in {unit_name(get_dimensions(drive.weight))}, and {variable} in "
                    f"{unit_name(model.dimensions[variable])}.",
                    drive.where,
                    "A spike adds the weight to the variable.",
                    "Give the weight that unit.",
                )
            )
        if np.shape(drive.weight) not in ((), (n,)):
            raise ValueError(
                message(
                    f"weight has shape {np.shape(drive.weight)} for {n} neurons.",
                    drive.where,
                    "There is one value, or one for each neuron.",
                    f"Give one value or an array of {n}.",
                )
            )
        if float(drive.rate) * float(net.dt) > 1:
            raise ValueError(
                message(
                    f"rate is {drive.rate}, and a step {net.dt}.",
                    drive.where,
                    "A source fires at most once a step.",
                    "Pass more sources n of a lower rate, or choose a smaller dt.",
                )
            )
        before = sum(entry.drive.target == drive.target for entry in placed)
        number = (index[drive.target] + 1) * DRAWS_OF_A_LAYER - 1 - before
        placed.append(PlacedDrive(drive, place, number))
    return tuple(placed)


def refuse_drives(net: SpikingNetwork, *, where: str, why: str, fix: str) -> None:
    """An error if a network has drives, with the reason ``why`` they cannot be had here."""
    if net.drives:
        raise ValueError(
            message(f"'{net.drives[0].drive.name}' is a PoissonDrive.", where, why, fix)
        )
