"""The grammar of the random models: hypothesis strategies that draw a Case.

A variable has a kind, the name of its base unit; numbers stand for multiples of a usual unit (1, mV, nA,
nS), so that everything is of order one and one of the neurons, each with four times the drive of the last,
is alive. What is drawn first shrinks to the simplest: one state, Euler, no refractoriness.
"""

from __future__ import annotations

import dataclasses

from hypothesis import strategies as st

from fuzz.cases import BASE, Case, N

__all__ = ["FEATURES", "cases"]

#: What a run by hand can leave out, to go on behind a known defect.
FEATURES = (
    "array",  # parameters with a value for each neuron
    "boolean",  # flags as states
    "clock",  # t in equations
    "comments",
    "compound",  # thresholds of several comparisons
    "constant_over_dt",
    "declared",  # parameters declared in the equations
    "delays",
    "index",  # i and N
    "initial",
    "integer",  # counters as states
    "names",  # names that collide with those of generated code
    "nonlinear",
    "read",  # models read from a NeuronGroup
    "remainder",  # % and //
    "refractory",
    "runge_kutta",
    "shared",  # shared subexpressions and parameters
    "since",  # lastspike
    "sparse",
    "state_refractory",  # a refractory period or condition that depends on states
    "step",  # step code
    "subexpressions",
    "threshold_clock",  # t in the threshold
    "two_inputs",
    "units",
)
USUAL = {"1": "1", "volt": "mV", "amp": "nA", "siemens": "nS"}
PLAIN = ("v", "x", "y", "a", "g", "u", "q", "r")
#: Without those that are refused, as delay.
COLLIDING = (
    "since_spike spiked accepted_input scalar_0 array_0 w L G kappa ebar step real n s j k trial h "
    "lam_v gx psi eps e_v output b n_steps layer0 u_v s_v count dt_ now z zbar err w0 arrived "
    "weight input_x learning_signal trace vector Batch beta gamma clip_ fill min max t_ref not_free"
).split()


@dataclasses.dataclass
class State:
    """A variable of the model that changes."""

    name: str
    kind: str
    role: str  # ode, declared, integer, boolean


