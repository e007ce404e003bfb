"""Whole Brian2 scripts as networks: the spikes of stock Brian2, or a message that says what is missing."""

import numpy as np
import pytest
from brian2 import (
    Network,
    NeuronGroup,
    PoissonInput,
    SpikeGeneratorGroup,
    SpikeMonitor,
    Synapses,
    collect,
    defaultclock,
    ms,
    mV,
    network_operation,
    nS,
    pF,
    seed,
    start_scope,
)

from neurosnn import Adam, EProp, Readout, SpikingNetwork, Trainer
from neurosnn.data import SpikeTrials
from neurosnn.engine.backend import Engine


@pytest.fixture(autouse=True)
def scope():
    start_scope()
    seed(3)


def silence(n_channels, duration):
    """One trial without a spike."""
    return SpikeTrials(
        times=[] * ms,
        units=np.zeros(0, int),
        offsets=[0, 0],
        labels=[0],
        n_channels=n_channels,
        duration=duration,
    )


def spikes_of(source, duration):
    """The spikes of a SpikeGeneratorGroup as one trial."""
    order = np.argsort(source._spike_time, kind="stable")
    return SpikeTrials(
        times=np.asarray(source._spike_time)[order] * 1000 * ms,
        units=np.asarray(source._neuron_index)[order],
        offsets=[0, len(order)],
        labels=[0],
        n_channels=source.N,
        duration=duration,
    )


# -- networks of the literature, smaller and more strongly connected -------------------------------


def cuba(n=200):
    """Current-based network of Vogels & Abbott 2005, as benchmark 2 of Brette et al. 2007."""
    tau_m, tau_e, tau_i = 20 * ms, 5 * ms, 10 * ms
    V_t, V_r, E_l = -50 * mV, -60 * mV, -49 * mV
    cells = NeuronGroup(
        n,
        """dv/dt = (ge + gi - (v - E_l))/tau_m : volt (unless refractory)
           dge/dt = -ge/tau_e : volt
           dgi/dt = -gi/tau_i : volt""",
        threshold="v > V_t",
        reset="v = V_r",
        refractory=5 * ms,
        method="exact",
        name="cells",
    )
    cells.v = "V_r + rand()*(V_t - V_r)"
    w_e, w_i = 5 * mV, -30 * mV
    n_excitatory = int(0.8 * n)
    excitatory = Synapses(cells, cells, on_pre="ge += w_e")
    inhibitory = Synapses(cells, cells, on_pre="gi += w_i")
    excitatory.connect("i < n_excitatory", p=0.1)
    inhibitory.connect("i >= n_excitatory", p=0.1)
    monitor = SpikeMonitor(cells)
    network = Network(cells, excitatory, inhibitory, monitor)
    net = SpikingNetwork.from_brian2(network, readout=Readout(2))
    return net, network, monitor, locals()


def coba(n=200):
    """Conductance-based network of Vogels & Abbott 2005, with delays of the synapses."""
    tau_m, tau_e, tau_i = 20 * ms, 5 * ms, 10 * ms
    V_t, E_l, E_e, E_i = -50 * mV, -60 * mV, 0 * mV, -80 * mV
    cells = NeuronGroup(
        n,
        """dv/dt = (ge*(E_e - v) + gi*(E_i - v) + (E_l - v))/tau_m : volt (unless refractory)
           dge/dt = -ge/tau_e : 1
           dgi/dt = -gi/tau_i : 1""",
        threshold="v > V_t",
        reset="v = E_l",
        refractory=5 * ms,
        method="euler",
        name="cells",
    )
    part = int(0.8 * n)
    excitatory = Synapses(cells[:part], cells, on_pre="ge += 1.8")
    excitatory.connect(p=0.1)
    excitatory.delay = "rand()*3*ms"
    inhibitory = Synapses(cells[part:], cells, on_pre="gi += 13.4", delay=0.5 * ms)
    inhibitory.connect(p=0.1)
    cells.v = "E_l + (randn()*5 - 5)*mV"
    cells.ge = "(randn()*1.5 + 4)*10./6"
    cells.gi = "(randn()*12 + 20)*10./6"
    monitor = SpikeMonitor(cells)
    network = Network(collect())
    net = SpikingNetwork.from_brian2(network, readout=Readout(2))
    return net, network, monitor, locals()


