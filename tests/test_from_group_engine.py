"""Groups of a script in networks: the engine continues as the group would, input included."""

import numpy as np
import pytest
from brian2 import Network, NeuronGroup, SpikeMonitor, Synapses, defaultclock, ms, mV
from engine_cases import spike_trials
from test_engine import brian_spikes

from neurosnn import Input, Layer, NeuronModel, Readout, SpikingNetwork
from neurosnn.engine import Engine

N = 6


def cuba():
    """Two currents, values per neuron, a refractory period, constants of the script."""
    taum, taue, taui, Vt, Vr, El = 20 * ms, 5 * ms, 10 * ms, -50 * mV, -60 * mV, -49 * mV
    P = NeuronGroup(
        N,
        """dv/dt  = (ge+gi-(v-El))/taum : volt (unless refractory)
        dge/dt = -ge/taue : volt  # excitation
        dgi/dt = -gi/taui : volt""",
        threshold="v>Vt",
        reset="v = Vr",
        refractory=5 * ms,
    )
    P.v = "Vr + rand() * (Vt - Vr)"
    return P, NeuronModel.from_group(P, inputs=("ge", "gi")), locals()


def adaptive():
    """Several statements a line, step code, a threshold with a gate, per-neuron parameters."""
    tau, late = 10 * ms, 20 * ms
    P = NeuronGroup(
        N,
        """dv/dt = (I - a - v)/tau : 1
        da/dt = -a/(50*ms) : 1
        I : 1 (constant)
        b : 1
        n : integer""",
        threshold="v > 1 and t > late",
        reset="v = 0; a += b  # adaptation\n    n += 1",
        method="euler",
    )
    P.I, P.b, P.n = "1.1 + 0.2*i", "0.1*i", "i"
    P.run_regularly("a = clip(a, 0, 2)", when="groups", order=1)
    return P, NeuronModel.from_group(P, inputs="v"), locals()


@pytest.mark.parametrize("case", [cuba, adaptive])
def test_the_engine_continues_as_the_group_would(case):
    """Without input: the group itself, in stock Brian2, against the engine."""
    defaultclock.dt = 0.5 * ms
    group, model, namespace = case()
    monitor = SpikeMonitor(group)
    Network(group, monitor).run(100 * ms, namespace=namespace)
    assert set(monitor.i[:]) == set(range(N))
    net = SpikingNetwork(Input(2), Layer(model, N), Readout(2), dt=0.5 * ms)
    nothing = spike_trials(1, n_channels=2, n_steps=100, rate=0.0)
    steps, neurons = Engine(net, dtype="float64").simulate(nothing).spikes["hidden"][0]
    theirs = zip(np.rint(monitor.t / (0.5 * ms)).astype(int), monitor.i[:], strict=True)
    assert sorted(zip(steps, neurons, strict=True)) == sorted(theirs)


def test_with_input_the_engine_equals_brian2():
    defaultclock.dt = 1 * ms
    _, model, _ = cuba()
    net = SpikingNetwork(
        Input(30), Layer(model, N, recurrent=True, weight_scale=2 * mV, excitatory=0.5), Readout(3)
    )
    trials = spike_trials(1, n_steps=200, rate=40)
    expected, _, _ = brian_spikes(net, trials)
    result = Engine(net, dtype="float64").simulate(trials)
    steps, neurons = result.spikes["hidden"][0]
    assert len(set(neurons)) == N
    ours = sorted((0, int(s), int(i)) for s, i in zip(steps, neurons, strict=True))
    assert ours == expected["hidden"]


def test_synapses_of_the_script_show_the_inputs():
    _, model, _ = cuba()
    P = model.group(N)
    Synapses(P, P, "w : volt", on_pre="ge_post += w")
    S = Synapses(P, P, on_pre="gi -= 1*mV", namespace={})
    assert NeuronModel.from_group(P).inputs == ("ge", "gi")
    Q = NeuronGroup(
        2, "dv/dt = (g + h - v)/ms : 1\ng : 1\nh : 1\nk : 1", threshold="v > 1", reset="v = k"
    )
    T = Synapses(Q, Q, on_pre="g_pre += 1", on_post="h = 1")
    Q.k = -1
    read = NeuronModel.from_group(Q)
    assert (read.inputs, read.states, dict(read.parameters)) == (
        ("g",),
        ("v", "g", "h"),
        {"k": -1.0},
    )
    assert S.name != T.name
    for code, inputs in (("g_post = g_post + w", ("g",)), ("g_post = clip(g_post + w, 0, 1)", ())):
        U = Synapses(Q, Q, "w : 1", on_pre=code)
        assert NeuronModel.from_group(Q, synapses=U).inputs == inputs
