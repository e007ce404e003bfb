"""What runs a batch of trials: the engine, stock Brian2, or an object of the user's own."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from neurosnn.core.messages import did_you_mean, message
from neurosnn.losses import Loss

__all__ = ["check_whole", "dtype_name", "make_backend", "summary"]

_WHERE = "Trainer"


def make_backend(
    backend: Any, net: Any, rule: Any, loss: Loss, dtype: str, threads: int | None
) -> Any:
    """The object that runs batches."""
    if not isinstance(backend, str):
        if not callable(getattr(backend, "run", None)):
            raise TypeError(
                message(
                    f"backend must be a name or have a method run, got {backend!r}.",
                    _WHERE,
                    "It runs batches of trials.",
                    "Write backend='auto'.",
                )
            )
        return backend
    known = ("auto", "engine", "brian2")
    if backend not in known:
        raise ValueError(
            message(
                f"backend={backend!r} is not known.",
                _WHERE,
                "It runs batches of trials.",
                did_you_mean(backend, known),
            )
        )
    if backend == "auto" and not any(
        shutil.which(name) for name in (os.environ.get("CXX"), "c++", "g++", "clang++") if name
    ):
        warnings.warn(
            "Trainer: no C++ compiler was found (CXX, c++, g++, clang++), so the network is trained "
            "with Brian2, which is much slower. Install one, or write backend='brian2' to say that "
            "this is meant.",
            stacklevel=3,
        )
        backend = "brian2"
    clipped = [layer.name for layer in net.layers if layer.model.eligibility_bounds]
    traces = getattr(rule, "method", "eprop") == "eprop"
    if backend == "auto" and traces and clipped:
        warnings.warn(
            f"Trainer: the eligibility vectors of layer {clipped[0]!r} are clipped, which only the "
            "online form in Brian2 can do, and much more slowly. Write backend='brian2' to say that "
            "this is meant, or take a model without eligibility_bounds.",
            stacklevel=3,
        )
        backend = "brian2"
    if backend == "brian2":
        from neurosnn.rules.eprop.backend import OnlineBackend

        return OnlineBackend(net, rule, loss)
    from neurosnn.engine.backend import Engine

    return Engine(net, rule, loss, dtype=dtype, threads=threads)


def summary(results: Sequence[tuple[Any, int]]) -> dict[str, float]:
    """Mean loss, and accuracy if anything was to be classified, of results of so many trials."""
    trials = sum(n for _, n in results)
    values = {"loss": float(sum(result.loss * n for result, n in results) / trials)}
    total = sum(result.total for result, _ in results)
    if total:
        values["accuracy"] = sum(result.correct for result, _ in results) / total
    return values


def dtype_name(dtype: Any) -> str:
    """The name of a floating-point type that the engine knows."""
    known = ("float32", "float64")
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = str(dtype)
    if name not in known:
        raise ValueError(
            message(
                f"dtype must be float32 or float64, got {dtype!r}.",
                _WHERE,
                "The engine computes in one of them.",
                did_you_mean(name, known),
            )
        )
    return name


def check_whole(name: str, value: Any, minimum: int) -> None:
    """Refuse what is not a whole number, or is too small."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < minimum:
        raise ValueError(
            message(
                f"{name} must be a whole number from {minimum}, got {value!r}.",
                _WHERE,
                "",
                f"Write for example {name}={max(minimum, 1)}.",
            )
        )