def cobahh(n=40):
    """Conductance-based network of Hodgkin-Huxley neurons, benchmark 3 of Brette et al. 2007."""
    C_m, g_l, E_l = 200 * pF, 10 * nS, -60 * mV
    E_K, E_Na, g_na, g_kd = -90 * mV, 50 * mV, 20000 * nS, 6000 * nS
    V_T, tau_e, tau_i, E_e, E_i = -63 * mV, 5 * ms, 10 * ms, 0 * mV, -80 * mV
    cells = NeuronGroup(
        n,
        """dv/dt = (g_l*(E_l - v) + ge*(E_e - v) + gi*(E_i - v)
                    - g_na*m**3*h*(v - E_Na) - g_kd*n**4*(v - E_K))/C_m : volt
           dm/dt = alpha_m*(1 - m) - beta_m*m : 1
           dn/dt = alpha_n*(1 - n) - beta_n*n : 1
           dh/dt = alpha_h*(1 - h) - beta_h*h : 1
           dge/dt = -ge/tau_e : siemens
           dgi/dt = -gi/tau_i : siemens
           alpha_m = 0.32/mV*4*mV/exprel((13*mV - v + V_T)/(4*mV))/ms : Hz
           beta_m = 0.28/mV*5*mV/exprel((v - V_T - 40*mV)/(5*mV))/ms : Hz
           alpha_h = 0.128*exp((17*mV - v + V_T)/(18*mV))/ms : Hz
           beta_h = 4./(1 + exp((40*mV - v + V_T)/(5*mV)))/ms : Hz
           alpha_n = 0.032/mV*5*mV/exprel((15*mV - v + V_T)/(5*mV))/ms : Hz
           beta_n = .5*exp((10*mV - v + V_T)/(40*mV))/ms : Hz""",
        threshold="v > -20*mV",
        refractory=3 * ms,
        method="exponential_euler",
        name="cells",
    )
    w_e, w_i = 30 * nS, 134 * nS
    excitatory = Synapses(cells, cells, on_pre="ge += w_e")
    inhibitory = Synapses(cells, cells, on_pre="gi += w_i")
    excitatory.connect("i < 32", p=0.2)
    inhibitory.connect("i >= 32", p=0.2)
    cells.v = "E_l + (randn()*5 - 5)*mV"
    cells.ge = "(randn()*1.5 + 4)*10.*nS"
    cells.gi = "(randn()*12 + 20)*3.*nS"
    monitor = SpikeMonitor(cells)
    network = Network(cells, excitatory, inhibitory, monitor)
    net = SpikingNetwork.from_brian2(network, readout=Readout(2))
    return net, network, monitor, locals()


