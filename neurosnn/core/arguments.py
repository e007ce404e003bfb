"""Errors for arguments that a function does not have, with the name that was probably meant."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, overload

from neurosnn.core.messages import described, did_you_mean, message

__all__ = ["explained"]

Called = TypeVar("Called", bound=Callable[..., Any])

#: What other programs call things, and what it is here if the callable has it.
ELSEWHERE = {
    "lr": ("learning_rate", "optimizer"),
    "learning_rate": ("optimizer",),
    "tau": ("tau_m",),
    "tau_mem": ("tau_m",),
    "tau_membrane": ("tau_m",),
    "tau_syn": ("tau_s",),
    "threshold": ("v_th",),
    "v_thresh": ("v_th",),
    "v_threshold": ("v_th",),
    "thresh": ("v_th",),
    "n_epochs": ("epochs",),
    "num_epochs": ("epochs",),
    "nb_epochs": ("epochs",),
    "batchsize": ("batch_size",),
    "batch": ("batch_size",),
    "validation_data": ("validation",),
    "val": ("validation",),
    "valid": ("validation",),
    "verbose": ("progress",),
    "criterion": ("loss",),
    "loss_fn": ("loss",),
    "random_seed": ("seed",),
    "random_state": ("seed",),
    "units": ("n",),
    "size": ("n",),
    "n_neurons": ("n",),
    "N": ("n",),
    "eqs": ("equations",),
    "params": ("parameters",),
    "namespace": ("parameters",),
    "device": ("backend",),
    "y": ("targets",),
    "labels": ("targets",),
}


@overload
def explained(called: Called, /) -> Called: ...


@overload
def explained(called: None = None, /, **examples: str) -> Callable[[Called], Called]: ...


def explained(called: Any = None, /, **examples: str) -> Any:
    """Decorate a function or class: a call that does not fit its arguments is explained.

    Parameters
    ----------
    called : callable
        The function or class.
    **examples : str
        What to do about an argument that is missing or written otherwise: ``epochs="epochs=5"``; as
        ``positional`` about too many without a name, as ``unknown`` about a name that is like no other.

    Returns
    -------
    callable
        The same; a call that fits costs nothing more.

    Examples
    --------
    >>> @explained
    ... def neuron(*, tau_m=20.0): ...
    >>> neuron(tau_mem=10.0)
    Traceback (most recent call last):
    ...
    TypeError: neuron: there is no argument 'tau_mem'. It takes tau_m. Did you mean 'tau_m'?
    """
    if called is None:
        return functools.partial(explained, **examples)
    if isinstance(called, type):
        called.__init__ = _wrapped(called.__init__, called.__name__, examples)  # type: ignore[misc]
        return called
    return _wrapped(called, called.__qualname__.rpartition("<locals>.")[2], examples)


def _wrapped(function: Any, name: str, examples: dict[str, str]) -> Any:
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except TypeError:
            try:
                signature.bind(*arguments, **named)
            except TypeError:
                error = _error(name, signature, arguments, named, examples)
            else:
                raise  # it comes from inside
        raise error

    return call


def _error(
    name: str,
    signature: inspect.Signature,
    arguments: tuple[Any, ...],
    named: dict[str, Any],
    examples: dict[str, str],
) -> TypeError:
    first = next(iter(signature.parameters), "")
    bound = first in ("self", "cls")
    if bound and "." in name:  # by the class that the caller sees, which may inherit the method
        owner = arguments[0] if first == "cls" else type(arguments[0])
        name = f"{owner.__name__}.{name.rpartition('.')[2]}"
    known = {
        key: parameter
        for key, parameter in signature.parameters.items()
        if key != first or not bound
    }
    names = [
        key
        for key, parameter in known.items()
        if parameter.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    ]
    takes = f"It takes {', '.join(names)}." if names else "It takes none."
    strange = [key for key in named if key not in names]
    if strange:
        meant = next((key for key in ELSEWHERE.get(strange[0], ()) if key in names), None)
        fix = f"Did you mean '{meant}'?" if meant else did_you_mean(strange[0], names)
        if meant in examples:
            fix = f"Write for example {examples[meant]}."
        if fix.startswith("Known names"):
            fix = examples.get("unknown", "Use one of these.")
        return TypeError(message(f"there is no argument '{strange[0]}'.", name, takes, fix))
    places = [
        key
        for key, parameter in known.items()
        if parameter.kind == inspect.Parameter.POSITIONAL_OR_KEYWORD
    ]
    n_positional = len(arguments) - bound
    if n_positional > len(places):
        what = f"{n_positional} arguments without a name, the last one {described(arguments[-1])}."
        why = f"It takes {', '.join(places) or 'none'} so; the others by name: "
        why += f"{', '.join(key for key in names if key not in places)}."
        fix = examples.get("positional", "Write the name of each, as in name=value.")
        return TypeError(message(what, name, why, fix))
    twice = [key for key in places[:n_positional] if key in named]
    if twice:
        return TypeError(message(f"'{twice[0]}' is given twice.", name, "", "Leave one out."))
    missing = [
        key
        for key, parameter in known.items()
        if parameter.default is inspect.Parameter.empty
        and key in names
        and key not in named
        and key not in places[:n_positional]
    ]
    absent = missing[0] if missing else "?"
    fix = f"Write for example {examples[absent]}." if absent in examples else f"Pass {absent}."
    return TypeError(message(f"'{absent}' is missing.", name, takes, fix))
