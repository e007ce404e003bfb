"""The convolutional PLIF networks of Fang et al. 2021."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from brian2.units.allunits import msecond as ms
from brian2.units.fundamentalunits import Quantity
from torch import nn

from neurosnn.core.messages import did_you_mean, message
from neurosnn.equations.plif import PLIF
from neurosnn.torch.from_model import to_torch
from neurosnn.torch.layers import Ahead, EveryStep, FixedDropout, StepBatchNorm, Voting

__all__ = ["ARCHITECTURES", "Architecture", "PLIFNetwork", "plif_network", "rate_loss"]

DT = 1 * ms


@dataclasses.dataclass(frozen=True, kw_only=True)
class Architecture:
    """What makes one of the networks.

    Attributes
    ----------
    channels, side : int
        Shape of the input (channels, side, side).
    convolutions : tuple of tuple of int
        Groups of 3x3 convolutions, by their output channels; a 2x2 pool ends each group.
    hidden, classes : int
        Neurons of the first fully connected layer, and classes of 10 neurons each.
    n_steps : int
        Time steps.
    dropouts : int
        2: before both fully connected layers; 1: before the first only.
    frames : bool
        Whether the input is a sequence of frames, (n_steps, n, ...), or an image.
    """

    channels: int
    side: int
    convolutions: tuple[tuple[int, ...], ...]
    hidden: int
    classes: int = 10
    n_steps: int = 8
    dropouts: int = 2
    frames: bool = False


#: The networks as the authors' code and logs have them (their Tab. 6 differs in two of them), and a
#: small one for two cores, which is ours.
ARCHITECTURES = {
    "MNIST": Architecture(channels=1, side=28, convolutions=((128,), (128,)), hidden=2048),
    "Fashion-MNIST": Architecture(channels=1, side=28, convolutions=((128,), (128,)), hidden=2048),
    "CIFAR-10": Architecture(
        channels=3, side=32, convolutions=((256,) * 3, (256,) * 3), hidden=2048, dropouts=1
    ),
    "N-MNIST": Architecture(
        channels=2, side=34, convolutions=((128,), (128,)), hidden=2048, n_steps=10, frames=True
    ),
    "CIFAR10-DVS": Architecture(
        channels=2, side=128, convolutions=((128,),) * 4, hidden=2048, n_steps=20, frames=True
    ),
    "DVS128 Gesture": Architecture(
        channels=2,
        side=128,
        convolutions=((128,),) * 5,
        hidden=512,
        classes=11,
        n_steps=20,
        frames=True,
    ),
    "small": Architecture(channels=1, side=28, convolutions=((16,), (32,)), hidden=128, n_steps=4),
}


class PLIFNetwork(nn.Module):
    r"""Convolution, batch normalization and PLIF neurons, pools on spikes, two fully connected layers.

    .. math:: \text{rate}_c = \frac{1}{10\,T} \sum_{t=1}^{T} \sum_{j \in c} S_j^t

    Images are shown in every step as they are: the first convolution and its normalization are
    computed once, and the first PLIF layer makes spikes of them. Weights have no bias.

    Parameters
    ----------
    architecture : Architecture
        Its shape.
    tau : float
        Time constant at the start, in steps.
    learn_tau : bool
        Whether each layer learns its own (PLIF), or all keep `tau` (LIF).
    pool : {"max", "average"}
        Pooling of spikes.
    merge_norm : bool
        Normalize all steps together (faster) instead of each one by itself, as the authors do.
    dropout : float
        Probability.
    compiled : bool
        Neurons compiled by torch, see Ahead.
    mixed : bool
        Convolutions and matrix products of the training in bfloat16, see EveryStep.
    """

    def __init__(
        self,
        architecture: Architecture,
        *,
        tau: float = 2.0,
        learn_tau: bool = True,
        pool: str = "max",
        merge_norm: bool = False,
        dropout: float = 0.5,
        compiled: bool = False,
        mixed: bool = False,
    ):
        super().__init__()
        pools = {"max": nn.MaxPool2d(2), "average": nn.AvgPool2d(2)}
        if pool not in pools:
            raise ValueError(
                message(
                    f"unknown pool {pool!r}.", "PLIFNetwork", "", did_you_mean(str(pool), pools)
                )
            )
        self.architecture = architecture
        learn = {"tau_m": "leak_rate"} if learn_tau else {}

        def neurons() -> nn.Module:
            return Ahead(to_torch(PLIF(tau_m=tau * ms), learn, dt=DT), compiled=compiled)

        def weighted(layer: nn.Module) -> nn.Module:
            return EveryStep(layer, mixed=mixed)

        layers: list[nn.Module] = []
        channels, side = architecture.channels, architecture.side
        for group in architecture.convolutions:
            for width in group:
                layers += [
                    weighted(nn.Conv2d(channels, width, 3, padding=1, bias=False)),
                    StepBatchNorm(nn.BatchNorm2d(width), merge=merge_norm),
                    neurons(),
                ]
                channels = width
            layers.append(EveryStep(pools[pool]))
            side //= 2
        layers += [
            nn.Flatten(2),
            FixedDropout(dropout),
            weighted(nn.Linear(channels * side * side, architecture.hidden, bias=False)),
            neurons(),
        ]
        if architecture.dropouts == 2:
            layers.append(FixedDropout(dropout))
        layers += [
            weighted(nn.Linear(architecture.hidden, 10 * architecture.classes, bias=False)),
            neurons(),
            Voting(10),
        ]
        self.layers = nn.ModuleList(layers)

    def forward(self, x: torch.Tensor, n_steps: int | None = None) -> torch.Tensor:
        """Firing rate of each class, (n, classes), each between 0 and 1.

        Parameters
        ----------
        x : Tensor (n, c, h, w), or (n_steps, n, c, h, w) for frames
            Input.
        n_steps : int, optional
            Steps for which images are shown, those of the architecture if None.
        """
        layers = list(self.layers)
        if not self.architecture.frames:
            convolution, norm, *layers = layers
            x = norm(convolution(x[None]))
            x = x.expand(n_steps or self.architecture.n_steps, *x.shape[1:])
        for layer in layers:
            x = layer(x)
        return x.mean(0)

    def time_constants(self) -> list[Quantity]:
        """Present time constant of each PLIF layer; one step is 1 ms."""
        neurons = [layer.neuron for layer in self.layers if isinstance(layer, Ahead)]
        return [neuron.trained_model().parameters["tau_m"] for neuron in neurons]


def plif_network(name: str, **options: Any) -> PLIFNetwork:
    """One of the paper's networks, or the small one, by the name of its data.

    Parameters
    ----------
    name : str
        A key of `ARCHITECTURES`.
    **options
        Arguments of PLIFNetwork; fields of Architecture change its shape.

    Returns
    -------
    PLIFNetwork
        With torch's usual random weights; call ``torch.manual_seed`` before.

    Raises
    ------
    ValueError
        If the name is not known.

    Examples
    --------
    >>> import torch
    >>> from neurosnn.torch import plif_network
    >>> net = plif_network("small", tau=16.0)
    >>> net(torch.rand(3, 1, 28, 28)).shape
    torch.Size([3, 10])
    >>> len(net.time_constants())
    4
    """
    if name not in ARCHITECTURES:
        raise ValueError(
            message(
                f"unknown network {name!r}.",
                "plif_network",
                "",
                did_you_mean(str(name), ARCHITECTURES),
            )
        )
    fields = {field.name for field in dataclasses.fields(Architecture)}
    changes = {key: options.pop(key) for key in fields & set(options)}
    return PLIFNetwork(dataclasses.replace(ARCHITECTURES[name], **changes), **options)


def rate_loss(rates: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    r"""Mean squared error between rates and one-hot labels, over trials and classes.

    .. math:: L = \frac{1}{C}\sum_c \left(\frac{1}{T}\sum_t o_c^t - y_c\right)^2

    The authors' code; their paper writes the square inside the sum over t.

    Parameters
    ----------
    rates : Tensor (n, classes)
        Mean of the output over time.
    labels : Tensor of int64 (n,)
        Class of each trial.

    Returns
    -------
    Tensor
        One number.
    """
    wanted = nn.functional.one_hot(labels, rates.shape[-1]).to(rates.dtype)
    return nn.functional.mse_loss(rates, wanted)