def wang(n=40):
    """Two pools that compete through slow receptors with gates in their synapses, as in Wang 2002."""
    tau_a, tau_g, tau_r, tau_d, alpha = 2 * ms, 5 * ms, 2 * ms, 100 * ms, 0.5 / ms
    V_E, V_I, V_L, C_m, g_L = 0 * mV, -70 * mV, -70 * mV, 500 * pF, 25 * nS
    cells = NeuronGroup(
        n,
        """dv/dt = (g_L*(V_L - v) - I_syn)/C_m : volt (unless refractory)
           I_syn = 2.1*nS*(v - V_E)*s_ext + 2*nS*(v - V_E)*s_ampa + 20*nS*(v - V_I)*s_gaba
                   + 4*nS*(v - V_E)/(1 + exp(-0.062*v/mV)/3.57)*s_nmda : amp
           ds_ext/dt = -s_ext/tau_a : 1
           ds_ampa/dt = -s_ampa/tau_a : 1
           ds_gaba/dt = -s_gaba/tau_g : 1
           s_nmda : 1""",
        threshold="v > -50*mV",
        reset="v = -55*mV",
        refractory=2 * ms,
        method="euler",
        name="cells",
    )
    part, pool = int(0.8 * n), int(0.2 * n)
    cells.v = "(-52 - 3*rand())*mV"
    cells.s_ext = "20 + 5*rand()"
    excitation = Synapses(
        cells[:part],
        cells,
        """w : 1 (constant)
           s_nmda_post = w*s : 1 (summed)
           ds/dt = -s/tau_d + alpha*x*(1 - s) : 1 (clock-driven)
           dx/dt = -x/tau_r : 1 (clock-driven)""",
        on_pre="s_ampa_post += w\nx += 1",
        delay=0.5 * ms,
        method="euler",
    )
    excitation.connect("i != j")
    excitation.w = "0.8 + 0.9*int(i//pool == j//pool)"
    inhibition = Synapses(cells[part:], cells, on_pre="s_gaba += 1", delay=0.5 * ms)
    inhibition.connect("i + part != j")
    monitor = SpikeMonitor(cells)
    network = Network(cells, excitation, inhibition, monitor)
    net = SpikingNetwork.from_brian2(network, readout=Readout(2))
    return net, network, monitor, locals()


