"""torch.compile for the loops over time steps, which eager torch runs one operation at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch

__all__ = ["compiled"]

#: Versions of one function (widths, bits, modes, batch sizes) that are kept; torch's own limit of 8
#: would go back to slow steps without an error.
VERSIONS = 64


@lru_cache(maxsize=8)
def compiled(function: Callable) -> Callable:
    """A function compiled by torch at its first call; needs a C++ compiler.

    Parameters
    ----------
    function : callable
        Of modules and tensors. Modules of the same structure share what is compiled.

    Returns
    -------
    callable
        The same to rounding.
    """
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, VERSIONS)
    return torch.compile(function)
