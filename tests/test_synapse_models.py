"""Synapses with states of their own: spikes of stock Brian2, and gradients by differences."""

import dataclasses

import numpy as np
import pytest
from brian2 import (
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    Synapses,
    ms,
    mV,
    second,
)
from export_cases import make
from export_cases import run as start_program

from neurosnn import (
    BPTT,
    Adam,
    EProp,
    EventProp,
    Input,
    NeuronModel,
    PlasticityRule,
    Population,
    Projection,
    Readout,
    SpikingNetwork,
    Trainer,
    equations,
    export,
    read_results,
)
from neurosnn.cuda import CudaEngine
from neurosnn.data import SpikeTrials
from neurosnn.engine.backend import Engine
from neurosnn.losses import MeanSquareError
from neurosnn.study import Uniform
from neurosnn.training.checkpoint import network_fingerprint

N_IN, N_E, N_I, N_STEPS = 10, 6, 5, 60
TAU, TAU_OUT = 20 * ms, 15 * ms
NEURON = NeuronModel(
    equations="dv/dt = -v/tau + s_tot/(30*ms) : 1\ns_tot : 1",
    threshold="v > 1",
    reset="v = 0",
    inputs=("v", "s_tot"),
    method="euler",
    surrogate="0.5*clip(1 - abs(v - 1), 0, 1)",
    parameters={"tau": TAU},
)
DEPRESSING = equations.TsodyksMarkram(U=0.4, tau_d=40 * ms, tau_f=30 * ms)
#: Clock-driven, not linear, and it says itself what it sends between two changes.
GATED = PlasticityRule(
    name="gated",
    equations="""w : 1
    dp/dt = (1 - p)/tau_p - k*q*p : 1 (clock-driven)
    dq/dt = -q/tau_q : 1 (clock-driven)""",
    on_pre="q += 0.5*p\nv_post += w*p*(1 + q)\nq = q - q**2/4",
    method="euler",
    initial={"p": 0.5},
    parameters={"tau_p": 30 * ms, "tau_q": 10 * ms, "k": 0.1 / ms},
)


#: Saturating NMDA gates as in Wang 2002, summed over the synapses in each step.
NMDA = PlasticityRule(
    name="NMDA",
    equations="""w : 1
    s_tot_post = w*s : 1 (summed)
    ds/dt = -s/tau_s + alpha*q*(1 - s) : 1 (clock-driven)
    dq/dt = -q/tau_q : 1 (clock-driven)""",
    on_pre="q += 1",
    method="euler",
    parameters={"tau_s": 40 * ms, "tau_q": 4 * ms, "alpha": 0.1 / ms},
)
GATED_IN_VOLT = dataclasses.replace(GATED, equations=GATED.equations.replace("w : 1", "w : volt"))


def trials(n_trials=1):
    raster = np.random.default_rng(0).random((n_trials, N_STEPS, N_IN)) < 0.2
    trial, step, channel = np.nonzero(raster)
    return SpikeTrials(
        times=step * ms,
        units=channel,
        offsets=np.searchsorted(trial, range(n_trials + 1)),
        labels=np.arange(n_trials) % 2,
        n_channels=N_IN,
        duration=N_STEPS * ms,
    )


def network(learned=(), **settings):
    """Two populations with all kinds of synapses: dense and sparse, with axonal and synaptic delays.

    Those named in `learned` also learn all constants of their strings.
    """
    net = _network(**settings)
    if not learned:
        return net
    projections = [
        dataclasses.replace(p, learn=(*p.learn, *p.synapse.parameters)) if p.name in learned else p
        for p in net.projections
    ]
    populations = {layer.name: layer for layer in net.layers}
    return SpikingNetwork.from_graph(
        populations, projections, net.readout, input=net.input, seed=net.seed
    )


