"""EventProp step by step in stock Brian2: the reverse pass as a network of its own.

The strings of ``EventProp().equations(model)`` become ordinary Brian2 groups that run in reverse
time. The forward pass is recorded; in the reverse pass each neuron "fires" when its forward spike is
replayed. Brian2's order of a step (flow, spikes, synapses, resets) is then just what is needed:
adjoints flow back over the step, arrivals read them, and the neuron's own spike jumps last. The
gradient equals that of the engine.

    python examples/eventprop_in_brian2.py        # writes output/eventprop_in_brian2.png
"""

from pathlib import Path

import numpy as np
from brian2 import (
    Hz,
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    StateMonitor,
    Synapses,
    TimedArray,
    defaultclock,
    ms,
    prefs,
    second,
)
from matplotlib import pyplot as plt

from neurosnn import (
    CrossEntropy,
    EventProp,
    Input,
    Layer,
    Readout,
    SpikingNetwork,
    equations,
)
from neurosnn.data import SpikeTrials
from neurosnn.engine import Engine

N_IN, N, N_OUT, LABEL = 10, 6, 2, 0
DURATION, DT = 60 * ms, 0.1 * ms
prefs.codegen.target = "numpy"  # for 600 steps, compiling would take longer than running


def make_network():
    """A recurrent layer of LIF neurons with synaptic currents, its weights, and one trial."""
    rng = np.random.default_rng(2)
    net = SpikingNetwork(
        Input(N_IN),
        Layer(equations.CurrentLIF(), N, recurrent=True),
        Readout(N_OUT, model=equations.CurrentReadout(), bias=False),
        dt=DT,
    )
    net.parameters["input.w"][:] = rng.normal(0.8, 0.6, (N_IN, N))
    net.parameters["recurrent.w"][:] = rng.normal(0, 0.6, (N, N)) * (1 - np.eye(N))
    net.parameters["readout.w"][:] = rng.normal(0, 1, (N, N_OUT))
    steps = np.sort(rng.choice(450, 30, replace=False))
    trial = SpikeTrials(
        times=(steps + 0.5) * float(DT),
        units=rng.integers(0, N_IN, 30),
        offsets=[0, 30],
        labels=[LABEL],
        n_channels=N_IN,
        duration=DURATION,
        class_names=("left", "right"),
    )
    return net, trial


def forward(net, trial):
    """Spikes, what v and I are before the resets and how v rose, and output, in stock Brian2."""
    simulation = net.brian2(trial, record=["spikes", "output"])
    hidden = simulation["hidden"]
    start = StateMonitor(hidden, "v", record=True, when="start")
    before = StateMonitor(hidden, ["v", "I"], record=True, when="after_thresholds")
    simulation.add(start, before)
    simulation.run(DURATION, namespace={})
    spikes = simulation["hidden_spikes"]
    output = simulation["readout_states"].output
    fired = np.zeros((output.shape[1], N))
    fired[np.round(np.array(spikes.t / DT)).astype(int), spikes.i] = 1
    secant = (np.array(before.v).T - np.array(start.v).T) / float(DT)
    return fired, (np.array(before.v).T, np.array(before.I).T, secant), np.array(output).T


