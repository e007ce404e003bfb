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
from brian2.synapses.synapses import Synapses
from brian2.units.fundamentalunits import DIMENSIONLESS, Quantity
from brian2.utils.stringtools import get_identifiers

from neurosnn.core.messages import message
from neurosnn.core.statements import assigned, without_comments
from neurosnn.model.arrivals import variables_reached
from neurosnn.model.group_schedule import cannot_read, check_schedule, step_code
from neurosnn.model.pathways import equation_text
from neurosnn.model.registry import made_by, owner_of
from neurosnn.model.surrogate import MARGIN, WIDTH

__all__ = [
    "array_of",
    "chosen_method",
    "constants_of_script",
    "fields_of_group",
    "timed_arrays_of_script",
]

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
    model = made_by(group)
    own_fields = {} if model is None else {name: getattr(model, name) for name in NOT_IN_GROUP}
    chosen = own_fields | dict(fields or {})
    check_schedule(group)
    threshold = without_comments(group.events.get("spike", ""))
    reset = group.event_codes.get("spike", "") or ""
    refractory = group._refractory
    equations = group.user_equations
    for equation in equations.values():
        if "linked" in equation.flags:
            raise cannot_read(
                group,
                f"the variable '{equation.varname}' is linked to one of another group.",
                "A model describes neurons by themselves.",
                "Give the neurons the variable, with an equation or as a parameter.",
            )
    step = chosen["step"] if "step" in chosen else step_code(group, part)
    expressions = [eq.expr.code for eq in equations.values() if eq.expr is not None]
    strings = [*expressions, threshold, reset, step]
    strings += [refractory] if isinstance(refractory, str) else []
    strings.append(chosen.get("surrogate", ""))
    names = set().union(*(get_identifiers(without_comments(text)) for text in strings))
    names -= {MARGIN, WIDTH}  # the model writes them out
    if part != slice(0, group.N) and names & {"i", "N"}:
        raise cannot_read(
            group,
            f"the strings use '{sorted(names & {'i', 'N'})[0]}', which counts all neurons.",
            "In a model of the slice alone it would count differently.",
            "Read the whole group, or give the neurons a parameter of their own.",
        )
    reached = variables_reached(group, synapses)
    inputs = chosen.get("inputs", reached.inputs)
    moving = assigned(step) | assigned(reset) | set(reached.written) | set(_names(inputs))
    for field in ("spike_gradient", "eligibility_bounds", "initial"):
        moving |= set(_names(chosen.get(field, ())))
    moving |= {chosen.get("transmits", "")} | set(() if model is None else model.states)
    parameters, initial = _values(group, part, moving)
    states = [
        name
        for name in equations
        if name not in parameters and equations[name].type != SUBEXPRESSION
    ]
    if not inputs and "inputs" not in chosen and len(states) == 1:
        inputs = tuple(states)
    parameters |= chosen.get("parameters", {})
    local = {*group.variables, *parameters, *assigned(step), *assigned(reset)}
    timed = timed_arrays_of_script(group, names - local, namespace)
    all_fields = {
        "equations": "\n".join(equation_text(equation) for equation in equations.values()),
        "threshold": threshold,
        "reset": reset,
        "refractory": refractory,
        "step": step,
        "method": chosen["method"] if "method" in chosen else chosen_method(group, namespace),
        "inputs": inputs,
        "parameters": parameters
        | constants_of_script(group, names - local - set(timed), namespace),
        "timed_arrays": timed | dict(chosen.get("timed_arrays", {})),
        "initial": initial | dict(chosen.get("initial", {})),
        "name": group.name,
    }
    all_fields = {**chosen, **all_fields, "name": chosen.get("name", group.name)}
    if "dt" not in chosen and group.clock is not get_device().defaultclock:
        all_fields["dt"] = group.clock.dt
    return all_fields


def _names(value: Any) -> Iterable[str]:
    return (value,) if isinstance(value, str) else value


