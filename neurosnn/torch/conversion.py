"""Trained torch networks as networks of stock Brian2 objects."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from brian2.units.allunits import msecond as ms
from brian2.units.fundamentalunits import DIMENSIONLESS
from torch import nn

from neurosnn.core.messages import message
from neurosnn.model import NeuronModel
from neurosnn.network import Connection, Input, Layer, Readout, SpikingNetwork
from neurosnn.torch.layers import Ahead, EveryStep, FixedDropout, StepBatchNorm, Voting
from neurosnn.torch.plif import PLIFNetwork
from neurosnn.torch.recurrent import SequenceNetwork
from neurosnn.torch.synapses import Pieces, average, convolution, dense, norm_of

__all__ = ["Converted", "to_brian2"]

#: Spikes when any of its inputs did: the maximum of a pool of spikes.
ANY_SPIKE = NeuronModel(
    name="pool",
    equations="v : 1\ns : 1",
    step="v = s\ns = 0",
    threshold="v > 0",
    inputs=("s",),
)
#: What has arrived in all steps, and what has arrived in the last.
SUM = NeuronModel(name="sum", equations="y : 1", inputs=("y",))
LAST = NeuronModel(name="last", equations="y : 1\nx : 1", step="y = x\nx = 0", inputs=("x",))


@dataclasses.dataclass(frozen=True, eq=False)
class Converted:
    """A torch network as a SpikingNetwork, with which everything works that takes one.

    ``net.brian2(converted.inputs(x))`` are its Brian2 objects, ``export(net, path,
    inputs=converted.inputs(x))`` a program.

    Attributes
    ----------
    net : SpikingNetwork
        Real-valued input: the channels of the module, then one for the biases of each layer.
    lag : dict of str to int
        Steps from the arrival of a frame to the spikes that answer it, by layer; "readout" for the
        output, read at the end of a step.
    n_channels : int
        Input channels of the module.
    bias_lag : tuple of int
        When the bias channel of each layer starts.
    repeats : int
        Steps for which an image is shown; 0 if the input is a sequence.
    """

    net: SpikingNetwork
    lag: dict[str, int]
    n_channels: int
    bias_lag: tuple[int, ...]
    repeats: int

    def inputs(self, x: Any) -> np.ndarray:
        """Input values (n_steps, n_channels) of one trial, for ``net.brian2``.

        Parameters
        ----------
        x : Tensor or ndarray
            One image (c, h, w), or a sequence (n_frames, ...).

        Returns
        -------
        numpy.ndarray of float64
            With as many steps after the last frame as its answer needs.

        Raises
        ------
        ValueError
            If the size does not fit.
        """
        x = np.asarray(torch.as_tensor(x).detach().cpu(), dtype=np.float64)
        frames = (
            np.broadcast_to(x.reshape(1, -1), (self.repeats, x.size))
            if self.repeats
            else x.reshape(len(x), -1)
        )
        if frames.shape[1] != self.n_channels:
            raise ValueError(
                message(
                    f"a frame has {frames.shape[1]} values, the network {self.n_channels} channels.",
                    "Converted.inputs",
                    "One trial is converted at a time.",
                    "Pass x[k], without the axis of the trials.",
                )
            )
        n = len(frames)
        values = np.zeros((n + self.lag["readout"] + 1, self.net.input.n))
        values[:n, : self.n_channels] = frames
        for k, start in enumerate(self.bias_lag):
            values[start : start + n, self.n_channels + k] = 1.0
        return values


def to_brian2(module: nn.Module, *, max_synapses: int = 2_000_000) -> Converted:
    """A PLIFNetwork or a spiking SequenceNetwork as a SpikingNetwork of stock Brian2 objects.

    Batch normalization is folded: its scale into the weights, its shift into a bias that a channel
    of the input delivers with each frame. A convolution becomes its synapses, an average pool part of
    the next weights, a max pool a layer of neurons that spike when one of their inputs did; dropout
    disappears. Every layer answers one step after the one before it.

    Parameters
    ----------
    module : PLIFNetwork or SequenceNetwork
        Trained; its running statistics and tracked ranges are used. LSTM and GRU do not spike.
    max_synapses : int
        Largest number of synapses that is made.

    Returns
    -------
    Converted
        The network and its timing.

    Raises
    ------
    ValueError
        If the network is too large, or has no spikes.
    TypeError
        If the module is another one.

    Notes
    -----
    Brian2 calculates in float64: spikes equal those of ``module.double()``. In float32 a neuron very
    close to its threshold may differ.

    Examples
    --------
    >>> import torch
    >>> from neurosnn.torch import plif_network, to_brian2
    >>> module = plif_network("small", side=8, convolutions=((4,), (4,)), hidden=10, n_steps=4)
    >>> converted = to_brian2(module)
    >>> [layer.name for layer in converted.net.layers]
    ['plif1', 'pool1', 'plif2', 'pool2', 'plif3', 'plif4']
    """
    if isinstance(module, PLIFNetwork):
        return _plif(module, Pieces(max_synapses))
    if isinstance(module, SequenceNetwork):
        if module.encode is None:
            raise ValueError(
                message(
                    f"a network of {module.kind} does not spike.",
                    "to_brian2",
                    "Brian2 simulates spiking neurons.",
                    "Use SequenceNetwork('v2', ...).",
                )
            )
        return _recurrent(module, Pieces(max_synapses))
    raise TypeError(
        message(
            f"{type(module).__name__} cannot be translated.",
            "to_brian2",
            "It must be known which layers follow each other.",
            "Pass a PLIFNetwork or a SequenceNetwork; build others from SpikingNetwork.",
        )
    )


def _plif(module: PLIFNetwork, pieces: Pieces) -> Converted:
    shape = module.architecture
    side, width = shape.side, shape.channels
    n_channels = width * side * side
    layers: list[Layer] = []
    biases: dict[int, np.ndarray] = {}
    source, factor, pooled = "input", 1, (0, 0)
    waiting: Any = None
    for part in module.layers:
        inner = part.layer if isinstance(part, EveryStep) else part
        if isinstance(inner, nn.Conv2d):
            waiting = convolution(inner, side, pieces)
        elif isinstance(inner, StepBatchNorm):
            scale, shift = norm_of(inner.norm)
            pixels = side * side
            waiting = waiting.scaled(np.repeat(scale, pixels))
            biases[len(layers)] = np.repeat(shift, pixels)
            width = len(scale)
        elif isinstance(inner, nn.Linear):
            waiting = dense(inner.weight)
        elif isinstance(inner, Ahead):
            if factor > 1:
                waiting = average(waiting, factor, pooled, pieces)
            number = sum(layer.name.startswith("plif") for layer in layers) + 1
            layers.append(Layer(inner.neuron.trained_model(), waiting.n_post, name=f"plif{number}"))
            pieces.add(source, layers[-1].name, waiting)
            source, factor = layers[-1].name, 1
        elif isinstance(inner, nn.MaxPool2d | nn.AvgPool2d):
            pooled = (width, side)
            side //= 2
            if isinstance(inner, nn.AvgPool2d):
                factor = 2
                continue
            number = sum(layer.name.startswith("pool") for layer in layers) + 1
            layers.append(Layer(ANY_SPIKE, width * side * side, name=f"pool{number}"))
            every = dense(torch.eye(width * side * side), keep_zeros=False)
            pieces.add(source, layers[-1].name, average(every, 2, pooled, pieces))
            source = layers[-1].name
        elif isinstance(inner, Voting):
            votes = np.kron(np.eye(shape.classes), np.ones((1, inner.voters))) / inner.voters
            pieces.add(source, "readout", dense(torch.from_numpy(votes), keep_zeros=False))
        elif not isinstance(inner, FixedDropout | nn.Flatten):
            raise TypeError(f"to_brian2: {type(inner).__name__} cannot be translated.")
    readout = Readout(shape.classes, model=SUM, bias=False)
    repeats = 0 if shape.frames else shape.n_steps
    return _converted(layers, readout, pieces, biases, n_channels, repeats)


def _recurrent(module: SequenceNetwork, pieces: Pieces) -> Converted:
    layers: list[Layer] = []
    biases: dict[int, np.ndarray] = {}
    n_channels = module.encode.size
    parts = [("encode", module.encode)]
    parts += [(f"layer{k + 1}", part) for k, part in enumerate(module.body)]
    source = "input"
    for name, part in parts:
        layers.append(Layer(part.neuron.trained_model(), part.size, name=name))
        weights = torch.eye(part.size) if part.weights is None else part.weights.weight
        synapses = dense(weights, keep_zeros=part.weights is not None)
        if part.norm is not None:
            scale, shift = norm_of(part.norm)
            synapses = synapses.scaled(scale)
            biases[len(layers) - 1] = shift
        pieces.add(source, name, synapses)
        if part.recurrent is not None:
            pieces.add(name, name, dense(part.recurrent.weight))
        source = name
    scale, shift = norm_of(module.norm)
    pieces.add(source, "readout", dense(module.readout.weight).scaled(scale))
    readout = Readout(module.readout.out_features, model=LAST, bias=True)
    return _converted(layers, readout, pieces, biases, n_channels, 0, shift)


def _converted(layers, readout, pieces, biases, n_channels, repeats, output_bias=None) -> Converted:
    """Connections with one bias channel for each layer that has a bias; one for each input variable."""
    connections = {}
    models = {layer.name: layer.model for layer in layers} | {"readout": readout.model}
    sizes = {layer.name: layer.n for layer in layers} | {"input": n_channels + len(biases)}
    starts = tuple(biases)
    for source, target, synapses in pieces.made:
        _connect(connections, source, target, synapses, models, sizes)
    for number, place in enumerate(starts):
        values, target = biases[place], layers[place].name
        synapses_of_bias = dense(torch.from_numpy(values[:, None]))
        moved = dataclasses.replace(
            synapses_of_bias, pre=synapses_of_bias.pre + n_channels + number
        )
        _connect(connections, "input", target, moved, models, sizes, "bias")
    net = SpikingNetwork(
        Input(sizes["input"], real_valued=True),
        *layers,
        readout,
        dt=1 * ms,
        connections=connections,
    )
    if output_bias is not None:
        net.set_parameters({"readout.b": output_bias})
    lag = {layer.name: k + 1 for k, layer in enumerate(layers)}
    # a sum is complete in the step of the last spikes; the last value is copied in the next step
    lag["readout"] = len(layers) + (1 if readout.model is LAST else 0)
    return Converted(net, lag, n_channels, starts, repeats)


def _connect(connections, source, target, synapses, models, sizes, prefix="from") -> None:
    """One connection for each input variable; the targets lie one variable after the other."""
    inputs = models[target].inputs
    n_post = synapses.n_post // len(inputs)
    for channel, variable in enumerate(inputs):
        chosen = (synapses.post >= channel * n_post) & (synapses.post < (channel + 1) * n_post)
        order = np.lexsort((synapses.post[chosen], synapses.pre[chosen]))
        name = f"{target}_{prefix}_{source}" + (f"_{variable}" if len(inputs) > 1 else "")
        connections[name] = Connection(
            name=name,
            source=source,
            target=target,
            n_post=n_post,
            w=synapses.w[chosen][order],
            mask=None,
            pre=synapses.pre[chosen][order].astype(np.int32),
            post=(synapses.post[chosen][order] - channel * n_post).astype(np.int32),
            fixed_delay=np.zeros(sizes[source], dtype=np.int32),
            channel=np.full(sizes[source], channel, dtype=np.int32),
            sign=None,
            dimensions=DIMENSIONLESS,
            dt=1e-3,
        )
