"""Neurons of a model as a torch module: the same strings, the same order of events, torch's gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from brian2.units.fundamentalunits import Quantity, get_dimensions
from brian2.utils.stringtools import get_identifiers, word_substitute

from neurosnn.calculus.chain import ONLY_FOR_ITSELF
from neurosnn.calculus.step import (
    model_code,
    pseudo_derivative,
    refuse_noise,
    refuse_undifferentiable,
    transmitted_slopes,
)
from neurosnn.core.symbolic import SINCE_SPIKE, statements
from neurosnn.model import NeuronModel
from neurosnn.model.timed import refuse_timed_arrays
from neurosnn.torch.expressions import TYPE, Translator
from neurosnn.torch.transforms import Transform, free_value

__all__ = ["State", "TorchNeuron"]

#: Brian2's lastspike before the first spike.
LONG_AGO = 1e4


class State(NamedTuple):
    """What a step leaves for the next.

    Attributes
    ----------
    values : dict of str to Tensor
        The states of the model.
    free : Tensor of bool or None
        Brian2's ``not_refractory``; None without refractoriness.
    since : Tensor of int64 or None
        Steps since the last spike; None if no string asks for it.
    step : int
        Number of the next step.
    """

    values: dict[str, torch.Tensor]
    free: torch.Tensor | None
    since: torch.Tensor | None
    step: int


class _Spike(torch.autograd.Function):
    """Forward what is sent, backward psi times the incoming gradient to the margin."""

    @staticmethod
    def forward(ctx, margin, sent, psi):
        ctx.save_for_backward(psi)
        return sent

    @staticmethod
    def backward(ctx, gradient):
        (psi,) = ctx.saved_tensors
        return gradient * psi, None, None


def _with_open_flag(line: tuple[str, str]) -> tuple[str, str]:
    """A statement of the state update for a neuron that is not refractory."""
    variable, text = line
    return variable, word_substitute(text, {"not_refractory": "True"})


def _plain(value: Any) -> float | np.ndarray:
    """A value in SI units, one or one a neuron."""
    return np.asarray(value, dtype=float) if np.ndim(value) else float(value)


def _numbering(like: torch.Tensor) -> dict[str, Any]:
    """The number of each neuron in its group, and how many there are."""
    n = like.shape[-1]
    return {"i": torch.arange(n, dtype=like.dtype, device=like.device), "N": n}


def _full(value: Any, like: torch.Tensor) -> torch.Tensor:
    """A value as a tensor of the shape and type of a state."""
    if not isinstance(value, torch.Tensor):
        return torch.full_like(like, value)
    return value.to(like.dtype).expand_as(like)


class TorchNeuron(torch.nn.Module):
    """Neurons of one model; made by :func:`~neurosnn.torch.to_torch`.

    Attributes
    ----------
    model : NeuronModel
        The model with its start values; :meth:`trained_model` has the learned ones.
    dt : Quantity (second)
        Time step.
    """

    def __init__(
        self,
        model: NeuronModel,
        transforms: Mapping[str, Transform],
        dt: Quantity,
        dtype: torch.dtype,
        changing: tuple[str, ...] = (),
    ):
        super().__init__()
        refuse_noise(model, why="A module draws no random numbers.")
        refuse_timed_arrays(
            model,
            why="What changes in time is a sequence that the module is called with.",
            fix="Declare the variable as an input, for example 'I : 1', and pass the values.",
        )
        refuse_undifferentiable(model)
        self.model, self.dt, self.transforms = model, dt, dict(transforms)
        self.changing = changing
        code = model_code(model)
        translator = self._translator = Translator(
            set(model.parameters) - set(changing), model.name
        )
        self._conditional = frozenset(code.conditional)
        self._start = translator.lines(code.start)
        # the new value, and what Brian2 calculates it from
        closed = {prefix + name for name in code.conditional for prefix in ONLY_FOR_ITSELF}
        update = [
            # such a variable is written only where the flag is 1; with 0 the unused value may be 0/0
            _with_open_flag(line) if line[0] in closed else line
            for line in statements(code.update)
        ]
        self._update = [
            (name, translator.expression(text)) for name, text in update + statements(code.step)
        ]
        self._reset = translator.lines(code.reset)
        self._refractory = translator.expression(code.refractory) if code.refractory else None
        self._threshold = self._margin = self._psi = None
        self._slopes: dict[str, Callable] = {}
        if model.spikes:
            self._threshold = translator.expression(code.threshold)
            margin, psi = pseudo_derivative(model, code)
            self._margin = translator.expression(margin)
            self._psi = translator.expression(psi)
            if model.transmits:
                slopes = transmitted_slopes(model)
                self._slopes = {name: translator.expression(slopes[name]) for name in slopes}
        self._initial = [
            (name, translator.expression(value) if isinstance(value, str) else _plain(value))
            for name, value in model.initial_code.items()
        ]
        text = " ".join(
            [code.start, code.refractory, code.update, code.step, code.threshold, code.surrogate]
        )
        self._counts = model.refractory is not False and "lastspike" in text + code.reset
        self._numbered = bool({"i", "N"} & get_identifiers(f"{text} {code.reset}"))
        #: Called with the new value of a state when the update or the step code assigns it.
        self.observers: dict[str, Callable[[torch.Tensor, dict], None]] = {}
        for name, value in model.parameters.items():
            if name in self.transforms:
                free = free_value(self.transforms[name], value, name, model.name)
                self.register_parameter(
                    f"free_{name}", torch.nn.Parameter(torch.as_tensor(free, dtype=dtype))
                )
            elif np.ndim(value) or name in changing:
                values = torch.as_tensor(np.asarray(value, dtype=float), dtype=dtype)
                self.register_buffer(f"given_{name}", values)

    # -- parameters ---------------------------------------------------------------------------

    def parameter(self, name: str) -> Any:
        """The present value in SI units: a tensor if learned or per neuron, else a number."""
        if name in self.transforms:
            return self.transforms[name].value(getattr(self, f"free_{name}"))
        tensor = getattr(self, f"given_{name}", None)
        return float(self.model.parameters[name]) if tensor is None else tensor

    def learned(self) -> dict[str, Quantity | float | np.ndarray]:
        """Present values of the learned parameters with their units."""
        return {name: self._quantity(name, self.parameter(name)) for name in self.transforms}

    def _quantity(self, name: str, value: torch.Tensor) -> Quantity | float | np.ndarray:
        plain = value.detach().cpu().double().numpy()
        dim = get_dimensions(self.model.parameters[name])
        return Quantity(plain if plain.ndim else float(plain), dim=dim)

    def trained_model(self) -> NeuronModel:
        """The model with the present values of all parameters."""
        unlearned = {
            name: self._quantity(name, getattr(self, f"given_{name}"))
            for name in self.model.parameters
            if hasattr(self, f"given_{name}")
        }
        return self.model.with_parameters(**unlearned, **self.learned())

    def extra_repr(self) -> str:
        learned = ", ".join(f"{name}={value}" for name, value in self.learned().items())
        return self.model.name + (f", learned {learned}" if learned else "")

    # -- steps --------------------------------------------------------------------------------

    def constants(self) -> dict[str, Any]:
        """Everything that stays the same during a sequence, as functions of the parameters."""
        environment = {name: self.parameter(name) for name in self.model.parameters}
        environment["dt"] = float(self.dt)
        environment |= self._translator.constants(environment)
        return environment

    def initial_state(self, like: torch.Tensor, constants: dict | None = None) -> State:
        """The state before the first step, for input of the shape and type of `like`."""
        environment = dict(self.constants() if constants is None else constants)
        environment |= {"t": 0.0, TYPE: like.dtype, **_numbering(like)}
        zero = torch.zeros_like(like)
        values = dict.fromkeys(self.model.states, zero)
        for name, value in self._initial:
            value = value(environment | values) if callable(value) else value
            values[name] = zero + torch.as_tensor(value, dtype=like.dtype, device=like.device)
        free = None
        if self._refractory is not None:
            free = torch.ones_like(like, dtype=torch.bool)
        since = None
        if self._counts:
            long_ago = round(LONG_AGO / float(self.dt)) - 1
            since = torch.full(like.shape, long_ago, dtype=torch.int64, device=like.device)
        return State(values, free, since, 0)

    def step(
        self, x: Any, state: State | None = None, constants: dict | None = None
    ) -> tuple[torch.Tensor, State]:
        """One step of a stock Brian2 network: update, threshold, arrival of `x`, reset.

        Parameters
        ----------
        x : Tensor (..., n) or tuple of Tensor
            What arrives in this step, after the threshold; one tensor for each input variable.
        state : State, optional
            What the last step returned; the initial state if None.
        constants : dict, optional
            What :meth:`constants` returned, to compute it once for many steps.

        Returns
        -------
        sent : Tensor (..., n)
            Spikes of this step, or the value they transmit; of a readout its first state at the
            end of the step.
        state : State
            For the next step.
        """
        x = x if isinstance(x, tuple) else (x,)
        constants = self.constants() if constants is None else constants
        state = self.initial_state(x[0], constants) if state is None else state
        sent, pending = self.fire(state, constants)
        state = self.receive(x, sent, pending, constants)
        return (sent if self.model.spikes else state.values[self.model.states[0]]), state

    def forward(self, x: Any, *, ahead: bool = False) -> torch.Tensor:
        """A whole sequence from the initial state.

        Parameters
        ----------
        x : Tensor (n_steps, ..., n) or tuple of Tensor
            What arrives in each step.
        ahead : bool, optional
            False: entry t is the spike of step t, which the input of step t cannot cause any more.
            True: entry t is the spike of step t + 1, the first that the input of step t can cause;
            so layers are stacked without counting one step of delay for each.

        Returns
        -------
        Tensor (n_steps, ..., n)
            As `step` returns it.
        """
        return self.run(x, ahead=ahead)[0]

    def run(
        self, x: Any, state: State | None = None, *, ahead: bool = False
    ) -> tuple[torch.Tensor, State]:
        """As calling the module, from a given state, and returning the last one."""
        x = x if isinstance(x, tuple) else (x,)
        constants = self.constants()
        steps = list(zip(*(part.unbind(0) for part in x), strict=True))
        state = self.initial_state(steps[0][0], constants) if state is None else state
        out = []
        if ahead and self.model.spikes:
            sent, pending = self.fire(state, constants)
            for arriving in steps:
                state = self.receive(arriving, sent, pending, constants)
                sent, pending = self.fire(state, constants)
                out.append(sent)
        else:
            for arriving in steps:
                sent, state = self.step(arriving, state, constants)
                out.append(sent)
        return torch.stack(out), state

    def fire(self, state: State, constants: dict) -> tuple[torch.Tensor, tuple]:
        """The first half of a step: state update, step code and threshold; `receive` ends it."""
        values, model = dict(state.values), self.model
        since = None if state.since is None else state.since + 1
        dtype = values[model.states[0]].dtype
        environment = constants | values
        environment |= {name: self.parameter(name) for name in self.changing}
        environment[TYPE], environment["t"] = dtype, state.step * float(self.dt)
        if self._numbered:
            environment |= _numbering(values[model.states[0]])
        if since is not None:
            self._note_spikes(environment, since)
        free = state.free
        if self._refractory is not None:
            environment["not_refractory"] = free
        for name, function in self._start:
            values[name] = environment[name] = _full(function(environment), values[name])
        if self._refractory is not None:
            free = self._refractory(environment)
            environment["not_refractory"] = free
        for name, function in self._update:
            value = function(environment)
            if name in values:
                if name in self._conditional:
                    value = torch.where(free, value, values[name])
                value = values[name] = _full(value, values[name])
                if name in self.observers:
                    self.observers[name](value, environment)
            environment[name] = value
        if not model.spikes:
            return values[model.states[0]], (values, free, since, state.step, None)
        fired = self._threshold(environment)
        if free is not None:
            fired = fired & free
            environment["not_refractory"] = free = free & ~fired
        if since is not None:
            since = torch.where(fired, 0, since)
            self._note_spikes(environment, since)
        sent = fired.to(dtype)
        if model.transmits:
            sent = torch.where(
                fired, values[model.transmits], torch.zeros((), dtype=dtype)
            ).detach()
        if torch.is_grad_enabled():
            margin = self._margin(environment)
            if margin.requires_grad:
                with torch.no_grad():
                    psi = self._psi(environment)
                    psi = torch.as_tensor(psi, dtype=dtype, device=sent.device)
                sent = _Spike.apply(margin, sent, psi.expand_as(sent))
        return sent, (values, free, since, state.step, fired)

    def _note_spikes(self, environment: dict, since: torch.Tensor) -> None:
        environment[SINCE_SPIKE] = steps = since.to(environment[TYPE])
        environment["lastspike"] = environment["t"] - steps * float(self.dt)

    def receive(self, x: tuple, sent: torch.Tensor, pending: tuple, constants: dict) -> State:
        """The second half of a step: arrival of the presynaptic input, then the resets."""
        values, free, since, step, fired = pending
        for name, part in zip(self.model.inputs, x, strict=True):
            arrived = values[name] + part
            if name in self._conditional:
                arrived = torch.where(free, arrived, values[name])
            values[name] = arrived
        if self._reset:
            environment = constants | values
            environment |= {name: self.parameter(name) for name in self.changing}
            environment[TYPE], environment["t"] = sent.dtype, step * float(self.dt)
            if self._numbered:
                environment |= _numbering(sent)
            if since is not None:
                self._note_spikes(environment, since)
            if free is not None:
                environment["not_refractory"] = free
            for name, function in self._reset:
                environment[name] = function(environment)
            # the spike as the gradient sees it, which adds exactly zero
            follows = sent - sent.detach() if sent.requires_grad else None
            for name in [name for name in dict(self._reset) if name in values]:
                old, new = values[name], environment[name]
                values[name] = torch.where(fired, new, old)
                if follows is not None and name in self.model.spike_gradient:
                    slope = self._slopes[name](environment) if self._slopes else new - old
                    values[name] = values[name] + follows * slope
        return State(values, free, since, step + 1)