@pytest.mark.parametrize(
    ("make", "duration", "at_least"),
    [(cuba, 60 * ms, 50), (coba, 60 * ms, 200), (cobahh, 30 * ms, 20), (wang, 40 * ms, 30)],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_published_network_spikes_as_its_script_does(make, duration, at_least):
    net, network, monitor, names = make()
    trial = silence(1, duration)
    network.run(duration, namespace={k: v for k, v in names.items() if k != "network"})
    result = Engine(net, dtype="float64", threads=1).simulate(trial)
    steps, neurons = result.spikes["cells"][0]
    expected = np.rint(monitor.t / defaultclock.dt).astype(int)
    assert len(expected) >= at_least
    assert sorted(zip(steps, neurons, strict=True)) == sorted(
        zip(expected, monitor.i[:], strict=True)
    )


# -- what a script can hold -------------------------------------------------------------------------


def two_populations():
    """Two groups, a source, synapses with a variable, twins, two targets and parts of groups."""
    tau, gain = 10 * ms, 0.5
    random = np.random.default_rng(0)
    times = np.sort(random.choice(400, 120, replace=False)) * 0.1 * ms
    source = SpikeGeneratorGroup(6, random.integers(0, 6, 120), times, name="source")
    model = "dv/dt = (I - v)/tau : 1\ndI/dt = -I/(5*ms) : 1\nscale : 1 (constant)"
    cells = NeuronGroup(8, model, threshold="v > 1", reset="v = 0", method="exact", name="cells")
    other = NeuronGroup(5, model, threshold="v > 1", reset="v -= 1", method="exact", name="other")
    cells.scale = np.arange(8) / 4
    arrive = Synapses(source, cells, "w : 1", on_pre="I += w  # a comment", name="arrive")
    arrive.connect(p=0.6)
    arrive.connect(i=[0, 1], j=[2, 3])  # some of them twice
    arrive.w = "2 + rand()"
    forward = Synapses(
        cells[2:],
        other,
        "w : 1\nq : 1 (constant)",
        on_pre="v_post += gain*w*scale_pre; I_post -= q/2",
        delay=1.25 * ms,
        name="forward",
    )
    forward.connect(p=0.7)
    forward.w, forward.q = "rand()", "rand()"
    back = Synapses(other[1:4], cells[:5], "w : 1", on_pre="I += w", name="back")
    back.connect()
    back.w = -0.4
    back.delay = "(1 + 2*rand())*ms"
    monitors = SpikeMonitor(cells), SpikeMonitor(other)
    network = Network(source, cells, other, arrive, forward, back, *monitors)
    net = SpikingNetwork.from_brian2(
        network,
        readout=Readout(2, of="other"),
        learn=["arrive.w", "forward.w", "back.delay"],
        surrogate="0.3*clip(1 - abs(v - 1), 0, 1)",
    )
    return net, network, monitors, source, {"tau": tau, "gain": gain}


def test_parts_of_groups_twins_and_several_targets_are_read():
    net, network, monitors, source, names = two_populations()
    assert sorted(net.parameters) == sorted(
        ["arrive.w", "arrive_2.w", "forward_v.w", "back.delay", "other_to_readout.w", "readout.b"]
    )
    network.run(40 * ms, namespace=names)
    result = Engine(net, dtype="float64", threads=1).simulate(spikes_of(source, 40 * ms))
    for monitor in monitors:
        steps, neurons = result.spikes[monitor.source.name][0]
        expected = np.rint(monitor.t / defaultclock.dt).astype(int)
        assert len(expected) > 20
        assert sorted(zip(steps, neurons, strict=True)) == sorted(
            zip(expected, monitor.i[:], strict=True)
        )


def test_a_network_of_a_script_learns():
    net, _, _, source, _ = two_populations()
    before = {name: array.copy() for name, array in net.parameters.items()}
    fixed = net.connections["forward_I"].w.copy()
    trial = spikes_of(source, 40 * ms)
    net = SpikingNetwork.from_graph(
        {layer.name: layer for layer in net.layers},
        [
            p if p.name != "back" else type(p)(**{**vars(p), "learn": ("w",)})
            for p in net.projections
            if p.target != "readout"
        ],
        Readout(2),
        input=net.input,
        dt=net.dt,
    )
    trainer = Trainer(net, EProp(), optimizer=Adam(0.05), threads=1)
    losses = trainer.fit(trial, epochs=15, batch_size=1, progress=False)["loss"]
    assert losses[-1] < 0.5 * losses[0]
    assert not np.array_equal(net.parameters["arrive.w"], before["arrive.w"])
    np.testing.assert_array_equal(net.connections["forward_I"].w, fixed)


def test_a_group_can_be_the_readout():
    source = SpikeGeneratorGroup(2, [0, 1], [1, 2] * ms, name="source")
    cells = NeuronGroup(
        3, "dv/dt = -v/(10*ms) : 1", threshold="v > 1", reset="v = 0", method="exact", name="cells"
    )
    out = NeuronGroup(2, "dy/dt = -y/(10*ms) : 1", method="exact", name="out")
    arrive = Synapses(source, cells, on_pre="v += 1.5", name="arrive")
    read = Synapses(cells, out, "w : 1", on_pre="y += w", name="read")
    arrive.connect()
    read.connect()
    read.w = [1, -1, 2, -2, 3, -3]
    network = Network(source, cells, out, arrive, read)
    net = SpikingNetwork.from_brian2(network, readout="out", learn="read.w")
    assert sorted(net.parameters) == ["read.w"]
    output = Engine(net, dtype="float64", threads=1).simulate(spikes_of(source, 5 * ms)).output
    np.testing.assert_allclose(np.abs(output).max(), 6 * (1 + np.exp(-0.1)), rtol=1e-6)


def some(synapses_model="", on_pre="v += 1", on_post=None, on_pre_order=-1, **settings):
    cells = NeuronGroup(
        3, "dv/dt = -v/(10*ms) : 1\nu : 1", threshold="v > 1", reset="v = 0", name="cells"
    )
    synapses = Synapses(
        cells, cells, synapses_model, on_pre=on_pre, on_post=on_post, name="synapses", **settings
    )
    synapses.connect()
    for pathway in synapses._pathways:
        if pathway.prepost == "pre":
            pathway.order = on_pre_order
    return cells, synapses


def read(*objects, **settings):
    return SpikingNetwork.from_brian2(objects, **{"readout": Readout(2), **settings})


def regular():
    """Weights that decay by themselves."""
    cells, synapses = some("w : 1", "v += w")
    synapses.run_regularly("w *= 0.9", dt=1 * ms)
    return cells, synapses


def silenced():
    cells, synapses = some()
    synapses.pre.active = False
    return cells, synapses


def begun():
    """In the middle of a run, with a spike on its way."""
    cells, synapses = some(delay=2 * ms)
    cells.v = 1.5
    Network(cells, synapses).run(0.2 * ms)
    return cells, synapses


def partly():
    """A sum over the synapses in some neurons, beside other values in the others."""
    cells, _ = some()
    cells.u = 1
    synapses = Synapses(cells, cells[:2], "u_post = v_pre : 1 (summed)", name="synapses_2")
    synapses.connect()
    return cells, synapses


def stray():
    one, _ = some()
    other = NeuronGroup(2, "v : 1", threshold="v > 1", name="other")
    synapses = Synapses(one, other, on_pre="v += 1", name="synapses_2")
    synapses.connect()
    return one, synapses


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: read(*some("dx/dt = -x/(10*ms) : 1 (event-driven)", "x += 1")), "sends nothing"),
        (lambda: read(*some("x : 1", "v += x", "x += 1"), learn="synapses.x"), "changes its own"),
        (lambda: read(*some("x : 1", {"a": "v += x", "b": "x = 1"}, "x += 1")), "2 presynaptic"),
        (lambda: read(*some("x : 1", "v += x", "x += 1", on_pre_order=2)), "runs before"),
        (lambda: read(*some("x : 1", "x += 1\nv = x")), "a spike runs 'v = x'"),
        (lambda: read(*some("x : 1", "x += v_post\nv += x")), "it reads 'v_post'"),
        (lambda: read(*some("u_post = v_pre - v_post : 1 (summed)", "")), "of a gap junction"),
        (
            lambda: read(*some("u_post = v_pre : 1 (summed)", "", order=-1)),
            "has a lower order than",
        ),
        (lambda: read(*partly()), "a sum for a part of 'cells'"),
        (lambda: read(*some("x : 1", {"a": "x += 1; v += x", "b": "v += x"})), "2 pathways"),
        (lambda: read(*some("", "v = 1")), "a spike runs 'v = 1'"),
        (lambda: read(*some("", "v += u_post")), "depends on 'u_post'"),
        (lambda: read(*some("", "v += rand()")), "not a constant"),
        (lambda: read(*some(), learn="synapse.w"), "Did you mean 'synapses'"),
        (lambda: read(*some("w : 1", "v += w"), learn="synapses.u"), "no variable 'u'"),
        (lambda: read(*some("w : 1\nq : 1", "v += w"), learn="synapses.q"), "no variable 'q'"),
        (lambda: read(*some("", "v_pre += 1")), "a spike runs 'v_pre += 1'"),
        (lambda: read(*some("w : 1\nq = 2*w : 1", "v += q")), "reads 'q', an expression"),
        (lambda: read(*regular()), "changes in time"),
        (lambda: read(*silenced()), "is switched off"),
        (lambda: read(*begun()), "have run already"),
        (lambda: read(*some(), inputs="source"), "no source of spikes 'source'"),
        (lambda: read(*some(), SpikeGeneratorGroup(1, [], [] * ms), inputs=[]), "among the inputs"),
        (lambda: read(*some(), readout="out"), "no group 'out'"),
        (lambda: read(*some(), surrogate={"cell": "1"}), "no group 'cell'"),
        (lambda: read(some()[1]), "no NeuronGroup"),
        (lambda: read(*stray()), "reaches 'other'"),
        (
            lambda: read(*some()[:1], PoissonInput(some()[0], "v", 3, 1 / ms, 1, when="end")),
            "slot 'end'",
        ),
        (lambda: read(*some(), network_operation(lambda: None)), "a NetworkOperation"),
        (lambda: read(*some(), NeuronGroup(1, "v : 1", dt=1 * ms)), "one time step"),
    ],
)
def test_what_a_graph_cannot_hold_is_refused_by_name(make, what):
    with pytest.raises(ValueError, match="from_brian2|synapse synapses") as refused:
        make()
    assert what in str(refused.value)
    assert len(str(refused.value)) <= 600
