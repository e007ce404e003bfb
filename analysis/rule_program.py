"""Changes of a weight under pairing protocols, for many sets of a rule's parameters in one generated call."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from brian2.core.network import Network
from brian2.equations.equations import SUBEXPRESSION
from brian2.monitors.spikemonitor import SpikeMonitor
from brian2.monitors.statemonitor import StateMonitor
from brian2.units.allunits import second
from brian2.units.fundamentalunits import get_dimensions
from brian2.utils.stringtools import get_identifiers, word_substitute

from neurosnn.analysis.learners import KICK_AFTER_STEP, LONG, PlasticityLearner
from neurosnn.analysis.pairing import PairingProtocol, spike_steps
from neurosnn.analysis.protocols import Train, check_fired, postsynaptic, private_brian
from neurosnn.calculus.presynaptic import state_update
from neurosnn.core.messages import message
from neurosnn.core.statements import assigned
from neurosnn.core.symbolic import expand
from neurosnn.core.values import whole_steps
from neurosnn.engine.backward import package_templates
from neurosnn.engine.codegen import render
from neurosnn.engine.cpp import FUNCTIONS
from neurosnn.engine.program import REAL, Program
from neurosnn.engine.synapses import statement_lines, units_and_constants
from neurosnn.model import NeuronModel, PlasticityRule
from neurosnn.model.pathways import at_neuron
from neurosnn.model.plasticity import AFTER_NEURONS

__all__ = ["RuleProgram"]

#: Where a neuron is read in slot "groups": after its own update and the kick of a spike.
AFTER_KICK = (KICK_AFTER_STEP + AFTER_NEURONS) / 2
#: Where it is read for the pathways: after its input has arrived (-10), before the pathways (-1, 1).
BEFORE_PATHWAYS = -5


class _Part(NamedTuple):
    """Statements that run in the steps of a simulation, and how many steps apart."""

    order: float
    code: str
    period: int


class RuleProgram:
    """A plasticity rule and protocols, compiled for many sets of the rule's parameters.

    Parameters
    ----------
    learn : PlasticityLearner
        The rule.
    protocols : sequence of PairingProtocol
        The patterns of all of them are simulated.
    highest : mapping of str to float
        The largest values of free parameters in SI units: the time constants say how long the synapse is
        simulated before and after the spikes.
    weight : float
        Weight before the first spike, in SI units.
    post : NeuronModel or None
        The neuron that the rule reads.
    background : float
        Where it is held.
    dt : Quantity (second)
        Time step.
    threads : int, optional
        All processors if None. It changes no bit of the results.
    where : str
        For messages.

    Raises
    ------
    ValueError
        For overlapping patterns, and for what the generated program cannot do as Brian2.
    RuntimeError
        If there is no C++ compiler.
    """

    def __init__(
        self,
        learn: PlasticityLearner,
        protocols: Sequence[PairingProtocol],
        *,
        highest: Mapping[str, float],
        weight: float,
        post: NeuronModel | None,
        background: float,
        dt: Any,
        threads: int | None,
        where: str,
    ):
        self.rule, self.dt, self.where = learn.rule, float(dt), where
        self.threads = threads or os.cpu_count() or 1
        self.initial = {name: float(value) for name, value in self.rule.initial.items()}
        self.initial[self.rule.weight] = weight
        if self.rule.third_factor:
            self.initial[self.rule.third_factor] = learn.learning_signal
        self._read_strings(dt)
        reads = bool(self.read_in_steps or self.read_at_spikes)
        settle = self._longest_time(highest) if reads or self.parts else 0
        self._place_spikes(protocols, settle, dt)
        self.traces = self._neurons(post, background, learn, dt) if reads else {}
        self.program = Program(self._source(), self._fields, np.dtype("float64"))

    def changes(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """Simulate all patterns with many sets of parameters.

        Parameters
        ----------
        values : mapping of str to ndarray (n_sets,)
            Values of the free parameters in SI units.

        Returns
        -------
        ndarray (n_sets, n_patterns)
            Changes of the weight in SI units.
        """
        n_sets = len(next(iter(values.values())))
        parameters = {
            name: np.ascontiguousarray(values.get(name, np.full(n_sets, float(value))), dtype=float)
            for name, value in self.rule.constants.items()
        }
        weight = np.zeros((n_sets, self.n_patterns))
        self.program.run(
            {
                "n_sets": n_sets,
                "n_patterns": self.n_patterns,
                "n_steps": self.n_steps,
                "n_threads": self.threads,
                "dt": self.dt,
                **{f"p_{name}": value for name, value in parameters.items()},
                **{f"init_{name}": self.initial.get(name, 0.0) for name in self.states},
                "offset": self.offset,
                "end": self.end,
                "step": self.step,
                "pathway": self.pathway,
                **self.traces,
                "weight": weight,
            }
        )
        return weight - self.initial[self.rule.weight]

    # -- the strings ------------------------------------------------------------------------

    def _refuse(self, what: str, why: str, fix: str) -> ValueError:
        return ValueError(message(what, f"{self.where}, {self.rule.name}", why, fix))

    def _read_strings(self, dt: Any) -> None:
        """The statements of steps and pathways, with subexpressions written out."""
        rule = self.rule
        equations = {
            name: eq for name, eq in rule.brian_equations.items() if name not in rule.constants
        }
        subexpressions = {
            n: eq.expr.code for n, eq in equations.items() if eq.type == SUBEXPRESSION
        }
        plain = {name: f"{name}_post" for name in rule.requires if name not in equations}
        self._check_rule(equations, dt)

        def written_out(code: str) -> str:
            return word_substitute(expand(code, subexpressions), plain)

        def update(kind: str, method: str) -> str:
            return word_substitute(
                state_update(rule, equations, kind, method, subexpressions), plain
            )

        catch_up = update("event-driven", "exact")
        advance = update("clock-driven", rule.method)
        period = 1
        if rule.step_dt is not None:
            period = whole_steps("step_dt", rule.step_dt, dt, where=rule.name)
        orders = rule.orders
        parts = [_Part(orders.get("equations", AFTER_NEURONS), advance, 1)]
        parts += [_Part(orders.get("step", AFTER_NEURONS + 1), written_out(rule.step), period)]
        self.parts = sorted((part for part in parts if part.code.strip()), key=lambda p: p.order)
        self.catch_up = re.sub(r"\bdt\b", "(t - lastupdate)", catch_up)
        self.pathways = [(p, written_out(p.code)) for p in rule.pathways]
        self.states = tuple(name for name in equations if name not in subexpressions)
        in_steps = get_identifiers(" ".join(part.code for part in self.parts))
        at_spikes = get_identifiers(" ".join([catch_up, *(code for _, code in self.pathways)]))
        self._check_names(in_steps | at_spikes)
        self.names = in_steps | at_spikes
        self.read_in_steps, self.read_at_spikes = (
            sorted(name for name in names if at_neuron(name) and name not in rule.constants)
            for names in (in_steps, at_spikes)
        )
        early = [part.order for part in self.parts if part.order <= AFTER_KICK]
        early += [p.order for p, _ in self.pathways if p.order <= BEFORE_PATHWAYS]
        if early and (self.read_in_steps or self.read_at_spikes):
            raise self._refuse(
                f"orders has {early[0]:g}.",
                "The neuron would be read before the spike of the protocol.",
                "Leave the orders out, or choose larger ones.",
            )

    def _check_rule(self, equations: Mapping[str, Any], dt: Any) -> None:
        rule = self.rule
        if rule.written:
            raise self._refuse(
                f"the strings write {', '.join(rule.written)}.",
                "The neurons of a protocol spike at the times of the protocol.",
                "Leave that out of the rule for the fit.",
            )
        if rule.step.strip() and rule.step_slot != "groups":
            raise self._refuse(
                f"step_slot is '{rule.step_slot}'.",
                "The program runs the step in slot 'groups' and knows no other slot.",
                "Leave step_slot out.",
            )
        if rule.clock_driven and rule.dt is not None and float(rule.dt) != float(dt):
            raise self._refuse(
                f"the rule has dt = {rule.dt} and the protocol {dt}.",
                "The rule and the protocol share one time step.",
                f"Pass dt={rule.dt}.",
            )
        for name, eq in equations.items():
            if eq.var_type == "integer" or "constant over dt" in eq.flags:
                raise self._refuse(
                    f"'{name}' is {'an integer' if eq.var_type == 'integer' else 'constant over dt'}.",
                    "The variables of the program are real numbers with their present values.",
                    f"Declare '{name} : 1', without the flag.",
                )

    def _check_names(self, names: set[str]) -> None:
        rule = self.rule
        defined = {*self.states, *rule.constants, *FUNCTIONS, "t", "dt", "lastupdate"}
        defined |= {f"{name}_post" for name in rule.requires}
        defined |= {f"{name}_pre" for name in rule.requires_pre}
        defined |= {name for name, _ in units_and_constants(names)}
        codes = [self.catch_up, *(p.code for p in self.parts), *(code for _, code in self.pathways)]
        unknown = sorted(names - defined - assigned("\n".join(codes)))
        if unknown:
            raise self._refuse(
                f"the strings read '{unknown[0]}'.",
                "A fit needs changes that are the same in each simulation, and one synapse by itself has "
                "no place among others.",
                "Fit a rule without random numbers, functions of your own and indices.",
            )

    def _longest_time(self, highest: Mapping[str, float]) -> int:
        """Steps in which all traces of the rule are forgotten."""
        times = [
            highest.get(name, float(value))
            for name, value in self.rule.parameters.items()
            if get_dimensions(value) is second.dim
        ]
        return int(np.ceil(LONG * max(times, default=0.0) / self.dt))

    # -- the spikes -------------------------------------------------------------------------

    def _place_spikes(self, protocols: Sequence[PairingProtocol], settle: int, dt: Any) -> None:
        """All arrivals of each pattern in their order, and the length of the simulation."""
        where = self.where
        patterns: list[tuple[np.ndarray, np.ndarray]] = []
        for protocol in protocols:
            for pre, post, rate in zip(
                protocol.pre, protocol.post, np.asarray(protocol.rate), strict=True
            ):
                sides = [spike_steps(times, dt, where) for times in (pre, post)]
                placed, period = np.concatenate(sides), round(1 / (float(rate) * self.dt))
                if np.ptp(placed) >= period:
                    raise ValueError(
                        message(
                            f"a pattern takes {np.ptp(placed)} steps and comes every {period}.",
                            where,
                            "Patterns would overlap and change.",
                            "Choose a lower rate or shorter patterns.",
                        )
                    )
                starts = 2 + settle - placed.min() + period * np.arange(protocol.n_repeats)
                pre_steps, post_steps = ((starts[:, None] + side).ravel() for side in sides)
                patterns.append((pre_steps, post_steps))
        self.patterns, self.n_patterns = patterns, len(patterns)
        delays = [
            0 if p.delay is None else whole_steps(p.name, p.delay, dt, where=self.rule.name)
            for p, _ in self.pathways
        ]
        steps, pathways = [], []
        for pair in patterns:
            arrivals = [
                pair[p.side == "post"] + delay
                for (p, _), delay in zip(self.pathways, delays, strict=True)
            ]
            step = np.concatenate(arrivals)
            pathway = np.repeat(np.arange(len(arrivals)), [len(times) for times in arrivals])
            order = np.lexsort((pathway, step))
            steps.append(step[order])
            pathways.append(pathway[order])
        self.offset = np.cumsum([0, *map(len, steps)]).astype(np.int64)
        self.step = np.concatenate(steps).astype(np.int64)
        self.pathway = np.concatenate(pathways).astype(np.int32)
        self.end = np.array([times[-1] for times in steps], dtype=np.int64) + settle + 2
        self.n_steps = int(self.end.max())

    def _neurons(
        self, model: NeuronModel | None, background: float, learn: PlasticityLearner, dt: Any
    ) -> dict[str, np.ndarray]:
        """What the rule reads of the neurons: they do not depend on the rule, so that once is enough."""
        arrays: dict[str, np.ndarray] = {}
        for side, spikes in enumerate(zip(*self.patterns, strict=True)):
            suffix = "_post" if side else "_pre"
            names_by_field = {
                field: [name for name in names if name.endswith(suffix)]
                for field, names in (("step", self.read_in_steps), ("spike", self.read_at_spikes))
            }
            if not any(names_by_field.values()):
                continue
            number = [len(steps) for steps in spikes]
            train = Train(np.repeat(np.arange(self.n_patterns), number), np.concatenate(spikes))
            with private_brian(dt):
                group, objects = postsynaptic(train, self.n_patterns, dt, model, background)
                fired = SpikeMonitor(group, name="neurosnn_monitor*")
                monitors = {}
                for field, slot, order in (
                    ("step", "groups", AFTER_KICK),
                    ("spike", self.rule.spike_slot, BEFORE_PATHWAYS),
                ):
                    if names_by_field[field]:
                        plain = [name.removesuffix(suffix) for name in names_by_field[field]]
                        monitors[field] = StateMonitor(
                            group, plain, record=True, when=slot, order=order, dt=dt
                        )
                network = Network(*objects, fired, *monitors.values())
                network.run(self.n_steps * self.dt * second, namespace={})
                check_fired(fired, train, self.dt, model)
                for field, monitor in monitors.items():
                    for name in names_by_field[field]:
                        values = getattr(monitor, name.removesuffix(suffix))
                        arrays[f"{field}_{name}"] = np.ascontiguousarray(values, dtype=float)
        return arrays

    # -- the C++ ----------------------------------------------------------------------------

    @property
    def _fields(self) -> list[tuple[str, str]]:
        """Names and C++ types of what Python passes."""
        fields = [(n, "int64_t") for n in ("n_sets", "n_patterns", "n_steps", "n_threads")]
        fields += [("dt", "double")]
        fields += [(f"p_{name}", "const double*") for name in self.rule.constants]
        fields += [(f"init_{name}", "double") for name in self.states]
        fields += [(name, "const int64_t*") for name in ("offset", "end", "step")]
        fields += [("pathway", "const int32_t*")]
        fields += [(f"step_{name}", "const double*") for name in self.read_in_steps]
        fields += [(f"spike_{name}", "const double*") for name in self.read_at_spikes]
        return [*fields, ("weight", "double*")]

    def _source(self) -> str:
        return render(
            "rule_changes.cpp.jinja",
            package_templates("neurosnn.analysis"),
            fields=self._fields,
            real=REAL["float64"],
            parameters=tuple(self.rule.constants),
            units=units_and_constants(self.names - {*self.states, *self.rule.constants}),
            states=self.states,
            read_in_steps=self.read_in_steps,
            read_at_spikes=self.read_at_spikes,
            catch_up=statement_lines(self.catch_up, self.states),
            pathways=[statement_lines(code, self.states) for _, code in self.pathways],
            every_step=bool(self.parts),
            in_steps=[(statement_lines(p.code, self.states), p.period) for p in self.parts],
            weight=self.rule.weight,
        )


def rule_of(rule: Any, where: str) -> PlasticityRule:
    """The rule, if it is one that strings are known of."""
    if isinstance(rule, PlasticityRule):
        return rule
    raise TypeError(
        message(
            f"the rule is a {type(rule).__name__}.",
            where,
            "The strings of a PlasticityRule are simulated.",
            "Pass equations.TripletSTDP(), or PlasticityRule(...) with your own strings.",
        )
    )
