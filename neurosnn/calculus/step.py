r"""From the strings of a neuron to the derivatives of one step.

Let h be the state when the threshold is tested, z the spike, x the presynaptic input that arrives
after the threshold. One step of a stock Brian2 network maps

.. math::  h^{t+1} = U\left(R(h^t + B x^t, z^t)\right), \qquad z^t = H(g(h^t))

with the reset R, the state update and `step` code U, and the margin g of the threshold. With the
pseudo-derivative :math:`\psi \approx \partial z/\partial g` the total derivative of a step is

.. math::  \frac{dh^{t+1}}{dh^t} = M + Z\,\psi\,\nabla g^T, \qquad
   M = \frac{\partial U}{\partial h}\frac{\partial R}{\partial h}, \quad
   Z = \frac{\partial U}{\partial h}\frac{\partial R}{\partial z}

where dR/dz is kept for the variables named in the model's ``spike_gradient`` only. M, Z, :math:`\nabla g` and
the input vector :math:`b = \partial U/\partial h\,\partial R/\partial h\,B` are all that any rule
needs:

* e-prop, online: ``eps' = (M + Z psi grad_g^T) eps + b x``, ``e = psi grad_g . eps``;
* e-prop, factored: the transpose of the same map, run backwards in time;
* parameters: the partial derivatives of U, R and g.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import sympy
from brian2.equations.equations import (
    DIFFERENTIAL_EQUATION,
    SUBEXPRESSION,
    Equations,
    extract_constant_subexpressions,
)
from brian2.equations.refractory import add_refractoriness
from brian2.input.timedarray import TimedArray
from brian2.stateupdaters.base import StateUpdateMethod, UnsupportedEquationsException
from brian2.stateupdaters.GSL import GSLStateUpdater
from brian2.units.allunits import second
from brian2.units.fundamentalunits import Quantity
from brian2.utils.stringtools import get_identifiers, word_substitute

from neurosnn.calculus.chain import Chain, Statements, nonzero_strings
from neurosnn.core.messages import did_you_mean, message
from neurosnn.core.statements import split_statements
from neurosnn.core.symbolic import (
    MARK,
    differentiate,
    expand,
    run_symbolically,
    symbol,
    to_string,
    to_symbolic,
)
from neurosnn.model import NeuronModel
from neurosnn.model.margin import margin_and_gate
from neurosnn.model.surrogate import jump_of_margin, margin_of_model
from neurosnn.model.timed import Lookup, name_lookups

__all__ = ["Draw", "StepMap", "name_draws", "step_map", "with_noise_in_order"]

#: Neuron-wise flags of the previous step: it spiked; it let synaptic input in.
SPIKED, OPEN = f"{MARK}spiked", f"{MARK}accepted_input"
PSI = "psi"
#: How the names of draws begin, which stand for the calls of ``rand()`` and ``randn()``.
DRAW = f"{MARK}draw_"
#: A call of a random function; Brian2 passes them no argument.
_CALL = re.compile(r"\b(rand|randn)\s*\(\s*\)")


class Draw(NamedTuple):
    """A random number that the strings of a model ask for once a neuron and step.

    Attributes
    ----------
    name : str
        What stands in the strings instead of the call.
    is_normal : bool
        Whether it is ``randn()``, of which the state updater makes xi, and not ``rand()``.
    at_reset : bool
        Whether it is drawn at the reset, not at the state update or threshold.
    """

    name: str
    is_normal: bool
    at_reset: bool


def with_noise_in_order(code: str) -> str:
    """A step of Brian2's, whose noises come in the order of a set: here in that of their names.

    Otherwise it would depend on the process which of two noises gets which numbers.
    """
    lines = split_statements(code)
    noise = [
        statement
        for statement in lines
        if statement.variable == "xi" or statement.variable.startswith("xi_")
    ]
    others = [statement for statement in lines if statement not in noise]
    return "\n".join(map(str, [*sorted(noise), *others]))


def name_draws(code: str, draws: list[Draw], *, at_reset: bool = False) -> str:
    """Code with a name in place of each call of ``rand()`` and ``randn()``.

    Parameters
    ----------
    code : str
        Brian2 code.
    draws : list of Draw
        Those named so far; the new ones are added to it.
    at_reset : bool, optional
        Whether the code is that of the reset.

    Returns
    -------
    str
        The code, of which all is a function of named values.
    """

    def named(call: re.Match[str]) -> str:
        draws.append(Draw(f"{DRAW}{len(draws)}", call[1] == "randn", at_reset))
        return draws[-1].name

    return _CALL.sub(named, code)


@dataclass(frozen=True)
class Code:
    """The strings of a model with subexpressions written out, as every backend executes them.

    `start` computes the held variables, before ``not_refractory`` is updated. What is random is in `draws`,
    in the order of the strings, and what TimedArrays give in `lookups`; both have names in the strings.
    """

    start: str
    refractory: str
    update: str
    step: str
    threshold: str
    reset: str
    surrogate: str
    conditional: tuple[str, ...]
    draws: tuple[Draw, ...]
    lookups: tuple[Lookup, ...]


@dataclass(frozen=True, eq=False)
class StepMap:
    """Derivatives of one step of a neuron, as Brian2 expressions.

    Every expression holds at the start of step t+1, when the states have the values that step t
    left, ``not_refractory`` is already updated, and the flags SPIKED and OPEN are those of step t.
    Entries that are zero are left out.

    Attributes
    ----------
    states : tuple of str
        Variables with a gradient.
    intermediate : tuple of (str, str)
        Values that transition, jump, drive and parameters read, in the order of their computation:
        stages of the integration method and their derivatives.
    transition : dict of (str, str) to str
        M, by (row, column).
    jump : dict of str to str
        Z, by row.
    margin : dict of str to str
        Gradient of the threshold margin, evaluated right after the thresholds.
    drive : dict of (str, str) to str
        b, by (state, input variable).
    psi : str
        The surrogate, evaluated right after the thresholds.
    at_reset : dict of str to str
        Auxiliary values that must be computed just before the resets, from the state at that time.
    parameters : dict of str to ParameterMap
        Sensitivities of the parameters asked for.
    """

    model: NeuronModel
    states: tuple[str, ...]
    intermediate: Statements
    transition: dict[tuple[str, str], str]
    jump: dict[str, str]
    margin: dict[str, str]
    drive: dict[tuple[str, str], str]
    psi: str
    at_reset: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, ParameterMap] = field(default_factory=dict)


@dataclass(frozen=True)
class ParameterMap:
    """Direct effect of a parameter on the next state, and on the margin of the threshold."""

    state: dict[str, str]
    margin: str


@lru_cache(maxsize=64)
def model_code(model: NeuronModel, *, held: bool = True) -> Code:
    """Brian2's own integration step and the other strings of a model, subexpressions written out.

    Parameters
    ----------
    model : NeuronModel
        Any model.
    held : bool, optional
        Whether subexpressions that are constant over dt are variables, as in Brian2. False: they
        follow the state at once, as in the limit of small dt.

    Returns
    -------
    Code
        Abstract code in Brian2 syntax.

    Raises
    ------
    ValueError
        If the state updater cannot integrate the equations.
    """
    equations = model.brian_equations
    if model.refractory is not False:
        equations = add_refractoriness(equations)
    constants = Equations("")
    if held:
        equations, constants = extract_constant_subexpressions(equations)
    subexpressions = {
        eq.varname: eq.expr.code for eq in equations.ordered if eq.type == SUBEXPRESSION
    }
    start = [f"{eq.varname} = {expand(eq.expr.code, subexpressions)}" for eq in constants.ordered]
    # the value of dt is not known yet; Brian2 wants it only for functions of time
    variables = {key: value for key, value in model.namespace.variables.items() if key != "dt"}
    for equation in equations.ordered:
        if equation.expr is not None:
            names = model.namespace.resolve(equation.expr.code, field="equations")
            noise = equation.stochastic_variables
            variables |= {k: value for k, value in names.items() if k != "dt" and k not in noise}
    if model.timed_arrays:
        variables |= {name: _held(array) for name, array in model.timed_arrays.items()}
        variables["dt"] = HELD_FOR
    update = ""
    if equations.diff_eq_names:
        try:
            update = StateUpdateMethod.apply_stateupdater(equations, variables, model.method)
        except UnsupportedEquationsException as error:
            raise ValueError(
                message(
                    f"the method '{model.method}' cannot integrate the equations: {error}",
                    model.name,
                    "'exact' needs linear equations.",
                    "Use method='exponential_euler' or 'euler'.",
                )
            ) from error
    refractory = ""
    if isinstance(model.refractory, Quantity):
        refractory = (
            f"timestep(t - lastspike, dt) >= timestep({float(model.refractory)!r}*second, dt)"
        )
    elif isinstance(model.refractory, str):
        at_once = {eq.varname: eq.expr.code for eq in constants.ordered}
        period = expand(model.refractory, subexpressions | at_once)
        if model.namespace.dimensions_of(period, field="refractory") is second.dim:
            refractory = f"timestep(t - lastspike, dt) >= timestep({period}, dt)"
        else:
            refractory = f"not_refractory or not ({period})"
    threshold = expand(model.threshold, subexpressions)
    if threshold.strip("() ").isidentifier():
        threshold += " == True"  # a backend may keep truth values as numbers
    draws: list[Draw] = []
    lookups: list[Lookup] = []

    def named(code: str, *, at_reset: bool = False) -> str:
        code = name_draws(expand(code, subexpressions), draws, at_reset=at_reset)
        return name_lookups(code, model.timed_arrays, lookups)

    for equation in equations.ordered:  # EventProp reads the flow itself
        if equation.type == DIFFERENTIAL_EQUATION:
            text = expand(equation.expr.code, subexpressions)
            name_lookups(text, model.timed_arrays, lookups)

    return Code(
        start=named("\n".join(start)),
        refractory=named(refractory),
        update=named(with_noise_in_order(update)),
        step=named(_with_integers(model, model.step)),
        threshold=named(threshold),
        reset=named(_with_integers(model, model.reset), at_reset=True),
        surrogate=name_lookups(
            expand(model.surrogate, subexpressions), model.timed_arrays, lookups
        ),
        conditional=tuple(
            eq.varname
            for eq in equations.ordered
            if eq.type == DIFFERENTIAL_EQUATION
            and "unless refractory" in eq.flags
            and model.refractory is not False
        ),
        draws=tuple(draws),
        lookups=tuple(lookups),
    )


class _OneSecond:
    """A time step, as far as Brian2's exact method asks for it: whether a TimedArray is held for so long."""

    def get_value(self) -> np.ndarray:
        return np.ones(1)


