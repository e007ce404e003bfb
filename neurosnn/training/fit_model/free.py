"""Free parameters: their bounds, the scale on which they are searched, and the model of many sets."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from brian2.units.fundamentalunits import Quantity, get_dimensions
from scipy.special import expit, logit

from neurosnn.core.messages import described, did_you_mean, message
from neurosnn.core.names import FreeNames
from neurosnn.core.units import si_unit
from neurosnn.core.values import unit_name
from neurosnn.model import NeuronModel
from neurosnn.model.namespace import parse_equations

__all__ = [
    "Free",
    "bounds_of",
    "fitted_model",
    "free_parameters",
    "model_of_sets",
    "parameters_of",
    "with_unit",
]

WHERE = "fit_model"
#: From this ratio of its bounds on, a positive parameter is searched on a logarithmic scale.
WIDE = 10.0
#: Farther out the logistic function cannot tell a value from its bound.
FARTHEST = 30.0


class Free(NamedTuple):
    """Free parameters and their bounds.

    A value lies at :math:`z = 1/(1 + e^{-u})` of the way from its lower to its upper bound, on a
    linear scale or, where the bounds are positive and ten times apart, on a logarithmic one. The search
    moves u, which has no bounds.

    Attributes
    ----------
    names : tuple of str
        As the user calls them; a state stands for its initial value.
    parameters : tuple of str
        The parameters of the model that they are.
    low, high : ndarray (P,)
        Bounds in SI units.
    logarithmic : ndarray (P,) of bool
        On which scale.
    """

    names: tuple[str, ...]
    parameters: tuple[str, ...]
    low: np.ndarray
    high: np.ndarray
    logarithmic: np.ndarray

    def values(self, u: np.ndarray) -> np.ndarray:
        """Values (..., P) in SI units."""
        return self.within(expit(u))

    def within(self, z: np.ndarray) -> np.ndarray:
        """Values (..., P) in SI units at fractions z of the way between the bounds."""
        wide = np.where(self.logarithmic, self.high / np.where(self.low == 0, 1, self.low), 1.0)
        low = np.where(self.logarithmic, self.low, 1.0)
        return np.where(self.logarithmic, low * wide**z, self.low + (self.high - self.low) * z)

    def slopes(self, u: np.ndarray) -> np.ndarray:
        """Derivatives of the values by u."""
        z = expit(u)
        ratio = np.where(self.logarithmic, self.high / np.where(self.low == 0, 1, self.low), np.e)
        by_z = np.where(self.logarithmic, self.values(u) * np.log(ratio), self.high - self.low)
        return by_z * z * (1 - z)

    @classmethod
    def between(cls, names: Iterable[str], parameters: Iterable[str], low: Any, high: Any) -> Free:
        """Parameters between bounds in SI units, on the scale that suits those."""
        low, high = np.array(low), np.array(high)
        wide = (low > 0) & (high >= WIDE * low)
        return cls(tuple(names), tuple(parameters), low, high, wide)

    def at(self, fractions: np.ndarray) -> np.ndarray:
        """The u of fractions z of the way between the bounds."""
        return np.clip(logit(fractions), -FARTHEST, FARTHEST)


def free_parameters(model: NeuronModel, free: Any, fixed: Iterable[str]) -> Free:
    """Check names and bounds.

    Parameters
    ----------
    model : NeuronModel
        The model.
    free : mapping of str to (low, high)
        As for :func:`fit_model`.
    fixed : iterable of str
        Variables that the currents set.

    Returns
    -------
    Free
        The free parameters.

    Raises
    ------
    ValueError
        For an unknown name, or bounds of another unit, in the wrong order or out of the model's range.
    """
    if not isinstance(free, Mapping) or not free:
        raise _error(
            f"free is {described(free)}.",
            "It says what is to be fitted, and between which bounds.",
            'Write for example free={"g_L": (1*nS, 100*nS)}.',
        )
    parameters = parameters_of(model, free, fixed, where=WHERE)
    ends = [
        bounds_of(
            name,
            bounds,
            model.dimensions[name],
            model.ranges.get(name),
            owner=model.name,
            where=WHERE,
        )
        for name, bounds in free.items()
    ]
    return Free.between(free, parameters, *zip(*ends, strict=True))


def parameters_of(
    model: NeuronModel, names: Iterable[str], fixed: Iterable[str], *, where: str
) -> list[str]:
    """Parameters that names stand for: a state stands for one that is its initial value.

    Parameters
    ----------
    model : NeuronModel
        The model.
    names : iterable of str
        Parameters and states.
    fixed : iterable of str
        Variables that the currents set.
    where : str
        For messages.

    Returns
    -------
    list of str
        In the order of the names.

    Raises
    ------
    ValueError
        For an unknown name.
    """
    fixed = set(fixed)
    known = [
        name for name in (*model.parameters, *model.states) if name not in fixed | {*model.held}
    ]
    taken = FreeNames({*model.dimensions, *model.namespace.variables})
    parameters = []
    for name in names:
        if name not in known:
            why = f"Only parameters of {model.name} are, and states for their initial values."
            if name in fixed:
                why = "The current sets it in every step."
            what = f"'{name}' cannot be fitted." if where == WHERE else f"'{name}' cannot be set."
            raise _error(what, why, did_you_mean(str(name), known), where)
        parameters.append(name if name in model.parameters else taken(f"initial_{name}"))
    return parameters


def bounds_of(
    name: str, bounds: Any, dim: Any, allowed: Any, *, owner: str, where: str
) -> tuple[float, float]:
    """Both bounds of a free parameter in SI units, checked.

    Parameters
    ----------
    name : str
        The parameter.
    bounds : (low, high)
        As the user gives them.
    dim : Dimension
        Its physical dimensions.
    allowed : Range or None
        Where it has a meaning.
    owner : str
        Name of the model or rule.
    where : str
        For messages.

    Returns
    -------
    (float, float)
        In SI units.

    Raises
    ------
    ValueError
        For bounds of another unit, in the wrong order or out of the range.
    """
    if not isinstance(bounds, list | tuple) or len(bounds) != 2 or any(map(np.ndim, bounds)):
        raise _error(
            f"the bounds of {name} are {described(bounds)}.",
            "A search needs the smallest and the largest value.",
            f'Write for example free={{"{name}": (low, high)}}.',
            where,
        )
    for value in bounds:
        if isinstance(value, str) or get_dimensions(value) is not dim:
            raise _error(
                f"a bound of {name} is {described(value)}.",
                f"The unit of {name} is {unit_name(dim)}.",
                "Give both bounds in it.",
                where,
            )
    low, high = float(bounds[0]), float(bounds[1])
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise _error(
            f"the bounds of {name} are {bounds[0]} and {bounds[1]}.",
            "There is nothing between them.",
            "Put a smaller finite number first, then a larger one.",
            where,
        )
    if allowed is not None:
        top = np.inf if allowed.high is None else float(allowed.high)
        if low < float(allowed.low) or high > top:
            raise _error(
                f"the bounds of {name} are {bounds[0]} and {bounds[1]}.",
                f"{owner} has no meaning where {name} is below {allowed.low}"
                + (f" or above {allowed.high}." if allowed.high is not None else "."),
                "Choose bounds inside.",
                where,
            )
    return low, high


def model_of_sets(model: NeuronModel, free: Free, clamped: Iterable[str]) -> NeuronModel:
    """The model with free parameters as arrays of one value, and variables that a current sets as states."""
    clamped = [name for name in clamped if name in model.parameters]
    for name, value in (*model.parameters.items(), *model.initial.items()):
        if np.size(value) > 1 and name not in clamped:
            raise _error(
                f"{name} has {np.size(value)} values.",
                "One neuron is fitted, and it has one value of each parameter.",
                f"Take one neuron: model.with_parameters({name}=...).",
            )
    declared = model.brian_equations
    in_equations = parse_equations(model.equations, where=model.name).names
    more = [f"{s} : {si_unit(declared[s].dim)}" for s in clamped if s not in in_equations]
    # a group of one neuron has arrays of one value
    parameters = {key: _one(value) for key, value in model.parameters.items() if key not in clamped}
    initial = {key: _one(value) for key, value in model.initial.items()}
    for name, parameter, low in zip(free.names, free.parameters, free.low, strict=True):
        dim = declared[name].dim
        parameters[parameter] = Quantity(np.array([low]), dim=dim)
        if parameter != name:
            initial[name] = parameter
    return dataclasses.replace(
        model,
        equations="\n".join([model.equations, *more]),
        parameters=parameters,
        initial=initial,
        ranges={key: value for key, value in model.ranges.items() if key not in clamped},
        sources={},
    )


def _one(value: Any) -> Any:
    """The value in an array of one."""
    return value[0] if np.ndim(value) else value


def fitted_model(model: NeuronModel, values: Mapping[str, Any]) -> NeuronModel:
    """The model with the values that were found, of parameters and of states at the beginning."""
    parameters, initial = dict(model.parameters), dict(model.initial)
    for name, value in values.items():
        (parameters if name in model.parameters else initial)[name] = value
    return dataclasses.replace(model, parameters=parameters, initial=initial)


def with_unit(value: Any, dim: Any) -> Any:
    """A number in SI units with its unit; plain without one."""
    return Quantity(value, dim=dim) if not dim.is_dimensionless else value


def _error(what: str, why: str, fix: str, where: str = WHERE) -> ValueError:
    return ValueError(message(what, where, why, fix))
