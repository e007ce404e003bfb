"""Recurrent networks for sequences of frames: multi-bit spiking (Ponghiran & Roy 2022), LSTM, GRU."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from neurosnn.core.messages import did_you_mean, message
from neurosnn.equations.gated_lif import VARIANTS, GatedLIF
from neurosnn.torch.compiling import compiled as compiled_by_torch
from neurosnn.torch.from_model import to_torch
from neurosnn.torch.neuron import TorchNeuron

__all__ = ["KINDS", "RangeTracker", "SequenceNetwork", "SpikingRecurrent"]

KINDS = (*VARIANTS, "LSTM", "GRU")


class RangeTracker(nn.Module):
    r"""Range of a membrane, tracked over the time steps of training and kept afterwards.

    .. math::
        a^k = 0.9\,a^{k-1} + 0.1 \max U^k, \qquad m = \max\left(\frac{|a^k|}{1 - 0.9^k},
        \frac{|b^k|}{1 - 0.9^k}\right)

    and the same for b with the minimum, over all neurons and trials of a step.

    Parameters
    ----------
    momentum : float
        Weight of the newest value.
    """

    def __init__(self, momentum: float = 0.1):
        super().__init__()
        self.momentum = momentum
        self.register_buffer("ends", torch.zeros(2))
        self.register_buffer("count", torch.zeros(()))

    @torch.no_grad()
    def forward(self, u: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """The range after a step; `present` is the one before."""
        if not self.training:
            return present
        self.count += 1
        now = torch.stack([u.min(), u.max()]).to(self.ends)
        self.ends += self.momentum * (now - self.ends)
        m = self.ends.abs().max() / (1 - (1 - self.momentum) ** self.count)
        return torch.clamp(m, min=1e-6)


def _steps(
    neuron: TorchNeuron,
    recurrent: nn.Module | None,
    parts: tuple[torch.Tensor, ...],
    mask: torch.Tensor,
    sent: torch.Tensor,
    values: dict[str, torch.Tensor],
    fired: torch.Tensor,
    constants: dict,
) -> tuple[list[torch.Tensor], dict[str, torch.Tensor], torch.Tensor]:
    """Some steps of a layer: what is sent, and the pending half-step that the next ones begin with."""
    out = []
    for part in parts:
        if recurrent is not None:
            part = part + recurrent(sent)
        if len(neuron.model.inputs) == 1:
            arriving: tuple[torch.Tensor, ...] = (part * mask,)
        else:
            candidate, gate = part.chunk(2, -1)
            arriving = (candidate * mask, gate)
        # no string of these neurons asks for the time, the refractoriness or the last spike
        state = neuron.receive(arriving, sent, (values, None, None, 0, fired), constants)
        sent, (values, _, _, _, fired) = neuron.fire(state, constants)
        out.append(sent)
    return out, values, fired


class SpikingRecurrent(nn.Module):
    """A layer of multi-bit spiking neurons, from (n_steps, n, n_in) to (n_steps, n, size).

    Parameters
    ----------
    n_in, size : int
        Inputs and neurons.
    variant : {"v2", "v1", "conventional"}
        The neuron, see :func:`neurosnn.equations.GatedLIF`; v2 is connected to itself.
    bits, theta : int
        Of the quantizer.
    dropout : float
        Share of the candidates that are silenced, the same in all steps of a trial.
    leak : float
        Factor of the current at the start, learned for each neuron; conventional only.
    gain : float
        Of the orthogonal recurrent weights at the start. With the square root of 2 of the released
        code, the activity of small networks explodes within a hundred frames.
    identity : bool
        The input itself instead of weighted sums, without memory in the current: turns real-valued
        input into spikes.
    compiled : int
        Steps that torch.compile makes one function of, 0 for none. The results are equal to
        rounding. It needs a C++ compiler and takes a minute at first; after that a step of training
        is some ten times faster on a CPU.
    """

    def __init__(
        self,
        n_in: int,
        size: int,
        variant: str,
        *,
        bits: int = 6,
        theta: int = 3,
        dropout: float = 0.0,
        leak: float = 1.0,
        gain: float = 0.5,
        identity: bool = False,
        compiled: int = 0,
    ):
        super().__init__()
        self.variant, self.size, self.dropout, self.compiled = variant, size, dropout, compiled
        conventional = variant == "conventional"
        model, learn = GatedLIF(variant=variant, bits=bits, theta=theta), {}
        if conventional:
            model = model.with_parameters(leak=np.full(size, leak))
            learn = {"leak": "identity"}
        if identity:
            model, learn = GatedLIF(variant=variant, bits=bits, theta=theta, leak=0.0), {}
        self.neuron = to_torch(model, learn, changing=("u_max",))
        self.range = RangeTracker()
        self.neuron.observers["u"] = self._track
        gates = 1 if conventional else 2
        self.weights = None if identity else nn.Linear(n_in, gates * size, bias=False)
        self.norm = None if conventional else nn.BatchNorm1d(gates * size)
        self.recurrent = nn.Linear(size, gates * size, bias=False) if variant == "v2" else None
        if self.weights is not None:
            nn.init.kaiming_uniform_(self.weights.weight, nonlinearity="sigmoid")
        if self.recurrent is not None:
            for block in self.recurrent.weight.data.split(size):
                nn.init.orthogonal_(block, gain=gain)

    def _track(self, u: torch.Tensor, environment: dict) -> None:
        m = self.range(u, environment["u_max"])
        self.neuron.given_u_max = environment["u_max"] = m.to(u.dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        feed = x if self.weights is None else self.weights(x)
        if self.norm is not None:
            feed = self.norm(feed.flatten(0, 1)).unflatten(0, x.shape[:2])
        neuron, constants = self.neuron, self.neuron.constants()
        like = feed[0, :, : self.size]
        mask = torch.ones_like(like)
        if self.training and self.dropout:
            mask = torch.empty_like(like).bernoulli_(1 - self.dropout) / (1 - self.dropout)
        # the range is that of steps with input: the first half-step, from rest, is not counted
        observers, neuron.observers = neuron.observers, {}
        sent, (values, _, _, _, fired) = neuron.fire(
            neuron.initial_state(like, constants), constants
        )
        neuron.observers = observers
        parts, out = feed.unbind(0), [sent]
        length = self.compiled or 1
        for k in range(0, len(parts), length):
            some = parts[k : k + length]
            steps = compiled_by_torch(_steps) if self.compiled and len(some) == length else _steps
            more, values, fired = steps(
                neuron, self.recurrent, some, mask, out[-1], values, fired, constants
            )
            out += more
        return torch.stack(out[1:])


class SequenceNetwork(nn.Module):
    """Recurrent layers and a linear readout with batch normalization, one answer a frame.

    Spiking networks turn their input into multi-bit spikes first. Weight matrices have no bias; the
    LSTM and the GRU are torch's, with theirs.

    Parameters
    ----------
    kind : {"v2", "v1", "conventional", "LSTM", "GRU"}
        Layers.
    n_in, n_out : int
        Features and classes.
    size : int
        Units of each layer (paper: 550).
    layers : int
        Number of layers (paper: 2).
    bits, theta : int
        Of the quantizers (paper: 6 and 3).
    dropout : float
        Recurrent dropout of the spiking layers; between the layers of LSTM and GRU.
    leak, gain, compiled
        As for SpikingRecurrent.
    keep : float
        Bias at the start of the gate that keeps the state: forget gate of the LSTM, update gate of
        the GRU. Long memories need one or more (Jozefowicz et al. 2015); torch has about 0.

    Raises
    ------
    ValueError
        If the kind is not known.

    Examples
    --------
    >>> import torch
    >>> from neurosnn.torch import SequenceNetwork
    >>> net = SequenceNetwork("v2", 13, 5, size=20)
    >>> net(torch.randn(30, 2, 13)).shape
    torch.Size([30, 2, 5])
    """

    def __init__(
        self,
        kind: str,
        n_in: int,
        n_out: int,
        *,
        size: int = 550,
        layers: int = 2,
        bits: int = 6,
        theta: int = 3,
        dropout: float = 0.0,
        leak: float = 1.0,
        gain: float = 0.5,
        compiled: int = 0,
        keep: float = 0.0,
    ):
        super().__init__()
        if kind not in KINDS:
            raise ValueError(
                message(
                    f"unknown kind {kind!r}.", "SequenceNetwork", "", did_you_mean(str(kind), KINDS)
                )
            )
        self.kind, self.size = kind, size
        self.encode: nn.Module | None = None
        body: Any
        if kind in VARIANTS:
            common = {"bits": bits, "theta": theta, "compiled": compiled}
            self.encode = SpikingRecurrent(n_in, n_in, "conventional", identity=True, **common)
            body = nn.ModuleList(
                SpikingRecurrent(n, size, kind, dropout=dropout, leak=leak, gain=gain, **common)
                for n in (n_in, *[size] * (layers - 1))
            )
        else:
            cell = nn.LSTM if kind == "LSTM" else nn.GRU
            body = cell(n_in, size, num_layers=layers, dropout=dropout if layers > 1 else 0.0)
            for name, weight in body.named_parameters():
                if name.startswith("weight_hh"):
                    for block in weight.data.split(size):
                        nn.init.orthogonal_(block)
                elif name.startswith("bias_ih"):  # the second gate of both is the one that keeps
                    weight.data[size : 2 * size] += keep
        self.body = body
        self.readout = nn.Linear(size, n_out, bias=False)
        self.norm = nn.BatchNorm1d(n_out)
        limit = (0.01 / (size + n_out)) ** 0.5
        nn.init.uniform_(self.readout.weight, -limit, limit)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores (n_steps, n, n_out) of frames (n_steps, n, n_in)."""
        scores = self.readout(self.activity(x)[-1])
        return self.norm(scores.flatten(0, 1)).unflatten(0, x.shape[:2])

    def activity(self, x: torch.Tensor) -> list[torch.Tensor]:
        """What the first layer gets and what each layer sends, (n_steps, n, size) each."""
        if self.encode is None:
            # one layer at a time would need another set of modules; the last is what is read
            return [x, self.body(x)[0]]
        sent = [self.encode(x)]
        for layer in self.body:
            sent.append(layer(sent[-1]))
        return sent

    def recurrent_weights(self) -> int:
        """Number of weights of the recurrent stack: its matrices, without biases, norms, readout."""
        return sum(p.numel() for p in self.body.parameters() if p.ndim == 2)