def _network(**settings):
    return SpikingNetwork.from_graph(
        {"E": Population(NEURON, N_E), "I": Population(NEURON, N_I)},
        [
            Projection(
                "input", "E", synapse=DEPRESSING, input="v", weight_scale=4, weight_mean=0.6
            ),
            Projection("input", "I", connectivity=0.5, synapse=GATED, weight_scale=3),
            Projection("E", "E", delay=Uniform(0 * ms, 4 * ms), synapse=DEPRESSING, input="v"),
            Projection("E", "I", synapse=DEPRESSING, input="v", weight_scale=4, weight_mean=0.3),
            Projection("I", "E", connectivity=0.6, delay=2 * ms, synapse=GATED, **settings),
            Projection("I", "I", delay=1 * ms, input="v"),
            Projection("input", "I", name="open", connectivity=0.7, synapse=NMDA, sign=1),
            Projection("E", "E", name="slow", delay=1 * ms, synapse=NMDA, sign=1),
        ],
        Readout(2, tau=TAU_OUT),
        input=Input(N_IN),
        seed=3,
    )


# -- an oracle: the network as plain numpy, in which a spike has the slope of its surrogate ------------


def depressing(h, z, c):
    """What a spike of size z sends for each unit of weight, and leaves; constants in ms."""
    u, x = h
    used = u + c["U"] * (1 - u)
    return z * used * x, np.stack([u + z * c["U"] * (1 - u), x - z * used * x])


def recovers(h, c):
    u, x = h
    return np.stack([u * np.exp(-1 / c["tau_f"]), 1 + (x - 1) * np.exp(-1 / c["tau_d"])])


def gated(h, z, c):
    p, q = h
    more = q + 0.5 * p
    return z * p * (1 + more), np.stack([p, q + z * (more - more**2 / 4 - q)])


def gate_closes(h, c):
    p, q = h
    return np.stack([p + (1 - p) / c["tau_p"] - c["k"] * q * p, q - q / c["tau_q"]])


def nmda(h, z, c):
    s, q = h
    return s, np.stack([s, q + z])


def nmda_closes(h, c):
    s, q = h
    return np.stack([s - s / c["tau_s"] + c["alpha"] * q * (1 - s), q - q / c["tau_q"]])


KINDS = {
    "NMDA": (nmda, nmda_closes, (0.0, 0.0)),
    "TsodyksMarkram": (depressing, recovers, (0.0, 1.0)),
    "gated": (gated, gate_closes, (0.5, 0.0)),
    "": (lambda h, z, c: (z, h), lambda h, c: h, ()),
}
#: What an SI value of a constant is in ms.
IN_MS = {"U": 1.0, "k": 1e-3, "alpha": 1e-3}


def constants_of(net):
    """The constants of the synapses of each connection in SI values, as they are now."""
    return {
        name: {} if c.synapse is None else {k: float(x) for k, x in c.synapse_now.constants.items()}
        for name, c in net.connections.items()
    }


