"""Groups as people write them that are read exactly; with those that are refused, more than forty."""

# ruff: noqa: E501, F841 (Brian2 finds the constants of a script in its frame)

import numpy as np
import pytest
from brian2 import (
    Equations,
    Hz,
    Network,
    NeuronGroup,
    PoissonGroup,
    PoissonInput,
    SpikeMonitor,
    StateMonitor,
    StateUpdateMethod,
    Synapses,
    amp,
    defaultclock,
    ms,
    mV,
    nA,
    nS,
    pF,
    seed,
    volt,
)
from brian2.core.namespace import get_local_namespace

from neurosnn import NeuronModel

READ = {}


def read(case):
    """Note a group that is read."""
    READ[case.__name__] = case
    return case


def run(group, duration, namespace, variables):
    """Spikes and states of a group by itself."""
    seed(7)
    states = StateMonitor(group, variables, record=True, when="end") if variables else None
    spikes = SpikeMonitor(group) if group.events else None
    net = Network(*(thing for thing in (group, states, spikes) if thing is not None))
    net.run(duration, namespace=namespace)
    times = [] if spikes is None else list(zip(spikes.i[:], spikes.t_[:], strict=True))
    return times, {name: np.array(getattr(states, name)) for name in variables}


def same(group, *, duration=100 * ms, silent=False, **fields):
    """Read a group where the caller stands and compare the trajectories of both."""
    namespace = get_local_namespace(level=1)
    model = NeuronModel.from_group(group, level=1, **fields)
    again = NeuronModel.from_dict(model.to_dict()).group(group.N)
    assert again.dt_ == group.dt_
    ours, theirs = (
        run(again, duration, {}, model.states),
        run(group, duration, namespace, model.states),
    )
    assert bool(theirs[0]) != silent, "the group says nothing"
    assert ours[0] == theirs[0]
    for name in model.states:
        assert np.isfinite(theirs[1][name]).all()
        np.testing.assert_array_equal(ours[1][name], theirs[1][name], err_msg=name)
    return model


# -- read -----------------------------------------------------------------------------------------


@read
def issue():
    g = NeuronGroup(
        1,
        "dv/dt=(I-v)/tau : 1\nI : 1",
        threshold="v>1",
        reset="v=0",
        method="euler",
        namespace={"tau": 20 * ms},
    )
    g.I = 2
    g.v = 0.5
    model = same(g)
    assert model.parameters == {"I": 2.0, "tau": 20 * ms}
    assert model.initial == {"v": 0.5}
    assert model.inputs == ("v",)  # the only state


@read
def constants_of_the_script():
    tau, v_rest, v_th, R, I_ext = 10 * ms, -70 * mV, -50 * mV, 80e6 * volt / amp, 0.3 * nA
    eqs = """
    dv/dt = (v_rest - v + R*I_ext)/tau : volt  # the membrane
    """
    G = NeuronGroup(2, eqs, threshold="v > v_th", reset="v = v_rest")
    G.v = v_rest
    model = same(G)
    assert model.method == "exact"
    assert set(model.parameters) == {"tau", "v_rest", "v_th", "R", "I_ext"}


@read
def numpy_numbers():
    k, n, drive = np.float64(0.1), np.int64(3), np.array(1.3)
    t_ref = np.float64(2) * ms
    G = NeuronGroup(
        1,
        "dv/dt = (drive - v)*k/ms + 0*n/ms : 1",
        threshold="v > 1",
        reset="v = 0",
        refractory="t_ref",
    )
    assert same(G).parameters["n"] == 3


