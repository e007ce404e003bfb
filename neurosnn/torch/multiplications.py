"""How many multiplications a sequence network needs for a frame, counted on its own activity."""

from __future__ import annotations

import torch

from neurosnn.equations.gated_lif import VARIANTS
from neurosnn.torch.recurrent import SequenceNetwork

__all__ = ["count_multiplications"]


@torch.no_grad()
def count_multiplications(
    net: SequenceNetwork, x: torch.Tensor, mask: torch.Tensor | None = None
) -> dict[str, float]:
    """Multiplications a frame, mean over the frames of `x`.

    Rules: a matrix of r rows times a vector costs r for each element of the vector that is not
    zero, measured; a spike of b bits is multiplied like any number. An elementwise product costs 1
    for each element. Additions, comparisons, nonlinear functions and batch normalization (folded
    into the weights) cost nothing. Elementwise, for each unit:

    ============  ====================================================================
    LSTM          3: forget c, input g, output tanh(c)
    GRU           3: reset n, update h, (1 - update) n
    v1, v2        2 for the current, 1 for the code s U, 1 for q/s where there is a spike
    conventional  1 for the current, and the same for the spikes
    ============  ====================================================================

    Deviations from the counter published with Ponghiran & Roy 2022: its recurrent term takes the
    non-zero elements of the layer's input instead of the layer's own last output; v1, which has no
    recurrent matrix, is charged for one; and 12 H for each LSTM or GRU layer and 8 H for a spiking
    one include the batch normalization.

    Parameters
    ----------
    net : SequenceNetwork
        In any mode; it is put into evaluation mode.
    x : Tensor (n_steps, n, n_in)
        Frames.
    mask : Tensor of bool (n_steps, n), optional
        Which frames exist; all if None.

    Returns
    -------
    dict of str to float
        "forward", "recurrent", "elementwise", "encoder", "readout" and "total".
    """
    net.eval()
    mask = torch.ones(x.shape[:2], dtype=torch.bool) if mask is None else mask
    frames = int(mask.sum())
    size = net.size

    def non_zero(sent: torch.Tensor) -> float:
        return float((sent[mask] != 0).sum()) / frames

    count = dict.fromkeys(("forward", "recurrent", "elementwise", "encoder", "readout"), 0.0)
    if net.kind in VARIANTS:
        sent = net.activity(x)
        gates = 1 if net.kind == "conventional" else 2
        count["encoder"] = x.shape[-1] + non_zero(sent[0])
        for below, spikes in zip(sent, sent[1:], strict=False):
            count["forward"] += gates * size * non_zero(below)
            if net.kind == "v2":
                before = torch.zeros_like(spikes)
                before[1:] = spikes[:-1]
                count["recurrent"] += gates * size * non_zero(before)
            count["elementwise"] += gates * size + size + non_zero(spikes)
    else:
        gates = 4 if net.kind == "LSTM" else 3
        sent = _of_layers(net, x)
        for below, spikes in zip(sent, sent[1:], strict=False):
            count["forward"] += gates * size * non_zero(below)
            before = torch.zeros_like(spikes)
            before[1:] = spikes[:-1]
            count["recurrent"] += gates * size * non_zero(before)
            count["elementwise"] += 3 * size
    count["readout"] = net.readout.out_features * non_zero(sent[-1])
    return count | {"total": sum(count.values())}


def _of_layers(net: SequenceNetwork, x: torch.Tensor) -> list[torch.Tensor]:
    """What each layer of torch's LSTM or GRU sends."""
    sent = [x]
    for k in range(net.body.num_layers):
        single_layer = type(net.body)(sent[-1].shape[-1], net.size)
        parameters = {
            name.replace(f"_l{k}", "_l0"): p
            for name, p in net.body.named_parameters()
            if name.endswith(f"_l{k}")
        }
        single_layer.load_state_dict(parameters)
        sent.append(single_layer(sent[-1])[0])
    return sent
