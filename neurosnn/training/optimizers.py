"""How a gradient changes the weights: SGD, Adam, clipping by the global norm.

An optimizer is two functions. ``start(parameters)`` makes its state, a dict of arrays that a
checkpoint stores as it is; ``update(parameters, gradient, state, learning_rate)`` changes both
parameters and state in place, in the dtype of the parameters.
"""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol, runtime_checkable

import numpy as np

from neurosnn.core.arguments import explained
from neurosnn.core.messages import did_you_mean, message
from neurosnn.core.values import Range, check_value

__all__ = ["SGD", "Adam", "Optimizer", "clip_by_global_norm"]

Arrays = Mapping[str, np.ndarray]


@runtime_checkable
class Optimizer(Protocol):
    """What the trainer needs of an optimizer: write your own with these three."""

    @property
    def learning_rate(self) -> float:
        """That of an epoch in which the schedule's factor is one."""

    def start(self, parameters: Arrays) -> dict[str, np.ndarray]:
        """A new state for the ``parameters``."""

    def update(
        self,
        parameters: Arrays,
        gradient: Arrays,
        state: dict[str, np.ndarray],
        learning_rate: float | None = None,
    ) -> None:
        """Change parameters and state in place.

        Parameters
        ----------
        parameters : mapping of str to array
            What is learned; changed.
        gradient : mapping of str to array
            By the same names; not changed.
        state : dict of str to array
            What ``start`` returned; changed.
        learning_rate : float, optional
            That of the moment, by the schedule; its own if None.
        """


def _check_numbers(optimizer, **allowed: Range) -> None:
    """Refuse numbers and factors out of their range."""
    where = type(optimizer).__name__
    for name, limits in allowed.items():
        check_value(name, getattr(optimizer, name), limits, where=where)
        if np.ndim(getattr(optimizer, name)):
            raise ValueError(
                message(
                    f"{name} must be one number, got {getattr(optimizer, name)}.",
                    where,
                    "It holds for all parameters.",
                    "Use factors={'readout.w': 0.1} for single parameters.",
                )
            )
    for name, factor in optimizer.factors.items():
        check_value(f"factors['{name}']", factor, Range(0.0, includes_low=True), where=where)
    object.__setattr__(optimizer, "factors", MappingProxyType(dict(optimizer.factors)))


def _check_below_one(optimizer, *names: str) -> None:
    for name in names:
        if getattr(optimizer, name) >= 1:
            raise ValueError(
                message(
                    f"{name} must be below 1, got {getattr(optimizer, name)}.",
                    type(optimizer).__name__,
                    "An average with this decay would never forget.",
                    f"Choose for example {name}=0.9.",
                )
            )


class _Descent:
    """What SGD and Adam share: factors, decay of weights, and the loop over the parameters."""

    learning_rate: float
    weight_decay: float
    decoupled: bool
    factors: Mapping[str, float]

    def start(self, parameters: Arrays) -> dict[str, np.ndarray]:
        """A new state for the ``parameters``: zeros of their shapes and dtypes, and counters."""
        names = list(parameters)
        for key in self.factors:
            if not fnmatch.filter(names, key):
                raise ValueError(
                    message(
                        f"factors names '{key}', which is no parameter of the network.",
                        type(self).__name__,
                        "A factor without effect is usually a misspelt name.",
                        did_you_mean(key, names),
                    )
                )
        return self._start(parameters)

    def update(
        self,
        parameters: Arrays,
        gradient: Arrays,
        state: dict[str, np.ndarray],
        learning_rate: float | None = None,
    ) -> None:
        """Change parameters and state in place, see :meth:`Optimizer.update`.

        Parameters
        ----------
        parameters : mapping of str to array
            What is learned; changed.
        gradient : mapping of str to array
            By the same names; not changed.
        state : dict of str to array
            What ``start`` returned; changed.
        learning_rate : float, optional
            That of the moment; its own if None.
        """
        base = self.learning_rate if learning_rate is None else learning_rate
        if "steps" in state:
            state["steps"] += 1
        for name, parameter in parameters.items():
            rate, slope = base * self._factor(name), gradient[name]
            if self.weight_decay and name.endswith(".w"):  # biases are not pulled to zero
                if self.decoupled:
                    parameter *= 1 - rate * self.weight_decay
                else:
                    slope = slope + self.weight_decay * parameter
            parameter -= self._step(name, slope, rate, state)

    def numbers(self, name: str, rate: float, state: Mapping[str, np.ndarray]) -> dict[str, float]:
        """What another machine needs to make the update of a parameter.

        Parameters
        ----------
        name : str
            The parameter.
        rate : float
            Learning rate of the moment.
        state : mapping of str to array
            With the step of this update counted.

        Returns
        -------
        dict of str to float
            ``shrink`` and ``decay`` of weights, ``rate``, and what the averages need.
        """
        rate *= self._factor(name)
        decays = bool(self.weight_decay) and name.endswith(".w")
        return {
            "shrink": 1 - rate * self.weight_decay if decays and self.decoupled else 1.0,
            "decay": self.weight_decay if decays and not self.decoupled else 0.0,
            **self._numbers(rate, state),
        }

    def _numbers(self, rate: float, state: Mapping[str, np.ndarray]) -> dict[str, float]:
        raise NotImplementedError

    def _start(self, parameters: Arrays) -> dict[str, np.ndarray]:
        raise NotImplementedError

    def _step(self, name: str, slope: np.ndarray, rate: float, state: dict) -> np.ndarray:
        raise NotImplementedError

    def _factor(self, name: str) -> float:
        """The learning-rate factor of a parameter: of its own name, else of the first pattern."""
        if name in self.factors:
            return self.factors[name]
        matching = (self.factors[key] for key in self.factors if fnmatch.fnmatchcase(name, key))
        return next(matching, 1.0)

    def __repr__(self) -> str:
        # Only what differs from the defaults, and always the learning rate.
        parts = [f"{self.learning_rate!r}"]
        for field in dataclasses.fields(self)[1:]:  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if field.name == "factors":
                parts += [f"factors={dict(value)!r}"] if value else []
            elif value != field.default:
                parts.append(f"{field.name}={value!r}")
        return f"{type(self).__name__}({', '.join(parts)})"


