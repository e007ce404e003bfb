"""Where progress bars are drawn: a terminal or a notebook, which has none and draws them itself."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["bar_class", "draws_bars"]


def draws_bars() -> bool:
    """Whether this process writes to a terminal or is the kernel of a notebook."""
    if sys.stderr.isatty():
        return True
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return "IPKernelApp" in getattr(shell, "config", ())


def bar_class(drawn: bool) -> Any:
    """The class tqdm; that of notebooks, which warns where widgets are missing, only if it is drawn."""
    if drawn:
        from tqdm.auto import tqdm
    else:
        from tqdm import tqdm
    return tqdm
