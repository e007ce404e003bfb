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

from neurosnn.calculus.presynaptic import PLACES, RANDOM, state_update
from neurosnn.core.messages import message
from neurosnn.core.statements import Statement, split_statements
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
    return rule.weight in rule.changed or any(one.side == "post" for one in rule.pathways)


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
    own = {name: eq for name, eq in rule.brian_equations.items() if name not in rule.constants}
    _check_moments(rule)
    subexpressions = {name: eq.expr.code for name, eq in own.items() if eq.type == SUBEXPRESSION}
    code: dict[str, list[Statement]] = {"pre": [], "post": []}
    for pathway in rule.pathways:
        code[pathway.side] = [
            Statement(one.variable, one.operation, expand(one.expression, subexpressions))
            for one in split_statements(pathway.code)
        ]
    written = {one.variable for one in code["pre"] if at_neuron(one.variable)}
    more = {one.variable for one in code["post"] if at_neuron(one.variable)}
    added = [
        one for one in code["pre"] if one.variable in written and one.operation in ("+=", "-=")
    ]
    open_ = bool(rule.transmitted) and not written
    if more or not (open_ or (len(rule.targets) == len(written) == 1 and added)):
        raise _refuse(
            rule,
            f"its spikes write to {', '.join(sorted(written | more)) or 'no neuron'}.",
            "A presynaptic spike adds to one variable of the target, and a postsynaptic one to none.",
            "Write one statement such as 'g_post += w' in on_pre.",
        )
    catch_up = state_update(rule, own, "event-driven", "exact", subexpressions)
    sent = expand(rule.transmitted, subexpressions) if open_ else ""
    read = get_identifiers(f"{catch_up} {sent}")
    for one in (*code["pre"], *code["post"]):
        read |= get_identifiers(one.expression) | ({one.variable} - written)
    _check_names(rule, own, read)
    return ChangingCode(
        target="" if open_ else rule.targets[0],
        sent=sent,
        variables=tuple(name for name in own if name not in subexpressions),
        read=tuple(sorted(name for name in read if at_neuron(name) and name not in rule.constants)),
        catch_up=catch_up,
        on_pre="\n".join(map(str, code["pre"])),
        on_post="\n".join(map(str, code["post"])),
    )


def _refuse(rule: PlasticityRule, what: str, why: str, fix: str) -> ValueError:
    return ValueError(message(what, f"synapse {rule.name}", why, fix))


def _check_moments(rule: PlasticityRule) -> None:
    """One pathway of each side at Brian2's default moments, and nothing in each step."""
    equations = rule.brian_equations.values()
    flags = {flag for eq in equations for flag in eq.flags}
    sides = [pathway.side for pathway in rule.pathways]
    found = {
        "a sum over the synapses": "summed" in flags,
        "a clock-driven equation": "clock-driven" in flags,
        "code in each step": bool(rule.step.strip()),
        f"{len(sides)} pathways": len(sides) > len(set(sides)),
        "a pathway in another slot": rule.spike_slot != "synapses",
        "delayed pathways": bool(rule.delays) or rule.delay_placement != "axonal",
        "pathways in another order": any(
            rule.orders.get(one.name, ORDERS[one.side]) != ORDERS[one.side] for one in rule.pathways
        ),
        "a time step of its own": rule.dt is not None,
        "an initial weight beside that of the projection": rule.weight in rule.initial,
    }
    for what, there in found.items():
        if there:
            raise _refuse(
                rule,
                f"it changes its weight, and has {what}.",
                "Such synapses follow the spikes of the two neurons: presynaptic ones when they arrive, "
                "postsynaptic ones after all arrivals of the step.",
                "Use event-driven equations, on_pre and on_post, and the delay of the projection.",
            )


def _check_names(rule: PlasticityRule, own: dict, read: set[str]) -> None:
    places = set(PLACES) - {"lastupdate"}
    for name in sorted(read - set(rule.constants)):
        if name in places or name in RANDOM or name.startswith("xi"):
            raise _refuse(
                rule,
                f"it reads '{name}'.",
                "Such synapses read their variables, those of the neurons, and the time.",
                "Declare a variable of the synapses with its values.",
            )
    for name, eq in own.items():
        if eq.var_type != "float" or "constant over dt" in eq.flags:
            raise _refuse(
                rule,
                f"'{name}' is {'constant over dt' if eq.var_type == 'float' else eq.var_type}.",
                "The variables of such synapses are real numbers that move at spikes.",
                f"Declare '{name} : 1'.",
            )