@read
def cuba():
    taum, taue, taui, Vt, Vr, El = 20 * ms, 5 * ms, 10 * ms, -50 * mV, -60 * mV, -49 * mV
    eqs = """
    dv/dt  = (ge+gi-(v-El))/taum : volt (unless refractory)
    dge/dt = -ge/taue : volt
    dgi/dt = -gi/taui : volt
    """
    P = NeuronGroup(6, eqs, threshold="v>Vt", reset="v = Vr", refractory=5 * ms, method="exact")
    P.v = "Vr + rand() * (Vt - Vr)"
    P.ge = "rand()*3*mV"
    we = 60 * 0.27 / 10 * mV
    wi = -20 * 4.5 / 10 * mV
    Ce = Synapses(P, P, on_pre="ge += we")
    Ci = Synapses(P, P, on_pre="gi += wi")
    model = same(P)
    assert model.inputs == ("ge", "gi")
    assert np.shape(model.initial["v"]) == (6,)


@read
def adex():
    C, gL, EL, VT, DeltaT = 281 * pF, 30 * nS, -70.6 * mV, -50.4 * mV, 2 * mV
    tauw, a, b, Vr = 144 * ms, 4 * nS, 0.0805 * nA, -70.6 * mV
    Vcut = VT + 5 * DeltaT
    eqs = """
    dvm/dt = (gL*(EL - vm) + gL*DeltaT*exp((vm - VT)/DeltaT) + I - w)/C : volt
    dw/dt = (a*(vm - EL) - w)/tauw : amp
    I : amp
    """
    neuron = NeuronGroup(1, model=eqs, threshold="vm>Vcut", reset="vm=Vr; w+=b", method="euler")
    neuron.vm = EL
    neuron.w = a * (neuron.vm - EL)
    neuron.I = 1 * nA
    assert same(neuron).parameters["I"] == 1 * nA


@read
def izhikevich_with_values_per_neuron():
    a, b = 0.02 / ms, 0.2 / ms
    eqs = Equations("""dv/dt = (0.04/ms/mV)*v**2+(5/ms)*v+140*mV/ms-u+I : volt
                       du/dt = a*(b*v-u) : volt/second
                       I : volt/second (constant)
                       c : volt
                       d : volt/second""")
    G = NeuronGroup(4, eqs, threshold="v >= 30*mV", reset="v = c\nu += d", method="euler")
    G.v, G.u = -70 * mV, -14 * mV / ms
    G.I = "(5 + 4*i)*mV/ms"
    G.c = [-65, -55, -50, -65] * mV
    G.d = 8 * mV / ms
    model = same(G)
    assert model.per_neuron("c")
    assert np.ndim(model.parameters["d"]) == 0


@read
def hodgkin_huxley_with_brian2s_choice():
    gl, El, EK, ENa = 10 * nS, -65 * mV, -90 * mV, 50 * mV
    g_na, g_kd, VT = 20000 * nS, 6000 * nS, -63 * mV
    Cm = 200 * pF
    eqs = """
    dv/dt = (gl*(El-v) - g_na*(m*m*m)*h*(v-ENa) - g_kd*(n*n*n*n)*(v-EK) + I)/Cm : volt
    dm/dt = 0.32*(mV**-1)*4*mV/exprel((13.*mV-v+VT)/(4*mV))/ms*(1-m)-0.28*(mV**-1)*5*mV/exprel((v-VT-40.*mV)/(5*mV))/ms*m : 1
    dn/dt = 0.032*(mV**-1)*5*mV/exprel((15.*mV-v+VT)/(5*mV))/ms*(1.-n)-.5*exp((10.*mV-v+VT)/(40.*mV))/ms*n : 1
    dh/dt = 0.128*exp((17.*mV-v+VT)/(18.*mV))/ms*(1.-h)-4./(1+exp((40.*mV-v+VT)/(5.*mV)))/ms*h : 1
    I : amp
    """
    group = NeuronGroup(
        2, eqs, threshold="v > -40*mV", refractory="v > -40*mV", method="exponential_euler"
    )
    group.v = El
    group.I = [0.3, 0.7] * nA
    same(group, duration=40 * ms)


@read
def the_second_method_of_the_list():
    tau = 10 * ms
    G = NeuronGroup(1, "dv/dt = (1.5 - v**2)/tau : 1", threshold="v > 1", reset="v = 0")
    assert same(G).method == "euler"