def run(net, weights, inputs, constants, base=None, through_neurons=True):
    """Outputs (steps, n_out), and the course of the neurons; near that of `base`, if it is given.

    E-prop is the same without the paths through other neurons, which get the spikes of `base` then.
    """
    sizes = {"input": N_IN, "E": N_E, "I": N_I}
    v = {name: np.zeros(sizes[name]) for name in "EI"}
    z = {"input": inputs, **{name: np.zeros((N_STEPS, sizes[name])) for name in "EI"}}
    course = {name: np.zeros((N_STEPS, sizes[name])) for name in "EI"}
    states = {}
    for name, c in net.connections.items():
        start = KINDS[c.synapse.name if c.synapse else ""][2]
        states[name] = np.array([np.full(c.shape, one) for one in start])  # one a synapse
    constants = {
        name: {key: x * IN_MS.get(key, 1e3) for key, x in of.items()}
        for name, of in constants.items()
    }
    y, out = np.zeros(2), np.zeros((N_STEPS, 2))
    for t in range(N_STEPS):
        summed = {
            name: sum(
                (c.matrix(weights[key]) * states[key][0]).sum(axis=0)
                for key, c in net.connections.items()
                if c.target == name and c.synapse is NMDA
            )
            for name in v
        }
        for name in v:
            v[name] = v[name] - v[name] / 20 + summed[name] / 30
            course[name][t] = v[name]
            if base is None:
                z[name][t] = v[name] > 1
            else:
                at, fired = base[0][name][t], base[1][name][t]
                psi = 0.5 * np.clip(1 - np.abs(at - 1), 0, 1)
                z[name][t] = fired + psi * (v[name] - at)
        y = y * np.exp(-1 / 15)
        for name, c in net.connections.items():
            spike, moves, _ = KINDS[c.synapse.name if c.synapse else ""]
            delay = np.zeros(c.shape, int)
            if c.synaptic:
                delay[c.pre, c.post] = c.delay
            elif c.target != "readout":
                delay[:] = c.delay[:, None]
            rows = np.arange(c.shape[0])[:, None]
            cut = base is not None and not through_neurons and c.target != "readout"
            spikes = base[1][c.source] if cut else z[c.source]
            arrives = np.where(t >= delay, spikes[np.maximum(t - delay, 0), rows], 0.0)
            of = constants[name]
            sent, states[name] = spike(moves(states[name], of), arrives, of)
            total = (c.matrix(weights[name]) * sent).sum(axis=0)
            if c.target == "readout":
                y = y + total
            elif c.synapse is not NMDA:
                v[c.target] = v[c.target] + total
        for name in v:  # the reset is not differentiated
            fired = z[name][t] if base is None else base[1][name][t]
            v[name] = np.where(fired > 0, 0.0, v[name])
        out[t] = y
    return out, (course, z)


#: From the input and from neurons, by arrivals and by clock, and as sums.
WITH_CONSTANTS = ("input_to_E", "input_to_I", "E_to_E", "I_to_E", "open", "slow")


@pytest.mark.parametrize("rule", [BPTT(), EProp()], ids=["bptt", "eprop"])
def test_gradients_are_those_of_differences_through_the_states(rule):
    net, data = network(WITH_CONSTANTS), trials()
    rng = np.random.default_rng(1)
    target = rng.normal(size=(N_STEPS, 2))
    result = Engine(net, rule, MeanSquareError(reduction="sum"), dtype="float64").run(
        data, target, gradient=True
    )
    assert min(result.spikes.values()) > 30
    inputs = np.zeros((N_STEPS, N_IN))
    inputs[data.steps(1 * ms)[1], data.steps(1 * ms)[2]] = 1
    weights = {name: c.w.copy() for name, c in net.connections.items()}
    now, checked = constants_of(net), 0
    out, base = run(net, weights, inputs, now)

    def loss(name, change, constants=now):
        changed = {**weights, name: weights[name] + change}
        y = run(net, changed, inputs, constants, base, through_neurons=isinstance(rule, BPTT))[0]
        return 0.5 * ((y - target) ** 2).sum()

    assert result.spikes == {name: base[1][name].sum() for name in "EI"}
    assert result.loss == pytest.approx(0.5 * ((out - target) ** 2).sum(), rel=1e-12)
    for name, c in net.connections.items():
        for _ in range(2):
            change = 1e-6 * rng.normal(size=c.w.shape) * (1 if c.mask is None else c.mask)
            expected = (loss(name, change) - loss(name, -change)) / 2
            gradient = result.gradient[f"{name}.w"]
            size = np.sqrt((gradient**2).sum() * (change**2).sum())
            assert size > 0, name
            assert (gradient * change).sum() == pytest.approx(expected, abs=1e-7 * size), name
    for name, of in now.items():
        for key, value in of.items() if name in WITH_CONSTANTS else ():
            up, down = (
                loss(name, 0.0, {**now, name: {**of, key: value * (1 + d)}}) for d in (1e-5, -1e-5)
            )
            expected = (up - down) / (2e-5 * value)
            assert expected != 0, (name, key)
            assert result.gradient[f"{name}.{key}"] == pytest.approx(expected, rel=2e-7), (
                name,
                key,
            )
            checked += 1
    assert checked == 18


