"""A PlasticityRule read from Brian2 Synapses: all that they are, or an error that names what is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from brian2.core.preferences import prefs
from brian2.core.spikesource import SpikeSource
from brian2.devices.device import get_device, runtime_device
from brian2.equations.equations import DIFFERENTIAL_EQUATION, PARAMETER, Equations, SingleEquation
from brian2.groups.group import CodeRunner
from brian2.groups.neurongroup import SubexpressionUpdater
from brian2.synapses.synapses import (
    StateUpdater,
    SummedVariableUpdater,
    Synapses,
    SynapticPathway,
)
from brian2.units.allunits import second
from brian2.units.fundamentalunits import DIMENSIONLESS, Quantity
from brian2.utils.stringtools import get_identifiers

from neurosnn.core.messages import message
from neurosnn.core.statements import assigned, plain_code, split_statements
from neurosnn.model.from_group import array_of, chosen_method, constants_of_script, one_or_all
from neurosnn.model.group_schedule import is_run_regularly
from neurosnn.model.pathways import (
    GROUP_NAMES,
    ORDERS,
    at_neuron,
    equation_text,
    names_sent,
    with_parts,
)
from neurosnn.model.registry import owner_of

__all__ = ["fields_of_synapses"]

ALL = slice(None)


def fields_of_synapses(
    synapses: Synapses, namespace: Mapping[str, Any], fields: Mapping[str, Any]
) -> dict[str, Any]:
    """What Synapses know of their rule.

    Parameters
    ----------
    synapses : Synapses
        The synapses.
    namespace : mapping
        Where constants are looked up after the synapses' own namespace.
    fields : mapping
        Fields of the rule that the caller gives.

    Returns
    -------
    dict
        Fields of a PlasticityRule.

    Raises
    ------
    ValueError
        If the synapses have something that no PlasticityRule can have.
    """
    _check(synapses)
    equations = _equations(synapses)
    pathways = {name: getattr(synapses, name) for name in synapses._synaptic_updaters}
    step = _steps(synapses)
    codes = {name: _code(synapses, name, pathway.code) for name, pathway in pathways.items()}
    codes["step"] = "\n".join(plain_code(part.abstract_code) for part in step)
    statements = [statement for code in codes.values() for statement in split_statements(code)]
    names_read = set().union(*(eq.identifiers for eq in equations.values() if eq.expr is not None))
    names_read |= set().union(*(get_identifiers(statement.expression) for statement in statements))
    # The unit of a variable that something is added to is that of what is added.
    names_needed = names_read | {s.variable for s in statements if s.operation not in ("+=", "-=")}
    local = {statement.variable for statement in statements}
    parameters, initial, remaining = _values(synapses, equations, names_read)
    requires = _neurons_read(synapses, names_needed)
    outside = names_read - set(synapses.variables) - local
    parameters |= constants_of_script(synapses, outside, namespace)
    bounds: dict[str, Any] = {
        name: parameters.pop(name) for name in ("w_min", "w_max") if name in parameters
    }
    all_fields: dict[str, Any] = {
        "equations": "\n".join(equation_text(eq) for eq in remaining.values()),
        **{f"on_{side}": _side(pathways, codes, side) for side in ORDERS},
        "step": codes["step"],
        **_timing(synapses, equations, pathways, step),
        "method": chosen_method(synapses, namespace) if synapses.state_updater else "exact",
        "requires": requires["post"],
        "requires_pre": requires["pre"],
        **bounds,
    }
    pre = [assigned(codes[name]) for name, pathway in pathways.items() if pathway.prepost == "pre"]
    if not (set().union(*pre, synapses.summed_updaters) & _targets(synapses)):
        all_fields["transmission"] = None
    chosen = dict(fields)
    all_fields["parameters"] = parameters | dict(chosen.pop("parameters", {}))
    all_fields["initial"] = initial | dict(chosen.pop("initial", {}))
    all_fields |= {"name": synapses.name, **chosen}
    if "weight" not in chosen:
        pairs = [(pathway.prepost, codes[name]) for name, pathway in pathways.items()]
        sent = names_sent(pairs, equations, _targets(synapses))
        all_fields["weight"] = _weight(synapses, equations, sent, local)
    return all_fields


def _cannot(synapses: Any, what: str, why: str, fix: str) -> ValueError:
    name = getattr(synapses, "name", "")
    return ValueError(message(what, f"PlasticityRule.from_synapses({name})", why, fix))


# -- what cannot come along -----------------------------------------------------------------------


def _check(synapses: Any) -> None:
    if not isinstance(synapses, Synapses):
        raise TypeError(
            message(
                f"a {type(synapses).__name__} is no Synapses object.",
                "PlasticityRule.from_synapses",
                "A rule is read from the synapses that follow it.",
                "Pass the Synapses; a group of neurons is read by NeuronModel.from_group.",
            )
        )
    for end in (synapses.source, synapses.target):
        if isinstance(end, Synapses) or not isinstance(owner_of(end), SpikeSource):
            raise _cannot(
                synapses,
                f"'{end.name}' is a {type(end).__name__}, not a group of neurons.",
                "A rule connects neurons.",
                "Let a variable of the neurons carry the signal to the synapses.",
            )
    events = {pathway.event for pathway in synapses._pathways} - {"spike"}
    if events:
        raise _cannot(
            synapses,
            f"a pathway runs at the event '{sorted(events)[0]}'.",
            "The protocols and the networks know spikes only.",
            "Let a spike run it, with a condition in the code if need be.",
        )
    if synapses.multisynaptic_index is not None:
        raise _cannot(
            synapses,
            f"the synapses number those of the same pair in '{synapses.multisynaptic_index}'.",
            "A rule does not know which synapses there are.",
            "Declare it in the equations as an integer and set it.",
        )
    check_as_it_stands(synapses, partial(_cannot, synapses))
    _check_parts(synapses)


def check_as_it_stands(synapses: Synapses, cannot: Callable[[str, str, str], ValueError]) -> None:
    """Refuse synapses of which a reading of their strings and values would miss something.

    Parameters
    ----------
    synapses : Synapses
        The synapses.
    cannot : callable
        Makes the error from what, why and what to do.

    Raises
    ------
    ValueError
        For parts that are switched off, linked variables, and synapses in the middle of a run, whose
        spikes on their way and times of the last ones would be lost.
    """
    for part in (synapses, *synapses.contained_objects):
        if not part.active:
            raise cannot(
                f"'{part.name}' is switched off.",
                "Brian2 leaves it out, and what is read has no such switch.",
                "Set active = True, or write the synapses without that part.",
            )
    if synapses._linked_variables:
        raise cannot(
            f"the variable '{sorted(synapses._linked_variables)[0]}' is linked to one of another group.",
            "Its values are not those of the synapses.",
            "Read it as a variable of the neurons, name_pre or name_post.",
        )
    queues = [pathway.queue for pathway in synapses._pathways if pathway.queue is not None]
    waiting = any(len(spikes) for queue in queues for spikes in queue._full_state()[1])
    old = (
        "lastupdate" in synapses.variables
        and get_device() is runtime_device
        and array_of(synapses, "lastupdate", ALL).any()
    )
    if waiting or old:
        raise cannot(
            "the synapses have run already.",
            "Spikes on their way and the times of the last ones would be lost.",
            "Read them before the run, or restore() their initial state.",
        )


def _check_parts(synapses: Synapses) -> None:
    kinds = (StateUpdater, SubexpressionUpdater, SummedVariableUpdater, SynapticPathway)
    for part in synapses.contained_objects:
        if type(part) not in kinds and not is_run_regularly(part):
            raise _cannot(
                synapses,
                f"they contain '{part.name}', a {type(part).__name__}.",
                "A rule consists of equations, pathways and step code.",
                "Remove that part.",
            )
        slots = {StateUpdater: "groups", SummedVariableUpdater: "groups"}
        slot = slots.get(type(part), part.when)
        if isinstance(part, SubexpressionUpdater):
            slot = "before_start"
        late = isinstance(part, SummedVariableUpdater) and part.order != part.target.order - 1
        if part.when != slot or late:
            raise _cannot(
                synapses,
                f"'{part.name}' runs in slot '{part.when}', order {part.order}.",
                "A rule runs each part at Brian2's default moment.",
                "Leave it where Brian2 puts it.",
            )


# -- strings --------------------------------------------------------------------------------------


def _equations(synapses: Synapses) -> Equations:
    """The equations as they were written: Brian2 keeps them in four places."""
    equations = {equation.varname: equation for equation in synapses.equations.values()}
    if synapses.event_driven is not None:
        equations |= {equation.varname: equation for equation in synapses.event_driven.values()}
    constant = synapses.subexpression_updater
    lines = [
        equation_text(equation)
        for equation in equations.values()
        if _is_written_out(equation, constant)
    ]
    if constant is not None:
        for statement in split_statements(constant.abstract_code):
            equation = equations[statement.variable]
            declared = equation_text(_flagged(equation)).split(" : ")
            lines.append(f"{declared[0]} = {statement.expression} : {declared[1]}")
    for name, updater in synapses.summed_updaters.items():
        variable = synapses.variables[f"_summed_{name}"]
        summed = SingleEquation(
            "subexpression", name, variable.dim, expr=updater.expression, flags=["summed"]
        )
        lines.append(equation_text(summed))
    return Equations("\n".join(lines))


def _is_written_out(equation: SingleEquation, constant: Any) -> bool:
    """Whether an equation is one of the script and not made for a subexpression."""
    return constant is None or equation.varname not in assigned(constant.abstract_code)


def _flagged(equation: SingleEquation) -> SingleEquation:
    flags = [*equation.flags, "constant over dt"]
    return SingleEquation(PARAMETER, equation.varname, equation.dim, equation.var_type, flags=flags)


def _code(synapses: Synapses, name: str, code: str) -> str:
    """The statements of a pathway."""
    try:
        return plain_code(code)
    except ValueError as error:
        raise _cannot(
            synapses,
            f"the code of '{name}' cannot be read: {error}",
            "Brian2 would refuse to run it: each line is a statement, and a comment follows one.",
            "Write comments at the ends of lines, without ';'.",
        ) from error


def _side(pathways: Mapping[str, Any], codes: Mapping[str, str], side: str) -> str | dict[str, str]:
    """The code of one side: a string, if its only pathway has the name that Brian2 gives it."""
    code_by_name = {
        name: codes[name] for name, pathway in pathways.items() if pathway.prepost == side
    }
    return code_by_name.get(side, "") if set(code_by_name) <= {side} else code_by_name


def _targets(synapses: Synapses) -> set[str]:
    """Names by which the strings can write to the postsynaptic neurons."""
    names = {name for name in synapses.target.variables if not name.startswith("_")}
    names |= {f"{name}_post" for name in names}
    return names & set(synapses.variables) - set(_own_variables(synapses)) - set(GROUP_NAMES)


def _weight(synapses: Synapses, equations: Equations, sent: set[str], changed: set[str]) -> str:
    """The variable of what is sent that the strings change.

    Of several the only one that statements change and that has no dynamics of its own.
    """
    numbers = {
        name
        for name, equation in equations.items()
        if equation.type in (PARAMETER, DIFFERENTIAL_EQUATION)
        and equation.var_type == "float"
        and "shared" not in equation.flags
    }
    learned = numbers & changed - set(equations.diff_eq_names)
    candidates = sorted((learned & sent or numbers & sent) if sent else learned)
    if len(candidates) == 1:
        return str(candidates[0])
    raise _cannot(
        synapses,
        f"the weight could be any of {', '.join(candidates)}."
        if candidates
        else "no variable of the synapses looks like a weight.",
        "It is the variable of what a spike adds to the neuron that the strings change.",
        f"Pass weight='{candidates[0] if candidates else 'w'}', for example.",
    )


def _own_variables(synapses: Synapses) -> list[str]:
    names = [*synapses.equations.names, "lastupdate"]
    return names + ([*synapses.event_driven.names] if synapses.event_driven is not None else [])


def _neurons_read(synapses: Synapses, names: set[str]) -> dict[str, dict[str, Any]]:
    """Variables of the neurons in the strings, each with its unit."""
    requires: dict[str, dict[str, Any]] = {"post": {}, "pre": {}}
    of_synapses = {*_own_variables(synapses), "i", "j", "N", "t", "dt", "N_incoming", "N_outgoing"}
    for name in sorted(names & set(synapses.variables) - of_synapses):
        side = at_neuron(name) or "post"
        base = name.removesuffix(f"_{side}")
        group = synapses.target if side == "post" else synapses.source
        if base in group.variables:
            dim = group.variables[base].dim
            requires[side][base] = 1.0 if dim is DIMENSIONLESS else Quantity(1, dim=dim)
    return requires


# -- values ---------------------------------------------------------------------------------------


def _values(
    synapses: Synapses, equations: Equations, names_read: set[str]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, SingleEquation]]:
    """Parameters, initial values, and the equations that are left."""
    parameters: dict[str, Any] = {}
    initial: dict[str, Any] = {}
    remaining = dict(equations.items())
    for name, equation in equations.items():
        if equation.type not in (PARAMETER, DIFFERENTIAL_EQUATION):
            continue
        values: Any = array_of(synapses, name, ALL)
        if equation.var_type == "float" and values.dtype != prefs["core.default_float_dtype"]:
            raise _cannot(
                synapses,
                f"'{name}' is of type {values.dtype}.",
                "A rule has no precision of its own.",
                "Create the synapses without dtype.",
            )
        if not len(values):
            continue
        values = one_or_all(values, equation)
        fixed = {"shared", "constant"} <= set(equation.flags) and name in names_read
        if fixed and equation.var_type == "float":
            parameters[name] = values
            del remaining[name]
        elif np.any(np.asarray(values)):
            initial[name] = values
    return parameters, initial, remaining


# -- times ----------------------------------------------------------------------------------------


def _timing(
    synapses: Synapses, equations: Equations, pathways: Mapping[str, Any], step: list[Any]
) -> dict[str, Any]:
    """Slots, orders, delays and time steps."""
    timing: dict[str, Any] = {"orders": {}, "delays": {}}
    slots = {pathway.when for pathway in pathways.values()}
    if len(slots) > 1:
        raise _cannot(
            synapses,
            f"the pathways run in the slots {', '.join(map(repr, sorted(slots)))}.",
            "A rule has one slot for all of them.",
            "Use order to say which comes first.",
        )
    if slots:
        timing["spike_slot"] = slots.pop()
    for name, pathway in pathways.items():
        if pathway.order != ORDERS[pathway.prepost]:
            timing["orders"][name] = pathway.order
        delay = array_of(pathway, "delay", ALL)
        if delay.any():
            uniform = (delay == delay[0]).all()
            timing["delays"][name] = (delay[0] if uniform else delay.copy()) * second
    clock = synapses.clock
    default = get_device().defaultclock
    if clock is not synapses.target.clock and not (
        clock is default and _same_clock(clock, synapses.target)
    ):
        timing["dt"] = clock.dt
    if step:
        timing["step_slot"] = step[0].when
        if not _same_clock(step[0].clock, synapses):
            timing["step_dt"] = step[0].clock.dt
    timing["orders"] |= _places(synapses, equations, step)
    return timing


def _same_clock(clock: Any, group: Any) -> bool:
    return bool(clock.dt_ == group.clock.dt_)


def _steps(synapses: Synapses) -> list[Any]:
    """The code of run_regularly, in its order; all of it has to run at the same moment."""
    step = [part for part in synapses.contained_objects if is_run_regularly(part)]
    step.sort(key=lambda part: part.name)
    different = {(part.when, part.order, part.clock.dt_) for part in step}
    if len(different) > 1:
        raise _cannot(
            synapses,
            f"run_regularly is called {len(step)} times, for different moments.",
            "A rule has one 'step'.",
            "Give the calls the same when, order and dt, or leave one to a second Synapses.",
        )
    return step


def _places(synapses: Synapses, equations: Equations, step: list[Any]) -> dict[str, float]:
    """Orders that keep the parts where Brian2 runs them, also those that it sorts by name.

    Brian2 runs parts of a slot with the same order in the order of their names; a fraction keeps that
    order with neurons and synapses of other names.
    """
    parts = [part for part in (synapses.state_updater, *step[:1]) if part is not None]
    parts.sort(key=lambda part: (part.order, part.name))
    places: dict[str, float] = {}
    for part in parts:
        tied = [
            runner.name < part.name
            for side in _sides(synapses, equations, part)
            for runner in owner_of(
                synapses.target if side == "post" else synapses.source
            ).contained_objects
            if isinstance(runner, CodeRunner)
            and (runner.when, runner.order) == (part.when, part.order)
        ]
        if any(tied) and not all(tied):
            raise _cannot(
                synapses,
                f"'{part.name}' runs between parts of the neurons only by its name.",
                "Brian2 sorts parts of the same order by name, and the names will differ.",
                "Give the synapses an order, for example order=1.",
            )
        shift = 0.0 if not tied else 0.5 if all(tied) else -0.5
        # of the part that Brian2 runs before it
        after = [order + 0.01 for order in places.values()]
        places["step" if part in step else "equations"] = max([part.order + shift, *after])
    return places


def _sides(synapses: Synapses, equations: Equations, part: Any) -> set[str]:
    """The neurons that a part reads or writes: "pre", "post"."""
    if part is synapses.state_updater:
        new = set().union(
            *(equations[name].identifiers for name in synapses.equations.diff_eq_names)
        )
    else:
        new = get_identifiers(plain_code(part.abstract_code))
    names = with_parts(new, equations)
    requires = _neurons_read(synapses, names)
    return {side for side, names_required in requires.items() if names_required}
