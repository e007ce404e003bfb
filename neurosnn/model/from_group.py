"""A NeuronModel read from a Brian2 group: all that the group is, or an error that names what is not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from brian2.core.functions import DEFAULT_FUNCTIONS, Function
from brian2.core.namespace import DEFAULT_CONSTANTS, DEFAULT_UNITS
from brian2.core.preferences import prefs
from brian2.core.spikesource import SpikeSource
from brian2.core.variables import Constant
from brian2.devices.device import get_device
from brian2.equations.equations import (
    DIFFERENTIAL_EQUATION,
    PARAMETER,
    SUBEXPRESSION,
    SingleEquation,
)
from brian2.groups.neurongroup import NeuronGroup
from brian2.groups.subgroup import Subgroup
from brian2.input.timedarray import TimedArray
from brian2.spatialneuron.spatialneuron import SpatialNeuron
from brian2.stateupdaters.base import StateUpdateMethod, UnsupportedEquationsException
from brian2.synapses.synapses import Synapses, SynapticPathway
from brian2.units.fundamentalunits import DIMENSIONLESS, Quantity
from brian2.utils.stringtools import get_identifiers

from neurosnn.core.messages import message
from neurosnn.core.statements import assigned, without_comments
from neurosnn.model.arrivals import variables_reached
from neurosnn.model.group_schedule import check_schedule, step_code
from neurosnn.model.pathways import equation_text
from neurosnn.model.registry import made_by, owner_of
from neurosnn.model.surrogate import MARGIN, WIDTH

__all__ = ["array_of", "chosen_method", "constants_of_script", "fields_of_group"]

#: Brian2's lastspike of a neuron that has not spiked.
LONG_AGO = -1e4
#: Fields that a group made by a model has from that model.
NOT_IN_GROUP = (
    "inputs",
    "surrogate",
    "spike_gradient",
    "transmits",
    "ranges",
    "sources",
    "eligibility_bounds",
    "reference",
)
WORDS = ("and", "or", "not", "True", "False")


def fields_of_group(
    group: NeuronGroup | Subgroup,
    namespace: Mapping[str, Any],
    synapses: Any = None,
    fields: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What a group of neurons knows of its model.

    Parameters
    ----------
    group : NeuronGroup or Subgroup
        The neurons.
    namespace : mapping
        Where constants are looked up after the group's own namespace.
    synapses : Synapses, Network or iterable of them, optional
        What reaches the group; all Synapses that exist if None.
    fields : mapping, optional
        Fields of the model that the caller gives.

    Returns
    -------
    dict
        Fields of a NeuronModel.

    Raises
    ------
    ValueError
        If the group has something that no NeuronModel can have.
    """
    group, part = _neurons(group)
    made = made_by(group)
    own_fields = {} if made is None else {name: getattr(made, name) for name in NOT_IN_GROUP}
    given = own_fields | dict(fields or {})
    check_schedule(group)
    threshold = without_comments(group.events.get("spike", ""))
    reset = group.event_codes.get("spike", "") or ""
    refractory = group._refractory
    own = group.user_equations
    for equation in own.values():
        if "linked" in equation.flags:
            raise _cannot(
                group,
                f"the variable '{equation.varname}' is linked to one of another group.",
                "A model describes neurons by themselves.",
                "Give the neurons the variable, with an equation or as a parameter.",
            )
    step = given["step"] if "step" in given else step_code(group, part)
    expressions = [eq.expr.code for eq in own.values() if eq.expr is not None]
    strings = [*expressions, threshold, reset, step]
    strings += [refractory] if isinstance(refractory, str) else []
    strings.append(given.get("surrogate", ""))
    used = set().union(*(get_identifiers(without_comments(text)) for text in strings))
    used -= {MARGIN, WIDTH}  # the model writes them out
    if part != slice(0, group.N) and used & {"i", "N"}:
        raise _cannot(
            group,
            f"the strings use '{sorted(used & {'i', 'N'})[0]}', which counts all neurons.",
            "Of the slice it would count other ones.",
            "Read the whole group, or give the neurons a parameter of their own.",
        )
    reached = variables_reached(group, synapses)
    inputs = given.get("inputs", reached.inputs)
    kept = assigned(step) | assigned(reset) | set(reached.written) | set(_names(inputs))
    for field in ("spike_gradient", "eligibility_bounds", "initial"):
        kept |= set(_names(given.get(field, ())))
    kept |= {given.get("transmits", "")} | set(() if made is None else made.states)
    parameters, initial = _values(group, part, kept)
    states = [name for name in own if name not in parameters and own[name].type != SUBEXPRESSION]
    if not inputs and "inputs" not in given and len(states) == 1:
        inputs = tuple(states)
    parameters |= given.get("parameters", {})
    local = {*group.variables, *parameters, *assigned(step), *assigned(reset)}
    result = {
        "equations": "\n".join(equation_text(equation) for equation in own.values()),
        "threshold": threshold,
        "reset": reset,
        "refractory": refractory,
        "step": step,
        "method": given["method"] if "method" in given else chosen_method(group, namespace),
        "inputs": inputs,
        "parameters": parameters | constants_of_script(group, used - local, namespace),
        "initial": initial | dict(given.get("initial", {})),
        "name": group.name,
    }
    result = {**given, **result, "name": given.get("name", group.name)}
    if "dt" not in given and group.clock is not get_device().defaultclock:
        result["dt"] = group.clock.dt
    return result