HELD_FOR = _OneSecond()


def _held(array: TimedArray) -> TimedArray:
    """One that is held in every step; `check_lookups` asks the array itself when dt is known."""
    shape = np.zeros((1,) * array.values.ndim)
    return TimedArray(
        Quantity(shape, dim=array.dim), dt=HELD_FOR.get_value()[0] * second, name="held"
    )


def _with_integers(model: NeuronModel, code: str) -> str:
    """Statements in which what becomes an integer is cut off as in C++, for all statements after it."""
    lines = []
    for statement in split_statements(code):
        equation = model.brian_equations.get(statement.variable)
        integer = equation is not None and equation.var_type == "integer"
        lines.append(
            f"{statement.variable} = int({statement.value})" if integer else str(statement)
        )
    return "\n".join(lines)


def refuse_unknown(model: NeuronModel, learn: Iterable[str], *, where: str = "") -> None:
    """Refuse to learn a name that is not a parameter of the model."""
    for name in learn:
        if name not in model.parameters:
            raise ValueError(
                message(
                    f"'{name}' is not a parameter and cannot be learned.",
                    where or model.name,
                    f"Only a parameter of {model.name} can be.",
                    did_you_mean(name, model.parameters),
                )
            )


def refuse_noise(model: NeuronModel, *, why: str) -> None:
    """An error if a model is random, with the reason ``why`` its random numbers cannot be had here."""
    if model.noise:
        raise ValueError(
            message(
                f"the model has noise: {', '.join(model.noise)}.",
                model.name,
                why,
                "Train it with EProp() or BPTT() and backend='engine', or remove the noise.",
            )
        )