def _neurons(group: Any) -> tuple[NeuronGroup, slice]:
    """The group and the part of it that is read."""
    part = None
    if isinstance(group, Subgroup):
        part, group = slice(group.start, group.stop), owner_of(group)
    if isinstance(group, SpatialNeuron):
        raise cannot_read(
            group,
            "a SpatialNeuron has compartments.",
            "A NeuronModel is a point neuron: the currents along the cable would be lost.",
            "Write the compartments as variables of a NeuronGroup that are coupled in the equations.",
        )
    if not isinstance(group, NeuronGroup):
        kind = type(group).__name__
        if isinstance(group, SpikeSource):
            raise cannot_read(
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


def _values(group: NeuronGroup, part: slice, moving: set[str]) -> tuple[dict, dict]:
    """Parameters and initial values; `moving` are variables that change during a run."""
    parameters, initial = {}, {}
    if group._refractory is not False:
        free = array_of(group, "not_refractory", part).all()
        if not free or (array_of(group, "lastspike", part) != LONG_AGO).any():
            raise cannot_read(
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
            raise cannot_read(
                group,
                f"'{name}' is of type {values.dtype}.",
                "A model has no precision of its own.",
                "Create the group without dtype; model.group(n, dtype=...) and the engine choose one.",
            )
        values = one_or_all(values, equation)
        changes = equation.type == DIFFERENTIAL_EQUATION or name in moving
        changes |= equation.var_type != "float" and "constant" not in equation.flags
        if equation.type == PARAMETER and not changes:
            parameters[name] = values
        elif np.any(np.asarray(values)):
            initial[name] = values
    return parameters, initial


def one_or_all(values: np.ndarray, equation: SingleEquation) -> Any:
    """One value if all are the same, else a copy of all, of the type and with the unit of the equation."""
    value: Any = values[0] if (values == values[0]).all() else values.copy()
    if not np.ndim(value):
        value = {"boolean": bool, "integer": int}.get(equation.var_type, float)(value)
    return value if equation.dim is DIMENSIONLESS else Quantity(value, dim=equation.dim)


def array_of(group: NeuronGroup, name: str, part: slice) -> np.ndarray:
    """The values of a variable in the part of the group, one if they share it."""
    variable = group.variables[name]
    try:
        values = np.atleast_1d(np.asarray(variable.get_value()))
    except NotImplementedError as error:
        raise cannot_read(
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
    constants: dict[str, Quantity | float] = {}
    for name in sorted(names):
        if name in WORDS or name == "xi" or name.startswith("xi_"):
            continue
        meaning = resolved(group, name, namespace)
        brian2_names = (DEFAULT_FUNCTIONS, DEFAULT_CONSTANTS, DEFAULT_UNITS)
        if any(name in names for names in brian2_names):  # Brian2 prefers its own meaning
            continue
        if isinstance(meaning, TimedArray):
            raise cannot_read(
                group,
                f"'{name}' is a TimedArray.",
                "Synapses hold constants, which no time changes.",
                f"Let a variable of the neurons be {name}(t), and read that.",
            )
        if isinstance(meaning, Function):
            raise cannot_read(
                group,
                f"'{name}' is a function of the script.",
                "Rules need the derivative of every function in the equations.",
                "Write it out in the equations with exp, log, sqrt, tanh, clip or int.",
            )
        if not isinstance(meaning, Constant) or meaning.is_boolean:
            raise cannot_read(
                group,
                f"'{name}' is not a number.",
                "A parameter of a model is a number with a unit.",
                f"Declare '{name}' in the equations, for example as '{name} : boolean (constant)'.",
            )
        if name.startswith("_"):
            raise cannot_read(
                group,
                f"the name '{name}' starts with an underscore.",
                "In a model it is a variable of the neurons, and Brian2 keeps such names for itself.",
                "Choose another name in the script.",
            )
        value = float(meaning.value)
        constants[name] = (
            value if meaning.dim is DIMENSIONLESS else Quantity(value, dim=meaning.dim)
        )
    return constants


def timed_arrays_of_script(
    group: Any, names: set[str], namespace: Mapping[str, Any]
) -> dict[str, TimedArray]:
    """The TimedArrays among what Brian2 would find for the names."""
    own = (DEFAULT_FUNCTIONS, DEFAULT_CONSTANTS, DEFAULT_UNITS)  # Brian2 prefers these
    found = {}
    for name in sorted(names - set(WORDS)):
        if name == "xi" or name.startswith("xi_") or any(name in known for known in own):
            continue
        meaning = resolved(group, name, namespace)
        if isinstance(meaning, TimedArray):
            found[name] = meaning
    return found


def resolved(group: NeuronGroup, name: str, namespace: Mapping[str, Any]) -> Any:
    """What Brian2 finds for a name, in the same order of places."""
    try:
        return group.resolve_all([name], namespace, user_identifiers=set())[name]
    except KeyError as error:
        if "not a scalar" in str(error):
            problem = f"'{name}' is an array in the namespace."
            why = "Brian2 takes one value for a name of the namespace."
            fix = f"Declare '{name}' in the equations with its unit and set group.{name}."
        else:
            problem = f"unknown name '{name}'."
            why = "It is neither a variable of the group nor in its namespace, nor in the script's."
            call = "from_synapses" if isinstance(group, Synapses) else "from_group"
            fix = f"Call {call} where '{name}' is defined, or pass namespace={{'{name}': value}}."
        raise cannot_read(group, problem, why, fix) from error


def chosen_method(group: NeuronGroup, namespace: Mapping[str, Any]) -> str:
    """The integration method that was given, or that Brian2 chooses."""
    chosen = group.state_updater.method_choice
    if group.state_updater.method_options:
        raise cannot_read(
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
        raise cannot_read(
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
    raise cannot_read(
        group,
        f"none of the methods {', '.join(map(str, chosen))} can integrate the equations.",
        "Brian2 would refuse to run them.",
        "Pass a method that can.",
    )