@read
def a_method_as_an_object():
    tau = 10 * ms
    rk2 = StateUpdateMethod.stateupdaters["rk2"]
    G = NeuronGroup(1, "dv/dt = (1.5 - v)/tau : 1", threshold="v > 1", reset="v = 0", method=rk2)
    assert same(G).method == "rk2"


@read
def noise():
    tau, sigma = 10 * ms, 0.4
    G = NeuronGroup(
        5, "dv/dt = (0.9 - v)/tau + sigma*xi*tau**-0.5 : 1", threshold="v > 1", reset="v = 0"
    )
    assert same(G).method == "euler"


@read
def multiplicative_noise():
    tau = 10 * ms
    G = NeuronGroup(
        5, "dv/dt = (1.1 - v)/tau + 0.3*v*xi*tau**-0.5 : 1", threshold="v > 1", reset="v = 0"
    )
    assert same(G).method == "heun"


@read
def its_own_time_step():
    tau = 10 * ms
    G = NeuronGroup(1, "dv/dt = (1.5 - v)/tau : 1", threshold="v > 1", reset="v = 0", dt=0.5 * ms)
    model = same(G)
    assert model.dt == 0.5 * ms
    with pytest.raises(ValueError, match=r"the time step is 1. ms, that of the model .* 0.5 ms"):
        model.group(1, dt=1 * ms)


@read
def another_default_time_step():
    defaultclock.dt = 0.25 * ms
    tau = 10 * ms
    G = NeuronGroup(1, "dv/dt = (1.5 - v)/tau : 1", threshold="v > 1", reset="v = 0")
    assert same(G).dt is None


@read
def statements_comments_and_indentation():
    tau = 10 * ms
    G = NeuronGroup(
        2,
        """
          dv/dt = (2 - a - v)/tau : 1   # potential; of the soma
        da/dt = -a/(50*ms) : 1

              last : second
        """,
        threshold="v > 1",
        reset="""
            v = 0   # back to rest
              a += 0.1; last = t
        """,
    )
    model = same(G)
    assert set(model.states) == {"v", "a", "last"}
    assert model.initial == {}


@read
def integer_and_boolean_variables():
    tau, burst = 10 * ms, 3
    G = NeuronGroup(
        2,
        """dv/dt = (2 - v)/tau : 1
        count : integer
        tired : boolean
        gain : integer (constant)""",
        threshold="v*gain > 1 and not tired",
        reset="v = 0; count += 1; tired = count >= burst",
    )
    G.count = [0, 1]
    G.gain = [1, 2]
    model = same(G)
    assert model.initial["count"].tolist() == [0, 1]


@read
def a_threshold_that_is_a_state():
    tau = 10 * ms
    G = NeuronGroup(
        1,
        "dv/dt = (2 - v)/tau : 1\nready : boolean\nlimit : 1 (shared)",
        threshold="ready",
        reset="v = 0; ready = False",
    )
    G.limit = 1.2
    G.run_regularly("ready = v > limit", when="groups", order=1)
    model = same(G)
    assert model.step == "ready = v > limit"
    assert model.parameters["limit"] == 1.2


@read
def a_threshold_with_or():
    tau = 10 * ms
    G = NeuronGroup(
        1,
        "dv/dt = (2 - v)/tau : 1\nclock = t : second",
        threshold="(v)*(v) > 1.5 or (clock > 50*ms and v > 0.5)",
        reset="v = 0",
    )
    same(G)


@read
def subexpressions():
    tau, g = 10 * ms, 2.0
    G = NeuronGroup(
        3,
        """dv/dt = (drive - v)/tau : 1
        drive = g*base + shift : 1
        base = 0.5 + 0.2*sin(2*pi*20*Hz*t) : 1 (constant over dt)
        shift : 1
        level = 1 + 0.1*i : 1""",
        threshold="v > level",
        reset="v = 0",
    )
    G.shift = [0.2, 0.3, 0.4]
    same(G)