def refuse_gsl(model: NeuronModel) -> None:
    """An error if the steps of a model are not written as statements."""
    if isinstance(StateUpdateMethod.stateupdaters[model.method], GSLStateUpdater):
        raise ValueError(
            message(
                f"the steps of the method '{model.method}' are taken by the GSL library.",
                model.name,
                "Derivatives are taken of the statements of a step, which this method does not have.",
                "Use method='rk4', 'exponential_euler' or another of Brian2's own.",
            )
        )


def refuse_undifferentiable(model: NeuronModel) -> None:
    """Refuse a model from which no gradient can be derived, and say why."""
    if model.threshold and not model.surrogate:
        raise ValueError(
            message(
                "the model has no surrogate.",
                model.name,
                "A spike has no derivative; the pseudo-derivative psi stands for it.",
                f"Give {_surrogate_by_scale(model)}, which surrogates.triangle(height=0.3) of "
                "neurosnn.equations writes, or another expression.",
            )
        )
    if {"rand", "randn", "poisson"} & get_identifiers(model.surrogate):
        raise ValueError(
            message(
                "the surrogate is random.",
                model.name,
                "The pseudo-derivative of a spike is a function of the state.",
                "Remove rand() and randn() from it.",
            )
        )
    if "poisson" in model.noise:
        raise ValueError(
            message(
                "the function poisson() is random.",
                model.name,
                "A gradient belongs to a path of known draws, and those are rand(), randn() and xi.",
                "Simulate the model in Brian2, or write its noise with them.",
            )
        )
    refuse_gsl(model)


