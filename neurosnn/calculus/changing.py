r"""Synapses that change their own weights, by spike-timing-dependent plasticity within a simulation.

Their states follow spikes of both sides, so that each synapse has its own. At a presynaptic spike that
arrives, and at a postsynaptic spike, event-driven states are brought up to date and Brian2's statements run
for each synapse of the neuron. There is no gradient through them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from brian2.equations.equations import SUBEXPRESSION
from brian2.utils.stringtools import get_identifiers

from neurosnn.calculus.presynaptic import (
    PLACES,
    RANDOM,
    expanded_statements,
    refusal,
    state_update,
)
from neurosnn.core.statements import Statement
from neurosnn.core.symbolic import expand
from neurosnn.model import PlasticityRule
from neurosnn.model.pathways import ORDERS, at_neuron

__all__ = ["ChangingCode", "changes_itself", "changing_code"]


@dataclass(frozen=True, eq=False)
class ChangingCode:
    """The strings of such synapses as every backend executes them, subexpressions written out.

    Attributes
    ----------
    target : str
        The postsynaptic variable that a presynaptic spike adds to, "" if the strings leave it open.
    sent : str
        What it adds before all statements, if they leave it open.
    variables : tuple of str
        All variables of a synapse, the weight among them.
    read : tuple of str
        Variables of the neurons that the strings read, ``x_pre`` or ``x_post``.
    catch_up : str
        Event-driven states over the time ``dt`` since the last spike of either side.
    on_pre, on_post : str
        Statements of a presynaptic spike that arrives, and of a postsynaptic one.
    """

    target: str
    sent: str
    variables: tuple[str, ...]
    read: tuple[str, ...]
    catch_up: str
    on_pre: str
    on_post: str


def changes_itself(rule: PlasticityRule) -> bool:
    """Whether the synapses follow postsynaptic spikes or change their weight."""
    return rule.weight in rule.changed or any(pathway.side == "post" for pathway in rule.pathways)


@lru_cache(maxsize=64)
def changing_code(rule: PlasticityRule) -> ChangingCode:
    """The code of synapses that change themselves.

    Parameters
    ----------
    rule : PlasticityRule
        The synapse.

    Returns
    -------
    ChangingCode
        Abstract code in Brian2 syntax.

    Raises
    ------
    ValueError
        For clock-driven equations, sums, code of each step, several pathways of one side or at unusual
        moments, random numbers, variables that are no real numbers, and for statements that write to neurons
        elsewhere than to one variable of the target at a presynaptic spike.
    """
    equations = {
        name: eq for name, eq in rule.brian_equations.items() if name not in rule.constants
    }
    _check_moments(rule)
    subexpressions = {
        name: eq.expr.code for name, eq in equations.items() if eq.type == SUBEXPRESSION
    }
    code: dict[str, list[Statement]] = {"pre": [], "post": []}
    for pathway in rule.pathways:
        code[pathway.side] = expanded_statements(pathway.code, subexpressions)
    of_neurons = {statement.variable for statement in code["pre"] if at_neuron(statement.variable)}
    more = {statement.variable for statement in code["post"] if at_neuron(statement.variable)}
    added = [
        statement
        for statement in code["pre"]
        if statement.variable in of_neurons and statement.operation in ("+=", "-=")
    ]
    open_ = bool(rule.transmitted) and not of_neurons
    if more or not (open_ or (len(rule.targets) == len(of_neurons) == 1 and added)):
        raise refusal(
            rule,
            f"its spikes write to {', '.join(sorted(of_neurons | more)) or 'no neuron'}.",
            "A presynaptic spike adds to one variable of the target, and a postsynaptic one to none.",
            "Write one statement such as 'g_post += w' in on_pre.",
        )
    catch_up = state_update(rule, equations, "event-driven", "exact", subexpressions)
    sent = expand(rule.transmitted, subexpressions) if open_ else ""
    names_read = get_identifiers(f"{catch_up} {sent}")
    for statement in (*code["pre"], *code["post"]):
        names_read |= get_identifiers(statement.expression) | ({statement.variable} - of_neurons)
    _check_names(rule, equations, names_read)
    return ChangingCode(
        target="" if open_ else rule.targets[0],
        sent=sent,
        variables=tuple(name for name in equations if name not in subexpressions),
        read=tuple(
            sorted(name for name in names_read if at_neuron(name) and name not in rule.constants)
        ),
        catch_up=catch_up,
        on_pre="\n".join(map(str, code["pre"])),
        on_post="\n".join(map(str, code["post"])),
    )


def _check_moments(rule: PlasticityRule) -> None:
    """One pathway of each side at Brian2's default moments, and nothing in each step."""
    equations = rule.brian_equations.values()
    flags = {flag for eq in equations for flag in eq.flags}
    sides = [pathway.side for pathway in rule.pathways]
    before = {pathway.name for pathway in rule.pathways if pathway.side == "pre"}
    deviations = {
        "a sum over the synapses": "summed" in flags,
        "a clock-driven equation": "clock-driven" in flags,
        "code in each step": bool(rule.step.strip()),
        f"{len(sides)} pathways": len(sides) > len(set(sides)),
        "a pathway in another slot": rule.spike_slot != "synapses",
        "delayed presynaptic pathways": bool(before & set(rule.delays)),
        "another placement of the delay": rule.delay_placement != "axonal",
        "pathways in another order": any(
            rule.orders.get(pathway.name, ORDERS[pathway.side]) != ORDERS[pathway.side]
            for pathway in rule.pathways
        ),
        "a time step of its own": rule.dt is not None,
        "an initial weight beside that of the projection": rule.weight in rule.initial,
    }
    for deviation, is_there in deviations.items():
        if is_there:
            raise refusal(
                rule,
                f"it changes its weight, and has {deviation}.",
                "Such synapses follow the spikes of the two neurons: presynaptic ones when they arrive, "
                "postsynaptic ones after all arrivals of the step, or later by a delay of on_post.",
                "Use event-driven equations, on_pre and on_post, and the delay of the projection.",
            )


def _check_names(rule: PlasticityRule, equations: dict, names_read: set[str]) -> None:
    places = set(PLACES) - {"lastupdate"}
    for name in sorted(names_read - set(rule.constants)):
        if name in places or name in RANDOM or name.startswith("xi"):
            raise refusal(
                rule,
                f"it reads '{name}'.",
                "Such synapses read their variables, those of the neurons, and the time.",
                "Declare a variable of the synapses with its values.",
            )
    for name, eq in equations.items():
        if eq.var_type != "float" or "constant over dt" in eq.flags:
            raise refusal(
                rule,
                f"'{name}' is {'constant over dt' if eq.var_type == 'float' else eq.var_type}.",
                "The variables of such synapses are real numbers that move at spikes.",
                f"Declare '{name} : 1'.",
            )