@explained(learning_rate="SGD(1e-2)")
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class SGD(_Descent):
    r"""Gradient descent, with or without momentum.

    .. math:: u \leftarrow \mu u + g, \qquad w \leftarrow w - \eta f u

    Parameters
    ----------
    learning_rate : float, optional
        eta.
    momentum : float, optional
        mu, 0 <= mu < 1.
    weight_decay : float, optional
        lambda: ``w <- w (1 - eta f lambda)`` before the step, for weights (names that end in ".w").
    decoupled : bool, optional
        False: lambda w is added to the gradient instead (L2 regularization).
    factors : mapping of str to float, optional
        Learning-rate factor f of single parameters, by name or pattern, such as
        ``{"readout.w": 0.1, "recurrent*": 0.05}``; an exact name goes first; 0 keeps a parameter.

    Raises
    ------
    ValueError
        For a number out of its range or, at the start, a factor for an unknown parameter.

    Examples
    --------
    >>> import numpy as np
    >>> from neurosnn.training.optimizers import SGD
    >>> optimizer, parameters = SGD(0.1, momentum=0.5), {"w": np.ones(1)}
    >>> state = optimizer.start(parameters)
    >>> for _ in range(2):
    ...     optimizer.update(parameters, {"w": np.ones(1)}, state)
    >>> parameters["w"]
    array([0.75])
    """

    learning_rate: float = 1e-2
    _: dataclasses.KW_ONLY
    momentum: float = 0.0
    weight_decay: float = 0.0
    decoupled: bool = True
    factors: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        positive, not_negative = Range(0.0), Range(0.0, includes_low=True)
        _check_numbers(
            self, learning_rate=positive, momentum=not_negative, weight_decay=not_negative
        )
        _check_below_one(self, "momentum")

    def _start(self, parameters: Arrays) -> dict[str, np.ndarray]:
        if not self.momentum:
            return {}
        return {f"{name}/velocity": np.zeros_like(value) for name, value in parameters.items()}

    def _numbers(self, rate: float, state: Mapping[str, np.ndarray]) -> dict[str, float]:
        return {"rate": rate, "beta_1": self.momentum}

    def _step(self, name: str, slope: np.ndarray, rate: float, state: dict) -> np.ndarray:
        if not self.momentum:
            return rate * slope
        velocity = state[f"{name}/velocity"]
        velocity *= self.momentum
        velocity += slope
        return rate * velocity


