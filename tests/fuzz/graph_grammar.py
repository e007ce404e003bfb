"""The grammar of the random graphs: populations, projections, synapses with states, noise."""

from __future__ import annotations

import dataclasses
import re

import brian2
from brian2.equations.equations import Equations
from brian2.utils.stringtools import get_identifiers
from hypothesis import strategies as st

from fuzz.cases import Case, N
from fuzz.grammar import USUAL, cases
from fuzz.graphs import Drive, GraphCase, Link, SynapseStrings

__all__ = ["graphs"]

#: Names of a synapse's states; those of the neurons are among them.
STATES = ("x", "u", "s", "r", "q", "p", "v", "y", "g", "released")
CONDITIONS = (
    "i != j",
    "rand() < 0.5",
    "abs(i - j) < 3",
    "(i + j) % 2 == 0",
    "i < N_pre/2 and rand() < 0.7",
    "j >= N_post // 3",
    "rand() < exp(-abs(i - j)/3.0)",
)


def kind_of(equations: str, name: str) -> str:
    """Name of the base unit of a variable."""
    dim = Equations(equations)[name].dim
    return next(
        (kind for kind in ("volt", "amp", "siemens") if getattr(brian2, kind).dim is dim), "1"
    )


class GraphBuilder:
    """Draws the parts of one graph."""

    def __init__(self, draw):
        self.draw = draw

    def yes(self) -> bool:
        return self.draw(st.booleans())

    def seldom(self) -> bool:
        return self.draw(st.integers(0, 5)) == 5

    def pick(self, *options):
        return self.draw(st.sampled_from(options))

    def number(self, low: float, high: float) -> float:
        return self.draw(st.integers(round(low * 100), round(high * 100))) / 100

    def value(self, name: str, low: float, high: float, unit: str, into: dict) -> str:
        """A literal or a parameter of the synapse."""
        number = self.number(low, high)
        if self.yes():
            return f"{number}" if unit == "1" else f"({number}*{unit})"
        into[name] = (number, unit)
        return name

    # -- neurons --------------------------------------------------------------------------------

    def with_noise(self, case: Case) -> Case:
        """Random calls in one or several of the places in which they may stand."""
        v = re.match(r"\s*d(\w+)/dt", self.membrane(case)).group(1)
        kind = kind_of(case.equations, v)
        unit = "" if kind == "1" else f"*{USUAL[kind]}"
        changed: dict = {}
        if case.method == "euler" and self.yes():
            line = self.membrane(case)
            head, _, flags = line.rpartition(" : ")
            noise = self.pick("xi", "xi_a + 0.5*xi_b")
            term = f"{self.number(0.05, 0.3)}{unit}*({noise})*(10*ms)**-0.5"
            changed["equations"] = case.equations.replace(line, f"{head} + {term} : {flags}")
            changed["method"] = self.pick("euler", "heun")
        if self.yes():
            more = f"{v} += {self.number(0.01, 0.2)}*{self.pick('rand()', 'randn()')}{unit}"
            changed["step"] = f"{case.step}\n{more}" if case.step else more
        if self.yes() and re.match(rf"{v} >=? ", case.threshold):
            changed["threshold"] = f"{case.threshold} + 0.1*randn(){unit}"
        if self.yes():
            changed["reset"] = f"{case.reset}\n{v} += 0.2*rand(){unit}"
        return dataclasses.replace(case, **changed)

    def with_timed(self, case: Case) -> Case:
        """A current or a step that a TimedArray gives, one for all neurons or one for each column."""
        line = self.membrane(case)
        v = re.match(r"d(\w+)/dt", line).group(1)
        kind = kind_of(case.equations, v)
        columns, call = self.pick((0, "J(t)"), (N, "J(t, i)"), (2, "J(t, i % 2)"))
        # Brian2's exact method wants values that are held during a step
        steps = self.pick(1, 3, 10) if case.method == "exact" else self.pick(0.4, 1, 3.5, 10)
        timed = {"J": (self.pick(1, 7, 30), columns, steps * case.dt, USUAL.get(kind, "1"))}
        if self.yes():
            more = f"{v} += 0.1*{call}"
            step = f"{case.step}\n{more}" if case.step else more
            return dataclasses.replace(case, step=step, timed=timed)
        head, _, flags = line.rpartition(" : ")
        equations = case.equations.replace(line, f"{head} + {call}/(10*ms) : {flags}")
        return dataclasses.replace(case, equations=equations, timed=timed)

    @staticmethod
    def membrane(case: Case) -> str:
        """The line of the membrane."""
        v = next(n for n in re.findall(r"\w+", case.threshold) if f"d{n}/dt" in case.equations)
        return next(line for line in case.equations.splitlines() if line.startswith(f"d{v}/dt"))

    def with_sum(self, case: Case) -> Case:
        """With a variable that is a sum over synapses, and drives the membrane."""
        line = self.membrane(case)
        v = re.match(r"d(\w+)/dt", line).group(1)
        left, _, right = line.rpartition(f" - {v})/")
        kind = kind_of(case.equations, v)
        text = case.equations.replace(line, f"{left} + s_tot - {v})/{right}")
        return dataclasses.replace(
            case, equations=f"{text}\ns_tot : {kind}", inputs=(*case.inputs, "s_tot")
        )

    # -- synapses -------------------------------------------------------------------------------

    def synapse(self, target: str, kind: str) -> SynapseStrings:
        """States that follow the presynaptic spikes."""
        names = self.draw(st.lists(st.sampled_from(STATES), min_size=2, max_size=2, unique=True))
        a, b = names
        parameters: dict = {}
        clock = self.yes()
        flag = "clock-driven" if clock else "event-driven"
        tau_a = self.value("tau_a", 3, 40, "ms", parameters)
        tau_b = self.value("tau_b", 5, 50, "ms", parameters)
        share = self.value("share", 0.1, 0.7, "1", parameters)
        right_a = [f"-{a}/{tau_a}", f"({share} - {a})/{tau_a}"]
        right_b = [f"(1 - {b})/{tau_b}"]
        if clock:
            right_a.append(f"-{a}/{tau_a} + 0.1*{b}*(1 - {a})/ms")
            right_b.append(f"(1 - {b})/{tau_b} - 0.05*{a}*{b}/ms")
        lines = [
            f"w : {kind}",
            f"d{a}/dt = {self.pick(*right_a)} : 1 ({flag})",
            f"d{b}/dt = {self.pick(*right_b)} : 1 ({flag})",
        ]
        before = [
            f"{a} += {share}*(1 - {a})",
            f"{a} = {a}/2 + {share}",
            f"{a} *= 0.8",
            f"{a} += 0.3",
        ]
        after = [
            f"{b} -= {a}*{b}",
            f"{b} *= 0.7",
            f"{b} = clip({b} - 0.2, 0.1, 1)",
            f"{a} = {a} - {a}**2/4",
        ]
        sent = self.pick(
            f"w*{a}*{b}",
            f"{b}*w",
            f"w*({a} + {b})/2",
            f"0.5*w*tanh({a})",
            f"w*{a} + w*{b}**2",
            "w*amount",
        )
        statements = [self.pick(*before)]
        if sent == "w*amount":
            statements.append(f"amount = {a}*{b}")
        statements.append(f"{target}_post += {sent}")
        statements += [self.pick(*after) for _ in range(self.draw(st.integers(0, 2)))]
        if self.yes() and sent != "w*amount":
            statements = statements[1:] + statements[:1]
        text = "\n".join([*lines, *statements])
        parameters = {
            key: value for key, value in parameters.items() if key in get_identifiers(text)
        }
        initial = {b: 1.0} if self.yes() else {a: self.number(0, 0.6), b: self.number(0.3, 1)}
        return SynapseStrings(
            "\n".join(lines),
            self.pick("\n", "; ").join(statements),
            method=self.pick("euler", "rk2", "rk4") if clock else None,
            initial=initial,
            parameters=parameters,
        )

    def summed(self, kind: str) -> SynapseStrings:
        """Gates that a spike opens, summed in each step."""
        parameters: dict = {}
        tau = self.value("tau_gate", 3, 40, "ms", parameters)
        sent = self.pick("w*s", "w*s/(1 + s)", "0.5*w*s**2", "tanh(s)*w")
        lines = [f"w : {kind}", f"s_tot_post = {sent} : {kind} (summed)"]
        if self.yes():
            lines.append(f"ds/dt = -s/{tau} : 1 (clock-driven)")
            on_pre = self.pick("s += 0.3", "s += 0.4*(1 - s)", "s = 0.5")
        else:
            rise = self.value("tau_rise", 2, 8, "ms", parameters)
            lines.append(f"ds/dt = -s/{tau} + 0.3*q*(1 - s)/ms : 1 (clock-driven)")
            lines.append(f"dq/dt = -q/{rise} : 1 (clock-driven)")
            on_pre = "q += 1"
        return SynapseStrings(
            "\n".join(lines), on_pre, self.pick("euler", "rk2", "rk4"), parameters=parameters
        )

    def graded(self, kind: str, source: Case) -> SynapseStrings:
        """A sum that reads the neurons before the synapses."""
        v = re.match(r"d(\w+)/dt", self.membrane(source)).group(1)
        of = kind_of(source.equations, v)
        x = f"{v}_pre" if of == "1" else f"{v}_pre/{USUAL[of]}"
        sent = self.pick(f"w*clip({x}, 0, 2)", f"0.2*w*tanh({x})", f"w/(1 + exp(-{x}))")
        return SynapseStrings(
            f"w : {kind}\ns_tot_post = {sent} : {kind} (summed)", requires_pre={v: (1.0, USUAL[of])}
        )

    # -- projections ----------------------------------------------------------------------------

    def driven(self, populations: list[Case], place: int) -> Drive:
        """Poisson spikes to an input that is no sum: few a step, or many."""
        target = self.draw(st.integers(0, len(populations) - 1))
        free = [name for name in populations[target].inputs if name != "s_tot"]
        return Drive(
            target,
            place,
            n=self.pick(1, 10, 60),
            probability=self.pick(0.01, 0.1, 0.3),
            input=self.draw(st.integers(0, len(free) - 1)),
            one_weight=self.yes(),
        )

    def link(self, source: int, target: int, case: Case, free: int) -> Link:
        """One projection that adds to one of the first `free` inputs."""
        where = self.pick(*([] if len(case.inputs) > free else [None]), *range(free))
        kind = kind_of(case.equations, case.inputs[where or 0])
        sign = self.pick(None, 1, -1, "mixed")
        if kind == "siemens" and sign in (-1, "mixed"):
            sign = 1
        synapse = None
        if self.yes():
            where = where or 0
            synapse = self.synapse(case.inputs[where], kind)
        if len(case.inputs) > 1 and (synapse is not None or where is not None):
            sign = self.pick(None, 1)
        if source < 0 and sign == -1 and len(case.inputs) == 1:
            sign = None
        learn = self.pick(("w",), ("w",), ())
        if self.seldom():
            learn = (*learn, "delay")
        if synapse is not None and synapse.parameters and self.yes():
            learn = (*learn, self.pick(*synapse.parameters))
        return Link(
            source,
            target,
            connectivity="j > N_post"
            if self.draw(st.integers(0, 19)) == 19
            else self.pick(1.0, 1.0, 0.5, "in_degree", "arrays", *CONDITIONS),
            delay=self.pick("one", "axonal", "synaptic", "uniform"),
            longest=self.draw(st.integers(0, 6)),
            sign=sign,
            input=where,
            weights_given=self.draw(st.integers(0, 2)) > 0,
            learn=learn,
            autapses=self.yes(),
            synapse=synapse,
        )