@read
def run_regularly_after_the_update():
    tau = 10 * ms
    G = NeuronGroup(2, "dv/dt = -v/tau : 1\nn : 1", threshold="v > 1", reset="v = 0")
    G.run_regularly("v += 0.05*rand()  # kicks", when="before_thresholds")
    G.run_regularly("n += 1; v = clip(v, 0, inf)", when="after_groups")
    assert same(G).step == "n += 1\nv = clip(v, 0, inf)\nv += 0.05*rand()"


@read
def run_regularly_without_dynamics():
    G = NeuronGroup(2, "v : 1\nrate : 1", threshold="v > 1", reset="v = 0")
    G.rate = [0.1, 0.2]
    G.run_regularly("v += rate")
    assert same(G).parameters["rate"].tolist() == [0.1, 0.2]


@read
def a_readout():
    tau = 20 * ms
    G = NeuronGroup(3, "dv/dt = (1 - v)/tau : 1")
    same(G, silent=True)


@read
def poisson_neurons_with_equations():
    tau = 20 * ms
    G = NeuronGroup(
        4, "drate/dt = (200*Hz - rate)/tau : Hz", threshold="rand() < rate*dt", reset=""
    )
    same(G)


@read
def a_refractory_period_per_neuron():
    tau = 5 * ms
    G = NeuronGroup(
        3,
        "dv/dt = (2 - v)/tau : 1 (unless refractory)\nref : second",
        threshold="v > 1",
        reset="v = 0",
        refractory="ref",
    )
    G.ref = "(1 + 3*i)*ms"
    assert same(G).refractory == "ref"


@read
def with_monitors_and_input():
    tau, w = 10 * ms, 0.4
    G = NeuronGroup(
        3, "dv/dt = (1.2 - v)/tau : 1\ndx/dt = -x/tau : 1", threshold="v > 1", reset="v = 0"
    )
    source = PoissonGroup(5, 20 * Hz)
    S = Synapses(source, G, "w : 1", on_pre="v_post += w; x_post -= 1")
    S.connect()
    drive = PoissonInput(G, "x", 10, 1 * Hz, 0.1)
    M = StateMonitor(G, "v", record=0)
    everything = Network(source, G, S, M)
    for given, found in (
        ({}, ("v", "x")),
        ({"synapses": S}, ("v", "x")),
        ({"synapses": drive}, ("x",)),
        ({"synapses": everything}, ("v", "x")),
        ({"synapses": []}, ()),
        ({"inputs": "x"}, ("x",)),
    ):
        assert NeuronModel.from_group(G, **given).inputs == found
    everything.remove(G)
    same(G)


@read
def a_summed_variable_is_a_state():
    tau = 10 * ms
    G = NeuronGroup(2, "dv/dt = (1.5 + g - v)/tau : 1\ng : 1", threshold="v > 1", reset="v = 0")
    S = Synapses(
        G, G, "ds/dt = -s/tau : 1 (clock-driven)\ng_post = s : 1 (summed)", on_pre="s += 1"
    )
    model = same(G)
    assert "g" in model.states
    assert model.inputs == ()


@read
def substituted_names():
    eqs = Equations("dx/dt = (1.5 - x)/tau : 1", x="V", tau=10 * ms)
    G = NeuronGroup(1, eqs, threshold="V > 1", reset="V = 0")
    assert same(G).states == ("V",)


@read
def a_name_that_brian2_knows_better():
    e, tau = 5.0, 10 * ms  # Brian2 uses its own e, with a warning
    G = NeuronGroup(
        1, "dv/dt = (e/2 - v)/tau : 1", threshold="v > 1", reset="v = 0", method="exact"
    )
    assert "e" not in same(G).parameters


@pytest.mark.parametrize("case", READ)
def test_read_exactly(case):
    READ[case]()
