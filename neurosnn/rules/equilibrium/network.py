"""Spiking networks with symmetric synapses that learn by equilibrium propagation."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from brian2.core.network import Network
from brian2.units.allunits import msecond as ms
from brian2.units.fundamentalunits import Quantity

from neurosnn.core.messages import message
from neurosnn.core.values import Range, check_value, whole_steps
from neurosnn.equations.eqspike import ConstantInput, EqSpike, EqSpikeLIF, RegularInput
from neurosnn.model import NeuronModel, PlasticityRule
from neurosnn.rules.equilibrium.brian2_objects import build, trial_duration

__all__ = ["EquilibriumNetwork", "SymmetricConnection"]

_WHERE = "EquilibriumNetwork"
INPUTS = ("constant", "spikes")


@dataclasses.dataclass(frozen=True)
class SymmetricConnection:
    """All synapses between two layers; with `back`, each serves both directions with one weight."""

    name: str
    source: str
    target: str
    rule: PlasticityRule
    back: bool


class EquilibriumNetwork:
    r"""Layers of spiking neurons; neighbours are connected both ways by one weight per pair.

    The input pushes, the rest settles: with rates :math:`\rho = \phi(u)` the network is at rest
    where :math:`\rho_i = \phi(\sum_j w_{ij}\rho_j + b_i)`, and :math:`w_{ij} = w_{ji}` makes that
    point a stationary point of an energy. Equilibrium propagation compares this point with the one
    that it reaches when the output is nudged to its target.

    Parameters
    ----------
    sizes : sequence of int
        Neurons of each layer, input first and output last, for example ``(784, 300, 10)``.
    neuron : NeuronModel, optional
        Model of the hidden neurons, :func:`equations.EqSpikeLIF` if None.
    variant : str, optional
        Of :func:`equations.EqSpike`, for the synapses between spiking layers.
    input : {"constant", "spikes"}, optional
        Pixels as constant currents, or as regular spike trains.
    input_variant : str, optional
        Variant for spiking input; "presynaptic" because the slope of a constant rate is zero.
    dt : Quantity (second), optional
        Time step.
    free, nudged : Quantity (second), optional
        Lengths of the two phases of a trial.
    scale : float or sequence of float, optional
        Factor of the initial weights, which are uniform in :math:`\pm\sqrt{6/(n_{pre}+n_{post})}`.
    seed : int, optional
        Of the initial weights.

    Attributes
    ----------
    parameters : dict of str to ndarray
        Weights ``"input_hidden.w"`` (n_pre, n_post), ``"hidden_output.w"`` and biases
        ``"hidden.b"``, ``"output.b"``; hidden layers are numbered if there are several. Read at
        every use: change them in place.
    layers : dict of str to tuple of (NeuronModel, int)
        Model and size of each layer.
    connections : list of SymmetricConnection
        From the input on.

    Raises
    ------
    ValueError
        For fewer than two layers, sizes below one, an unknown kind of input, phases that are not
        whole steps.

    Examples
    --------
    >>> from neurosnn.rules.equilibrium.network import EquilibriumNetwork
    >>> net = EquilibriumNetwork((64, 100, 10))
    >>> {name: array.shape for name, array in net.parameters.items()}
    {'input_hidden.w': (64, 100), 'hidden_output.w': (100, 10), 'hidden.b': (100,), 'output.b': (10,)}
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        neuron: NeuronModel | None = None,
        variant: str = "spike_derivative",
        input: str = "constant",
        input_variant: str = "presynaptic",
        dt: Quantity = 1 * ms,
        free: Quantity = 300 * ms,
        nudged: Quantity = 150 * ms,
        scale: float | Sequence[float] = 1.0,
        seed: int = 0,
    ):
        self.sizes = tuple(int(n) for n in sizes)
        self._check(input, {"free": free, "nudged": nudged}, dt)
        self.dt, self.free, self.nudged, self.seed = dt, free, nudged, seed
        self.input, self.variant = input, variant
        hidden = EqSpikeLIF() if neuron is None else neuron
        self.neuron = hidden
        t_ref = hidden.parameters["t_ref"]
        output = EqSpikeLIF(
            nudged=True, **{key: hidden.parameters[key] for key in hidden.parameters}
        )
        source = (ConstantInput if input == "constant" else RegularInput)(t_ref=t_ref)
        n_hidden = len(self.sizes) - 2
        hidden_names = ["hidden"] if n_hidden == 1 else [f"hidden{k + 1}" for k in range(n_hidden)]
        names = ["input", *hidden_names, "output"]
        models = [source, *[hidden] * n_hidden, output]
        self.layers = {
            name: (model, n) for name, model, n in zip(names, models, self.sizes, strict=True)
        }
        trial = free + nudged

        def rule(rule_variant: str) -> PlasticityRule:
            tau_w = hidden.parameters["tau_2"]
            return EqSpike(variant=rule_variant, f_max=1 / t_ref, tau_w=tau_w, trial=trial, eta=1.0)

        variants = ["constant_input" if input == "constant" else input_variant] + [
            variant
        ] * n_hidden
        self.connections = [
            SymmetricConnection(f"{pre}_{post}", pre, post, rule(rule_variant), pre != "input")
            for pre, post, rule_variant in zip(names, names[1:], variants, strict=False)
        ]
        self.bias_rule, self.bias_model = rule("constant_input"), ConstantInput(t_ref=t_ref)
        random = np.random.default_rng(seed)
        scales = np.broadcast_to(np.asarray(scale, float), (len(self.sizes) - 1,))
        self.parameters = {}
        for connection, factor in zip(self.connections, scales, strict=True):
            shape = (self.layers[connection.source][1], self.layers[connection.target][1])
            limit = factor * np.sqrt(6 / sum(shape))
            self.parameters[f"{connection.name}.w"] = random.uniform(-limit, limit, shape)
        for name in names[1:]:
            self.parameters[f"{name}.b"] = np.zeros(self.layers[name][1])

    @property
    def free_steps(self) -> int:
        """Steps of the free phase."""
        return round(float(self.free) / float(self.dt))

    @property
    def nudged_steps(self) -> int:
        """Steps of the nudged phase."""
        return round(float(self.nudged) / float(self.dt))

    def _check(self, input: str, times: dict, dt: Quantity) -> None:
        if len(self.sizes) < 2 or min(self.sizes) < 1:
            raise ValueError(
                message(
                    f"sizes must name at least an input and an output layer, got {self.sizes}.",
                    _WHERE,
                    "Each number is the size of a layer.",
                    "Pass for example (64, 100, 10).",
                )
            )
        if input not in INPUTS:
            raise ValueError(
                message(
                    f"input must be one of {', '.join(INPUTS)}, got {input!r}.",
                    _WHERE,
                    "Pixels are constant currents or regular spike trains.",
                    "Choose one of the two.",
                )
            )
        for name, value in {**times, "dt": dt}.items():
            check_value(name, value, Range(0 * ms), where=_WHERE)
            whole_steps(name, value, dt, where=_WHERE)

    def __repr__(self) -> str:
        sizes = "-".join(map(str, self.sizes))
        return f"EquilibriumNetwork {sizes}, {self.input} input, {self.variant}"

    def brian2(
        self,
        x: np.ndarray,
        *,
        targets: np.ndarray | None = None,
        beta: np.ndarray | float = 1.0,
        phase: np.ndarray | float = 0.5,
        learning_rate: float = 0.0,
    ) -> Network:
        """The network as stock Brian2 objects that run trials one after the other and learn.

        Parameters
        ----------
        x : ndarray (n_trials, n_inputs)
            Pixels of each trial, 0 to 1.
        targets : ndarray (n_trials, n_outputs), optional
            Rates that the output is nudged to; 0 if None.
        beta : ndarray (n_trials,) or float, optional
            Strength of the nudge in each trial, its sign included.
        phase : ndarray (n_trials, n_inputs) or float, optional
            Where each spike train starts between two spikes, for spiking input.
        learning_rate : float, optional
            How much of G is added to w when the next trial begins; 0: G is collected and w stays.

        Returns
        -------
        Network
            Groups ``"input"``, ``"hidden"``, ``"output"``, their spike monitors ``"hidden_spikes"``
            and synapses ``"hidden_output_synapses"``, ``"one_hidden_synapses"`` (the biases). Run
            it for ``n_trials * net.trial``; the change of the last trial is then in G.

        Notes
        -----
        Runs on the runtime and in C++ standalone mode, with its learning.

        Examples
        --------
        >>> import numpy as np
        >>> from brian2 import prefs
        >>> from neurosnn.rules.equilibrium.network import EquilibriumNetwork
        >>> prefs.codegen.target = "numpy"
        >>> net = EquilibriumNetwork((4, 3, 2))
        >>> network = net.brian2(np.ones((1, 4)), targets=np.array([[1.0, 0.0]]))
        >>> network.run(net.trial, namespace={})
        >>> network["hidden_output_synapses"].G.shape
        (6,)
        """
        n = len(x)
        wanted = np.zeros((n, self.sizes[-1])) if targets is None else np.asarray(targets, float)
        return build(
            self,
            np.asarray(x, float),
            wanted,
            np.broadcast_to(np.asarray(beta, float), (n,)).copy(),
            np.broadcast_to(np.asarray(phase, float), (n, self.sizes[0])),
            learning_rate,
        )

    @property
    def trial(self) -> Quantity:
        """Length of a trial."""
        return trial_duration(self)

    def copy_parameters(self) -> dict[str, np.ndarray]:
        """A copy of all weights and biases."""
        return {name: array.copy() for name, array in self.parameters.items()}

    def load(self, parameters: Any) -> None:
        """Set weights and biases from arrays by name.

        Parameters
        ----------
        parameters : mapping of str to array
            As :attr:`parameters`.

        Raises
        ------
        ValueError
            For other names or shapes.
        """
        if set(parameters) != set(self.parameters):
            raise ValueError(
                message(
                    f"the names {sorted(parameters)} are not those of the network.",
                    _WHERE,
                    f"It has {sorted(self.parameters)}.",
                    "Build the network that the weights belong to.",
                )
            )
        for name, array in self.parameters.items():
            if np.shape(parameters[name]) != array.shape:
                raise ValueError(
                    message(
                        f"{name} has shape {np.shape(parameters[name])}, not {array.shape}.",
                        _WHERE,
                        "",
                        "Build a network of the same sizes.",
                    )
                )
        for name, array in self.parameters.items():
            array[...] = parameters[name]