# -- spikes of stock Brian2 ---------------------------------------------------------------------------


def test_many_trials_are_those_of_brian2_in_which_every_trial_begins_anew():
    """The neurons have variables that are called as those of the synapses are."""
    neuron = NeuronModel(
        equations="dv/dt = (-v - w)/(20*ms) + s_tot*(20*mV - v)/ms - r_tot/ms : volt\n"
        "dw/dt = -w/(50*ms) : volt\nU : volt\ns_tot : 1\nr_tot : volt",
        threshold="v > 10*mV",
        reset="v = 0*mV; w += 2*mV",
        inputs=("v", "s_tot", "r_tot"),
        method="euler",
    )
    # the weight and a state of the neuron have one name
    graded = PlasticityRule(
        name="graded",
        equations="w : volt\nr_tot_post = w*tanh((v_pre + w_pre)/(10*mV)) : volt (summed)",
        requires_pre={"v": 1 * mV, "w": 1 * mV},
    )
    tm = equations.TsodyksMarkram(U=0.4, tau_d=40 * ms, tau_f=30 * ms, unit="volt")
    net = SpikingNetwork.from_graph(
        {"E": Population(neuron, N_E)},
        [
            Projection("input", "E", input="v", synapse=tm, weight_scale=40 * mV, weight_mean=0.6),
            Projection("E", "E", delay=2 * ms, synapse=GATED_IN_VOLT, weight_scale=10 * mV),
            Projection("E", "E", name="slow", delay=1 * ms, synapse=NMDA, weight=0.02),
            Projection("E", "E", name="graded", synapse=graded, weight=0.05 * mV),
        ],
        Readout(2),
        input=Input(N_IN),
        seed=3,
    )
    data = trials(3)
    engine = Engine(net, dtype="float64", threads=1).simulate(data)
    stock, schedule = net.brian2(data, record=["spikes"]), net.trial_times(data)
    stock.run(schedule.duration, namespace={})
    place = schedule.locate(stock["E_spikes"].t)
    assert len(place.step) > 60
    for k in range(3):
        step, neuron = engine.spikes["E"][k]
        np.testing.assert_array_equal(step, place.step[place.trial == k])
        np.testing.assert_array_equal(neuron, np.asarray(stock["E_spikes"].i)[place.trial == k])
    # another trial before it leaves nothing behind
    alone = Engine(net, dtype="float64", threads=1).simulate(data[2:])
    np.testing.assert_array_equal(alone.spikes["E"][0][0], engine.spikes["E"][2][0])


@pytest.mark.standalone
@pytest.mark.slow
def test_an_exported_program_has_the_spikes_of_the_engine(tmp_path):
    net, data = network(), trials(2)
    engine = Engine(net, dtype="float64", threads=1).simulate(data)
    program = make(export(net, tmp_path / "net", inputs=data))
    start_program(program)
    spikes = read_results(program).spikes
    for name in "EI":
        for k in range(2):
            step, neuron = engine.spikes[name][k]
            assert len(step) > 30
            np.testing.assert_array_equal(np.rint(spikes[name][k].t / ms), step)
            np.testing.assert_array_equal(spikes[name][k].i, neuron)


