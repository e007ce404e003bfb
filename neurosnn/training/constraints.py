"""What a weight may be: bounds, the sign of its neuron (Dale's law), zero where there is no synapse."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from brian2.units.allunits import second
from brian2.units.fundamentalunits import DIMENSIONLESS, get_dimensions

from neurosnn.core.messages import did_you_mean, message
from neurosnn.core.values import unit_name

if TYPE_CHECKING:
    from neurosnn.network import SpikingNetwork

__all__ = ["Constraints"]

_WHERE = "Trainer"


class Constraints:
    """The limits of all weights of a network, applied after each update.

    Parameters
    ----------
    net : SpikingNetwork
        Its connections say where synapses are and which sign they have.
    bounds : tuple (low, high) or mapping of str to tuple, optional
        Limits of all weights, or by name or pattern ("recurrent*.w", "hidden.tau_m"); an exact name
        goes first. None is no limit; a number without a unit is an SI value. Other learned parameters
        always stay in the range of their model, time constants at dt or above, delays at zero or
        above.

    Raises
    ------
    ValueError
        What is not a pair of bounds; bounds of another unit, for an unknown name, or against Dale's law.

    Examples
    --------
    >>> from neurosnn import equations, Input, Layer, Readout, SpikingNetwork
    >>> net = SpikingNetwork(Input(4), Layer(equations.LIF(), 3, recurrent=True), Readout(2))
    >>> constraints = Constraints(net, {"input.w": (0, 0.5)})
    >>> net.parameters["input.w"][:] = -1
    >>> constraints.apply()
    >>> float(net.parameters["input.w"].max())
    0.0
    """

    def __init__(self, net: SpikingNetwork, bounds: Any = None):
        self.weights = {
            f"{name}.w": connection
            for name, connection in net.connections.items()
            if connection.plastic
        }
        self.others = {name: _Other(net, name) for name in net.learned}
        self.bounds = dict(self._read(bounds))

    def scale_of(self, name: str) -> float:
        """The SI value of the unit in which a parameter is optimized: 1, mV, nA, nS or ms."""
        from neurosnn.network.wiring import USUAL

        learned = self.weights.get(name) or self.others.get(name)
        if learned is None:
            return 1.0
        return 1e-3 if learned.dimensions is second.dim else USUAL.get(learned.dimensions, 1.0)

    def mask_gradient(self, gradient: dict[str, np.ndarray]) -> None:
        """Set the gradient of synapses that do not exist to zero, in place."""
        for name, connection in self.weights.items():
            if connection.mask is not None and name in gradient:
                # Not a product: what a backend leaves there may be nan.
                np.copyto(gradient[name], 0.0, where=~connection.mask)

    def apply(self) -> None:
        """Move every weight to the nearest allowed value, in place."""
        for name, connection in self.weights.items():
            low, high = self.bounds.get(name, (None, None))
            w = connection.w
            if low is not None or high is not None:
                np.clip(w, low, high, out=w)
            if connection.sign is not None:
                w[(w * connection.sign_of_weights) < 0] = 0.0
            if connection.mask is not None:
                np.copyto(w, 0.0, where=~connection.mask)
        for name, other in self.others.items():
            low, high = self.bounds.get(name, (None, None))
            np.clip(other.values, low, high, out=other.values)
            np.clip(other.values, other.low, other.high, out=other.values)

    def _read(self, bounds: Any):
        if bounds is None:
            return
        by_name = bounds if isinstance(bounds, Mapping) else {"*.w": bounds}
        limited = {**self.weights, **self.others}
        for key in by_name:
            if not fnmatch.filter(limited, key):
                raise ValueError(
                    message(
                        f"weight_bounds names '{key}', which is no weight of the network.",
                        _WHERE,
                        "A bound without effect is usually a misspelt name.",
                        did_you_mean(key, limited),
                    )
                )
        for name, connection in limited.items():
            keys = (
                [name] if name in by_name else [k for k in by_name if fnmatch.fnmatchcase(name, k)]
            )
            if keys:
                yield name, _limits(name, by_name[keys[0]], connection)


class _Other:
    """A learned array that is not a weight, and its limits."""

    mask = sign = None

    def __init__(self, net: SpikingNetwork, name: str):
        from neurosnn.network.wiring import range_of

        allowed = range_of(net, name)
        self.values = net.learned[name]
        self.dimensions = get_dimensions(allowed.low)
        self.low, self.high = float(allowed.low), np.inf
        if allowed.high is not None:
            self.high = float(allowed.high)
        if not allowed.includes_low and np.isfinite(self.low):
            # the range is open: a thousandth of the start is where it ends in practice
            self.low += 1e-3 * float(np.abs(self.values).mean())
        if self.dimensions is second.dim and not name.endswith(".delay"):
            self.low = max(self.low, float(net.dt))


def _limits(name: str, pair: Any, connection: Any) -> tuple[float | None, float | None]:
    """A pair of limits in SI values, checked against the unit and the sign of the weights."""
    try:
        low, high = pair
    except (TypeError, ValueError) as error:
        raise ValueError(
            message(
                f"the bounds of '{name}' must be two numbers, got {pair!r}.",
                _WHERE,
                "The first is the lower one, None is no limit.",
                "Write for example weight_bounds=(-1, 1).",
            )
        ) from error
    values = []
    for limit in (low, high):
        dimensions = DIMENSIONLESS if limit is None else get_dimensions(limit)
        if dimensions is not DIMENSIONLESS and dimensions is not connection.dimensions:
            raise ValueError(
                message(
                    f"the bound {limit} of '{name}' is not {unit_name(connection.dimensions)}.",
                    _WHERE,
                    "A weight has the unit of the variable that it adds to.",
                    "Give the bound that unit, or a plain SI value.",
                )
            )
        values.append(None if limit is None else float(np.asarray(limit, dtype=float)))
    low, high = values
    if any(limit is not None and np.isnan(limit) for limit in values) or (
        low is not None and high is not None and low > high
    ):
        raise ValueError(
            message(
                f"the bounds of '{name}' are {pair}.",
                _WHERE,
                "No weight lies between them.",
                "Give the lower one first.",
            )
        )
    signs = set() if connection.sign is None else set(np.unique(connection.sign).tolist())
    if (low is not None and low > 0 and -1 in signs) or (
        high is not None and high < 0 and 1 in signs
    ):
        raise ValueError(
            message(
                f"the bounds {pair} of '{name}' leave no weight for "
                f"{'inhibitory' if -1 in signs and low is not None and low > 0 else 'excitatory'} neurons.",
                _WHERE,
                "By Dale's law their weights have the sign of the neuron.",
                "Choose bounds that contain zero.",
            )
        )
    if connection.mask is not None and ((low or 0) > 0 or (high or 0) < 0):
        low_or_high = low if (low or 0) > 0 else high
        raise ValueError(
            message(
                f"the bound {low_or_high} of '{name}' excludes zero.",
                _WHERE,
                "Some of its synapses do not exist, and their weight is zero.",
                "Choose bounds that contain zero.",
            )
        )
    return low, high
