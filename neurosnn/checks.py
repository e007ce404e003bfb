"""Checks shared by models and rules: every name known, every unit right, every message useful.

A message answers four questions: what is wrong, where, why, and what to do about it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from brian2.codegen.translation import analyse_identifiers
from brian2.core.functions import DEFAULT_FUNCTIONS
from brian2.core.namespace import DEFAULT_CONSTANTS, DEFAULT_UNITS
from brian2.core.variables import Constant, Variable
from brian2.equations.equations import EquationError, Equations
from brian2.equations.unitcheck import check_units_statements
from brian2.parsing.expressions import is_boolean_expression, parse_expression_dimensions
from brian2.units.allunits import amp, farad, hertz, second, siemens, volt
from brian2.units.fundamentalunits import (
    DIMENSIONLESS,
    Dimension,
    DimensionMismatchError,
    Quantity,
    get_dimensions,
    get_unit_for_display,
)
from brian2.utils.stringtools import get_identifiers

from neurosnn.statements import plain_code, without_comments

#: Names that Brian2 defines in every group of neurons.
GROUP_NAMES = {"t": second.dim, "dt": second.dim, "i": DIMENSIONLESS, "N": DIMENSIONLESS}


def message(what: str, where: str, why: str, fix: str) -> str:
    """Join the four parts of an error message into one readable text."""
    return f"{where}: {what} {why} {fix}".replace("  ", " ").strip()


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggest the closest of the known names, or list them."""
    known = sorted(set(known))
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"Did you mean '{close[0]}'?"
    return f"Known names: {', '.join(known)}." if known else ""


def unit_name(dimensions: Dimension) -> str:
    """A unit as a neuroscientist writes it."""
    if dimensions is DIMENSIONLESS:
        return "dimensionless"
    return str(get_unit_for_display(dimensions))


_KINDS = {
    second.dim: ("a time", "ms"),
    volt.dim: ("a voltage", "mV"),
    amp.dim: ("a current", "nA"),
    siemens.dim: ("a conductance", "nS"),
    farad.dim: ("a capacitance", "pF"),
    hertz.dim: ("a rate", "Hz"),
    DIMENSIONLESS: ("dimensionless", "1"),
}


class Range(NamedTuple):
    """Allowed values of a parameter; its limits carry the unit that the parameter must have.

    Attributes
    ----------
    low : Quantity or float
        Smallest value.
    high : Quantity or float or None
        Largest value, itself allowed; None for no limit.
    includes_low : bool
        Whether `low` itself is allowed.
    """

    low: Quantity | float
    high: Quantity | float = None
    includes_low: bool = False


def check_value(name: str, value, allowed: Range | None = None, *, where: str) -> None:
    """Refuse a parameter of the wrong unit, a value that is not finite, or one out of range.

    Parameters
    ----------
    name : str
        Name of the parameter, for the message.
    value : Quantity or float or array
        The value to check.
    allowed : Range, optional
        Limits, whose unit the parameter must have.
    where : str
        The model or rule the parameter belongs to.

    Raises
    ------
    ValueError
        With the name, the value, the reason and a suggestion.
    TypeError
        If the value is not a number.
    """
    try:
        numbers, dimensions = np.asarray(value, dtype=float), get_dimensions(value)
    except (TypeError, ValueError) as error:
        raise TypeError(
            message(
                f"{name} must be a number or an array of numbers, got {value!r}.",
                where,
                "A parameter is a value with a unit.",
                f"Pass a number, for example {name}=1.0 or {name}=20*ms.",
            )
        ) from error
    if allowed is not None and dimensions is not get_dimensions(allowed.low):
        wanted = get_dimensions(allowed.low)
        kind, example = _KINDS.get(wanted, (f"in {unit_name(wanted)}", unit_name(wanted)))
        if dimensions is DIMENSIONLESS:
            got, fix = f"{value} (dimensionless)", f"Did you mean {name}={value}*{example}?"
        else:
            got, fix = str(value), f"Give a value that is {kind}."
        raise ValueError(message(f"{name} must be {kind}, got {got}.", where, "", fix))
    if not np.all(np.isfinite(numbers)):
        raise ValueError(
            message(
                f"{name} must be finite, got {value}.",
                where,
                "A state that is not finite spreads through the whole network.",
                "Check where the value comes from.",
            )
        )
    if allowed is None:
        return
    low, high = float(allowed.low), np.inf if allowed.high is None else float(allowed.high)
    too_low = numbers < low if allowed.includes_low else numbers <= low
    if np.any(too_low) or np.any(numbers > high):
        limits = f"{'>=' if allowed.includes_low else '>'} {allowed.low}"
        limits += f" and <= {allowed.high}" if allowed.high is not None else ""
        raise ValueError(
            message(
                f"{name} must be {limits}, got {value}.",
                where,
                "The equations have no meaning outside this range.",
                f"Choose {name} inside it.",
            )
        )


def check_rate_term(target, *strengths: float, where: str) -> None:
    """Refuse a firing-rate term whose target or strengths are negative."""
    not_negative = Range(0, includes_low=True)
    check_value("rate_target", target, Range(0 * hertz, includes_low=True), where=where)
    for strength in strengths:
        check_value("rate_strength", strength, not_negative, where=where)


def whole_steps(name: str, time, dt, *, where: str) -> int:
    """A time as a whole number of time steps, or an error."""
    check_value(name, time, Range(-np.inf * second), where=where)
    steps = float(time) / float(dt)
    if abs(steps - round(steps)) > 1e-6:
        raise ValueError(
            message(
                f"{name} = {time} is not a multiple of the time step {dt}.",
                where,
                "Spikes fall on time steps.",
                "Choose another dt.",
            )
        )
    return round(steps)


