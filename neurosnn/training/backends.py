"""What runs a batch of trials: the engine, stock Brian2, or the user's object."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from neurosnn.core.draws import Draws
from neurosnn.core.messages import did_you_mean, message, warn
from neurosnn.cuda import CudaEngine
from neurosnn.engine import Engine, compiler
from neurosnn.losses import Loss
from neurosnn.rules import Rule
from neurosnn.rules.base import as_rule
from neurosnn.training.batches import TrialSource

__all__ = [
    "BACKENDS",
    "Backend",
    "Settings",
    "draws_for",
    "in_batches",
    "make_backend",
    "summary",
]

_WHERE = "Trainer"


class Settings(NamedTuple):
    """What a trainer tells a backend besides network, rule and loss.

    Attributes
    ----------
    dtype : str
        Floating-point type.
    threads : int or None
        Number of threads.
    """

    dtype: str
    threads: int | None


class Backend(Protocol):
    """What runs a batch of trials.

    For a network with noise ``run`` is called with ``draws=`` as well, a :class:`neurosnn.core.draws.Draws`.
    """

    def run(self, trials: Any, targets: Any = None, *, gradient: bool = False) -> Any:
        """Loss, decisions and, if asked, the gradient of some trials."""


def _engine(net: Any, rule: Rule, loss: Loss, settings: Settings) -> Backend:
    return Engine(net, rule, loss, dtype=settings.dtype, threads=settings.threads)


def _brian2(net: Any, rule: Rule, loss: Loss, settings: Settings) -> Backend:
    return rule.online(net, loss)


def _cuda(net: Any, rule: Rule, loss: Loss, settings: Settings) -> Backend:
    return CudaEngine(net, rule, loss, dtype=settings.dtype)


#: Makers of backends by name.
BACKENDS: dict[str, Callable[[Any, Rule, Loss, Settings], Backend]] = {
    "engine": _engine,
    "brian2": _brian2,
    "cuda": _cuda,
}


def make_backend(
    backend: Any, net: Any, rule: Any, loss: Loss, dtype: str, threads: int | None
) -> Any:
    """The object that runs batches: made by its name, or the user's object."""
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
    known = ("auto", *BACKENDS)
    if backend not in known:
        raise ValueError(
            message(
                f"backend={backend!r} is not known.",
                _WHERE,
                "It runs batches of trials.",
                did_you_mean(backend, known),
            )
        )
    rule = as_rule(rule, where=_WHERE)
    if backend == "auto":
        backend = _choose(net, rule)
    return BACKENDS[backend](net, rule, loss, Settings(dtype, threads))


def _choose(net: Any, rule: Rule) -> str:
    """The engine where it can be used; a warning says why not.

    A graphics processor is never chosen: it is quicker with large batches only.
    """
    if compiler() is None:
        warn(
            "Trainer: no C++ compiler was found (CXX, c++, g++, clang++), so the network is trained "
            "with Brian2, which is much slower. Install one, or write backend='brian2' to say that "
            "this is meant.",
        )
        return "brian2"
    why = rule.needs_brian2(net)
    if why:
        warn(
            f"Trainer: {why} Only the online form in Brian2 can do that, and much more slowly. Write "
            "backend='brian2' to say that this is meant, or take another model.",
        )
        return "brian2"
    return "engine"


def draws_for(net: Any, **numbers: int) -> dict[str, Draws]:
    """The argument ``draws`` of a call of a backend, if ``net`` has noise; ``numbers`` are those of Draws."""
    return {"draws": Draws(**numbers)} if net.noisy else {}


def in_batches(
    net: Any, source: TrialSource, size: int
) -> Iterator[tuple[TrialSource, dict[str, Draws]]]:
    """The trials of a ``source`` in batches of a ``size``, each trial with the same draws in every call."""
    for number, part in enumerate(source.batches(size)):
        yield part, draws_for(net, first_trial=number * size)


def summary(results: Sequence[tuple[Any, int]]) -> dict[str, float]:
    """Mean loss, and accuracy if anything was classified, of the results of ``n_trials`` trials."""
    trials = sum(n for _, n in results)
    values = {"loss": float(sum(result.loss * n for result, n in results) / trials)}
    total = sum(result.total for result, _ in results)
    if total:
        values["accuracy"] = sum(result.correct for result, _ in results) / total
    return values