@explained(learning_rate="Adam(1e-3)")
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Adam(_Descent):
    r"""Adam (Kingma and Ba 2015), bias-corrected.

    .. math::
        m \leftarrow \beta_1 m + (1 - \beta_1) g, \qquad v \leftarrow \beta_2 v + (1 - \beta_2) g^2,
        \qquad w \leftarrow w - \eta f \frac{m / (1 - \beta_1^n)}
        {\sqrt{v / (1 - \beta_2^n)} + \epsilon}

    in step n = 1, 2, ... as in PyTorch and in the paper's Algorithm 1. TensorFlow and NEST leave v
    uncorrected under the root and correct the learning rate instead, which is this formula with
    epsilon / sqrt(1 - beta_2^n) for epsilon: their epsilon weighs 32 times more in the first step.

    Parameters
    ----------
    learning_rate : float, optional
        eta.
    beta_1, beta_2 : float, optional
        Decays of the two averages per step.
    epsilon : float, optional
        Smallest denominator.
    weight_decay : float, optional
        lambda: ``w <- w (1 - eta f lambda)`` before the step (AdamW), for weights (names that end
        in ".w").
    decoupled : bool, optional
        False: lambda w is added to the gradient instead (L2 regularization).
    factors : mapping of str to float, optional
        Learning-rate factor f of single parameters, as for :class:`SGD`.

    Raises
    ------
    ValueError
        For a number out of its range or, at the start, a factor for an unknown parameter.

    Examples
    --------
    >>> import numpy as np
    >>> from neurosnn.training.optimizers import Adam
    >>> optimizer, parameters = Adam(0.1), {"w": np.zeros(2)}
    >>> state = optimizer.start(parameters)
    >>> optimizer.update(parameters, {"w": np.array([3.0, -0.2])}, state)
    >>> parameters["w"].round(6)
    array([-0.1,  0.1])
    """

    learning_rate: float = 1e-3
    _: dataclasses.KW_ONLY
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    decoupled: bool = True
    factors: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        positive, not_negative = Range(0.0), Range(0.0, includes_low=True)
        _check_numbers(
            self,
            learning_rate=positive,
            beta_1=not_negative,
            beta_2=not_negative,
            epsilon=positive,
            weight_decay=not_negative,
        )
        _check_below_one(self, "beta_1", "beta_2")

    def _start(self, parameters: Arrays) -> dict[str, np.ndarray]:
        state = {"steps": np.zeros((), dtype=np.int64)}
        for name, value in parameters.items():
            state[f"{name}/mean"] = np.zeros_like(value)
            state[f"{name}/square"] = np.zeros_like(value)
        return state

    def _numbers(self, rate: float, state: Mapping[str, np.ndarray]) -> dict[str, float]:
        steps = int(state["steps"])
        return {
            "rate": rate / (1 - self.beta_1**steps),
            "root": (1 - self.beta_2**steps) ** 0.5,
            "epsilon": self.epsilon,
            "beta_1": self.beta_1,
            "rest_1": 1 - self.beta_1,
            "beta_2": self.beta_2,
            "rest_2": 1 - self.beta_2,
        }

    def _step(self, name: str, slope: np.ndarray, rate: float, state: dict) -> np.ndarray:
        steps = int(state["steps"])
        mean, square = state[f"{name}/mean"], state[f"{name}/square"]
        mean *= self.beta_1
        mean += (1 - self.beta_1) * slope
        square *= self.beta_2
        square += (1 - self.beta_2) * np.square(slope)
        step = np.sqrt(square)
        step /= (1 - self.beta_2**steps) ** 0.5
        step += self.epsilon
        step = mean / step
        step *= rate / (1 - self.beta_1**steps)
        return step


def clip_by_global_norm(gradient: Mapping[str, np.ndarray], limit: float | None) -> float:
    """Shorten a gradient that is longer than `limit`, in place.

    The norm is that of all blocks together, ``sqrt(sum of all squares)``; directions are kept.

    Parameters
    ----------
    gradient : mapping of str to array
        Blocks, changed in place.
    limit : float or None
        Largest norm; None only measures.

    Returns
    -------
    float
        The norm before.

    Examples
    --------
    >>> import numpy as np
    >>> from neurosnn.training.optimizers import clip_by_global_norm
    >>> gradient = {"a": np.array([3.0]), "b": np.array([4.0])}
    >>> clip_by_global_norm(gradient, 1.0), gradient
    (5.0, {'a': array([0.6]), 'b': array([0.8])})
    """
    # Not np.linalg.norm: the sum of a BLAS may depend on its number of threads.
    norms = [
        float(np.sqrt(np.sum(np.square(block, dtype=np.float64)))) for block in gradient.values()
    ]
    norm = float(np.sqrt(sum(value**2 for value in norms)))
    if limit is not None and norm > limit:
        for block in gradient.values():
            block *= limit / norm
    return norm
