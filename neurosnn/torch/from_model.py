"""From a NeuronModel, and the choice of what is learned, to a torch module."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from brian2.units.allunits import msecond as ms
from brian2.units.allunits import second
from brian2.units.fundamentalunits import Quantity
from brian2.utils.stringtools import get_identifiers

from neurosnn.calculus.step import refuse_unknown
from neurosnn.core.statements import assigned
from neurosnn.core.values import Range, check_value
from neurosnn.model import NeuronModel
from neurosnn.model.neuron_checks import check_dt, check_inputs
from neurosnn.torch.neuron import TorchNeuron
from neurosnn.torch.transforms import Transform, default_for, named

__all__ = ["to_torch"]


def _still_used(model: NeuronModel, surrogate: str) -> dict[str, Any]:
    """The parameters without those that only the old surrogate has."""
    texts = [model.equations, model.threshold, model.reset, model.step, str(model.refractory)]
    texts += [value for value in model.initial.values() if isinstance(value, str)]
    used = get_identifiers(" ".join([*texts, surrogate]))
    return {name: value for name, value in model.parameters.items() if name in used}


def to_torch(
    model: NeuronModel,
    learn: Iterable[str] | Mapping[str, str | Transform] = (),
    *,
    dt: Quantity = 1 * ms,
    detach_reset: bool | None = None,
    surrogate: str | None = None,
    dtype: torch.dtype | None = None,
    changing: Iterable[str] = (),
) -> TorchNeuron:
    r"""Neurons of a model as a torch module, from the model's own strings.

    One step is a step of a stock Brian2 network with time step `dt`: state update, `step` code,
    threshold, arrival of the presynaptic input, reset. The derivative of a spike with respect to
    the margin of the threshold is the model's `surrogate`, everything else is differentiated by
    torch.

    Parameters
    ----------
    model : NeuronModel
        Any deterministic model, or a readout.
    learn : iterable of str, or mapping of str to str or Transform, optional
        Parameters that become torch parameters, one for the layer or, where the model has an array,
        one for each neuron. Each is a transform of a free number: by default one that keeps it in
        the range that the model declares; "identity", "positive" (:math:`e^a`) or "leak_rate"
        (:math:`dt/\tau = \sigma(a)`, Fang et al. 2021) by name.
    dt : Quantity (second), default 1 ms
        Time step.
    detach_reset : bool, optional
        None: the gradient follows the neuron's own spike through the variables in the model's
        ``spike_gradient``. True: through none. False: through all that the reset changes.
    surrogate : str, optional
        Another pseudo-derivative than the model's, see :mod:`neurosnn.equations.surrogates`.
    dtype : torch.dtype, optional
        Type of the parameters, torch's default if None; states have the type of the input.
    changing : iterable of str, optional
        Parameters that the caller changes during a sequence (the buffers ``given_NAME``), such as a
        tracked range; no gradient.

    Returns
    -------
    TorchNeuron
        Call it with a sequence (n_steps, ..., n), or its `step` with one step.

    Raises
    ------
    ValueError
        If no gradient can be derived from the model, a name is not a parameter, a start value is at
        the edge of its range, or `dt` is not a positive time.

    Examples
    --------
    >>> import torch
    >>> from neurosnn import equations
    >>> from neurosnn.torch import to_torch
    >>> neuron = to_torch(equations.LIF(), learn=("tau_m",), dtype=torch.float64)
    >>> neuron(torch.full((5, 2), 0.6, dtype=torch.float64)).sum(1).tolist()
    [0.0, 0.0, 2.0, 0.0, 2.0]
    >>> neuron.learned()["tau_m"]
    20. * msecond
    """
    check_value("dt", dt, Range(0 * second), where="to_torch")
    check_dt(model, dt, where="to_torch")
    check_inputs(model, where="to_torch")
    changes: dict[str, Any] = {}
    if surrogate is not None:
        changes = {"surrogate": surrogate, "parameters": _still_used(model, surrogate)}
    if detach_reset is not None and model.spikes:
        written = assigned(model.reset)
        follow = (
            ()
            if detach_reset
            else tuple(n for n in model.states if n in written and model.is_real(n))
        )
        changes["spike_gradient"] = follow
    if changes:
        model = dataclasses.replace(model, **changes)
    chosen = dict(learn) if isinstance(learn, Mapping) else dict.fromkeys(learn)
    transforms: dict[str, Transform] = {}
    refuse_unknown(model, chosen)
    for name, transform in chosen.items():
        if transform is None:
            transform = default_for(model.ranges.get(name))
        elif isinstance(transform, str):
            transform = named(transform, dt=float(dt), where="to_torch")
        transforms[name] = transform
    real = dtype or torch.get_default_dtype()
    return TorchNeuron(model, transforms, dt, real, tuple(changing))
