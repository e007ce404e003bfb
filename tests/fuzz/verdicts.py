"""What a route makes of a case, and batches in which some cases fail."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from fuzz.cases import Case
from neurosnn.engine import build

__all__ = ["Verdict", "isolate", "on_usable", "quick_compiler", "refused", "results_or_errors"]


class Verdict(NamedTuple):
    """What a route made of a case: "same", "silent", "refused" or "different", and the reason."""

    kind: str
    reason: str = ""


@contextlib.contextmanager
def quick_compiler() -> Iterator[None]:
    """Without optimization the compiler takes a third of the time; float64 gives the same bits."""
    before = build.FLAGS
    build.FLAGS = tuple("-O0" if flag == "-O3" else flag for flag in before)
    try:
        yield
    finally:
        build.FLAGS = before


def isolate(cases: Sequence[Case], function: Callable[[list[Case]], list]) -> list:
    """The results of a function of a batch; an exception in the place of each case that raises it."""
    try:
        return list(function(list(cases)))
    except Exception as error:
        if len(cases) == 1:
            return [error]
    half = len(cases) // 2
    return isolate(cases[:half], function) + isolate(cases[half:], function)


def results_or_errors(
    cases: Sequence[Case], make: Callable[[Case], Any], function: Callable
) -> list:
    """As `isolate`; if the batch fails, those that cannot even be made are looked for first."""
    try:
        return list(function(list(cases)))
    except Exception as error:
        if len(cases) == 1:
            return [error]
    results: dict[int, Any] = {}
    for k, case in enumerate(cases):
        try:
            make(case)
        except Exception as error:
            results[k] = error
    makeable = [k for k in range(len(cases)) if k not in results]
    if makeable:
        results |= zip(makeable, isolate([cases[k] for k in makeable], function), strict=True)
    return [results[k] for k in range(len(cases))]


def refused(error: Exception) -> Verdict:
    """An error: which one decides whether it is a defect."""
    cause = f" ({error.__cause__!r})" if error.__cause__ else ""
    return Verdict("refused", f"{type(error).__name__}: {error}{cause}")


def on_usable(
    cases: Sequence[Case], useless: Sequence[Verdict | None], run: Callable
) -> list[Verdict]:
    """What `run` says of a batch without the cases that prove nothing; an error is a refusal."""
    verdicts = list(useless)
    usable = [k for k, verdict in enumerate(verdicts) if verdict is None]
    for k, result in zip(
        usable,
        results_or_errors([cases[k] for k in usable], lambda case: case.model, run),
        strict=True,
    ):
        verdicts[k] = refused(result) if isinstance(result, Exception) else result
    return verdicts
