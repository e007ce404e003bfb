"""From measured changes of synapses to a plasticity rule."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from brian2.units.allunits import msecond as ms
from brian2.units.fundamentalunits import get_dimensions
from scipy.optimize import OptimizeResult, least_squares
from scipy.stats import qmc

from neurosnn.analysis.learners import PlasticityLearner
from neurosnn.analysis.protocols import with_unit
from neurosnn.analysis.published import PublishedPoints
from neurosnn.analysis.rule_fit import RuleFit
from neurosnn.analysis.rule_program import RuleProgram, rule_of
from neurosnn.core.arguments import explained
from neurosnn.core.messages import described, did_you_mean, message, warn
from neurosnn.core.values import check_whole, unit_name
from neurosnn.model import NeuronModel, PlasticityRule
from neurosnn.training.fit_model.free import Free, bounds_of
from neurosnn.training.fit_model.free import with_unit as quantity
from neurosnn.training.fit_model.intervals import AT_BOUND, VAGUE, covariance, half_widths
from neurosnn.training.fit_model.shown import warn_undetermined

__all__ = ["fit_rule"]

WHERE = "fit_rule"
#: Half the distance of two simulations for a derivative, as a part of the searched range.
APART = 1e-5
#: What stands for a change that is not finite.
WORST = 1e6


@explained(free='free={"A_plus": (0, 0.1)}')
def fit_rule(
    rule: PlasticityRule,
    measurements: PublishedPoints | Sequence[PublishedPoints],
    *,
    free: Mapping[str, tuple[Any, Any]],
    post: NeuronModel | None = None,
    background: float = 0.6,
    weight: Any = None,
    starts: int = 16,
    seed: int = 0,
    dt: Any = 1 * ms,
    threads: int | None = None,
) -> RuleFit:
    r"""Find the parameters with which a plasticity rule changes a weight as measured.

    .. math:: E = \frac{1}{P} \sum_{i=1}^{P} \left(\frac{\Delta w_i - \Delta w_i^{exp}}{\sigma_i}\right)^2

    is made small by scipy's least squares (trust region, within the bounds) from many starts. The strings
    of the rule become one generated program, which simulates the protocols of all measurements with all
    sets of parameters that a derivative needs in one call.

    Parameters
    ----------
    rule : PlasticityRule
        The rule. Its bounds of the weight should be out of reach: measured changes are relative to the
        weight before.
    measurements : PublishedPoints or sequence of them
        Changes with their standard errors and protocols, as :func:`sjostrom_2001` and
        :func:`wang_2005` give them, or your own.
    free : mapping of str to (low, high)
        Bounds of each parameter that is fitted. Bounds that are positive and ten times apart are searched on
        a logarithmic scale.
    post : NeuronModel, optional
        Postsynaptic neuron; needed by rules that read its state.
    background : float, default 0.6
        Where v of `post` is held, see :func:`stdp_window`.
    weight : float or Quantity, optional
        Weight before the first spike; the middle between the bounds if None.
    starts : int, default 16
        Random starts between the bounds; the rule as it is is another one, where it lies between them.
    seed : int, default 0
        The same seed gives the same bits.
    dt : Quantity (second), default 1 ms
        Time step.
    threads : int, optional
        All processors if None. It changes no bit of the result.

    Returns
    -------
    RuleFit
        The fitted rule, parameters with units and intervals, E, and all changes.

    Raises
    ------
    TypeError
        If the rule is no PlasticityRule.
    ValueError
        For a name that cannot be fitted, bounds without anything between them, more parameters than
        measurements, errors that are not positive, changes in another unit than the weight, a rule that the
        generated program cannot simulate, or as :func:`pattern_change`.

    Warns
    -----
    UserWarning
        For parameters that the measurements do not determine, values at a bound, and weights that end at a
        bound of the rule.

    Notes
    -----
    Intervals follow from the curvature of E and the standard errors, which are scaled up where the rule
    misses the measurements by more than those. Time: a spike costs about 100 ns for each set of
    parameters; rules with something to do in each step cost about 20 ns a step.

    References
    ----------
    Pfister & Gerstner, J. Neurosci. 26:9673-9682 (2006), for E and the fits of pair and triplet rules.

    Examples
    --------
    >>> from brian2 import ms
    >>> from neurosnn import analysis, equations
    >>> rule = equations.PairSTDP(w_min=-100.0, w_max=100.0)
    >>> fit = analysis.fit_rule(
    ...     rule, analysis.wang_2005("pairs"), free={"A_plus": (0, 0.1), "A_minus": (-0.1, 0)}, starts=2
    ... )
    >>> fit.changes.round(3)
    array([ 0.25, -0.17])
    """
    check_whole("starts", starts, 1, where=WHERE)
    check_whole("seed", seed, 0, where=WHERE, why="It seeds the starts.")
    learn = PlasticityLearner(rule_of(rule, WHERE), post, 1.0)
    points = _checked(measurements, learn)
    parameters = _free(rule, learn.rule, free, sum(len(p.dw) for p in points))
    initial = learn.initial_weight(weight)
    program = RuleProgram(
        learn,
        [p.protocol for p in points],
        highest=dict(zip(parameters.names, parameters.high, strict=True)),
        weight=initial,
        post=post,
        background=background,
        dt=dt,
        threads=threads,
        where=WHERE,
    )
    measured = np.concatenate([np.asarray(p.dw, dtype=float) for p in points])
    errors = np.concatenate([np.asarray(p.error, dtype=float) for p in points])

    def changes(z: np.ndarray) -> np.ndarray:
        """Changes (n_sets, n) at fractions (n_sets, P) of the way between the bounds."""
        values = parameters.within(z)
        return program.changes(dict(zip(parameters.names, values.T, strict=True)))

    def residuals(z: np.ndarray) -> np.ndarray:
        r = (changes(np.atleast_2d(z)) - measured) / errors
        return np.nan_to_num(r, nan=WORST, posinf=WORST, neginf=-WORST)

    def jacobian(z: np.ndarray) -> np.ndarray:
        """Central differences; beside a bound the inner half of one. All in one call."""
        away = APART * np.eye(len(z))
        sets = np.clip(np.concatenate([z + away, z - away]), 0.0, 1.0)
        above, below = np.split(residuals(sets), 2)
        distance = np.diag(sets[: len(z)] - sets[len(z) :])
        return ((above - below) / distance[:, None]).T

    draws = qmc.LatinHypercube(len(parameters.names), seed=np.random.default_rng(seed)).random(
        starts
    )
    present = np.array([float(rule.parameters[name]) for name in parameters.names])
    if np.all((present >= parameters.low) & (present <= parameters.high)):
        draws = np.concatenate([_fractions(parameters, present)[None], draws])
    runs = [
        least_squares(lambda z: residuals(z)[0], z, jacobian, bounds=(0.0, 1.0), x_scale=0.1)
        for z in np.clip(draws, 1e-6, 1 - 1e-6)
    ]
    best = min(runs, key=lambda run: run.cost)
    before = program.changes(dict(zip(parameters.names, present[:, None], strict=True)))[0]
    final = changes(best.x[None])[0]
    _warn_of_bounds(rule, initial + final)
    values, ends, unclear = _intervals(parameters, best, len(measured))
    dims = [get_dimensions(rule.parameters[name]) for name in parameters.names]
    fitted = {
        name: quantity(float(x), dim)
        for name, x, dim in zip(parameters.names, values, dims, strict=True)
    }
    sources = {
        name: f"fitted to {'; '.join(dict.fromkeys(p.source for p in points))}" for name in fitted
    }
    return RuleFit(
        rule=dataclasses.replace(
            rule,
            parameters={**rule.parameters, **fitted},
            sources={**rule.sources, **sources},
        ),
        parameters=fitted,
        intervals={
            name: (quantity(float(low), dim), quantity(float(high), dim))
            for name, low, high, dim in zip(parameters.names, *ends, dims, strict=True)
        },
        undetermined=unclear,
        error=2 * best.cost / len(measured),
        error_before=float(np.mean(((before - measured) / errors) ** 2)),
        measurements=tuple(points),
        changes=with_unit(final, learn.dimensions),
        starts=np.array([parameters.within(run.x) for run in runs]),
        start_errors=np.array([2 * run.cost / len(measured) for run in runs]),
        seed=seed,
    )


def _checked(measurements: Any, learn: PlasticityLearner) -> list[PublishedPoints]:
    """The measurements as a list, each with a pattern, a change and an error for each point."""
    points = [measurements] if isinstance(measurements, PublishedPoints) else measurements
    if not isinstance(points, Sequence) or not points:
        raise _error(
            f"measurements are {described(measurements)}.",
            "Each change has a protocol and a standard error.",
            "Pass for example [analysis.wang_2005('pairs')], or PublishedPoints of your own.",
        )
    for one in points:
        if not isinstance(one, PublishedPoints):
            raise _error(
                f"one of the measurements is {described(one)}.",
                "Each change has a protocol and a standard error.",
                "Pass PublishedPoints.",
            )
        numbers = {len(one.dw), len(one.error), len(one.protocol.pre), len(one.protocol.post)}
        if numbers != {len(one.protocol.rate)} or numbers == {0}:
            raise _error(
                f"there are {len(one.dw)} changes, {len(one.error)} errors and "
                f"{len(one.protocol.rate)} patterns of '{one.source}'.",
                "Each pattern has one of both.",
                "Pass as many, and a protocol with as many patterns.",
            )
        for name, values in (("dw", one.dw), ("error", one.error)):
            if get_dimensions(values) is not learn.dimensions:
                raise _error(
                    f"{name} of '{one.source}' is in {unit_name(get_dimensions(values))}.",
                    f"The unit of the weight is {unit_name(learn.dimensions)}.",
                    "Give both the same unit; relative changes belong to a weight without one.",
                )
        error = np.asarray(one.error, dtype=float)
        if not (
            np.isfinite(np.asarray(one.dw)).all() and np.isfinite(error).all() and error.min() > 0
        ):
            raise _error(
                f"a change of '{one.source}' is not finite, or its error is not positive.",
                "Each distance is divided by its error.",
                "Leave such points out.",
            )
    return list(points)


def _free(rule: PlasticityRule, silent: PlasticityRule, free: Any, points: int) -> Free:
    """The free parameters; of those only that change the weight."""
    if not isinstance(free, Mapping) or not free:
        raise _error(
            f"free is {described(free)}.",
            "It says what is to be fitted, and between which bounds.",
            'Write for example free={"A_plus": (0, 0.1)}.',
        )
    low, high = [], []
    for name, bounds in free.items():
        if name not in silent.parameters:
            known = name in rule.parameters
            raise _error(
                f"'{name}' cannot be fitted.",
                "The changes of the weight do not depend on it."
                if known
                else f"Only parameters of {rule.name} are.",
                did_you_mean(str(name), silent.parameters),
            )
        dim, allowed = get_dimensions(rule.parameters[name]), rule.ranges.get(name)
        ends = bounds_of(name, bounds, dim, allowed, owner=rule.name, where=WHERE)
        low.append(ends[0])
        high.append(ends[1])
    if len(free) > points:
        raise _error(
            f"{len(free)} parameters are free, and there are {points} measurements.",
            "They cannot determine so many.",
            "Free fewer, or add measurements.",
        )
    return Free.between(free, free, low, high)


def _fractions(free: Free, values: np.ndarray) -> np.ndarray:
    """How far between the bounds values lie: the inverse of :meth:`Free.within`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        wide = np.log(values / free.low) / np.log(free.high / free.low)
    return np.where(free.logarithmic, wide, (values - free.low) / (free.high - free.low))


