"""What is random in the strings of a model, and where Brian2 does not allow it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from brian2.equations.equations import SUBEXPRESSION
from brian2.utils.stringtools import get_identifiers

from neurosnn.core.messages import message
from neurosnn.core.statements import split_statements, without_comments

if TYPE_CHECKING:
    from neurosnn.model.neuron import NeuronModel

__all__ = ["RANDOM", "check_noise", "random_names"]

#: Brian2's functions that give another number at each call.
RANDOM = frozenset({"rand", "randn", "poisson"})


def random_names(model: NeuronModel) -> tuple[str, ...]:
    """The names of noise and random functions in the strings of a step, in alphabetical order.

    Parameters
    ----------
    model : NeuronModel
        Any model. Initial values and the surrogate are no part of a step.

    Returns
    -------
    tuple of str
        "xi" and the like, "rand", "randn", "poisson".
    """
    equations = model.brian_equations
    noise = {name for equation in equations.ordered for name in equation.stochastic_variables}
    used = {name for text in _expressions(model) for name in get_identifiers(text)}
    return tuple(sorted(noise | (used & RANDOM) - set(equations.names)))


def check_noise(model: NeuronModel) -> None:
    """Refuse random numbers where Brian2 refuses them when it runs.

    Parameters
    ----------
    model : NeuronModel
        Its strings are read.

    Raises
    ------
    ValueError
        If a subexpression that is written out wherever it is read is random, or an equation calls a random
        function twice.
    """
    functions = RANDOM - set(model.brian_equations.names)
    for equation in model.brian_equations.ordered:
        name, text = equation.varname, "" if equation.expr is None else equation.expr.code
        calls = [word for word in re.findall(r"\w+", text) if word in functions]
        if len(calls) > len(set(calls)):
            raise ValueError(
                message(
                    f"the equation of '{name}' calls a random function twice.",
                    model.name,
                    "Brian2 refuses that: its simplifications would take the two numbers for one.",
                    "Give one call a subexpression of its own, flagged (constant over dt).",
                )
            )
        if calls and equation.type == SUBEXPRESSION and name not in model.held:
            raise ValueError(
                message(
                    f"the subexpression '{name}' is random.",
                    model.name,
                    "It is written out wherever it is read, and would be another number there.",
                    f"Flag it: {name} = ... (constant over dt).",
                )
            )


def _expressions(model: NeuronModel) -> Iterator[str]:
    for equation in model.brian_equations.ordered:
        if equation.expr is not None:
            yield equation.expr.code
    yield model.threshold
    if isinstance(model.refractory, str):
        yield without_comments(model.refractory)
    for code in (model.reset, model.step):
        yield from (statement.expression for statement in split_statements(code))
