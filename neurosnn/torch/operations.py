"""How many multiplications and additions a network of convolutions needs for a trial, by its own activity."""

from __future__ import annotations

import torch
from torch import nn

from neurosnn.torch.layers import Ahead
from neurosnn.torch.plif import PLIFNetwork

__all__ = ["count_operations"]


@torch.no_grad()
def count_operations(net: PLIFNetwork, x: torch.Tensor) -> dict[str, float]:
    """Multiplications and additions for a trial, mean over the trials of `x`, counted on spikes.

    An element that is not zero meets the weights of all outputs it reaches. A spike, which is 1, adds
    each of them; any other value, such as a pixel or an average of spikes, multiplies and adds them.
    So pooling decides: the largest of some spikes is a spike, their average is not. A neuron
    multiplies once a step, by the inverse of its time constant. Normalization is folded into the
    weights, comparisons cost nothing, and what is shown in every step alike is computed once.

    Parameters
    ----------
    net : PLIFNetwork
        It is put into evaluation mode.
    x : Tensor (n, c, h, w), or (n_steps, n, c, h, w) for frames
        Trials.

    Returns
    -------
    dict of str to float
        "weights", multiplications by weights; "neurons", those of the neurons; "multiplications", their
        sum; "additions"; and "dense", multiplications by weights if no element were zero.

    Notes
    -----
    Deviation from Fang et al. (2021): they show that max pools cost no accuracy and keep spikes binary,
    and count no operations.

    Examples
    --------
    >>> import torch
    >>> from neurosnn.torch import count_operations, plif_network
    >>> _ = torch.manual_seed(1)
    >>> count = count_operations(plif_network("small"), torch.rand(2, 1, 28, 28))
    >>> count["weights"]  # 3 x 3 weights of 16 maps for each pixel, fewer at the border
    107584.0
    """
    net.eval()
    n = x.shape[1] if net.architecture.frames else x.shape[0]
    count = dict.fromkeys(("weights", "neurons", "multiplications", "additions", "dense"), 0.0)

    def weighted(layer: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        (sent,) = inputs
        count["weights"] += _met(layer, (sent != 0) & (sent != 1))
        count["additions"] += _met(layer, sent != 0)
        count["dense"] += _met(layer, torch.ones_like(sent, dtype=torch.bool))

    def neurons(_: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        count["neurons"] += inputs[0].numel()

    hooks = [
        module.register_forward_pre_hook(neurons if isinstance(module, Ahead) else weighted)
        for module in net.modules()
        if isinstance(module, (nn.Conv2d, nn.Linear, Ahead))
    ]
    try:
        net(x)
    finally:
        for hook in hooks:
            hook.remove()
    count["multiplications"] = count["weights"] + count["neurons"]
    return {name: value / n for name, value in count.items()}


def _met(layer: nn.Module, sent: torch.Tensor) -> float:
    """Weights that the marked elements meet."""
    if isinstance(layer, nn.Linear):
        return float(sent.sum()) * layer.out_features
    kernel = torch.ones(1, 1, *layer.kernel_size, device=sent.device)
    field = torch.ones(1, 1, *sent.shape[-2:], device=sent.device)
    reached = nn.functional.conv2d(field, kernel, padding=layer.padding)[0, 0].double()
    return float((sent.sum(dim=(0, 1)) * reached).sum()) * layer.out_channels