class Builder:
    """Draws the parts of one model."""

    def __init__(self, draw, without, gradient):
        self.draw, self.without, self.gradient = draw, without, gradient
        self.parameters: dict = {}
        self.declarations: list[str] = []
        self.lines: list[str] = []
        self.subexpressions: list[str] = []
        names = PLAIN if "names" in without else (*PLAIN, *COLLIDING)
        self.names = draw(
            st.one_of(
                st.just(list(PLAIN)),
                st.lists(st.sampled_from(names), min_size=8, max_size=8, unique=True),
            )
        )

    def yes(self, feature: str = "") -> bool:
        """A coin, or False for what is left out."""
        return feature not in self.without and self.draw(st.booleans())

    def pick(self, *options):
        return self.draw(st.sampled_from(options))

    def number(self, low: float, high: float) -> float:
        """Two digits after the point are enough, and short to read."""
        return self.draw(st.integers(round(low * 100), round(high * 100))) / 100

    # -- values -------------------------------------------------------------------------------

    def value(self, low: float, high: float, unit: str, name: str) -> str:
        """A literal, or a parameter: shared, one a neuron, or declared in the equations."""
        forms = ["literal", "scalar"]
        forms += ["array"] * ("array" not in self.without)
        forms += ["declared", "declared array"] * ("declared" not in self.without)
        forms += ["declared shared"] * (
            "declared" not in self.without and "shared" not in self.without
        )
        form = self.pick(*forms)
        number = self.number(low, high)
        text = repr(number) if unit == "1" else f"{number!r}*{unit}"
        if form == "literal":
            return f"({text})"
        if name in self.parameters or name in self.names:
            name += str(len(self.parameters))
        if "array" in form:
            # not round: sums that are equal by chance may round differently
            value = [round(number * (1 + 0.0337 * k), 6) for k in range(N)]
        else:
            value = number
        self.parameters[name] = (value, unit)
        base = BASE[unit]
        if form == "declared shared":
            self.declarations.append(f"{name} : {base} (shared, constant)")
        elif form.startswith("declared"):
            self.declarations.append(f"{name} : {base} (constant)")
        return name

    def amount(self, low: float, high: float, kind: str, name: str = "p") -> str:
        """A value of a kind."""
        return self.value(low, high, USUAL[kind], name)

    @staticmethod
    def as_number(state: State) -> str:
        """A state as a number of order one."""
        if state.role == "boolean":
            return f"int({state.name})"
        if state.role == "integer":
            return f"(0.01*{state.name})"
        return state.name if state.kind == "1" else f"{state.name}/{USUAL[state.kind]}"

    def term(
        self, states: list[State], *, linear: bool, clock: bool = True, whole: bool = True
    ) -> str:
        """A dimensionless expression of order one; `whole`: subexpressions may stand in it."""
        x = self.as_number(self.pick(*states)) if states else "1.0"
        forms = ["x"] if states else ["parameter"]
        if linear:
            return self._form(self.pick(*forms, "parameter"), x)
        forms += ["parameter"]
        if self.subexpressions and whole:
            forms += ["subexpression"]
        if "nonlinear" not in self.without:
            forms += "tanh clip sin above decay root log exprel square floor".split()
        if "index" not in self.without:
            forms += ["index"]
        if "remainder" not in self.without:
            forms += ["remainder", "quotient"]
        if "clock" not in self.without and clock:
            forms += ["wave", "after", "saw"][: 2 if "remainder" in self.without else 3]
        return self._form(self.pick(*forms), x)

    def _form(self, form: str, x: str) -> str:
        return {
            "x": lambda: f"{self.number(-0.8, 0.8)}*{x}",
            "parameter": lambda: self.value(0.2, 1.5, "1", "c"),
            "subexpression": lambda: self.pick(*self.subexpressions),
            "tanh": lambda: f"tanh({x})",
            "clip": lambda: f"clip({x}, -1, 0.7)",
            "sin": lambda: f"sin({x})",
            "above": lambda: f"int({x} > {self.number(0, 1)})",
            "decay": lambda: f"exp(-abs({x}))",
            "root": lambda: f"sqrt(abs({x}))",
            "log": lambda: f"log1p(abs({x}))",
            "exprel": lambda: f"exprel(clip({x}, -1, 1))",
            "square": lambda: f"({x})**2/(1 + ({x})**2)",
            "floor": lambda: f"floor(2*clip({x}, -3, 3))/2",
            "index": lambda: "0.1*i/N",
            "remainder": lambda: f"(({x}) % 1.5)",
            "quotient": lambda: f"clip(({x}) // 0.7, -2, 2)",
            "wave": lambda: f"cos(t/({self.number(3, 30)}*ms))",
            "after": lambda: f"int(t > {self.number(5, 50)}*ms)",
            "saw": lambda: f"((t/({self.number(3, 30)}*ms)) % 1)",
        }[form]()

    # -- equations ----------------------------------------------------------------------------

    def states(self) -> list[State]:
        """One to six: the membrane first, then what it needs."""
        kinds = ["1"] if "units" in self.without else list(USUAL)
        states = [State(self.names[0], self.pick(*kinds[:2]), "ode")]
        roles = ["ode", "ode", "declared"]
        roles += ["integer"] * ("integer" not in self.without)
        roles += ["boolean"] * ("boolean" not in self.without)
        for name in self.names[1 : self.draw(st.integers(1, 6))]:
            role = self.pick(*roles)
            kind = "1" if role in ("integer", "boolean") else self.pick(*kinds)
            states.append(State(name, kind, role))
        return states

    def equations(self, states: list[State], source: State, method: str, refractory: bool) -> str:
        """Equations in which the membrane follows the state that gets the input."""
        linear = method == "exact"
        clock = method != "exact"
        if "subexpressions" not in self.without:
            for k in range(self.draw(st.integers(0, 2))):
                self._subexpression(f"sub{k}", states, clock)
        coupled: list[State] = []
        for k, state in enumerate(reversed([s for s in states if s.role == "ode"])):
            usual = USUAL[state.kind]
            others = coupled[-2:]  # a triangle: sympy solves it quickly
            if method != "exact":
                linear_in_itself = method == "exponential_euler"
                others = [s for s in states if not (linear_in_itself and s is state)]
            parts = [
                self.term(others, linear=linear, clock=clock, whole=method != "exponential_euler")
                for _ in range(self.draw(st.integers(0 if k else 1, 2)))
            ]
            if state is states[0] and source is not state:
                parts.append(self.as_number(source))
            drive = " + ".join(parts) or "0"
            drive = f"({drive})" if usual == "1" else f"({drive})*{usual}"
            if method == "exact" and k:  # all different: the solution divides by differences
                tau = f"({self.number(2, 25) + k * 0.013:.3f}*ms)"
            else:
                tau = self.value(2, 25, "ms", "tau")
            flags = ""
            if refractory and (method != "exact" or state is states[0]) and self.yes():
                flags = " (unless refractory)"  # sympy makes long fractions of several exact ones
            base = state.kind
            self.lines.append(f"d{state.name}/dt = ({drive} - {state.name})/{tau} : {base}{flags}")
            coupled.append(state)
        for state in states:
            if state.role == "declared":
                self.lines.append(f"{state.name} : {state.kind}")
            elif state.role != "ode":
                self.lines.append(f"{state.name} : {state.role}")
        return "\n".join([*reversed(self.lines), *self.declarations])

    def _subexpression(self, name: str, states: list[State], clock: bool) -> None:
        forms = ["plain"]
        forms += ["constant over dt"] * ("constant_over_dt" not in self.without)
        forms += ["shared"] * (
            "shared" not in self.without and clock and "clock" not in self.without
        )
        form = self.pick(*forms)
        if form == "shared":
            text = f"1 + 0.5*cos(t/({self.number(3, 30)}*ms))"
        else:
            text = self.term(states, linear=False, clock=clock)
        flags = "" if form == "plain" else f" ({form})"
        self.lines.append(f"{name} = {text} : 1{flags}")
        self.subexpressions.append(name)

    # -- spikes -------------------------------------------------------------------------------

    def threshold(self, states: list[State], refractory: bool) -> tuple[str, str]:
        """The condition, and the right side of its first comparison."""
        v = states[0]
        usual = USUAL[v.kind]
        right = self.amount(0.3, 1.5, v.kind, "th")
        forms = ["plain", "at least", "turned", "difference"]
        if len(states) > 1 or self.subexpressions:
            forms += ["adaptive"]
        if "threshold_clock" not in self.without and "clock" not in self.without:
            forms += ["clock"]
        if not self.gradient and "compound" not in self.without:
            forms += ["and", "or", "flag"]
        if refractory and "since" not in self.without:
            forms += ["since"]
        form = self.pick(*forms)
        others = states[1:]
        if form == "adaptive":
            known = self.subexpressions
            extra = self.pick(*known) if known and self.yes() else self.term(others, linear=False)
            right = f"{right} + 0.3*abs({extra})" + ("" if usual == "1" else f"*{usual}")
        elif form == "clock":
            right = f"{right}*(2 - t/(100*ms))"
        elif form == "since":
            right = f"{right}*(1 + exp(-(t - lastspike)/({self.number(3, 20)}*ms)))"
        if form == "at least":
            return f"{v.name} >= {right}", right
        if form == "turned":
            return f"{right} < {v.name}", right
        if form == "difference":
            zero = "0" if usual == "1" else f"0*{usual}"
            return f"{v.name} - {right} > {zero}", right
        plain = f"{v.name} > {right}"
        if form == "and":
            return f"{plain} and {self.term(states, linear=False)} < 0.9", right
        if form == "or":
            return f"{plain} or {self.term(states, linear=False)} > 1.1", right
        if form == "flag":
            return f"not ({v.name} <= {right})", right
        return plain, right

    def reset(self, states: list[State], right: str) -> str:
        """Statements on lines and behind semicolons."""
        v = states[0]
        first = self.pick(
            f"{v.name} = 0" if v.kind == "1" else f"{v.name} = 0*{USUAL[v.kind]}",
            f"{v.name} -= {right}",
            f"{v.name} *= 0.2",
            f"{v.name} = 0.1*{v.name} - 0.2" + ("" if v.kind == "1" else f"*{USUAL[v.kind]}"),
        )
        more = [self.statement(states) for _ in range(self.draw(st.integers(0, 3)))]
        if more and self.yes():
            local = f"local_value = 0.9*{self.as_number(v)}"  # alone, numpy would make it the same array
            target = states[-1]
            if target.role in ("ode", "declared"):
                unit = "" if target.kind == "1" else f"*{USUAL[target.kind]}"
                more = [local, *more, f"{target.name} += 0.05*clip(local_value, -1, 1){unit}"]
        text = first
        if more and self.yes():
            more, text = [*more, first], more[0]
            more = more[1:]
        between = ["\n", "; ", ";", "\n\n    "]
        between += ["  # after a spike\n"] * ("comments" not in self.without)
        for line in more:
            text += self.pick(*between) + line
        return text

    def statement(self, states: list[State]) -> str:
        """One statement that changes a state."""
        state = self.pick(*states)
        x, unit = state.name, "" if state.kind == "1" else f"*{USUAL[state.kind]}"
        if state.role == "integer":
            return self.pick(f"{x} += 1", f"{x} = {x} + 2", f"{x} = 3 - {x}")
        if state.role == "boolean":
            return self.pick(
                f"{x} = not {x}", f"{x} = {self.as_number(states[0])} > 0.5", f"{x} = True"
            )
        seen = [f"{x} += 0.1*{name}{unit}" for name in self.subexpressions]
        return self.pick(
            *seen,
            f"{x} += {self.number(-0.5, 0.5)}{unit}",
            f"{x} *= {self.number(0.1, 0.9)}",
            f"{x} = clip({x}, -0.5{unit}, 0.8{unit})",
            f"{x} -= 0.1*({x} - 0.3{unit})",
            f"{x} = {x}/2 + 0.1*{self.as_number(states[0])}{unit}",
        )

    def refractory(self, states: list[State]):
        forms = [False]
        if "refractory" not in self.without:
            forms += ["time", "string", "parameter"]
            if "state_refractory" not in self.without:
                forms += ["state", "condition"]
        form = self.pick(*forms)
        if form == "time":
            return (self.number(0.3, 5), "ms")
        if form == "string":
            return f"{self.number(0.3, 5)}*ms"
        if form == "parameter":
            return self.value(0.5, 5, "ms", "t_rest")
        if form == "state":
            return f"(1 + abs({self.as_number(self.pick(*states))}))*ms"
        if form == "condition":
            return f"{self.as_number(states[0])} > {self.number(0, 0.5)}"
        return form

    def initial(self, states: list[State]) -> dict:
        initial = {}
        for state in states:
            if not self.yes("initial"):
                continue
            if state.role == "boolean":
                initial[state.name] = (True, "1")
            elif state.role == "integer":
                initial[state.name] = (self.draw(st.integers(0, 4)), "1")
            else:
                unit = USUAL[state.kind]
                form = self.pick("number", "array", "string")
                number = self.number(-0.5, 0.8)
                if form == "number":
                    initial[state.name] = (number, unit)
                elif form == "array":
                    initial[state.name] = ([round(number + 0.0713 * k, 6) for k in range(N)], unit)
                else:
                    initial[state.name] = f"{number}*(1 + 0.1*i)" + (
                        "" if unit == "1" else f"*{unit}"
                    )
        return initial