def _intervals(
    free: Free, best: OptimizeResult, points: int
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Values, ends of the intervals, and the names of parameters that are not determined."""
    freedom = points - len(best.x)
    scale = max(2 * best.cost / freedom, 1.0) if freedom else 1.0
    at_bound = np.minimum(best.x, 1 - best.x) < AT_BOUND
    matrix = best.jac.T @ best.jac
    variance = np.diag(covariance(matrix[None], np.array([scale])))
    z = np.clip(best.x + np.outer((-1, 1), half_widths(variance, points - len(variance))), 0.0, 1.0)
    names = np.array(free.names)
    vague = (z[1] - z[0] > VAGUE) & ~at_bound
    warn_undetermined(
        map(str, names[vague]),
        map(str, names[at_bound]),
        where=WHERE,
        data="the set of measurements",
    )
    return free.within(best.x), free.within(z), tuple(map(str, names[vague | at_bound]))


def _warn_of_bounds(rule: PlasticityRule, weights: np.ndarray) -> None:
    for bound in (rule.w_min, rule.w_max):
        if bound is not None and np.any(np.abs(weights - float(bound)) <= 1e-9 * abs(float(bound))):
            warn(
                message(
                    f"weights end at the bound {bound}.",
                    WHERE,
                    "Measured changes are relative to the weight before, and know no such bound.",
                    "Give the rule bounds far away, for example w_min=-100.0, w_max=100.0.",
                )
            )


def _error(what: str, why: str, fix: str) -> ValueError:
    return ValueError(message(what, WHERE, why, fix))