def reverse(net, trial, fired, states, error):
    """Gradients of the three weight matrices by a Brian2 network in reverse time."""
    defaultclock.dt = DT
    rule = EventProp()
    neuron, readout = (rule.equations(part.model) for part in (net.layers[0], net.readout))
    v, current, secant = states
    # On a grid v is beyond the threshold at the end of the step, where the flow may have turned: the
    # slope of the crossing is that of the flow or of the step, whichever is steeper, as in the engine.
    steepest = f"clip({neuron.slope}, secant, inf*Hz)"
    at_spike = neuron.spike.replace(f"({neuron.slope})", steepest)
    names = {
        "replay": TimedArray(fired[::-1], dt=DT),
        "v_then": TimedArray(v[::-1], dt=DT),
        "I_then": TimedArray(current[::-1], dt=DT),
        "secant_then": TimedArray(secant[::-1] * Hz, dt=DT),
        "error": TimedArray(error[::-1], dt=DT),
    }
    hidden = NeuronGroup(
        N,
        neuron.dynamics
        + "\nfeedback : 1/second\nv : 1\nI : 1\nsecant : Hz\ntau_m : second\ntau_s : second",
        threshold="replay(t, i) > 0",
        reset=at_spike + "\nfeedback = 0/second",
        method="exact",
        namespace=names,
    )
    replayed = "v = v_then(t, i)\nI = I_then(t, i)\nsecant = secant_then(t, i)"
    hidden.run_regularly(replayed, when="groups", order=1)
    output = NeuronGroup(
        N_OUT,
        readout.dynamics + "\ntau_m : second\ntau_s : second",
        method="exact",
        namespace=names,
    )
    # a step's error acts at its end, after the flow back from later steps
    output.run_regularly("lam_y += error(t, i)", when="groups", order=1)
    for group, part in ((hidden, net.layers[0]), (output, net.readout)):
        group.tau_m, group.tau_s = part.model.parameters["tau_m"], part.model.parameters["tau_s"]
    steps = len(fired)
    _, step, channel = trial.steps(DT)
    source = SpikeGeneratorGroup(N_IN, channel, (steps - 1 - step) * float(DT) * second)
    to_input = Synapses(source, hidden, "dE_dw : 1", on_pre="dE_dw += lam_I_post", namespace={})
    to_input.connect()
    own = Synapses(hidden, hidden, "w : 1\ndE_dw : 1", on_pre=neuron.on_pre, namespace={})
    own.connect("i != j")
    own.w = net.parameters["recurrent.w"][own.i[:], own.j[:]]
    out = Synapses(hidden, output, "w : 1\ndE_dw : 1", on_pre=readout.on_pre, namespace={})
    out.connect()
    out.w = net.parameters["readout.w"].ravel()
    Network(hidden, output, source, to_input, own, out).run(DURATION, namespace=names)
    gradient = {}
    for name, synapses in (("input.w", to_input), ("recurrent.w", own), ("readout.w", out)):
        gradient[name] = np.zeros(net.parameters[name].shape)
        gradient[name][synapses.i[:], synapses.j[:]] = synapses.dE_dw[:]
    return gradient


def compare():
    """Gradients by name, of Brian2 and of the engine, and the number of hidden spikes."""
    net, trial = make_network()
    print(EventProp().equations(net.layers[0].model))
    fired, states, output = forward(net, trial)
    loss = CrossEntropy()
    _, error = loss.value_and_error(output, LABEL, loss.step_weights([len(output)], DT))
    ours = reverse(net, trial, fired, states, error)
    engine = Engine(net, EventProp(), loss, dtype="float64", threads=1)
    theirs = engine.run(trial, gradient=True).gradient
    for name, value in ours.items():
        difference = np.abs(value - theirs[name]).max() / np.abs(theirs[name]).max()
        print(f"{name:12} largest gradient {np.abs(value).max():.4f}, difference {difference:.1e}")
    print(f"{int(fired.sum())} hidden spikes")
    return ours, theirs, int(fired.sum())


def draw(ours, theirs):
    """One gradient against the other, a point a synapse."""
    figure, ax = plt.subplots(figsize=(4.5, 4), layout="constrained")
    for name, value in ours.items():
        ax.plot(theirs[name].ravel(), value.ravel(), ".", label=name)
    ax.axline((0, 0), slope=1, color="0.75", zorder=0)
    ax.set(xlabel="gradient of the engine", ylabel="gradient of Brian2 in reverse time")
    ax.legend()
    output = Path("output")
    output.mkdir(exist_ok=True)
    figure.savefig(output / "eventprop_in_brian2.png", dpi=120)


if __name__ == "__main__":
    brian2_gradient, engine_gradient, _ = compare()
    draw(brian2_gradient, engine_gradient)