@st.composite
def cases(draw, *, without=(), gradient=False, dt=0.5):
    """One model in its network.

    Parameters
    ----------
    without : iterable of str
        Those of FEATURES that are not drawn.
    gradient : bool
        Only models that e-prop can differentiate.
    dt : float
        Time step in ms.
    """
    without = set(without)
    if gradient:
        without.add("compound")
    builder = Builder(draw, without, gradient)
    states = builder.states()
    methods = ["euler", "exponential_euler", "exact"]
    methods += ["rk2", "rk4"] * ("runge_kutta" not in without)
    method = builder.pick(*methods)
    if method == "exact":  # the cost of sympy's matrix exponential grows steeply
        for state in [s for s in states if s.role == "ode"][3:]:
            state.role = "declared"
    refractory = builder.refractory(states)
    floats = [s for s in states if s.role in ("ode", "declared")]
    membrane = builder.pick(*floats)
    equations = builder.equations(states, membrane, method, refractory is not False)
    threshold, right = builder.threshold(states, refractory is not False)
    inputs = [membrane.name]
    of_same_kind = [s.name for s in floats if s.kind == membrane.kind and s is not membrane]
    if of_same_kind and builder.yes("two_inputs"):
        inputs.append(builder.pick(*of_same_kind))
    step = ""
    if builder.yes("step"):
        step = builder.pick("\n", "; ").join(
            builder.statement(states) for _ in range(draw(st.integers(1, 2)))
        )
    v = states[0]
    usual = USUAL[v.kind]
    surrogate, followed = "", ()
    if gradient or builder.yes():
        width = f"{builder.number(0.5, 3)}" + ("" if usual == "1" else f"*{usual}")
        surrogate = f"0.4*clip(1 - abs({v.name} - {right})/({width}), 0, 1)/({width})"
        if refractory is not False and builder.yes():
            surrogate = f"int(not_refractory)*{surrogate}"
        followed = tuple(s.name for s in floats[1:] if builder.yes())
    reset = builder.reset(states, right)
    text = "\n".join([equations, *(d for d in builder.declarations if d not in equations)])
    return Case(
        equations=text,
        threshold=threshold,
        reset=reset,
        inputs=tuple(inputs),
        method=method,
        refractory=refractory,
        step=step,
        surrogate=surrogate,
        spike_gradient=followed,
        parameters=builder.parameters,
        initial=builder.initial(states),
        seed=draw(st.integers(0, 99)),
        longest_delay=draw(st.integers(0, 0 if "delays" in without else 4)),
        recurrent=builder.yes(),
        sparse=builder.yes("sparse"),
        read=builder.yes("read"),
        dt=dt,
    )