def _surrogate_by_scale(model: NeuronModel) -> str:
    """A triangle as wide as a spike moves the margin, with the height 0.3 of Bellec et al. 2018.

    Where the width depends on the state, it is left to the user.
    """
    try:
        margin = margin_of_model(model)
        width = jump_of_margin(model, margin) or "width"
    except ValueError:
        margin, width = "v - v_th", "width"
    return f"surrogate='0.3/({width})*clip(1 - abs(({margin})/({width})), 0, 1)'"


def pseudo_derivative(model: NeuronModel, code: Code) -> tuple[str, str]:
    """The margin of the threshold and psi, which is zero while another condition forbids a spike.

    Parameters
    ----------
    model : NeuronModel
        A spiking model with a surrogate.
    code : Code
        Its strings.

    Returns
    -------
    margin, psi : str
        Brian2 expressions. The margin is that of the comparison that involves the states of the
        surrogate.

    Raises
    ------
    ValueError
        If that is not one comparison.
    """
    states = set(model.states)
    about = get_identifiers(code.surrogate) & states or states
    # Brian2 asks for it at every threshold; a spike has changed it when the surrogate is evaluated
    always = () if model.refractory is False else ("not_refractory",)
    margin, gate = margin_and_gate(code.threshold, about, model.name, always)
    return margin, f"({code.surrogate})*int({gate})" if gate else code.surrogate


def transmitted_slopes(model: NeuronModel) -> dict[str, str]:
    """Derivative of the reset by the value that a graded spike carries, for `spike_gradient`.

    Parameters
    ----------
    model : NeuronModel
        A model with `transmits`.

    Returns
    -------
    dict of str to str
        Brian2 expressions by variable.

    Raises
    ------
    ValueError
        If the reset is not linear in the value.
    """
    after = run_symbolically(model_code(model).reset, {name: symbol(name) for name in model.states})
    slopes = {}
    for name in model.spike_gradient:
        slope = differentiate(after[name], model.transmits)
        if symbol(model.transmits) in slope.free_symbols:
            raise ValueError(
                message(
                    f"the reset of {name} is not linear in {model.transmits}.",
                    model.name,
                    "The gradient follows the value that a spike carries as it follows the spike.",
                    f"Write for example '{name} -= {model.transmits}'.",
                )
            )
        slopes[name] = to_string(slope)
    return slopes


def step_map(model: NeuronModel, learn: tuple[str, ...] = ()) -> StepMap:
    """Derive the step map of a model.

    Parameters
    ----------
    model : NeuronModel
        A spiking model or a readout.
    learn : tuple of str, optional
        Parameters whose sensitivities are wanted.

    Returns
    -------
    StepMap
        The derivatives as Brian2 expressions.

    Raises
    ------
    ValueError
        If no gradient can be derived, with the reason: no surrogate, a threshold that is not one comparison,
        a method of the GSL library, a function without a known derivative.

    Notes
    -----
    Every method of Brian2 that says its step as statements has a derivative, that of these statements
    (`calculus.chain`): exact, exponential_euler, euler, rk2, rk4, and heun and milstein, which without
    noise are Euler's. The gradient of a model with noise is that along the path, with its draws held fixed.

    Examples
    --------
    >>> from neurosnn import equations
    >>> from neurosnn.calculus.step import step_map
    >>> step_map(equations.ALIF()).transition[("v", "v")]
    'exp(-dt/tau_m)'
    """
    return _step_map(model, tuple(learn))