@st.composite
def graphs(draw, *, without=(), dt=0.5):
    """Populations of 1 to 4 models and the projections between them.

    Parameters
    ----------
    without : iterable of str
        Features of the grammar of models that are not drawn.
    dt : float
        Time step in ms.
    """
    builder = GraphBuilder(draw)
    model = cases(without={*without, "delays", "sparse"}, gradient=True, dt=dt)
    populations = []
    n = builder.pick(1, 2, 2, 3, 4)
    for _ in range(n):
        case = draw(model)
        if builder.draw(st.integers(0, 2)) == 2:
            case = builder.with_noise(case)
        # other methods read it within a step, which trials one after the other in Brian2 do not have
        if case.method in ("euler", "exact", "exponential_euler") and builder.seldom():
            case = builder.with_timed(case)
        populations.append(case)
    links = []
    for k, case in enumerate(populations):
        free = len(case.inputs)
        if builder.draw(st.integers(0, 2)) == 2:
            populations[k] = case = builder.with_sum(case)
            kind = kind_of(case.equations, "s_tot")
            source = builder.draw(st.integers(-1, n - 1))
            graded = source >= 0 and builder.yes()
            strings = builder.graded(kind, populations[source]) if graded else builder.summed(kind)
            links.append(
                Link(
                    source,
                    k,
                    connectivity=builder.pick(1.0, 0.5, "arrays", "i != j"),
                    delay="one" if graded else builder.pick("one", "axonal", "uniform"),
                    longest=0 if graded else builder.draw(st.integers(0, 5)),
                    input=free,
                    synapse=strings,
                )
            )
        into = [builder.pick(-1, -1, -2)] if k == 0 or builder.yes() else []
        if k and not (into and builder.yes()):
            into.append(builder.draw(st.integers(0, k - 1)))
        if builder.yes():
            into.append(builder.draw(st.integers(0, n - 1)))
        for source in into:
            links.append(builder.link(source, k, case, free))
    order = draw(st.permutations(range(len(links))))
    places = sorted(draw(st.lists(st.integers(0, len(links)), max_size=2)))
    return GraphCase(
        tuple(populations),
        tuple(links[k] for k in order),
        draw(st.integers(0, 99)),
        dt,
        tuple(builder.driven(populations, place) for place in places),
    )
