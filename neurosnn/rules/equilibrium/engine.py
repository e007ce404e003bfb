"""The engine of networks with symmetric synapses: a free and a nudged phase for a batch of trials."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, NamedTuple

import numpy as np

from neurosnn.calculus.step import refuse_noise
from neurosnn.core.messages import message
from neurosnn.engine.backward import package_templates
from neurosnn.engine.codegen import LayerCode, render
from neurosnn.engine.layout import neuron_values
from neurosnn.engine.program import REAL, Program, precision
from neurosnn.model.timed import refuse_timed_arrays
from neurosnn.rules.equilibrium.code import (
    ConstantCode,
    LayerTranslator,
    SpikeCode,
    constant_code,
    spike_code,
)

__all__ = ["EquilibriumEngine", "EquilibriumResult"]

#: Fixed, so that the order of a sum does not depend on the number of threads.
BLOCKS = 4
BLOCK = 16
#: The state that is handed out at the end of each phase.
TRACE = "q"
ONE = "one"
#: Both sides of a connection, and what the names of their weights and changes end in.
SIDES = {"pre": "", "post": "t"}
#: Of the pieces of rows where synapses share weights, see wiring.Rows.
PIECES = ("first", "neuron", "weight", "length", "reach")


class EquilibriumResult(NamedTuple):
    """What a batch of trials did.

    Attributes
    ----------
    gradient : dict of str to ndarray
        Minus the mean change of each weight and bias: what an optimizer descends; empty if the
        trials had no nudged phase.
    free, nudged, opposed : dict of str to ndarray, shape (n_trials, n)
        The slow trace q of each layer at the end of the free phase, of the nudged one, and of that
        with the other sign; as in the free phase where a trial was not nudged, empty where none is.
    phases : ndarray of int (n_trials,)
        Nudged phases of each trial: 1, with both signs 2, 0 where the output led by the margin.
    spikes : dict of str to ndarray of int, shape (n_trials, 2)
        Spikes of each layer in the free and in the nudged phases.
    events : dict of str to ndarray of int, shape (n_trials, 2, 2)
        Synapses of each connection that spikes reached: free and nudged phases, from its source and
        from its target.
    trains : dict of str to list of (steps, neurons)
        All spikes of each trial, if they were asked for.
    """

    gradient: dict[str, np.ndarray]
    free: dict[str, np.ndarray]
    nudged: dict[str, np.ndarray]
    opposed: dict[str, np.ndarray]
    phases: np.ndarray
    spikes: dict[str, np.ndarray]
    events: dict[str, np.ndarray]
    trains: dict[str, list]


class EquilibriumEngine:
    """An EquilibriumNetwork compiled from its strings.

    Parameters
    ----------
    net : EquilibriumNetwork
        Its weights are read at every call.
    dtype : {"float32", "float64"}, optional
        Arithmetic. float64 rounds as Brian2 does without fast math.
    threads : int, optional
        All processors if None. It changes no bit of the results.

    Raises
    ------
    ValueError
        If the rules do what the engine cannot.
    RuntimeError
        If there is no C++ compiler.

    Notes
    -----
    Each thread runs whole trials. Cost: (neurons x steps) + (spikes x fan-out); constant inputs cost
    (inputs x fan-out) once a trial, because their value is taken out of the sum over the steps. In a
    convolution the fan-out is that of the kernel: a spike adds some pieces of rows. The variant
    "trace_product" keeps a number for each pair of neurons, in a convolution also of those apart.
    """

    def __init__(self, net: Any, *, dtype: str = "float32", threads: int | None = None):
        self.net, self.dtype = net, precision(dtype, where="EquilibriumEngine")
        self.threads = threads or os.cpu_count() or 1
        self._parts = {
            name: _Part(model, n)
            for name, (model, n) in net.layers.items()
            if name != "input" or net.input == "spikes"
        }
        for part in self._parts.values():
            refuse_noise(
                part.model,
                why="Two phases of a trial are compared, and would have different draws.",
            )
            refuse_timed_arrays(
                part.model,
                why="A trial settles, for which its input is constant.",
                fix="Leave it out, or use EProp or BPTT.",
            )
        self._layers = {
            name: LayerTranslator(k, name, part.model, REAL[self.dtype.name]).finish()
            for k, (name, part) in enumerate(self._parts.items())
        }
        index = {name: layer.index for name, layer in self._layers.items()}
        single = self.dtype == np.float32
        self._constants: list[ConstantCode] = []
        self._spiking: list[SpikeCode] = []
        for name in (name for name in self._layers if name != "input"):
            model, k = net.layers[name][0], index[name]
            self._constants.append(
                constant_code(
                    f"{ONE}_{name}", net.bias_rule, net.bias_model, model, k, multiply=single
                )
            )
        for c in net.connections:
            source, target = net.layers[c.source][0], net.layers[c.target][0]
            shared = c.wiring.shared
            if c.source in index:
                pair = index[c.source], index[c.target]
                code = spike_code(c.name, c.rule, source, target, pair, c.back, shared, single)
                self._spiking.append(code)
            else:
                self._constants.append(
                    constant_code(c.name, c.rule, source, target, index[c.target], shared, single)
                )
        self._wirings = {c.name: c.wiring for c in net.connections}
        self._fields = self._batch_fields()
        self._program = Program(self._source(), self._fields, self.dtype)
        self._kept = self._fixed_values()

    def run(
        self,
        x: np.ndarray,
        *,
        targets: np.ndarray | None = None,
        beta: np.ndarray | float | None = None,
        phase: np.ndarray | float = 0.5,
        both: bool = False,
        margin: float | None = None,
        learn: bool = True,
        record: bool = False,
    ) -> EquilibriumResult:
        """Run a batch of trials.

        Parameters
        ----------
        x : ndarray (n_trials, n_inputs)
            Values of the pixels, 0 to 1.
        targets : ndarray (n_trials, n_outputs), optional
            Rates that the output is nudged to; None: only the free phase.
        beta : ndarray (n_trials,) or float, optional
            Strength of the nudge, its sign included.
        phase : ndarray (n_trials, n_inputs) or float, optional
            Where each spike train starts between two spikes, for spiking input.
        both : bool, optional
            Nudge twice from the end of the free phase, by beta and by -beta; the change is the mean.
            What is not the gradient and the same for both signs cancels in each trial.
        margin : float, optional
            A trial is not nudged, and changes nothing, if the trace of the output with the largest
            target is ahead of all others by more than this at the end of the free phase. None: all
            are nudged.
        learn : bool, optional
            Whether the synapses collect their changes in the nudged phase.
        record : bool, optional
            Whether to keep all spikes: free phase, nudged phase, that with the other sign.

        Returns
        -------
        EquilibriumResult
            Gradients are means over the trials.

        Raises
        ------
        ValueError
            If a shape does not fit, or targets come without beta.
        """
        net, n = self.net, len(x)
        steps = net.nudged_steps if targets is not None else 0
        values = self._trial_values(x, targets, beta, phase, both) | self._weights()
        values |= {"free_steps": net.free_steps, "nudged_steps": steps}
        values["margin"] = np.inf if margin is None else float(margin)
        values |= {"learn": int(learn), "record": int(record), "both": int(both)}
        values["phases"] = phases = np.zeros(n, np.int64)
        free, nudged, opposed, count, events = {}, {}, {}, {}, {}
        for name, layer in self._layers.items():
            k, shape = layer.index, (n, self._parts[name].n)
            for key, rates in (("free", free), ("nudged", nudged), ("opposed", opposed)):
                values[f"{key}_{k}"] = rates[name] = np.zeros(shape, self.dtype)
            values[f"count_{k}"] = count[name] = np.zeros((n, 2), np.int64)
        for code in self._spiking:
            values[f"events_{code.name}"] = events[code.name] = np.zeros((n, 2, 2), np.int64)
        changes = self._changes() if steps and learn else {}
        self._program.run(self._kept | values | changes)
        trains = {}
        if record:
            for name, layer in self._layers.items():
                trains[name] = [self._program.spikes(k, layer.index) for k in range(n)]
        for rates in (free, nudged, opposed):
            rates.pop("input", None)
        return EquilibriumResult(
            self._gradient(changes) if changes else {},
            free,
            nudged if steps else {},
            opposed if steps and both else {},
            phases,
            count,
            events,
            trains,
        )

    # -- the structure handed to C++ --------------------------------------------------------

    def _parameter(self, name: str) -> str:
        if name.startswith(f"{ONE}_"):
            return f"{name.removeprefix(f'{ONE}_')}.b"
        return f"{name}.w"

    def _fixed_values(self) -> dict[str, Any]:
        """What does not change from call to call: sizes, parameters, initial states."""
        values: dict[str, Any] = {"dt": float(self.net.dt), "n_blocks": BLOCKS}
        values |= neuron_values(self._parts, self._layers, {}, {}, {})
        for layer in self._layers.values():
            values |= {f"initstride_{layer.index}_{state}": 0 for state in layer.states}
        for code in (*self._constants, *self._spiking):
            values |= {f"k_{code.name}_{key}": value for key, value in code.parameters.items()}
        for code in self._constants:
            if code.name.startswith(f"{ONE}_"):
                part = np.full(1, self._part_of_a_spike(self.net.bias_model), self.dtype)
                values[f"value_{code.name}"] = part
                values |= {f"valuestride_{code.name}": 0, f"n_pre_{code.name}": 1}
        for name, wiring in self._wirings.items():
            for side, rows in wiring.rows.items() if wiring.shared else ():
                values |= {f"channels_{side}_{name}": rows.channels}
                values |= {f"stride_{side}_{name}": rows.layout.shape[1]}
                values |= {f"{key}_{side}_{name}": getattr(rows, key) for key in PIECES}
        return values

    def _changes(self) -> dict[str, np.ndarray]:
        """Where the sums over the trials go: of each synapse, or of the rows that they share."""
        values = {}
        for code in (*self._constants, *self._spiking):
            if code.shared:
                for side, key in SIDES.items() if isinstance(code, SpikeCode) else [("pre", "")]:
                    layout = self._wirings[code.name].rows[side].layout
                    values[f"d{key}_{code.name}"] = np.zeros(layout.shape, self.dtype)
            else:
                shape = self._full(code).shape
                values[f"d_{code.name}"] = np.empty(shape, self.dtype)
        return values

    def _gradient(self, changes: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """By the names of the parameters."""
        gradient = {}
        for code in (*self._constants, *self._spiking):
            found, key = changes[f"d_{code.name}"], self._parameter(code.name)
            if code.shared:
                wiring = self._wirings[code.name]
                found = wiring.unpacked(found, "pre")
                if f"dt_{code.name}" in changes:
                    found = found + wiring.unpacked(changes[f"dt_{code.name}"], "post")
            elif code.name.startswith(f"{ONE}_"):
                found = self.net.gathered_biases(code.name.removeprefix(f"{ONE}_"), found)
            gradient[key] = found
        return gradient

    def _full(self, code: ConstantCode | SpikeCode) -> np.ndarray:
        """Weights of a connection in which each synapse has its own, or biases of all neurons."""
        if code.name.startswith(f"{ONE}_"):
            return self.net.biases(code.name.removeprefix(f"{ONE}_"))
        return self.net.parameters[self._parameter(code.name)]

    def _part_of_a_spike(self, model: Any) -> float:
        return float(self.net.dt) / float(model.parameters["t_ref"])

    def _trial_values(self, x, targets, beta, phase, both) -> dict[str, Any]:
        net, n = self.net, len(x)
        n_inputs, n_outputs = net.sizes[0], net.sizes[-1]
        x = np.ascontiguousarray(x, self.dtype)
        _check_shape("x", x, (n, n_inputs))
        beta = np.broadcast_to(np.asarray(1.0 if beta is None else beta, float), (n,)).copy()
        values: dict[str, Any] = {"n_trials": n, "n_threads": min(self.threads, n)}
        values |= {"beta": beta, "signal": (0.5 if both else 1.0) / beta, "scale": -1.0 / n}
        output = self._layers["output"].index
        if targets is None:
            targets = np.zeros((n, n_outputs))  # not those of the last call, which are gone
        _check_shape("targets", targets, (n, n_outputs))
        values[f"init_{output}_target"] = np.ascontiguousarray(targets, float)
        values[f"initstride_{output}_target"] = n_outputs
        if net.input == "spikes":
            start = np.broadcast_to(np.asarray(phase, float), (n, n_inputs))
            values["init_0_x"] = np.ascontiguousarray(x, float)
            values["init_0_phase"] = np.ascontiguousarray(start)
            values |= {"initstride_0_x": n_inputs, "initstride_0_phase": n_inputs}
        for code in self._constants:
            width = self._parts[self._names[code.target]].n
            change = np.empty((n, -(-width // BLOCK) * BLOCK), self.dtype)
            values[f"change_{code.name}"] = change
            if not code.name.startswith(f"{ONE}_"):
                factor = self.dtype.type(self._part_of_a_spike(net.layers["input"][0]))
                values[f"value_{code.name}"] = x * factor
                values |= {f"valuestride_{code.name}": n_inputs, f"n_pre_{code.name}": n_inputs}
        return values

    def _weights(self) -> dict[str, np.ndarray]:
        """The weights in rows of whole blocks, and those that act backwards also in columns."""
        values = {}
        for code in (*self._constants, *self._spiking):
            back = isinstance(code, SpikeCode) and len(code.sides) > 1
            if code.shared:
                w, wiring = self.net.parameters[f"{code.name}.w"], self._wirings[code.name]
                for side, key in SIDES.items() if back else [("pre", "")]:
                    packed = np.ascontiguousarray(wiring.packed(w, side), self.dtype)
                    values[f"w{key}_{code.name}"] = packed
                continue
            w = np.atleast_2d(self._full(code))
            values[f"w_{code.name}"] = _padded(w, self.dtype)
            if back:
                values[f"wt_{code.name}"] = _padded(w.T, self.dtype)
        return values

    @property
    def _names(self) -> list[str]:
        return list(self._layers)

    def _batch_fields(self) -> list[tuple[str, str]]:
        fields = [
            (name, "int64_t")
            for name in ("n_trials", "n_blocks", "n_threads", "free_steps", "nudged_steps")
        ]
        fields += [(name, "int64_t") for name in ("learn", "record", "both")]
        fields += [(name, "double") for name in ("dt", "scale", "margin")]
        fields.append(("phases", "int64_t*"))
        fields += [("beta", "const double*"), ("signal", "const double*")]
        for layer in self._layers.values():
            k = layer.index
            fields.append((f"n_{k}", "int64_t"))
            for name in layer.parameters:
                fields.append((f"p_{k}_{name}", "const double*"))
            for name in layer.states:
                fields.append((f"init_{k}_{name}", "const double*"))
                fields.append((f"initstride_{k}_{name}", "int64_t"))
            fields += [(f"{key}_{k}", "real*") for key in ("free", "nudged", "opposed")]
            fields.append((f"count_{k}", "int64_t*"))
        for code in self._constants:
            name = code.name
            fields += [(f"value_{name}", "const real*"), (f"valuestride_{name}", "int64_t")]
            fields += [(f"n_pre_{name}", "int64_t"), (f"change_{name}", "real*")]
        for spiking in self._spiking:
            fields += [(f"wt_{spiking.name}", "const real*"), (f"dt_{spiking.name}", "real*")]
            fields.append((f"events_{spiking.name}", "int64_t*"))
        for code in (*self._constants, *self._spiking):
            if code.shared:
                for side in SIDES:
                    fields += [
                        (f"{key}_{side}_{code.name}", "int64_t") for key in ("channels", "stride")
                    ]
                    fields += [(f"{key}_{side}_{code.name}", "const int32_t*") for key in PIECES]
            fields += [(f"w_{code.name}", "const real*"), (f"d_{code.name}", "real*")]
            fields += [(f"k_{code.name}_{key}", "double") for key in code.parameters]
        return fields

    def _first_alike(self, code: ConstantCode) -> str:
        """The first constant input whose units change the weights as those of this one do."""
        return next(
            other.name
            for other in self._constants
            if dataclasses.replace(other, name=code.name, input=code.input, shared=code.shared)
            == code
        )

    def _source(self) -> str:
        layers = list(self._layers.values())
        targets = {code.target: layers[code.target].channels[0] for code in self._constants}
        # What constant inputs add may be added with the update, unless the reset looks at it.
        early = {
            layer.index: targets.get(layer.index, "")
            if f"u_{targets.get(layer.index)}" not in " ".join(layer.reset)
            else ""
            for layer in layers
        }
        return render(
            "equilibrium.cpp.jinja",
            package_templates("neurosnn.rules.equilibrium"),
            layers=layers,
            output=self._layers["output"],
            written={layer.index: _written(layer) for layer in layers},
            constants=self._constants,
            change_of={code.name: self._first_alike(code) for code in self._constants},
            connections=self._spiking,
            early=early,
            keeps_flag={layer.index: "not_refractory" in layer.refractory for layer in layers},
            late=[(k, state) for k, state in targets.items() if not early[k]],
            nudges=[(layer.index, "nudge") for layer in layers if "nudge" in layer.states],
            snapshot=TRACE,
            fields=self._fields,
            real=REAL[self.dtype.name],
        )


class _Part(NamedTuple):
    model: Any
    n: int


def _written(layer: LayerCode) -> list[str]:
    """States that the update changes; the others need not be stored in every step."""
    lines = [line.split(" = ")[0].split()[-1] for line in layer.update]
    return [state for state in layer.states if f"u_{state}" in lines]


def _padded(w: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """A copy whose rows are filled up with zeros to whole blocks."""
    copy = np.zeros((w.shape[0], -(-w.shape[1] // BLOCK) * BLOCK), dtype)
    copy[:, : w.shape[1]] = w
    return copy


def _check_shape(name: str, array: Any, shape: tuple[int, int]) -> None:
    if np.shape(array) != shape or not shape[0]:
        raise ValueError(
            message(
                f"{name} must have shape {shape}, got {np.shape(array)}.",
                "EquilibriumEngine.run",
                "One row for each trial.",
                "Reshape the images to rows, or build a network of this size.",
            )
        )
