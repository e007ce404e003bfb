"""The parts of a network: where trials enter, populations of neurons, and the readout."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np
from brian2.units.allunits import msecond, second
from brian2.units.fundamentalunits import DIMENSIONLESS, Quantity, get_dimensions

from neurosnn.core.arguments import explained
from neurosnn.core.messages import did_you_mean, message
from neurosnn.core.texts import check_identifier
from neurosnn.core.values import Range, check_value, check_whole
from neurosnn.equations import LeakyReadout
from neurosnn.model import NeuronModel
from neurosnn.model.given_model import check_model
from neurosnn.model.neuron_checks import check_inputs

__all__ = ["Input", "Layer", "Population", "Readout"]

DELAY = Range(0 * second, includes_low=True)


@explained(n="Input(700)")
@dataclasses.dataclass(frozen=True, eq=False)
class Input:
    """Where the trials enter a network.

    Parameters
    ----------
    n : int
        Number of channels.
    real_valued : bool, optional
        A number per channel and step instead of spikes; x adds ``w*x`` once a step, at the moment
        a spike of this step would arrive.
    delay : Quantity (second), optional
        Axonal delay of the channels, one or one for each, a multiple of the network's dt.
    learn : tuple of str, optional
        ("delay",) to learn the delays; then they need not be multiples of dt. See :class:`Layer`.

    Raises
    ------
    ValueError
        If `n` is not a positive whole number, or delays are given for real-valued input.

    Examples
    --------
    >>> from neurosnn import Input
    >>> Input(700).n
    700
    """

    n: int
    real_valued: bool = dataclasses.field(default=False, kw_only=True)
    delay: Quantity = dataclasses.field(default_factory=lambda: 0 * second, kw_only=True)
    learn: tuple[str, ...] = dataclasses.field(default=(), kw_only=True)

    def __repr__(self) -> str:
        return _settings(self, str(self.n))

    def __post_init__(self) -> None:
        _check_count("n", self.n, where="Input")
        _check_flag("real_valued", self.real_valued, where="Input")
        check_value("delay", self.delay, DELAY, where="Input")
        _check_length("delay", self.delay, self.n, where="Input")
        object.__setattr__(self, "learn", _check_learn(self.learn, ("delay",), where="Input"))
        if self.real_valued and (self.learn or np.any(np.asarray(self.delay) > 0)):
            raise ValueError(
                message(
                    "delays of real-valued input.",
                    "Input",
                    "They delay spikes.",
                    "Shift the frames of the trials instead.",
                )
            )


@explained(n="Population(equations.LIF(), 100)", model="Population(equations.LIF(), 100)")
@dataclasses.dataclass(frozen=True, eq=False)
class Population:
    """Spiking neurons of one model.

    Parameters
    ----------
    model : NeuronModel
        The neuron. A parameter that is an array of length `n` differs from neuron to neuron.
    n : int
        Number of neurons.
    name : str, optional
        Name of the Brian2 group; in a graph that of its key among the populations.
    learn : tuple of str, optional
        Parameters of the model that are learned, such as "tau_m". A parameter with one value in the
        model is learned as one, an array neuron by neuron. ``net.parameters`` holds them as
        "<population>.tau_m" in SI units.

    Raises
    ------
    ValueError
        If the model has no threshold or no input, a number is out of range, or there is no such
        parameter to learn.
    TypeError
        If `model` is not a NeuronModel.

    Examples
    --------
    >>> from neurosnn import Population, equations
    >>> Population(equations.LIF(), 100, learn="tau_m").learn
    ('tau_m',)
    """

    model: NeuronModel
    n: int
    name: str | None = dataclasses.field(default=None, kw_only=True)
    learn: tuple[str, ...] = dataclasses.field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        where = self._where
        if self.name is not None:
            check_identifier(self.name, field="the name", where=where)
        _check_model(self.model, where=where)
        _check_count("n", self.n, where=where)
        if not self.model.spikes:
            raise ValueError(
                message(
                    f"the model {self.model.name} has no threshold.",
                    where,
                    "A population sends spikes.",
                    "Give the model a threshold, or use it as Readout(n, model=...).",
                )
            )
        _check_lengths(self.model, self.n, where=where)
        known = (*self.model.parameters, *self._learned_besides)
        object.__setattr__(self, "learn", _check_learn(self.learn, known, where=where))

    #: What can be learned besides the parameters of the model.
    _learned_besides: ClassVar[tuple[str, ...]] = ()

    @property
    def _where(self) -> str:
        kind = type(self).__name__
        return kind if self.name is None else f"{kind} {self.name}"


@explained(n="Layer(equations.LIF(), 100)", model="Layer(equations.LIF(), 100)")
@dataclasses.dataclass(frozen=True, eq=False)
class Layer(Population):
    """A population of a stack of layers, with the settings of the synapses to it and within it.

    Parameters
    ----------
    model : NeuronModel
        The neuron. A parameter that is an array of length `n` differs from neuron to neuron, which
        also mixes populations (``beta`` zero for some neurons: LIF among ALIF).
    n : int
        Number of neurons.
    recurrent : bool, optional
        Connect the neurons among each other, none with itself.
    name : str, optional
        Name of the Brian2 group; "hidden", or "hidden1", "hidden2" ... if there are several.
    delay : Quantity (second), optional
        Axonal delay of the neurons, one or one for each, on the way to the own and to the next
        layer (not to the readout): a multiple of the network's dt, or any time if it is learned.
    connectivity : float, optional
        Fraction of the possible incoming and recurrent synapses that exist, drawn once.
    excitatory : float, optional
        Fraction of the neurons, the first ones, that only excite; all others only inhibit. Holds
        for recurrent and forward synapses. None: weights of either sign.
    weight_scale : float or Quantity, optional
        Standard deviation of the initial incoming and recurrent weights is ``weight_scale * v_th
        / sqrt(n_pre * connectivity)``, with 1 mV, 1 nA, 1 nS or 1 in place of v_th if the model
        has none in the unit of its input; a `weight_scale` with that unit replaces both.
    weight_mean : float, optional
        Mean of the initial incoming (not recurrent) weights, in standard deviations: for mean m and
        standard deviation s pass ``weight_mean=m/s`` and ``weight_scale=s*sqrt(n_pre)/v_th``. A
        positive mean lets a layer fire from the start.
    learn : tuple of str, optional
        What is learned besides weights: names of parameters of the model, such as "tau_m", and
        "delay". A parameter with one value in the model is learned as one, an array neuron by
        neuron. ``net.parameters`` holds them as "<layer>.tau_m", "<layer>.delay" in SI units. Delays
        are real numbers; the simulation uses them rounded to steps.

    Raises
    ------
    ValueError
        If the model has no threshold or no input, a number is out of range, or there is no such
        parameter to learn.
    TypeError
        If `model` is not a NeuronModel.

    Examples
    --------
    >>> from brian2 import ms
    >>> from neurosnn import Layer, equations
    >>> Layer(equations.ALIF(tau_a=500*ms), 100, recurrent=True, delay=2*ms).n
    100
    """

    recurrent: bool = dataclasses.field(default=False, kw_only=True)
    delay: Quantity = dataclasses.field(default_factory=lambda: 0 * second, kw_only=True)
    connectivity: float = dataclasses.field(default=1.0, kw_only=True)
    excitatory: float | None = dataclasses.field(default=None, kw_only=True)
    weight_scale: float | Quantity = dataclasses.field(default=1.0, kw_only=True)
    weight_mean: float = dataclasses.field(default=0.0, kw_only=True)

    _learned_besides: ClassVar[tuple[str, ...]] = ("delay",)

    def __repr__(self) -> str:
        return _settings(self, self.model.name, str(self.n))

    def __post_init__(self) -> None:
        super().__post_init__()
        where = self._where
        _check_flag("recurrent", self.recurrent, where=where)
        check_value("delay", self.delay, DELAY, where=where)
        _check_length("delay", self.delay, self.n, where=where)
        check_value("connectivity", self.connectivity, Range(0, 1), where=where)
        if self.excitatory is not None:
            check_value("excitatory", self.excitatory, Range(0, 1, includes_low=True), where=where)
        unit = self.model.dimensions[self.model.inputs[0]]
        check_weight_scale(self.weight_scale, unit, where=where)
        check_value("weight_mean", self.weight_mean, Range(-np.inf), where=where)

    @property
    def sign(self) -> np.ndarray | None:
        """+1 for excitatory and -1 for inhibitory neurons, int8 (n,); None if they may be both."""
        if self.excitatory is None:
            return None
        return np.where(np.arange(self.n) < round(self.excitatory * self.n), 1, -1).astype(np.int8)


@explained(n="Readout(10)")
@dataclasses.dataclass(frozen=True, eq=False)
class Readout:
    """The output of a network: neurons without spikes that read all layers.

    The output of a step is the first state of the model after the spikes of the step have arrived,
    plus the bias.

    Parameters
    ----------
    n : int
        Number of outputs.
    tau : Quantity (second), optional
        Time constant of ``equations.LeakyReadout``, 20 ms if neither it nor `model` is given.
    model : NeuronModel, optional
        Another model without threshold.
    bias : bool, optional
        Whether to learn a constant that is added to each output.
    weight_scale, weight_mean : float, optional
        The standard deviation of the initial weights is ``weight_scale/sqrt(n_pre)`` in units of the
        readout's input (1, mV, nA or nS), and `weight_mean` their mean in standard deviations.
    of : tuple of str, optional
        In a graph, the populations that it reads; all if empty.

    Raises
    ------
    ValueError
        If the model has a threshold, if both `tau` and `model` are given, or for values out of range.
    TypeError
        If `model` is not a NeuronModel.

    Examples
    --------
    >>> from brian2 import ms
    >>> from neurosnn import Readout
    >>> Readout(10, tau=20*ms).model.parameters["tau"]
    20. * msecond
    """

    n: int
    tau: Quantity | None = dataclasses.field(default=None, kw_only=True)
    model: NeuronModel = dataclasses.field(default=None, kw_only=True)  # type: ignore[assignment]
    bias: bool = dataclasses.field(default=True, kw_only=True)
    weight_scale: float = dataclasses.field(default=1.0, kw_only=True)
    weight_mean: float = dataclasses.field(default=0.0, kw_only=True)
    of: tuple[str, ...] = dataclasses.field(default=(), kw_only=True)

    def __repr__(self) -> str:
        return _settings(self, str(self.n))

    def __post_init__(self) -> None:
        of = (self.of,) if isinstance(self.of, str) else tuple(self.of)
        for name in of:
            check_identifier(name, field="a name in of", where="Readout")
        object.__setattr__(self, "of", of)
        _check_count("n", self.n, where="Readout")
        check_value("weight_scale", self.weight_scale, Range(0), where="Readout")
        check_value("weight_mean", self.weight_mean, Range(-np.inf), where="Readout")
        _check_flag("bias", self.bias, where="Readout")
        if self.model is not None and self.tau is not None:
            raise ValueError(
                message(
                    "both tau and model are given.",
                    "Readout",
                    "The model has its own time constant.",
                    "Set it in the model: Readout(n, model=equations.LeakyReadout(tau=20*ms)).",
                )
            )
        if self.model is None:
            tau = 20 * msecond if self.tau is None else self.tau
            object.__setattr__(self, "model", LeakyReadout(tau=tau))
        _check_model(self.model, where="Readout")
        if self.model.spikes:
            raise ValueError(
                message(
                    f"the model {self.model.name} has a threshold.",
                    "Readout",
                    "The output of a network is a state, not spikes.",
                    "Use a model without threshold, or Readout(n, tau=20*ms).",
                )
            )
        for name in ("b", "output"):
            if name in self.model.dimensions:
                raise ValueError(
                    message(
                        f"the model {self.model.name} has a variable '{name}'.",
                        "Readout",
                        "The readout adds a bias 'b' to the first state and calls the sum 'output'.",
                        "Choose another name.",
                    )
                )
        _check_lengths(self.model, self.n, where="Readout")
        object.__setattr__(self, "tau", self.model.parameters.get("tau", self.tau))


# -- checks -----------------------------------------------------------------------------------


def check_weight_scale(value: Any, dimensions: Any, *, where: str) -> None:
    """A positive factor, or the standard deviation itself in the unit of a weight."""
    plain = get_dimensions(value) is DIMENSIONLESS
    check_value(
        "weight_scale", value, Range(0) if plain else Range(Quantity(0, dimensions)), where=where
    )


def _check_count(name: str, value: Any, *, where: str) -> None:
    check_whole(name, value, 1, where=where, why="It counts neurons or channels.")


def _check_learn(learn: Any, known: tuple[str, ...], *, where: str) -> tuple[str, ...]:
    names = (learn,) if isinstance(learn, str) else tuple(learn)
    for name in names:
        if name not in known:
            raise ValueError(
                message(
                    f"learn names {name!r}, which is not a parameter.",
                    where,
                    "Parameters of the model and delays can be learned besides weights.",
                    did_you_mean(str(name), known),
                )
            )
    return names


def _check_flag(name: str, value: Any, *, where: str) -> None:
    if not isinstance(value, bool | np.bool_):
        raise ValueError(
            message(
                f"{name} must be True or False, got {value!r}.",
                where,
                "Anything else would count as True without a warning.",
                f"Pass {name}=True or leave it out.",
            )
        )


def _check_model(model: Any, *, where: str) -> None:
    check_model(model, where=where)
    check_inputs(model, where=where)


def _check_lengths(model: NeuronModel, n: int, *, where: str) -> None:
    for values in (model.parameters, model.initial):
        for name, value in values.items():
            if not isinstance(value, str):
                _check_length(name, value, n, where=where)


def _check_length(name: str, value: Any, n: int, *, where: str) -> None:
    if np.ndim(value) and np.shape(value) != (n,):
        raise ValueError(
            message(
                f"{name} has shape {np.shape(value)} for {n} neurons.",
                where,
                "There is one value, or one for each neuron.",
                f"Give one value or an array of {n}.",
            )
        )


def _settings(part: Any, *leading: str) -> str:
    """A part as it could be written, with the settings that are not the defaults."""
    words = list(leading)
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if field.name in ("model", "n") or not field.repr:
            continue
        factory = field.default_factory
        default: Any = field.default if factory is dataclasses.MISSING else factory()
        both_numbers = np.ndim(value) == 0 and np.ndim(default) == 0 and value is not None
        if value is default or (
            both_numbers and default is not None and bool(np.all(value == default))
        ):
            continue
        shown = (
            f"{np.size(value)} values"
            if np.ndim(value) and not isinstance(value, tuple)
            else repr(value)
        )
        words.append(f"{field.name}={shown}")
    return f"{type(part).__name__}({', '.join(words)})"