@lru_cache(maxsize=64)
def _step_map(model: NeuronModel, learn: tuple[str, ...]) -> StepMap:
    refuse_undifferentiable(model)
    refuse_unknown(model, learn)
    if model.transmits:
        raise ValueError(
            message(
                f"its spikes carry the value of {model.transmits}.",
                model.name,
                "Event-driven rules treat all spikes alike.",
                "Train it with neurosnn.torch.",
            )
        )
    code = model_code(model)
    # truth values and integers jump, as a function int() does: no gradient goes through them
    names = tuple(filter(model.is_real, model.states))
    symbols = {name: symbol(name) for name in model.states}

    after_reset = run_symbolically(code.reset, symbols)
    gate = {name: symbol(OPEN) if name in code.conditional else sympy.S.One for name in names}
    at_start = run_symbolically(word_substitute(code.start, {"not_refractory": OPEN}), symbols)
    chain = Chain(at_start, code.conditional)
    chain.run(code.update)
    chain.run(code.step)
    after_update = chain.values

    at_reset = {}

    def carried(expression: sympy.Expr, name: str) -> sympy.Expr:
        """An expression of the state before the reset, made available at the next step."""
        # another one at the next step
        moment = {*model.states, "t", "lastspike", "not_refractory"}
        moment |= {value.name for value in (*code.draws, *code.lookups)}
        if not {str(s) for s in expression.free_symbols} & moment:
            return expression
        name, text = MARK + name, to_string(expression)
        while at_reset.get(name, text) != text:  # states a, a_b, b and b_c make a_b_c twice
            name += "_"
        at_reset[name] = text
        return symbol(name)

    reset_slope = {}
    for row in names:
        for column in names:
            identity = sympy.S.One if row == column else sympy.S.Zero
            slope = differentiate(after_reset[row], column) - identity
            slope = carried(slope, f"slope_{row}_{column}")
            reset_slope[row, column] = identity + symbol(SPIKED) * slope

    update_slope = {
        (row, column): chain.derivative(after_update[row], column)
        for row in names
        for column in names
    }

    def through_reset(row: str, column: str) -> sympy.Expr:
        return sum(update_slope[row, middle] * reset_slope[middle, column] for middle in names)

    # a state that every step overwrites with a constant carries no gradient
    states = tuple(
        name for name in names if any(update_slope[name, column] != 0 for column in names)
    )
    transition = {(row, col): through_reset(row, col) for row in states for col in states}
    drive = {
        (row, channel): through_reset(row, channel) * gate[channel]
        for row in states
        for channel in model.inputs
    }
    jump = {
        row: sum(
            update_slope[row, middle]
            * carried(after_reset[middle] - symbols[middle], f"jump_{middle}")
            for middle in model.spike_gradient
            if update_slope[row, middle] != 0
        )
        for row in states
    }
    margin, margin_by, psi = {}, sympy.S.Zero, ""
    if model.threshold:
        text, psi = pseudo_derivative(model, code)
        margin_by = to_symbolic(text)
        margin = {name: differentiate(margin_by, name) for name in states}
    effects = {
        name: nonzero_strings(
            {
                row: chain.derivative(after_update[row], name)
                + sum(
                    update_slope[row, middle]
                    * symbol(SPIKED)
                    * carried(differentiate(after_reset[middle], name), f"slope_{middle}_{name}")
                    for middle in names
                    if update_slope[row, middle] != 0
                )
                for row in states
            }
        )
        for name in learn
    }
    entries = [nonzero_strings(part) for part in (transition, jump, drive)]
    return StepMap(
        model=model,
        states=states,
        intermediate=chain.statements_for(*entries, *effects.values()),
        transition=entries[0],
        jump=entries[1],
        margin=nonzero_strings(margin),
        drive=entries[2],
        psi=psi,
        at_reset=at_reset,
        parameters={
            name: ParameterMap(state=effect, margin=to_string(differentiate(margin_by, name)))
            for name, effect in effects.items()
        },
    )
