"""The checks that a NeuronModel makes when it is constructed."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy
from brian2.equations.equations import DIFFERENTIAL_EQUATION, PARAMETER, SUBEXPRESSION
from brian2.stateupdaters.base import StateUpdateMethod
from brian2.units.allunits import second
from brian2.units.fundamentalunits import DIMENSIONLESS, Quantity, get_dimensions
from brian2.utils.stringtools import get_identifiers

from neurosnn.core.messages import did_you_mean, message
from neurosnn.core.statements import split_statements, without_comments
from neurosnn.core.symbolic import expand, symbol, to_symbolic
from neurosnn.core.values import Range, check_ranges, check_value, unit_name
from neurosnn.model.namespace import (
    GROUP_NAMES,
    check_group_names,
    check_names,
    parse_equations,
)
from neurosnn.model.noise import check_noise
from neurosnn.model.subexpression_reads import check_subexpression_reads

if TYPE_CHECKING:
    from neurosnn.model.neuron import NeuronModel

__all__ = ["check_dt", "check_inputs", "check_parameters", "check_strings"]

NON_NEGATIVE_TIME = Range(0 * second, includes_low=True)


def check_parameters(model: NeuronModel) -> None:
    """Every parameter has a value of the right unit, in its range, and is used."""
    check_ranges(model.ranges, where=model.name)
    for name, value in model.parameters.items():
        check_value(name, value, model.ranges.get(name), where=model.name)
        if np.ndim(value) > 1:
            raise ValueError(
                message(
                    f"{name} has shape {np.shape(value)}.",
                    model.name,
                    "A parameter has one value, or one for each neuron.",
                    f"Give {name} one value or a one-dimensional array.",
                )
            )
    equations = parse_equations(model.equations, where=model.name)
    names = [*equations.names, *model.parameters, *model.timed_arrays]
    check_names(names, where=model.name)
    check_group_names(names, where=model.name)
    for name in model.parameters:
        if name in equations.names and equations[name].type != PARAMETER:
            raise ValueError(
                message(
                    f"'{name}' is given as a parameter but has an equation of its own.",
                    model.name,
                    "A value cannot be both.",
                    f"Use initial={{'{name}': value}} for its initial value.",
                )
            )
        if name in equations.names and equations[name].dim is not get_dimensions(
            model.parameters[name]
        ):
            raise ValueError(
                message(
                    f"{name} is declared in {unit_name(equations[name].dim)} but its value "
                    f"{model.parameters[name]} is not.",
                    model.name,
                    "",
                    f"Give {name} the unit of its declaration.",
                )
            )
        if (
            name in equations.names
            and "shared" in equations[name].flags
            and np.ndim(model.parameters[name])
        ):
            raise ValueError(
                message(
                    f"{name} is declared (shared) and given {np.size(model.parameters[name])} values.",
                    model.name,
                    "A shared parameter has one value for all neurons.",
                    f"Give {name} one value, or declare it without (shared).",
                )
            )
    undefined = [
        eq.varname
        for eq in equations.ordered
        if eq.type == PARAMETER and "constant" in eq.flags and eq.varname not in model.parameters
    ]
    if undefined:
        raise ValueError(
            message(
                f"the constant '{undefined[0]}' has no value.",
                model.name,
                "A model carries the value of each of its parameters.",
                f"Pass parameters={{'{undefined[0]}': value}}.",
            )
        )
    strings = [model.equations, model.threshold, model.reset, model.step, model.surrogate]
    strings += [v for v in (model.refractory, *model.initial.values()) if isinstance(v, str)]
    names_read = get_identifiers(" ".join(map(without_comments, strings)))
    for name in model.parameters:
        if name not in names_read:
            raise ValueError(
                message(
                    f"the parameter '{name}' is not used in any string.",
                    model.name,
                    "A value without effect is usually a misspelt name.",
                    did_you_mean(name, names_read),
                )
            )


def check_dt(model: NeuronModel, dt: Quantity, *, where: str) -> None:
    """Refuse another time step than the one that a model is meant for."""
    if model.dt is not None and not np.isclose(float(model.dt), float(dt), rtol=1e-12, atol=0):
        raise ValueError(
            message(
                f"the time step is {dt}, that of the model {model.name} {model.dt}.",
                where,
                "With another time step its neurons would spike at other times.",
                f"Pass dt={model.dt}, or change the model: dataclasses.replace(model, dt=None).",
            )
        )


def check_inputs(model: NeuronModel, *, where: str) -> None:
    """Refuse a model that spikes cannot reach."""
    if not model.inputs:
        raise ValueError(
            message(
                f"the model {model.name} has no inputs.",
                where,
                "Spikes must have a variable to add to.",
                "Name it in the model or at from_group, for example inputs=('v',).",
            )
        )


def check_strings(model: NeuronModel) -> None:
    """Every string has known names and consistent units, and the fields fit together."""
    names = model.namespace
    if model.method not in StateUpdateMethod.stateupdaters:
        raise ValueError(
            message(
                f"unknown integration method {model.method!r}.",
                model.name,
                "Brian2 integrates the equations with it.",
                did_you_mean(str(model.method), StateUpdateMethod.stateupdaters),
            )
        )
    for equation in model.brian_equations.ordered:
        if equation.expr is None:
            continue
        field = f"equation of {equation.varname}"
        if equation.type == DIFFERENTIAL_EQUATION:
            names.check_expression(equation.expr.code, equation.dim / second.dim, field=field)
        elif equation.var_type == "boolean":
            names.check_condition(equation.expr.code, field=field)
        else:
            names.check_expression(equation.expr.code, equation.dim, field=field)
    _check_exact(model)
    if model.threshold:
        names.check_condition(model.threshold, field="threshold")
    for field in ("step", "reset"):
        names.check_statements(getattr(model, field), field=field)
        _check_writes(model, field)
        check_subexpression_reads(model, field)
    check_noise(model)
    if isinstance(model.refractory, str):
        if names.dimensions_of(model.refractory, field="refractory") is not second.dim:
            names.check_condition(model.refractory, field="refractory")
    elif model.refractory is not False:
        check_value("refractory", model.refractory, NON_NEGATIVE_TIME, where=model.name)
    if model.reset and not model.threshold:
        raise ValueError(
            message(
                "a reset without a threshold.",
                model.name,
                "The reset is executed at a spike, and there is none.",
                "Add threshold='v > v_th' or remove the reset.",
            )
        )
    for field in ("inputs", "spike_gradient", "initial", "eligibility_bounds"):
        for name in getattr(model, field):
            if name not in model.states:
                raise ValueError(
                    message(
                        f"'{name}' in {field} is not a state of the model.",
                        model.name,
                        "Only a variable that changes during a run can stand there.",
                        did_you_mean(name, model.states),
                    )
                )
    if model.transmits and (not model.threshold or model.transmits not in model.states):
        raise ValueError(
            message(
                f"transmits={model.transmits!r} does not name a state that a spike could carry.",
                model.name,
                "A graded spike carries the value that a state of the neuron has at the threshold.",
                did_you_mean(model.transmits, model.states)
                if model.threshold
                else "Add threshold='abs(y) > 0'.",
            )
        )
    for name in model.spike_gradient:
        if not model.is_real(name):
            raise ValueError(
                message(
                    f"'{name}' in spike_gradient is {model.brian_equations[name].var_type}.",
                    model.name,
                    "It jumps, and no gradient goes through it.",
                    "Name states that are real numbers.",
                )
            )
    for name in model.inputs:
        if model.brian_equations[name].var_type != "float":
            raise ValueError(
                message(
                    f"the input '{name}' is {model.brian_equations[name].var_type}.",
                    model.name,
                    "Weights are real numbers that are added to it.",
                    "Declare it with a unit, for example 'I : 1'.",
                )
            )
    if model.dt is not None:
        check_value("dt", model.dt, Range(0 * second), where=model.name)
    for name, bound in model.eligibility_bounds.items():
        check_value(f"the eligibility bound of {name}", bound, Range(0), where=model.name)
    if model.surrogate:
        if not model.threshold:
            raise ValueError(
                message(
                    "a surrogate without a threshold.",
                    model.name,
                    "The pseudo-derivative belongs to a spike.",
                    "Remove the surrogate or add a threshold.",
                )
            )
        _check_surrogate(model, names.dimensions_of(model.surrogate, field="surrogate"))
    for name, value in model.initial.items():
        dimensions = model.dimensions[name]
        if isinstance(value, str):
            names.check_expression(value, dimensions, field=f"initial value of {name}")
            continue
        check_value(f"the initial value of {name}", value, where=model.name)
        if get_dimensions(value) is not dimensions:
            raise ValueError(
                message(
                    f"the initial value of {name} is {value}, but {name} is in "
                    f"{unit_name(dimensions)}.",
                    model.name,
                    "",
                    "Give it the unit of the state.",
                )
            )


def _check_exact(model: NeuronModel) -> None:
    """The method 'exact' needs equations that are linear in the variables they integrate."""
    equations = model.brian_equations
    noisy = any(equation.stochastic_variables for equation in equations.ordered)
    if model.method not in ("exact", "linear") or noisy:
        return
    integrated = {symbol(name) for name in equations.diff_eq_names}
    written_out = {
        equation.varname: equation.expr.code
        for equation in equations.ordered
        if equation.type == SUBEXPRESSION and equation.varname not in model.held
    }
    for equation in equations.ordered:
        if equation.type != DIFFERENTIAL_EQUATION:
            continue
        right_side = to_symbolic(expand(equation.expr.code, written_out)).expand()
        for term in sympy.Add.make_args(right_side):
            factors = [f for f in sympy.Mul.make_args(term) if f.free_symbols & integrated]
            if factors and not (len(factors) == 1 and factors[0] in integrated):
                names = sorted(str(name) for name in term.free_symbols & integrated)
                raise ValueError(
                    message(
                        f"the equation of {equation.varname} is not linear in {', '.join(names)}, as "
                        f"the method {model.method!r} needs it.",
                        model.name,
                        "Brian2 writes down the exact solution of linear equations only.",
                        "Pass method='exponential_euler' or 'euler'.",
                    )
                )


def _check_surrogate(model: NeuronModel, unit: Any) -> None:
    """The pseudo-derivative of a spike (or of what it carries) is per unit of the threshold's margin."""
    carried = model.dimensions[model.transmits] if model.transmits else DIMENSIONLESS
    for text in _sides_of(model.threshold):
        if not set(get_identifiers(text)) & set(model.states):
            continue
        margin = model.namespace.dimensions_of(text, field="threshold")
        if unit is carried / margin:
            return
        raise ValueError(
            message(
                f"the surrogate is {_per(unit, DIMENSIONLESS)}, and must be {_per(carried, margin)}.",
                model.name,
                "It is the derivative of a spike by the margin of the threshold.",
                "Divide it by a scale of the margin, for example "
                "'0.3*clip(1 - abs(v - v_th)/(10*mV), 0, 1)/(10*mV)'.",
            )
        )