def script():
    """Conductances and short-term plasticity with delays, and constants from all around."""
    rng = np.random.default_rng(2)
    times = np.sort(rng.permutation(600)[:250]) * 0.1 * ms
    source = SpikeGeneratorGroup(8, rng.integers(0, 8, 250), times, name="source")
    cells = NeuronGroup(
        30,
        """dv/dt = (-v + (ge + gi + g_slow)*(60*mV - v)/(5*nS) + I_graded)/(20*ms) : volt (unless refractory)
        g_slow : siemens
        I_graded : volt
        dge/dt = -ge/tau_e : siemens
        dgi/dt = -gi/(10*ms) : siemens
        strong : 1 (constant)""",
        threshold="v > 10*mV",
        reset="v = 0*mV",
        refractory=2 * ms,
        method="exponential_euler",
        name="cells",
    )
    cells.strong = "1 + 0.1*i"
    facilitating = """w : siemens
    U : 1 (constant)
    du/dt = -u/(50*ms) : 1 (event-driven)
    dx/dt = (1 - x)/tau_d : 1 (event-driven)"""
    arrive = Synapses(
        source, cells, facilitating, on_pre="u += U*(1 - u); ge += w*u*x; x -= u*x", name="arrive"
    )
    arrive.connect(p=0.6)
    arrive.w, arrive.x, arrive.U = "(2 + 6*rand())*nS", 0.8, 0.4
    back = Synapses(
        cells[:20],
        cells,
        """share : 1
        dr/dt = (1 - r)/tau_d : 1 (event-driven)""",
        on_pre="""released = start*r
        r -= released
        ge_post += gain*share*strong_post*released*nS
        gi_post -= 0.5*nS*released""",
        name="back",
    )
    back.connect(condition="i != j", p=0.3)
    back.share, back.r, back.delay = "rand()", 1, "(1 + 3*rand())*ms"
    depleting = Synapses(
        cells[20:],
        cells,
        "dm/dt = -m/(30*ms) : 1 (clock-driven)",
        on_pre="ge += 4*nS*exp(-m); m += 0.5",
        method="exact",
        delay=1 * ms,
        name="depleting",
    )
    depleting.connect(p=0.3)
    gates = Synapses(
        cells,
        cells,
        """g_slow_post = 0.05*nS*scale*s : siemens (summed)
        ds/dt = -s/(40*ms) + 0.5*q*(1 - s)/ms : 1 (clock-driven)
        dq/dt = -q/(2*ms) : 1 (clock-driven)
        scale : 1""",
        on_pre="ge += 0.2*nS*scale; q += 1",
        method="euler",
        name="gates",
    )
    gates.connect(condition="i != j")
    gates.scale, gates.delay = "0.5 + rand()", "rand()*ms"
    graded = Synapses(
        cells[:10], cells, "v_size : 1\nI_graded_post = v_size*v_pre : volt (summed)", name="graded"
    )
    graded.connect(p=0.3)
    graded.v_size = "0.1*rand()"
    return Network(source, cells, arrive, back, depleting, gates, graded)


LEARNED = ["arrive.w", "back.share", "gates.scale"]


def test_a_script_with_short_term_plasticity_keeps_its_spikes():
    constants = {"tau_e": 5 * ms, "tau_d": 60 * ms, "gain": 2.0, "start": 0.5}
    network = script()
    net = SpikingNetwork.from_brian2(
        network, readout=Readout(2), learn=LEARNED, namespace=constants
    )
    assert {"arrive.w", "back_ge.w", "gates_g_slow.w", "gates_ge.w"} < set(net.parameters)
    assert "back_gi.w" not in net.parameters
    source, monitor = network["source"], SpikeMonitor(network["cells"])
    data = SpikeTrials(
        times=np.asarray(source._spike_time) * 1000 * ms,
        units=np.asarray(source._neuron_index),
        offsets=[0, len(source._spike_time)],
        labels=[0],
        n_channels=8,
        duration=60 * ms,
    )
    step, neuron = Engine(net, dtype="float64", threads=1).simulate(data).spikes["cells"][0]
    network.add(monitor)
    network.run(60 * ms, namespace=constants)
    assert len(monitor.i) > 150
    np.testing.assert_array_equal(step, np.rint(monitor.t / (0.1 * ms)))
    np.testing.assert_array_equal(neuron, monitor.i)