def _cannot(group: Any, what: str, why: str, fix: str) -> ValueError:
    synaptic = isinstance(group, Synapses | SynapticPathway)
    reader = "PlasticityRule.from_synapses" if synaptic else "NeuronModel.from_group"
    return ValueError(message(what, f"{reader}({group.name})", why, fix))


def _names(value: Any) -> Iterable[str]:
    return (value,) if isinstance(value, str) else value


def _neurons(group: Any) -> tuple[NeuronGroup, slice]:
    """The group and the part of it that is read."""
    part = None
    if isinstance(group, Subgroup):
        part, group = slice(group.start, group.stop), owner_of(group)
    if isinstance(group, SpatialNeuron):
        raise _cannot(
            group,
            "a SpatialNeuron has compartments.",
            "A NeuronModel is a point neuron: the currents along the cable would be lost.",
            "Write the compartments as variables of a NeuronGroup that are coupled in the equations.",
        )
    if not isinstance(group, NeuronGroup):
        kind = type(group).__name__
        if isinstance(group, SpikeSource):
            raise _cannot(
                group,
                f"a {kind} has no equations of neurons.",
                "Its spikes come from elsewhere.",
                "It is an Input(n) of a SpikingNetwork, with its spikes as trials.",
            )
        raise TypeError(
            message(
                f"a {kind} is no group of neurons.",
                "NeuronModel.from_group",
                "A model is read from a NeuronGroup or a Subgroup of one.",
                "Pass the group.",
            )
        )
    return group, part or slice(0, group.N)


# -- values -------------------------------------------------------------------------------------


def _values(group: NeuronGroup, part: slice, kept: set[str]) -> tuple[dict, dict]:
    """Parameters and initial values; `kept` are variables that change during a run."""
    parameters, initial = {}, {}
    if group._refractory is not False:
        free = array_of(group, "not_refractory", part).all()
        if not free or (array_of(group, "lastspike", part) != LONG_AGO).any():
            raise _cannot(
                group,
                "neurons have spiked already.",
                "A model begins before the first spike: their refractory state would be lost.",
                "Read the group before it runs, or restore() its initial state.",
            )
    for name, equation in group.user_equations.items():
        if equation.type == SUBEXPRESSION:
            continue
        values: Any = array_of(group, name, part)
        if equation.var_type == "float" and values.dtype != prefs["core.default_float_dtype"]:
            raise _cannot(
                group,
                f"'{name}' is of type {values.dtype}.",
                "A model has no precision of its own.",
                "Create the group without dtype; model.group(n, dtype=...) and the engine choose one.",
            )
        values = one_or_all(values, equation)
        changes = equation.type == DIFFERENTIAL_EQUATION or name in kept
        changes |= equation.var_type != "float" and "constant" not in equation.flags
        if equation.type == PARAMETER and not changes:
            parameters[name] = values
        elif np.any(np.asarray(values)):
            initial[name] = values
    return parameters, initial


def one_or_all(values: np.ndarray, equation: SingleEquation) -> Any:
    """One value if all are the same, else a copy of all, of the type and with the unit of the equation."""
    found: Any = values[0] if (values == values[0]).all() else values.copy()
    if not np.ndim(found):
        found = {"boolean": bool, "integer": int}.get(equation.var_type, float)(found)
    return found if equation.dim is DIMENSIONLESS else Quantity(found, dim=equation.dim)


