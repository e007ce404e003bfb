"""Synapses that change their own weights as C++: a set of states for each synapse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from brian2.utils.stringtools import get_identifiers

from neurosnn.calculus.changing import changing_code
from neurosnn.calculus.presynaptic import since_last_update
from neurosnn.core.messages import message
from neurosnn.engine.cpp import FUNCTIONS
from neurosnn.engine.synapses import statement_lines, units_and_constants
from neurosnn.model import PlasticityRule

__all__ = [
    "ChangingSynapses",
    "Places",
    "changing_synapses",
    "changing_values",
    "steps_after_spikes",
]


#: No trial has as many steps.
LONGEST = 2**31


@dataclass
class ChangingSynapses:
    """The pieces of C++ of the synapses of one connection.

    `read` are pairs of a name and the state that it means, of the presynaptic neuron first.
    """

    index: int
    weight: str
    variables: tuple[str, ...]
    constants: tuple[str, ...]
    units: list = field(default_factory=list)
    read_pre: list = field(default_factory=list)
    read_post: list = field(default_factory=list)
    target: str = ""
    catch_up: list = field(default_factory=list)
    on_pre: list = field(default_factory=list)
    on_post: list = field(default_factory=list)


def changing_synapses(
    index: int, rule: PlasticityRule, ends: Mapping[str, Any], gated: Iterable[str], target: str
) -> ChangingSynapses:
    """Translate the strings of synapses that change themselves.

    Parameters
    ----------
    index : int
        Number of the connection in the generated file.
    rule : PlasticityRule
        The synapse.
    ends : mapping of str to NeuronModel or None
        The models of "pre" and "post"; None is the input.
    gated : iterable of str
        Variables of the target whose input waits for the end of the slot.
    target : str
        The variable that a presynaptic spike adds to.

    Returns
    -------
    ChangingSynapses
        Its pieces.

    Raises
    ------
    ValueError
        If they read what the neurons do not keep.
    """
    code = changing_code(rule)
    sides: dict[str, list] = {"pre": [], "post": []}
    for name in code.read:
        base, _, side = name.rpartition("_")
        model = ends[side]
        if model is None or base not in model.states or (side == "post" and base in gated):
            raise ValueError(
                message(
                    f"it reads '{name}', which is not a state of the neurons, or is an input that waits.",
                    f"synapse {rule.name}",
                    "Synapses read states; input to a variable that is (unless refractory) is let in after "
                    "all spikes of the step.",
                    "Read another variable of the neurons, or give the synapses a constant.",
                )
            )
        sides[side].append((name, base))
    target_variable = f"{target}_post"
    on_pre = f"{target_variable} += {code.sent}\n{code.on_pre}" if code.sent else code.on_pre
    text = " ".join([code.catch_up, on_pre, code.on_post])
    names = {*code.variables, *rule.constants, *FUNCTIONS, *code.read, target_variable}
    states = (*code.variables, target_variable)
    return ChangingSynapses(
        index=index,
        weight=rule.weight,
        variables=code.variables,
        constants=tuple(rule.constants),
        units=units_and_constants(get_identifiers(text) - names),
        read_pre=sides["pre"],
        read_post=sides["post"],
        target=target_variable,
        catch_up=statement_lines(since_last_update(code.catch_up), states),
        on_pre=statement_lines(on_pre, states),
        on_post=statement_lines(code.on_post, states),
    )


def steps_after_spikes(rule: PlasticityRule, n: int, dt: float) -> np.ndarray:
    """How many steps later than the postsynaptic spike each of n synapses follows it, as Brian2 rounds."""
    late = [pathway.delay for pathway in rule.pathways if pathway.side == "post"]
    delay = np.asarray(late[0] if late and late[0] is not None else 0.0, dtype=float)
    steps = np.minimum(np.floor(delay / dt + 0.5), LONGEST)
    return np.broadcast_to(steps.astype(np.int64), (n,))


class Places:
    """Where the synapses of a connection lie in the engine, which stays the same.

    Parameters
    ----------
    order : ndarray of int
        The synapses of the connection in the order of the engine.
    pre, post : ndarray of int
        Neurons of each synapse of the connection.
    lag : ndarray of int
        How many steps later than its neuron's spike each synapse of the connection follows it.
    """

    def __init__(self, order: np.ndarray, pre: np.ndarray, post: np.ndarray, lag: np.ndarray):
        self.order, self.pre = order, pre[order].astype(np.int64)
        self.lags, which = np.unique(lag[order], return_inverse=True)
        self.n_post = int(post.max(initial=-1)) + 1
        # by lag, then by postsynaptic neuron
        place = which * self.n_post + post[order]
        self.by_post = np.argsort(place, kind="stable").astype(np.int64)
        ends = np.arange(len(self.lags) * self.n_post + 1)
        self.column = np.searchsorted(place[self.by_post], ends).astype(np.int64)


def changing_values(
    name: str, code: ChangingSynapses, rule: PlasticityRule, w: np.ndarray, places: Places
) -> dict[str, Any]:
    """Values of the fields of one connection.

    Parameters
    ----------
    name : str
        Name of the connection.
    code : ChangingSynapses
        Its pieces.
    rule : PlasticityRule
        The synapse.
    w : ndarray
        Weights in the order of the connection.
    places : Places
        Its synapses in the engine.

    Returns
    -------
    dict
        Arrays by field.
    """
    initial = {**rule.initial, rule.weight: w}
    values: dict[str, Any] = {
        f"synapse_{code.index}_{key}": float(rule.constants[key]) for key in code.constants
    }
    for key in code.variables:
        array = np.broadcast_to(np.asarray(initial.get(key, 0.0), dtype=float), w.shape)
        values[f"start_{name}_{key}"] = np.ascontiguousarray(array[places.order])
    return values | {
        f"pre_{name}": places.pre,
        f"by_post_{name}": places.by_post,
        f"column_{name}": places.column,
        f"n_column_{name}": places.n_post,
        f"lag_{name}": places.lags.astype(np.int64),
        f"n_lags_{name}": len(places.lags),
    }