def test_constants_of_synapses_are_learned_kept_and_read_by_brian2(tmp_path):
    net, data = network(WITH_CONSTANTS), trials(4)
    before = {name: float(x) for name, x in net.learned.items()}
    assert before["E_to_E.tau_d"] == 0.04
    assert before["slow.alpha"] == 100.0
    rates = {"*.tau_*": 20.0, "*.alpha": 0.1, "*.k": 0.1}
    trainer = Trainer(net, BPTT(), optimizer=Adam(0.02, factors=rates), threads=1, dtype="float64")
    trainer.fit(data, epochs=2, batch_size=2)
    moved = {name: float(x) for name, x in net.learned.items() if float(x) != before[name]}
    assert moved.keys() == before.keys()
    assert all(0 < moved[f"{name}.U"] <= 1 for name in ("input_to_E", "E_to_E"))  # its range
    net.save(tmp_path / "net.npz")
    again = SpikingNetwork.load(tmp_path / "net.npz")
    assert repr(again) == repr(net)
    for name, value in moved.items():
        assert again.parameters[name] == value
    simulation = again.brian2(data, record=["spikes"])
    assert simulation["E_to_E"].tau_d[:] == moved["E_to_E.tau_d"] * second
    times = again.trial_times(data)
    simulation.run(times.duration, namespace={})
    place = times.locate(simulation["E_spikes"].t[:])
    result = Engine(net, dtype="float64", threads=1).simulate(data)
    assert result.counts["E"].sum() > 60
    for k, (step, neuron) in enumerate(result.spikes["E"]):
        np.testing.assert_array_equal(place.step[place.trial == k], step)
        np.testing.assert_array_equal(simulation["E_spikes"].i[:][place.trial == k], neuron)


def test_a_script_names_constants_of_its_synapses_that_are_learned():
    constants = {"tau_e": 5 * ms, "tau_d": 60 * ms, "gain": 2.0, "start": 0.5}

    def read(*learn):
        return SpikingNetwork.from_brian2(
            script(), readout=Readout(2), learn=learn, namespace=constants
        )

    net = read("arrive.w", "arrive.U", "arrive.tau_d", "back.tau_d")
    assert {name: float(x) for name, x in net.learned.items()} == {
        "arrive.U": 0.4,  # a variable of the synapses
        "arrive.tau_d": 0.06,  # a constant of the script
        "back_ge.tau_d": 0.06,
        "back_gi.tau_d": 0.06,
    }
    with pytest.raises(ValueError, match=r"no variable 'x'.* Known names: U, delay, tau_d, w\."):
        read("arrive.x")


# -- files, and what is refused -------------------------------------------------------------------------


def test_a_file_holds_the_strings_of_the_synapses(tmp_path):
    net, data = network(learn=()), trials()
    path = tmp_path / "net.npz"
    net.save(path)
    again = SpikingNetwork.load(path)
    assert repr(again) == repr(net)
    assert "I -> E, 2 ms, gated" in repr(net)
    one, other = (Engine(n, dtype="float64", threads=1).simulate(data) for n in (net, again))
    np.testing.assert_array_equal(one.output, other.output)
    assert network_fingerprint(again) == network_fingerprint(net)
    changed = dataclasses.replace(GATED, parameters={**GATED.parameters, "k": 0.2 / ms})
    without = SpikingNetwork.from_graph(
        {name: Population(NEURON, n) for name, n in (("E", N_E), ("I", N_I))},
        [
            dataclasses.replace(p, synapse=changed if p.synapse is GATED else p.synapse)
            for p in net.projections
        ],
        net.readout,
        input=net.input,
        seed=3,
    )
    assert network_fingerprint(without) != network_fingerprint(net)


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"step": "x = x/2"}, "'step' runs in a projection"),
        ({"on_pre": "x += v_post/mV", "requires": {"v": 1 * mV}}, "it reads 'v_post'"),
        ({"on_pre": "x += rand()"}, "it contains 'rand'"),
        ({"on_pre": "x += w"}, "not in proportion to the weight"),
        ({"transmission": "w + x"}, "not in proportion to the weight"),
        ({"transmission": "w*w*x"}, "not in proportion to the weight"),
        ({"on_pre": {"one": "x = 1", "two": "x += 1"}}, "2 pathways"),
        ({"on_pre": "x = 0; v_post += w*x", "initial": {"w": 0.5}}, "initial has no effect"),
        ({"initial": {"x": [1.0, 2.0]}}, "'x' has 2 initial values"),
        ({"delays": {"pre": 1 * ms}}, "delays has no effect"),
        ({"equations": "w : 1\nx : integer"}, "'x' is integer"),
        ({"equations": "w : 1\nx : 1\ny = x : 1 (constant over dt)"}, "'y' is constant over dt"),
        (
            {"equations": "w : 1\nx : 1\nI_post = w*(v_pre - v_post) : volt (summed)"},
            "gap junction",
        ),
    ],
)
def test_what_does_not_follow_the_presynaptic_spikes_is_refused(fields, what):
    given = {"equations": "w : 1\nx : 1", "on_pre": "x = 0", "transmission": "w*x"} | fields
    if "_post +=" in str(given["on_pre"]) or "summed" in given["equations"]:
        del given["transmission"]
    if "v_pre" in given["equations"]:
        given |= {"requires": {"v": 1 * mV}, "requires_pre": {"v": 1 * mV}}
    rule = PlasticityRule(name="mine", **given)
    with pytest.raises(ValueError, match="synapse mine: ") as refused:
        Projection("E", "I", synapse=rule)
    assert what in str(refused.value)


