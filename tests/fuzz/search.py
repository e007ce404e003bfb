"""Draw cases, run them in batches, and shrink what differs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hypothesis import HealthCheck, Phase, given, seed, settings

from fuzz import routes
from fuzz.cases import Case
from fuzz.flows import flows
from fuzz.grammar import cases
from fuzz.graph_grammar import graphs
from fuzz.reduce import reductions, together
from fuzz.verdicts import Verdict

__all__ = ["Counterexample", "defects", "draw", "evaluate", "shrink"]

#: What the package may refuse, for it cannot be done: patterns of its messages.
ALLOWED: tuple[str, ...] = ("computes .* once, before the change",)


class Counterexample(NamedTuple):
    """A case that a route does not treat as stock Brian2 does."""

    route: str
    case: Case
    verdict: Verdict

    @property
    def signature(self) -> str:
        """The same for cases that probably show the same defect."""
        reason = re.sub(
            r"[‘'\"].*?[’'\"]|[\w/.]*\d[\w.]*", "_", self.verdict.reason.partition("\n")[0]
        )
        return f"{self.route}: {self.verdict.kind}" + (
            f" {reason[:80]}" if self.verdict.kind == "refused" else ""
        )


def strategy(route: str, without: Iterable[str], dt: float):
    """The cases that a route is made for."""
    if route == "eventprop":
        return flows(without=without)
    if route == "graph":
        return graphs(without=without, dt=dt)
    if route == "torch":
        without = [*without, "sparse"]  # the oracle has full matrices
    return cases(without=without, gradient=route in ("factored", "torch"), dt=dt)


def _settings(examples: int) -> settings:
    return settings(
        max_examples=examples,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def draw(
    route: str, examples: int, start: int, *, without: Iterable[str] = (), dt=0.5
) -> list[Case]:
    """The cases that follow from a seed."""
    drawn: list[Case] = []

    @seed(start)
    @_settings(examples)
    @given(strategy(route, without, dt))
    def collect(case):
        drawn.append(case)

    collect()
    return drawn


def evaluate(route: str, drawn: Sequence[Case]) -> list[Verdict]:
    """One batch."""
    return routes.ROUTES[route](drawn)


def is_defect(verdict: Verdict) -> bool:
    """A difference, or a refusal that is not expected."""
    if verdict.kind == "refused":
        return not any(re.search(pattern, verdict.reason) for pattern in ALLOWED)
    return verdict.kind == "different"


def defects(route: str, drawn: Sequence[Case]) -> tuple[Counter, list[Counterexample]]:
    """Run a batch: how many cases of each kind there are, and those that show a defect."""
    verdicts = evaluate(route, drawn)
    counterexamples = [
        Counterexample(route, case, verdict)
        for case, verdict in zip(drawn, verdicts, strict=True)
        if is_defect(verdict)
    ]
    return Counter(verdict.kind for verdict in verdicts), counterexamples


def shrink(counterexample: Counterexample, *, rounds: int = 8) -> Counterexample:
    """A simpler case with the same signature.

    Hypothesis would try one case after the other; all that is simpler by one thing in one batch costs
    not much more than one of them. Those that still show the defect are then taken together.
    """
    for _ in range(rounds):
        simpler = reductions(counterexample.case)
        counterexamples = _showing(counterexample, list(simpler.values()))
        keys = [key for key, case in simpler.items() if repr(case) in counterexamples]
        if not keys:
            break
        tries, size = [], len(keys)
        while size:
            tries.append(together(counterexample.case, keys[:size]))
            size //= 2
        counterexamples |= _showing(counterexample, tries[:-1])
        counterexample = next(
            counterexamples[repr(case)] for case in tries if repr(case) in counterexamples
        )
    return counterexample


def _showing(counterexample: Counterexample, simpler: Sequence[Case]) -> dict[str, Counterexample]:
    """Those of the cases that show the same defect."""
    if not simpler:
        return {}
    counterexamples = defects(counterexample.route, simpler)[1]
    return {
        repr(other.case): other
        for other in counterexamples
        if other.signature == counterexample.signature
    }