def _per(above: Any, below: Any) -> str:
    """A unit as a fraction."""
    if below is DIMENSIONLESS:
        return "dimensionless" if above is DIMENSIONLESS else f"in {unit_name(above)}"
    top = "1" if above is DIMENSIONLESS else unit_name(above)
    return f"in {top}/{unit_name(below)}"


def _sides_of(condition: str) -> list[str]:
    """Left sides of the comparisons that a threshold joins by ``and``; nothing else is looked at."""
    tree = ast.parse(condition.strip(), mode="eval").body
    parts = tree.values if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And) else [tree]
    ordered = ast.Gt | ast.GtE | ast.Lt | ast.LtE
    return [
        ast.unparse(side)
        for part in parts
        if isinstance(part, ast.Compare) and len(part.ops) == 1 and isinstance(part.ops[0], ordered)
        for side in (part.left, part.comparators[0])
    ]


def _check_writes(model: NeuronModel, field: str) -> None:
    """Statements may change states only."""
    computed = model.brian_equations.subexpr_names
    statements = split_statements(getattr(model, field))
    for k, statement in enumerate(statements):
        name = statement.variable
        later = " ".join(str(following.expression) for following in statements[k + 1 :])
        if (
            name not in model.dimensions
            and name not in GROUP_NAMES
            and name not in get_identifiers(later)
        ):
            raise ValueError(
                message(
                    f"{field} gives a value to '{name}', which nothing reads: {str(statement)!r}.",
                    model.name,
                    "The model has no variable of that name.",
                    did_you_mean(name, model.states),
                )
            )
        if name in GROUP_NAMES or name in model.parameters or name in computed:
            raise ValueError(
                message(
                    f"{field} writes to '{name}': {str(statement)!r}.",
                    model.name,
                    "Its equation says what it is."
                    if name in computed
                    else "It does not change during a run.",
                    "Write to a state; a new one is declared in the equations, for example 'x : 1'.",
                )
            )
