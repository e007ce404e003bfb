"""A Brian2 group from the strings of a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from brian2.equations.equations import Equations
from brian2.groups.neurongroup import NeuronGroup
from brian2.units.fundamentalunits import Quantity

from neurosnn.core.messages import message
from neurosnn.core.statements import copying_code
from neurosnn.model.neuron_checks import check_dt
from neurosnn.model.registry import remember
from neurosnn.model.timed import check_columns

if TYPE_CHECKING:
    from neurosnn.model.neuron import NeuronModel

__all__ = ["GroupStrings", "make_group"]


class GroupStrings(NamedTuple):
    """What a NeuronGroup is made of besides its values.

    Attributes
    ----------
    equations : Equations
        With the declarations of the parameters.
    threshold, reset, step : str
        As in the model.
    refractory : str, Quantity or False
        As in the model.
    method : str or callable
        Brian2's state updater.
    namespace : mapping
        Functions that the strings call.
    """

    equations: Equations
    threshold: str
    reset: str
    step: str
    refractory: Any
    method: str | Callable[..., str]
    namespace: Mapping[str, Any]

    @classmethod
    def of(cls, model: NeuronModel) -> GroupStrings:
        """The strings of a model as they are."""
        return cls(
            model.brian_equations,
            model.threshold,
            model.reset,
            model.step,
            model.refractory,
            model.method,
            model.timed_arrays,
        )


def make_group(
    model: NeuronModel,
    strings: GroupStrings,
    n: int,
    *,
    name: str,
    dtype: Any,
    dt: Quantity | None,
) -> NeuronGroup:
    """A group with the parameters and initial values of a model.

    Parameters
    ----------
    model : NeuronModel
        Whose values it gets; :func:`neurosnn.model.registry.model_of` finds it.
    strings : GroupStrings
        The model's, or the same with other names for what is random.
    n, name, dtype, dt
        As for :meth:`NeuronModel.group`.

    Returns
    -------
    NeuronGroup
        The `step` runs in slot "groups", after the state update.

    Raises
    ------
    ValueError
        As :meth:`NeuronModel.group` says.
    """
    if dt is not None:
        check_dt(model, dt, where=f"{model.name}.group")
    for key, value in (*model.parameters.items(), *model.initial.items()):
        if np.ndim(value) and np.shape(value) != (n,):
            raise ValueError(
                message(
                    f"{key} has {np.shape(value)} values for {n} neurons.",
                    model.name,
                    "A parameter has one value, or one for each neuron.",
                    f"Give {key} {n} values.",
                )
            )
    check_columns(model, n)
    truths = [eq.varname for eq in strings.equations.values() if eq.var_type == "boolean"]
    group = NeuronGroup(
        n,
        strings.equations,
        threshold=strings.threshold or None,
        reset=copying_code(strings.reset, truths) if strings.threshold else None,
        refractory=strings.refractory,
        method=strings.method,
        namespace=dict(strings.namespace),
        name=name,
        dtype=dtype,
        dt=model.dt if dt is None else dt,
    )
    if strings.step.strip():
        code = copying_code(strings.step, truths)
        group.run_regularly(code, when="groups", order=1, name=f"{group.name}_step")
    for key, value in (*model.parameters.items(), *model.initial.items()):
        setattr(group, key, value)
    remember(group, model)
    return group