def parse_equations(text: str, *, where: str) -> Equations:
    """Parse Brian2 equations; Brian2's own complaint is passed on with the place it belongs to."""
    try:
        return Equations(text)
    except (EquationError, SyntaxError, ValueError, TypeError) as error:
        raise ValueError(
            message(
                f"the equations cannot be read: {error}",
                where,
                "They must be Brian2 equations, one per line, each ending in ': unit'.",
                "Example: dv/dt = -v/tau_m : volt.",
            )
        ) from error


def check_names(names: Iterable[str], *, where: str) -> None:
    """Refuse variable names that could not be used in a synapse."""
    for name in names:
        if name.endswith(("_pre", "_post")):
            raise ValueError(
                message(
                    f"the name '{name}' ends in '{name[name.rindex('_') :]}'.",
                    where,
                    "In a synapse Brian2 reads such a name as a variable of the connected group.",
                    "Choose another name, for example one that ends in '_plus' or '_minus'.",
                )
            )


class Namespace:
    """The variables that the strings of one model or rule may use, and how to check the strings.

    Parameters
    ----------
    dimensions : mapping of str to Dimension
        Every variable and its physical dimensions.
    booleans : iterable of str
        Those that are true or false.
    integers : iterable of str
        Those that are integer.
    scalars : iterable of str
        Those with one value for the whole group (shared parameters, t, dt).
    constants : iterable of str
        Those that do not change during a run.
    where : str
        What the strings belong to, for messages.
    """

    def __init__(
        self,
        dimensions: Mapping[str, Dimension],
        *,
        booleans: Iterable[str] = (),
        integers: Iterable[str] = (),
        scalars: Iterable[str] = (),
        constants: Iterable[str] = (),
        where: str,
    ):
        self.where = where
        booleans, integers = set(booleans), set(integers) | {"i", "N"}
        scalars, constants = set(scalars) | {"t", "dt", "N"}, set(constants) | {"dt", "N", "i"}
        self.variables = {
            name: Variable(
                name,
                dimensions=dim,
                dtype=bool if name in booleans else np.int32 if name in integers else np.float64,
                scalar=name in scalars,
                constant=name in constants,
                array=True,
            )
            for name, dim in {**GROUP_NAMES, **dimensions}.items()
        }

    def resolve(self, code: str, *, field: str, local: Iterable[str] = ()) -> dict:
        """The variables, functions, constants and units used in `code`, or an error on a name."""
        found = dict(self.variables)
        for name in get_identifiers(without_comments(code)):
            if name in found or name in local:
                continue
            if name in DEFAULT_FUNCTIONS:
                found[name] = DEFAULT_FUNCTIONS[name]
            elif name in DEFAULT_CONSTANTS:
                found[name] = DEFAULT_CONSTANTS[name]
            elif name in DEFAULT_UNITS:
                unit = DEFAULT_UNITS[name]
                found[name] = Constant(name, dimensions=unit.dim, value=float(unit))
            elif name not in ("and", "or", "not", "True", "False", "xi") and not name.startswith(
                "xi_"
            ):
                raise ValueError(
                    message(
                        f"unknown name '{name}' in {field}: {code.strip()!r}.",
                        self.where,
                        "Every name must be a state of the model, a parameter or known to Brian2.",
                        did_you_mean(name, self.variables)
                        + f" A parameter is declared with parameters={{'{name}': value}}.",
                    )
                )
        return found

    def dimensions_of(self, expression: str, *, field: str) -> Dimension:
        """Physical dimensions of an expression; an inconsistent one is refused."""
        variables = self.resolve(expression, field=field)
        try:
            return parse_expression_dimensions(expression, variables)
        except (DimensionMismatchError, SyntaxError, TypeError, ValueError) as error:
            raise self._inconsistent(expression, field, error) from error

    def check_expression(self, expression: str, dimensions: Dimension, *, field: str) -> None:
        """Refuse an expression whose dimensions are not the wanted ones."""
        found = self.dimensions_of(expression, field=field)
        if found is not dimensions:
            raise ValueError(
                message(
                    f"{field} has unit {unit_name(found)}, but must have {unit_name(dimensions)}: "
                    f"{expression.strip()!r}.",
                    self.where,
                    "Units must agree on both sides.",
                    "Check the units of the parameters in it.",
                )
            )

    def check_condition(self, expression: str, *, field: str) -> None:
        """Refuse a condition that is not true or false."""
        variables = self.resolve(expression, field=field)
        try:
            boolean = is_boolean_expression(expression, variables)
            if boolean:
                parse_expression_dimensions(expression, variables)
        except (DimensionMismatchError, SyntaxError, TypeError, ValueError) as error:
            raise self._inconsistent(expression, field, error) from error
        if not boolean:
            raise ValueError(
                message(
                    f"{field} is not a condition: {expression.strip()!r}.",
                    self.where,
                    "A spike is emitted when it is true.",
                    "Write a comparison, for example 'v > v_th'.",
                )
            )

    def check_statements(self, code: str, *, field: str) -> None:
        """Refuse statements with unknown names or inconsistent units."""
        if not code.strip():
            return
        try:
            created, _, _ = analyse_identifiers(code, self.variables)
        except (SyntaxError, ValueError, TypeError) as error:
            raise self._inconsistent(code, field, error) from error
        variables = self.resolve(plain_code(code), field=field, local=created)
        try:
            check_units_statements(code, variables)
        except (DimensionMismatchError, SyntaxError, TypeError, ValueError) as error:
            raise self._inconsistent(code, field, error) from error

    def _inconsistent(self, code: str, field: str, error: Exception) -> ValueError:
        return ValueError(
            message(
                f"{field} cannot be used: {code.strip()!r}: {error}",
                self.where,
                "Brian2 would refuse it when the simulation starts.",
                "Check spelling and units.",
            )
        )