def array_of(group: NeuronGroup, name: str, part: slice) -> np.ndarray:
    """The values of a variable in the part of the group, one if they share it."""
    variable = group.variables[name]
    try:
        values = np.atleast_1d(np.asarray(variable.get_value()))
    except NotImplementedError as error:
        raise _cannot(
            group,
            f"the values of '{name}' are not known.",
            "The standalone program computes them when it runs.",
            "Read the group with Brian2's runtime device, or set numbers instead of a string.",
        ) from error
    return values if variable.scalar else values[part]


# -- constants, functions and the method ----------------------------------------------------------


def constants_of_script(
    group: NeuronGroup, names: set[str], namespace: Mapping[str, Any]
) -> dict[str, Quantity | float]:
    """Values of the constants that Brian2 would find for the names."""
    found: dict[str, Quantity | float] = {}
    for name in sorted(names):
        if name in WORDS or name == "xi" or name.startswith("xi_"):
            continue
        thing = resolved(group, name, namespace)
        known = (DEFAULT_FUNCTIONS, DEFAULT_CONSTANTS, DEFAULT_UNITS)
        if any(name in names for names in known):  # Brian2 prefers its own meaning
            continue
        if isinstance(thing, TimedArray):
            raise _cannot(
                group,
                f"'{name}' is a TimedArray.",
                "A model holds constants; values that change in time are data.",
                "Send it as real-valued input, or let it be read by a model in Brian2 only.",
            )
        if isinstance(thing, Function):
            raise _cannot(
                group,
                f"'{name}' is a function of the script.",
                "Rules need the derivative of every function in the equations.",
                "Write it out in the equations with exp, log, sqrt, tanh, clip or int.",
            )
        if not isinstance(thing, Constant) or thing.is_boolean:
            raise _cannot(
                group,
                f"'{name}' is not a number.",
                "A parameter of a model is a number with a unit.",
                f"Declare '{name}' in the equations, for example as '{name} : boolean (constant)'.",
            )
        if name.startswith("_"):
            raise _cannot(
                group,
                f"the name '{name}' starts with an underscore.",
                "In a model it is a variable of the neurons, and Brian2 keeps such names for itself.",
                "Choose another name in the script.",
            )
        value = float(thing.value)
        found[name] = value if thing.dim is DIMENSIONLESS else Quantity(value, dim=thing.dim)
    return found


def resolved(group: NeuronGroup, name: str, namespace: Mapping[str, Any]) -> Any:
    """What Brian2 finds for a name, in the same order of places."""
    try:
        return group.resolve_all([name], namespace, user_identifiers=set())[name]
    except KeyError as error:
        if "not a scalar" in str(error):
            what = f"'{name}' is an array in the namespace."
            why = "Brian2 takes one value for a name of the namespace."
            fix = f"Declare '{name}' in the equations with its unit and set group.{name}."
        else:
            what = f"unknown name '{name}'."
            why = "It is neither a variable of the group nor in its namespace, nor in the script's."
            call = "from_synapses" if isinstance(group, Synapses) else "from_group"
            fix = f"Call {call} where '{name}' is defined, or pass namespace={{'{name}': value}}."
        raise _cannot(group, what, why, fix) from error


def chosen_method(group: NeuronGroup, namespace: Mapping[str, Any]) -> str:
    """The integration method that was given, or that Brian2 chooses."""
    chosen = group.state_updater.method_choice
    if group.state_updater.method_options:
        raise _cannot(
            group,
            "the integration method has options.",
            "A model names a method without options.",
            "Create the group without method_options.",
        )
    equations = group.equations
    if isinstance(chosen, str):
        return chosen.lower()
    if callable(chosen):
        for name, updater in StateUpdateMethod.stateupdaters.items():
            if updater is chosen:
                return name
        raise _cannot(
            group,
            "the integration method is an object of the script's own.",
            "A model names one of Brian2's methods.",
            "Register it: StateUpdateMethod.register('name', method), and pass method='name'.",
        )
    if not equations.diff_eq_names:
        return "exact"
    names = equations.names | equations.identifiers | {"dt"}
    for name in sorted(names - set(group.variables)):
        if not (name == "xi" or name.startswith("xi_")):
            resolved(group, name, namespace)
    variables = group.resolve_all(names, namespace, user_identifiers=set())
    for method in chosen:
        try:
            StateUpdateMethod.apply_stateupdater(equations, variables, method)
            return method
        except UnsupportedEquationsException:
            continue
    raise _cannot(
        group,
        f"none of the methods {', '.join(map(str, chosen))} can integrate the equations.",
        "Brian2 would refuse to run them.",
        "Pass a method that can.",
    )
