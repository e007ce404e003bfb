"""The names that the strings of a model may use, and checks of names and units in them."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from brian2.codegen.translation import analyse_identifiers
from brian2.core.functions import DEFAULT_FUNCTIONS, Function
from brian2.core.namespace import DEFAULT_CONSTANTS, DEFAULT_UNITS
from brian2.core.variables import Constant, Variable
from brian2.equations.equations import EquationError, Equations
from brian2.equations.unitcheck import check_units_statements
from brian2.parsing.expressions import is_boolean_expression, parse_expression_dimensions
from brian2.units.allunits import second
from brian2.units.fundamentalunits import (
    DIMENSIONLESS,
    Dimension,
    DimensionMismatchError,
)
from brian2.utils.stringtools import get_identifiers

from neurosnn.core.messages import did_you_mean, message
from neurosnn.core.statements import plain_code, without_comments
from neurosnn.core.texts import (
    check_equations_text,
    check_expression_text,
    check_statements_text,
)
from neurosnn.core.values import unit_name

#: Names that Brian2 defines in every group of neurons.
GROUP_NAMES = {"t": second.dim, "dt": second.dim, "i": DIMENSIONLESS, "N": DIMENSIONLESS}

#: What Brian2's groups and synapses use under this name themselves. They would ignore the delays of
#: synapses or an initial value in silence, or break off.
OWN_NAMES = frozenset(
    "add_to_magic_network before_run codeobj_class delay equations event_codes events indices lastspike "
    "method_choice namespace order resetter run_on_event set_event_schedule spikes spikespace start "
    "state state_updater stop subexpression_updater thresholder variables when".split()
)


def parse_equations(text: str, *, where: str) -> Equations:
    """Parse Brian2 equations; Brian2's own complaint is passed on with the place it belongs to."""
    check_equations_text(text, where=where)
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


def check_group_names(names: Iterable[str], *, where: str) -> None:
    """Refuse names of a neuron's variables that Brian2's own objects use for something else."""
    for name in names:
        if name in OWN_NAMES:
            raise ValueError(
                message(
                    f"a variable is called '{name}'.",
                    where,
                    "Brian2's groups or synapses use this name themselves and would mistake one for the "
                    "other: delays or initial values could be ignored without a word.",
                    f"Choose another name, for example '{name}_value'.",
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
    functions : mapping of str to Function
        What may be called besides Brian2's own functions.
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
        functions: Mapping[str, Function] = MappingProxyType({}),
        where: str,
    ):
        self.where = where
        booleans, integers = set(booleans), set(integers) | {"i", "N"}
        scalars, constants = set(scalars) | {"t", "dt", "N"}, set(constants) | {"dt", "N", "i"}
        self.variables: dict[str, Any] = dict(functions)
        self.variables |= {
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

    def with_variables(self, dimensions: Mapping[str, Dimension]) -> Namespace:
        """The same with further real variables, by their dimensions."""
        more = copy.copy(self)
        more.variables = Namespace(dimensions, where=self.where).variables | self.variables
        return more

    def resolve(self, code: str, *, field: str, local: Iterable[str] = ()) -> dict:
        """The variables, functions, constants and units used in `code`, or an error on a name."""
        variables = dict(self.variables)
        for name in get_identifiers(without_comments(code)):
            if name in variables or name in local:
                continue
            if name in DEFAULT_FUNCTIONS:
                variables[name] = DEFAULT_FUNCTIONS[name]
            elif name in DEFAULT_CONSTANTS:
                variables[name] = DEFAULT_CONSTANTS[name]
            elif name in DEFAULT_UNITS:
                unit = DEFAULT_UNITS[name]
                variables[name] = Constant(name, dimensions=unit.dim, value=float(unit))
            elif name == "xi" or name.startswith("xi_"):
                variables[name] = Variable(name, dimensions=second.dim**-0.5, dtype=np.float64)
            elif name not in ("and", "or", "not", "True", "False"):
                raise ValueError(
                    message(
                        f"unknown name '{name}' in {field}: {code.strip()!r}.",
                        self.where,
                        "Every name must be a state of the model, a parameter or known to Brian2.",
                        did_you_mean(name, self.variables)
                        + f" A parameter is declared with parameters={{'{name}': value}}.",
                    )
                )
        return variables

    def dimensions_of(self, expression: str, *, field: str) -> Dimension:
        """Physical dimensions of an expression; an inconsistent one is refused."""
        check_expression_text(expression, field=field, where=self.where)
        variables = self.resolve(expression, field=field)
        try:
            return parse_expression_dimensions(expression, variables)
        except (DimensionMismatchError, SyntaxError, TypeError, ValueError) as error:
            raise self._inconsistent(expression, field, error) from error

    def check_expression(self, expression: str, dimensions: Dimension, *, field: str) -> None:
        """Refuse an expression whose dimensions are not the wanted ones."""
        unit = self.dimensions_of(expression, field=field)
        if unit is not dimensions:
            raise ValueError(
                message(
                    f"{field} has unit {unit_name(unit)}, but must have {unit_name(dimensions)}: "
                    f"{expression.strip()!r}.",
                    self.where,
                    "Units must agree on both sides.",
                    "Check the units of the parameters in it.",
                )
            )

    def check_condition(self, expression: str, *, field: str) -> None:
        """Refuse a condition that is not true or false."""
        check_expression_text(expression, field=field, where=self.where)
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
        check_statements_text(code, field=field, where=self.where)
        if not code.strip():
            return
        try:
            created, _, _ = analyse_identifiers(plain_code(code), self.variables)
        except KeyError as error:
            raise ValueError(
                message(
                    f"unknown name {error} in {field}: {code.strip()!r}.",
                    self.where,
                    "Something is added to it before it has a value.",
                    did_you_mean(str(error.args[0]), self.variables),
                )
            ) from error
        except (SyntaxError, ValueError, TypeError) as error:
            raise self._inconsistent(code, field, error) from error
        variables = self.resolve(plain_code(code), field=field, local=created)
        try:
            check_units_statements(plain_code(code), variables)
        except (
            DimensionMismatchError,
            NotImplementedError,  # two calls of rand() in one expression
            SyntaxError,
            TypeError,
            ValueError,
        ) as error:
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