GRADED = PlasticityRule(
    name="graded", equations="w : 1\ns_tot_post = w*v_pre : 1 (summed)", requires_pre={"v": 1.0}
)
ONTO_V = PlasticityRule(
    name="onto v", equations="w : 1\nx : 1\nv_post = w*x : 1 (summed)", on_pre="x += 1"
)
AWAKE = dataclasses.replace(NMDA, initial={"s": 0.5})
OTHER = Projection("E", "E")


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (
            lambda: Projection("E", "I", synapse=DEPRESSING, learn=("w", "tau")),
            "can be learned: U, tau_d, tau_f",
        ),
        (lambda: Projection("E", "I", learn=("w", "U")), "learn names 'U'"),
        (lambda: Projection("E", "I", synapse=NEURON), "must be a PlasticityRule"),
        (lambda: Projection("E", "I", synapse=GATED, input="g"), "the synapse adds to v_post"),
        (
            lambda: graph(Projection("E", "readout", synapse=DEPRESSING, input="v")),
            "to the readout",
        ),
        (lambda: graph(Projection("E", "E", synapse=GATED_IN_VOLT)), "sends V to v, which is in"),
        (
            lambda: graph(Projection("input", "E", synapse=DEPRESSING), real=True),
            "real-valued input",
        ),
        (lambda: Trainer(graph(), EventProp()), "EventProp: the synapses of 'E_to_E' have states"),
        (lambda: Trainer(graph(), EProp(), backend="brian2"), "e-prop in Brian2: the synapses"),
        (lambda: CudaEngine(graph(), device="processor"), "CudaEngine: the synapses of 'E_to_E'"),
        (
            lambda: graph(Projection("E", "E", synapse=NMDA), OTHER),
            "'E_to_E' also acts on s_tot perhaps",
        ),
        (
            lambda: Trainer(graph(Projection("E", "E", synapse=GRADED)), BPTT()),
            "reads 'v' of the presyn",
        ),
        (lambda: graph(Projection("input", "E", synapse=GRADED)), "which 'input' does not have"),
        (lambda: Projection("E", "I", synapse=GRADED, delay=1 * ms), "No spike arrives"),
        (lambda: graph(Projection("E", "E", synapse=ONTO_V)), "NeuronModel moves v"),
        (
            lambda: Trainer(graph(Projection("E", "E", synapse=AWAKE)), EProp()),
            "not zero when a trial",
        ),
    ],
)
def test_who_cannot_follow_the_states_says_so(make, what):
    with pytest.raises((ValueError, TypeError)) as refused:
        make()
    assert what in str(refused.value)


def graph(*projections, real=False):
    return SpikingNetwork.from_graph(
        {"E": Population(NEURON, 3)},
        projections or [Projection("E", "E", synapse=DEPRESSING)],
        Readout(2),
        input=Input(2, real_valued=real),
    )
