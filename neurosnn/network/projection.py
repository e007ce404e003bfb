"""The synapses from one population to another as they are asked for: which, how strong, how slow."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from brian2.units.allunits import second
from brian2.units.fundamentalunits import DIMENSIONLESS, Quantity

from neurosnn.calculus.changing import changes_itself, changing_code
from neurosnn.calculus.presynaptic import presynaptic_code
from neurosnn.core.arguments import explained
from neurosnn.core.distributions import Distribution
from neurosnn.core.messages import described, message
from neurosnn.core.symbolic import evaluate
from neurosnn.core.texts import check_identifier
from neurosnn.core.values import Range, check_value, check_whole
from neurosnn.model import PlasticityRule
from neurosnn.model.namespace import Namespace
from neurosnn.network.parts import Population

__all__ = ["Projection"]

#: What a projection can learn besides the parameters of its synapses.
LEARNED = ("w", "delay")
#: Pairs of neurons that are looked at together: a bound on the memory for a condition.
PAIRS = 2**20


@explained(source="Projection('E', 'I')", target="Projection('E', 'I')")
@dataclasses.dataclass(frozen=True, eq=False)
class Projection:
    """Synapses from one population to another.

    Parameters
    ----------
    source, target : str
        Names of populations; the source may be "input", the target "readout".
    name : str, optional
        "<source>_to_<target>" if None. ``net.parameters`` holds its weights as "<name>.w".
    input : str, optional
        The variable of the target that a spike adds to, one of the model's ``inputs``. If None the
        first one; with two, the second one for presynaptic neurons of negative `sign`.
    delay : Quantity (second) or Uniform, optional
        One delay; an axonal delay for each presynaptic neuron, (n_pre,), or (n_pre, 1) beside arrays in
        `connectivity`; or a delay for each synapse: (n_pre, n_post), one for each synapse of those
        arrays, or ``study.Uniform(low, high)``, from which one is drawn for each synapse and rounded to
        the network's dt. Given times are multiples of dt, or any if they are learned. Spikes to the
        readout arrive at once.
    connectivity : float, str or (pre, post), optional
        Which synapses exist: a probability, drawn once from the network's seed; a condition as
        Brian2's ``connect`` takes it, with i, j, N_pre, N_post, rand() and the parameters of the two
        models as ``x_pre``, ``x_post`` (``"i != j and rand() < exp(-((x_pre - x_post)/width_pre)**2)"``);
        or two arrays of neurons.
    in_degree : int, optional
        In place of `connectivity`: each postsynaptic neuron gets so many synapses from different
        presynaptic neurons, drawn from the seed.
    weight : float, array or Quantity, optional
        Initial weights in the unit of the input variable: one value, (n_pre, n_post), or one for each
        synapse in the order of the arrays in `connectivity`, else of pre, then of post. Drawn if None.
    weight_scale : float or Quantity, optional
        Of drawn weights, as in :class:`Layer`: the standard deviation is ``weight_scale * v_th /
        sqrt(synapses of a target neuron)``, or ``weight_scale / sqrt(...)`` if it has a unit.
    weight_mean : float, optional
        Of drawn weights: mean in standard deviations.
    sign : int or array of int, optional
        +1 or -1 of all, or of each presynaptic neuron: Dale's law, held while learning; drawn weights
        get it. Weights of a conductance, or of one of two input variables, are positive. None: either.
    autapses : bool, optional
        Whether a neuron may have a synapse to itself.
    synapse : PlasticityRule, optional
        Strings of synapses with states of their own, such as ``equations.TsodyksMarkram()``: what a
        presynaptic spike does to them, and what it sends in proportion to the weight. The states follow
        the presynaptic spikes alone, and are kept once for all synapses of a neuron with one delay. A sum
        over the synapses, ``s_tot_post = w*s : 1 (summed)``, is sent in each step: graded synapses. Strings
        that follow postsynaptic spikes or change the weight, as ``equations.PairSTDP()``, have states of each
        synapse, and the weight moves within a trial; they need ``learn=()``. None: a spike sends the weight.
    learn : tuple of str, optional
        "w", "delay" and parameters of `synapse` such as "U", or none: what is not learned stays as it is.
        ``net.parameters`` holds the parameters as "<name>.U" in SI units, one value for all synapses of the
        projection.

    Raises
    ------
    ValueError
        For values out of range, for two ways to say the same, and for a `synapse` that reads the
        postsynaptic side as a gap junction does, draws random numbers, sends something that is not in
        proportion to the weight, or changes its weight at other moments than spikes.
    TypeError
        If `synapse` is not a PlasticityRule.

    Examples
    --------
    >>> from brian2 import ms
    >>> from neurosnn import Projection
    >>> Projection("E", "I", connectivity=0.2, delay=1*ms, sign=1).name
    'E_to_I'
    """

    source: str
    target: str
    name: str = dataclasses.field(default=None, kw_only=True)  # type: ignore[assignment]
    input: str | None = dataclasses.field(default=None, kw_only=True)
    delay: Quantity | Distribution = dataclasses.field(
        default_factory=lambda: 0 * second, kw_only=True
    )
    connectivity: Any = dataclasses.field(default=1.0, kw_only=True)
    in_degree: int | None = dataclasses.field(default=None, kw_only=True)
    weight: Any = dataclasses.field(default=None, kw_only=True)
    weight_scale: float | Quantity = dataclasses.field(default=1.0, kw_only=True)
    weight_mean: float = dataclasses.field(default=0.0, kw_only=True)
    sign: Any = dataclasses.field(default=None, kw_only=True)
    autapses: bool = dataclasses.field(default=False, kw_only=True)
    synapse: PlasticityRule | None = dataclasses.field(default=None, kw_only=True)
    learn: tuple[str, ...] = dataclasses.field(default=("w",), kw_only=True)

    def __post_init__(self) -> None:
        for field in ("source", "target"):
            check_identifier(getattr(self, field), field=f"the {field}", where="Projection")
        if self.name is None:
            object.__setattr__(self, "name", f"{self.source}_to_{self.target}")
        check_identifier(self.name, field="the name", where="Projection", longest=200)
        if self.input is not None:
            check_identifier(self.input, field="the input", where="Projection")
        where = self.where
        if self.synapse is not None:
            self._check_synapse(self.synapse)
        times = [self.delay]
        if isinstance(self.delay, Distribution):
            times = [self.delay.low, self.delay.high]
        for time in times:
            check_value("delay", time, Range(0 * second, includes_low=True), where=where)
        check_value("weight_mean", self.weight_mean, Range(-np.inf), where=where)
        learn = (self.learn,) if isinstance(self.learn, str) else tuple(self.learn)
        object.__setattr__(self, "learn", learn)
        for entry in learn:
            if entry not in LEARNED and entry not in constants_of_synapse(self.synapse):
                raise ValueError(
                    message(
                        f"learn names {described(entry)}.",
                        where,
                        "Weights, delays and constants of the synapse of a projection can be learned"
                        + (
                            f": {', '.join(known)}."
                            if (known := constants_of_synapse(self.synapse))
                            else "."
                        ),
                        "Pass for example learn=('w', 'delay'), or () for fixed synapses.",
                    )
                )
        if self.in_degree is not None:
            check_whole("in_degree", self.in_degree, 0, where=where, why="It counts synapses.")
            if not (isinstance(self.connectivity, float | int) and self.connectivity == 1):
                raise ValueError(
                    message(
                        "connectivity and in_degree are both given.",
                        where,
                        "Each says which synapses exist.",
                        "Leave one out.",
                    )
                )
        elif isinstance(self.connectivity, float | int | np.number):
            limits = Range(0, 1, includes_low=True)
            check_value("connectivity", self.connectivity, limits, where=where)
        elif not isinstance(self.connectivity, str) and not (
            isinstance(self.connectivity, tuple | list) and len(self.connectivity) == 2
        ):
            raise ValueError(
                message(
                    "connectivity is not a probability, a condition or a pair of arrays.",
                    where,
                    "It says which synapses exist.",
                    "Pass for example 0.2, 'i != j' or (pre, post).",
                )
            )
        if self.weight is not None and (self.weight_mean or np.any(self.weight_scale != 1)):
            raise ValueError(
                message(
                    "weight_scale or weight_mean has no effect.",
                    where,
                    "They are those of drawn weights, and weight gives them.",
                    "Leave one out.",
                )
            )
        if self.sign is not None and not np.all(np.abs(np.asarray(self.sign)) == 1):
            raise ValueError(
                message(
                    "sign is neither +1 nor -1.",
                    where,
                    "It is that of the weights, of all or of each presynaptic neuron.",
                    "Pass sign=1 for excitatory, sign=-1 for inhibitory synapses.",
                )
            )

    def _check_synapse(self, synapse: Any) -> None:
        """It follows the presynaptic spikes, and acts on the input variable."""
        if not isinstance(synapse, PlasticityRule):
            raise TypeError(
                message(
                    f"synapse must be a PlasticityRule, got {described(synapse)}.",
                    self.where,
                    "Its strings say what a spike does to the synapses.",
                    "Pass for example equations.TsodyksMarkram().",
                )
            )
        if changes_itself(synapse):
            target = changing_code(synapse).target
            if self.learn:
                raise ValueError(
                    message(
                        f"learn names {', '.join(self.learn)}, and the synapses change themselves.",
                        self.where,
                        "Two rules would move one weight.",
                        "Pass learn=().",
                    )
                )
        else:
            target = self._presynaptic_target(synapse)
        if target and self.input not in (None, target):
            raise ValueError(
                message(
                    f"input='{self.input}', and the synapse adds to {target}_post.",
                    self.where,
                    "Each says which variable of the target a spike acts on.",
                    "Leave out input.",
                )
            )
        object.__setattr__(self, "input", self.input or target or None)

    def _presynaptic_target(self, synapse: PlasticityRule) -> str:
        """What synapses that follow presynaptic spikes add to."""
        code = presynaptic_code(synapse)
        if code.summed and not synapse.pathways and self.delayed:
            raise ValueError(
                message(
                    "delay has no effect.",
                    self.where,
                    "No spike arrives: the synapses read their sources in each step.",
                    "Leave it out.",
                )
            )
        return code.target

    @property
    def learned_of_synapse(self) -> dict[str, Any]:
        """Parameters of the synapse that are learned, with the values that they start from."""
        if self.synapse is None:
            return {}
        values = {**self.synapse.initial, **self.synapse.parameters}
        return {name: values.get(name, 0.0) for name in self.learn if name not in LEARNED}

    @property
    def where(self) -> str:
        """What a message about it says it is about."""
        return f"Projection {self.name}"

    @property
    def synaptic(self) -> bool:
        """Whether each synapse has a delay of its own."""
        listed = isinstance(self.connectivity, tuple | list)
        if isinstance(self.delay, Distribution):
            return True
        shape = np.shape(self.delay)
        return shape[1] != 1 if len(shape) == 2 else listed and len(shape) == 1

    @property
    def delayed(self) -> bool:
        """Whether a spike can arrive later than in the step in which it was sent."""
        longest = self.delay.high if isinstance(self.delay, Distribution) else self.delay
        return "delay" in self.learn or bool(np.any(np.asarray(longest) > 0))

    @property
    def full(self) -> bool:
        """Whether all synapses exist, but those of a neuron to itself."""
        return (
            self.in_degree is None
            and not isinstance(self.connectivity, str | tuple | list)
            and (self.connectivity == 1)
        )


def constants_of_synapse(synapse: PlasticityRule | None) -> tuple[str, ...]:
    """What can be learned of a synapse besides its weight: parameters, and variables that never change."""
    if synapse is None:
        return ()
    return (*synapse.parameters, *presynaptic_code(synapse).fixed)


def synapses_of(
    projection: Projection,
    source: Population | None,
    target: Population | None,
    n_pre: int,
    n_post: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Neurons before and after each synapse that exists, in the order of pre, then of post.

    Parameters
    ----------
    projection : Projection
        Which synapses are wanted; not all of them.
    source, target : Population or None
        Whose parameters a condition may name; None: the input, the readout.
    n_pre, n_post : int
        Numbers of neurons.
    rng : numpy.random.Generator
        Draws them.

    Returns
    -------
    pre, post : ndarray of int32
        Neurons of each synapse.
    order : ndarray of int
        Place of each synapse among those that `connectivity` lists.
    """
    itself = projection.source == projection.target and not projection.autapses
    if projection.in_degree is not None:
        pre, post = _in_degree(projection, n_pre, n_post, itself, rng)
        return pre, post, np.arange(len(pre))
    connectivity = projection.connectivity
    if isinstance(connectivity, str):
        allowed = _condition(projection, source, target, n_pre, n_post, rng)
    elif isinstance(connectivity, tuple | list):
        return _listed(projection, n_pre, n_post, itself)
    else:

        def allowed(first: int, last: int) -> np.ndarray:
            return rng.random((last - first, n_post)) < connectivity

    rows = max(1, PAIRS // n_post)  # a large network must not need memory for all pairs
    parts = []
    for first in range(0, n_pre, rows):
        last = min(first + rows, n_pre)
        exists = allowed(first, last)
        if itself:
            k = np.arange(first, min(last, n_post))
            exists[k - first, k] = False
        i, j = np.nonzero(exists)
        parts.append(np.stack([i + first, j]).astype(np.int32))
    pre, post = np.concatenate(parts, axis=1)
    return pre, post, np.arange(len(pre))


def _in_degree(projection, n_pre, n_post, itself, rng) -> tuple[np.ndarray, np.ndarray]:
    k = projection.in_degree
    available = n_pre - itself
    if k > available:
        raise ValueError(
            message(
                f"in_degree is {k}, and there are {available} presynaptic neurons.",
                projection.where,
                "Two neurons have at most one synapse of a projection.",
                "Use a smaller in_degree.",
            )
        )
    pre = np.empty((n_post, k), np.int32)
    for j in range(n_post):
        chosen = rng.choice(available, k, replace=False, shuffle=False)
        pre[j] = chosen + (chosen >= j) if itself else chosen
    post = np.repeat(np.arange(n_post, dtype=np.int32), k)
    order = np.lexsort((post, pre.ravel()))
    return pre.ravel()[order], post[order]


def _listed(projection, n_pre, n_post, itself) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The synapses between listed neurons, in order."""
    pre, post = (np.asarray(neurons) for neurons in projection.connectivity)
    are_whole = all(
        np.issubdtype(neurons.dtype, np.integer) or not neurons.size for neurons in (pre, post)
    )
    if pre.ndim != 1 or pre.shape != post.shape or not are_whole:
        raise ValueError(
            message(
                "connectivity is not two lists of neurons of one length.",
                projection.where,
                "There is one presynaptic and one postsynaptic neuron for each synapse.",
                "Pass two arrays of whole numbers.",
            )
        )
    inside = (pre >= 0) & (pre < n_pre) & (post >= 0) & (post < n_post)
    if not np.all(inside):
        k = int(np.flatnonzero(~inside)[0])
        raise ValueError(
            message(
                f"synapse {k} goes from neuron {pre[k]} to neuron {post[k]}.",
                projection.where,
                f"There are {n_pre} presynaptic and {n_post} postsynaptic neurons, counted from 0.",
                "Check the two arrays.",
            )
        )
    if itself and np.any(pre == post):
        raise ValueError(
            message(
                f"neuron {pre[pre == post][0]} has a synapse to itself.",
                projection.where,
                "That is usually a mistake.",
                "Leave it out, or pass autapses=True.",
            )
        )
    order = np.lexsort((post, pre))
    pre, post = pre[order].astype(np.int32), post[order].astype(np.int32)
    twice = np.flatnonzero((np.diff(pre) == 0) & (np.diff(post) == 0))
    if len(twice):
        raise ValueError(
            message(
                f"there are two synapses from neuron {pre[twice[0]]} to neuron {post[twice[0]]}.",
                projection.where,
                "A projection has at most one between two neurons.",
                "Make two projections with different names.",
            )
        )
    return pre, post, order


def _condition(projection, source, target, n_pre, n_post, rng):
    """A function that evaluates a condition for some presynaptic and all postsynaptic neurons."""
    text = projection.connectivity
    values: dict[str, np.ndarray] = {}
    dimensions = {"i": DIMENSIONLESS, "j": DIMENSIONLESS}
    for side, part, n in (("pre", source, n_pre), ("post", target, n_post)):
        parameters: Mapping[str, Any] = {} if part is None else part.model.parameters
        for name, value in parameters.items():
            key = f"{name}_{side}"
            dimensions[key] = part.model.dimensions[name]
            values[key] = np.broadcast_to(np.asarray(value, float), (n,))
        values[f"N_{side}"] = np.full(n, n)
        dimensions[f"N_{side}"] = DIMENSIONLESS
    integers = ("i", "j", "N_pre", "N_post")
    names = Namespace(dimensions, integers=integers, where=projection.where)
    names.check_condition(text, field="connectivity")

    def allowed(first: int, last: int) -> np.ndarray:
        shape = (last - first, n_post)
        places = {
            key: value[first:last, None] if key.endswith("_pre") else value[None, :]
            for key, value in values.items()
        }
        places |= {"i": np.arange(first, last)[:, None], "j": np.arange(n_post)[None, :]}
        truth = evaluate(text, places, draw=lambda: rng.random(shape))
        return np.array(np.broadcast_to(truth, shape), dtype=bool)

    return allowed
