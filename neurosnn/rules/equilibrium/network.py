"""Spiking networks with symmetric synapses that learn by equilibrium propagation."""

from __future__ import annotations

import dataclasses
import numbers
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
from neurosnn.rules.equilibrium.wiring import Convolution, DenseWiring, SharedWiring

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
    wiring: DenseWiring | SharedWiring


class EquilibriumNetwork:
    r"""Layers of spiking neurons; neighbours are connected both ways by one weight per pair.

    The input pushes, the rest settles: with rates :math:`\rho = \phi(u)` the network is at rest
    where :math:`\rho_i = \phi(\sum_j w_{ij}\rho_j + b_i)`, and :math:`w_{ij} = w_{ji}` makes that
    point a stationary point of an energy. Equilibrium propagation compares this point with the one
    that it reaches when the output is nudged to its target.

    Parameters
    ----------
    sizes : sequence of int or Convolution
        Neurons of each layer, input first and output last, for example ``(784, 300, 10)``. Hidden
        layers may be a :class:`Convolution`; the input then is the shape of the images, (height,
        width) or (height, width, channels).
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
        Factor of the initial weights, which are uniform in :math:`\pm\sqrt{6/(n_{pre}+n_{post})}`,
        where n counts the weights that a neuron sees on either side.
    seed : int, optional
        Of the initial weights.

    Attributes
    ----------
    parameters : dict of str to ndarray
        Weights ``"input_hidden.w"`` (n_pre, n_post), ``"hidden_output.w"`` and biases
        ``"hidden.b"``, ``"output.b"``; hidden layers are numbered if there are several. Those of a
        convolution are (height, width, channels before, channels) and (channels,). Read at every
        use: change them in place.
    structure : tuple
        What `sizes` said.
    sizes : tuple of int
        Neurons of each layer.
    shapes : dict of str to tuple of int
        (n,), or height, width and channels: neuron ``(y*width + x)*channels + c``.
    layers : dict of str to tuple of (NeuronModel, int)
        Model and size of each layer.
    connections : list of SymmetricConnection
        From the input on.

    Raises
    ------
    ValueError
        For fewer than two layers, sizes below one, convolutions that do not fit, an unknown kind
        of input, phases that are not whole steps.

    Examples
    --------
    >>> from neurosnn.rules.equilibrium.network import EquilibriumNetwork
    >>> net = EquilibriumNetwork((64, 100, 10))
    >>> {name: array.shape for name, array in net.parameters.items()}
    {'input_hidden.w': (64, 100), 'hidden_output.w': (100, 10), 'hidden.b': (100,), 'output.b': (10,)}
    """

    def __init__(
        self,
        sizes: Sequence[int | tuple[int, ...] | Convolution],
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
        self.structure = tuple(sizes)
        shapes = self._shapes()
        self.sizes = tuple(int(np.prod(shape)) for shape in shapes)
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
        self.shapes = dict(zip(names, shapes, strict=True))
        trial = free + nudged

        def rule(rule_variant: str) -> PlasticityRule:
            tau_w = hidden.parameters["tau_2"]
            return EqSpike(variant=rule_variant, f_max=1 / t_ref, tau_w=tau_w, trial=trial, eta=1.0)

        variants = ["constant_input" if input == "constant" else input_variant] + [
            variant
        ] * n_hidden
        self.connections = [
            SymmetricConnection(
                f"{pre}_{post}",
                pre,
                post,
                rule(kind),
                pre != "input",
                self._wiring(pre, post, part),
            )
            for pre, post, kind, part in zip(
                names, names[1:], variants, self.structure[1:], strict=False
            )
        ]
        self.bias_rule, self.bias_model = rule("constant_input"), ConstantInput(t_ref=t_ref)
        random = np.random.default_rng(seed)
        scales = np.broadcast_to(np.asarray(scale, float), (len(self.sizes) - 1,))
        self.parameters = {}
        for connection, factor in zip(self.connections, scales, strict=True):
            limit = factor * np.sqrt(6 / sum(connection.wiring.fans))
            w = random.uniform(-limit, limit, connection.wiring.shape)
            self.parameters[f"{connection.name}.w"] = w
        for name in names[1:]:
            self.parameters[f"{name}.b"] = np.zeros(self.shapes[name][-1])

    @property
    def free_steps(self) -> int:
        """Steps of the free phase."""
        return round(float(self.free) / float(self.dt))

    @property
    def nudged_steps(self) -> int:
        """Steps of the nudged phase."""
        return round(float(self.nudged) / float(self.dt))

    def biases(self, name: str) -> np.ndarray:
        """The bias of each neuron of a layer: in a convolution all of a channel have the same.

        Parameters
        ----------
        name : str
            Of the layer.

        Returns
        -------
        ndarray (n,)
            A copy.
        """
        return np.tile(self.parameters[f"{name}.b"], int(np.prod(self.shapes[name][:-1])))

    def gathered_biases(self, name: str, change: np.ndarray) -> np.ndarray:
        """Changes of the biases from those of each neuron.

        Parameters
        ----------
        name : str
            Of the layer.
        change : ndarray (n,)
            Changes of its neurons.

        Returns
        -------
        ndarray (n,) or (channels,)
            Sums over the neurons that share a bias.
        """
        return np.reshape(change, (-1, self.shapes[name][-1])).sum(axis=0)

    def _shapes(self) -> list[tuple[int, ...]]:
        """The shape of each layer."""
        shapes: list[tuple[int, ...]] = []
        for k, part in enumerate(self.structure):
            inner = 0 < k < len(self.structure) - 1
            if isinstance(part, Convolution) and inner:
                shapes.append(part.shape(shapes[-1], _WHERE))
                continue
            shape = part if isinstance(part, tuple) and not k else (part,)
            whole = all(isinstance(n, numbers.Integral) and n > 0 for n in shape)
            if not whole or len(shape) > 3:
                self._refuse_sizes()
            shapes.append((*shape, 1) if len(shape) == 2 else tuple(shape))
        if len(shapes) < 2:
            self._refuse_sizes()
        return shapes

    def _refuse_sizes(self) -> None:
        raise ValueError(
            message(
                f"sizes must name at least an input and an output layer, got {self.structure}.",
                _WHERE,
                "Each number is the size of a layer; a hidden one may be a Convolution, and the "
                "input a shape.",
                "Pass for example (64, 100, 10) or ((8, 8), Convolution(4, 3, pool=2), 10).",
            )
        )

    def _wiring(self, pre: str, post: str, part: Any) -> DenseWiring | SharedWiring:
        if isinstance(part, Convolution):
            return SharedWiring(self.shapes[pre], self.shapes[post], part)
        return DenseWiring(self.layers[pre][1], self.layers[post][1])

    def _check(self, input: str, times: dict, dt: Quantity) -> None:
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
        sizes = "-".join("x".join(map(str, shape)) for shape in self.shapes.values())
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
            With a convolution it must be 0: Brian2 keeps a weight for each synapse, and nothing
            that sums G over those that share one.

        Returns
        -------
        Network
            Groups ``"input"``, ``"hidden"``, ``"output"``, their spike monitors ``"hidden_spikes"``
            and synapses ``"hidden_output_synapses"``, ``"one_hidden_synapses"`` (the biases). Run
            it for ``n_trials * net.trial``; the change of the last trial is then in G, in the order
            of ``connection.wiring.synapses()``.

        Raises
        ------
        ValueError
            For a learning rate with convolutions.

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
        if learning_rate and any(connection.wiring.shared for connection in self.connections):
            raise ValueError(
                message(
                    f"learning_rate is {learning_rate}, and the network has convolutions.",
                    f"{_WHERE}.brian2",
                    "Each of Brian2's synapses has a weight of its own and would learn alone.",
                    "Leave it 0, sum G with connection.wiring.gathered, or train on the engine.",
                )
            )
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
