"""Random shifts, turns and scales of images and of the frames of event cameras."""

from __future__ import annotations

import math

import torch

__all__ = ["moved"]


def moved(
    x: torch.Tensor, pixels: int = 0, *, degrees: float = 0.0, zoom: float = 0.0
) -> torch.Tensor:
    """Images or frames, each trial shifted, turned and scaled by its own random amount.

    Parameters
    ----------
    x : Tensor (n, ..., h, w)
        At least (n, c, h, w); all frames of a trial move alike.
    pixels : int
        Largest shift in both directions, in whole pixels; every one is equally probable.
    degrees : float
        Largest turn about the middle, to either side.
    zoom : float
        Largest change of size: 0.2 is between 1/1.2 and 1.2 times.

    Returns
    -------
    Tensor (n, ..., h, w)
        Bilinear between pixels; what comes in from outside repeats the edge.

    Notes
    -----
    Draws from torch's global generator.

    Examples
    --------
    >>> import torch
    >>> from neurosnn.torch import moved
    >>> x = torch.zeros(1, 1, 5, 5)
    >>> x[0, 0, 2, 2] = 1
    >>> moved(x, 1)[0, 0, 1:4, 1:4].sum().round().item()
    1.0
    """
    n, (height, width) = len(x), x.shape[-2:]
    down, right = torch.randint(-pixels, pixels + 1, (n, 2)).T.to(x)
    angle, size = torch.zeros_like(down), torch.ones_like(down)
    if degrees:
        angle = math.radians(degrees) * (2 * torch.rand(n).to(x) - 1)
    if zoom:
        size = (1 + zoom) ** (2 * torch.rand(n).to(x) - 1)
    # where in the old image a place of the new one is, both from -1 to 1 along each side
    cos, sin = torch.cos(angle) / size, torch.sin(angle) / size
    places = torch.stack(
        [
            torch.stack([cos, -sin * height / width, 2 * right / width], dim=1),
            torch.stack([sin * width / height, cos, 2 * down / height], dim=1),
        ],
        dim=1,
    )
    flat = x.flatten(1, -3)
    grid = torch.nn.functional.affine_grid(places, list(flat.shape), align_corners=False)
    new = torch.nn.functional.grid_sample(flat, grid, padding_mode="border", align_corners=False)
    return new.view_as(x)
