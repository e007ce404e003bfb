"""Weight updates as Brian2 statements, for networks that learn within one simulation."""

from __future__ import annotations

from typing import Any

from brian2.units.fundamentalunits import DIMENSIONLESS, Quantity

from neurosnn.core.messages import message
from neurosnn.core.units import unit_text
from neurosnn.training.optimizers import SGD, Adam

__all__ = ["NOW", "update_statements", "update_variables"]

#: What of an optimizer the statements below are written for.
_WRITTEN = ("start", "update", "_start", "_step", "_factor")
#: The first of all statements: whether a batch ends at this moment.
NOW = "now = int(batch_share(t) > 0)"


def update_variables(optimizer: Any, suffix: str = "") -> tuple[str, ...]:
    """Dimensionless variables that the updates of one parameter need.

    Parameters
    ----------
    optimizer : SGD or Adam
        The optimizer.
    suffix : str, optional
        End of their names.

    Returns
    -------
    tuple of str
        Their names.

    Raises
    ------
    ValueError
        If the optimizer cannot be written as Brian2 statements.
    """
    if _base_of(optimizer) is Adam:
        return f"mean{suffix}", f"square{suffix}"
    return (f"velocity{suffix}",) if optimizer.momentum else ()


def _base_of(optimizer: Any) -> type[SGD] | type[Adam]:
    """The optimizer whose formulas these are; a subclass may change its numbers, not its methods."""
    for base in (SGD, Adam):
        if isinstance(optimizer, base) and all(
            getattr(type(optimizer), name) is getattr(base, name) for name in _WRITTEN
        ):
            return base
    raise ValueError(
        message(
            f"the optimizer {type(optimizer).__name__} is not known.",
            "OnlineTraining",
            "The updates run inside Brian2 as Brian2 statements, which are written for SGD and Adam as "
            "they are; what another class does in Python would not happen.",
            "Use SGD or Adam, or train with Trainer(net, rule, optimizer=..., backend='brian2').",
        )
    )


def update_statements(
    optimizer: Any,
    name: str,
    *,
    weight: str,
    gradient: str,
    scale: Quantity | float = 1.0,
    dimensions: Any = DIMENSIONLESS,
    suffix: str = "",
) -> str:
    """Statements of one update, which follow `NOW` and act only where it is 1.

    Parameters
    ----------
    optimizer : SGD or Adam
        The optimizer.
    name : str
        Name of the parameter, for its learning-rate factor.
    weight, gradient : str
        The variable to change and the sum of its gradients over the trials of a batch.
    scale : float, optional
        SI value of the unit in which the learning rate is meant.
    dimensions : Dimension, optional
        Dimensions of the weight.
    suffix : str, optional
        End of the names of :func:`update_variables`.

    Returns
    -------
    str
        Brian2 statements; they read ``batch_share(t)``, 1/(trials of the batch that ends now) or
        zero, and ``update_number(t)``, counted from 1.
    """
    rate = repr(float(optimizer.learning_rate * optimizer._factor(name)))
    unit = "" if dimensions is DIMENSIONLESS else f"*{unit_text(dimensions)}"
    unit_of_weight = f"({float(scale)!r}{unit})"
    lines = [f"slope = {gradient}*{unit_of_weight}*batch_share(t)"]
    decay = float(optimizer.weight_decay) if name.endswith(".w") else 0.0
    if decay and optimizer.decoupled:
        lines.append(f"{weight} *= (1 - now*{rate}*{decay!r})")
    elif decay:
        lines.append(f"slope += now*{decay!r}*{weight}/{unit_of_weight}")
    if _base_of(optimizer) is Adam:
        first, second = float(optimizer.beta_1), float(optimizer.beta_2)
        mean, square = update_variables(optimizer, suffix)
        lines += [
            f"{mean} += now*(1 - {first!r})*(slope - {mean})",
            f"{square} += now*(1 - {second!r})*(slope**2 - {square})",
            f"width = sqrt({square}/(1 - {second!r}**update_number(t))) + {float(optimizer.epsilon)!r}",
            f"change = {mean}/(1 - {first!r}**update_number(t))/width",
        ]
    elif optimizer.momentum:
        (velocity,) = update_variables(optimizer, suffix)
        momentum = float(optimizer.momentum)
        lines += [
            f"{velocity} = now*({momentum!r}*{velocity} + slope) + (1 - now)*{velocity}",
            f"change = {velocity}",
        ]
    else:
        lines.append("change = slope")
    return "\n".join([*lines, f"{weight} -= now*{rate}*change*{unit_of_weight}"])
