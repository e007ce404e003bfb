"""Named neurons against closed forms, published numbers, and an integration without a time grid."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from brian2 import (
    Network,
    NeuronGroup,
    Quantity,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    TimedArray,
    defaultclock,
    mM,
    ms,
    mV,
    nA,
    nS,
    pA,
    second,
)
from brian2.equations.equations import DIFFERENTIAL_EQUATION, Equations
from brian2.units.stdunits import cm2, uA
from fuzz import flows
from reference.hybrid_neuron import of_strings, run
from scipy.integrate import quad
from scipy.optimize import brentq
from single_neurons import dense

from neurosnn import Input, Layer, NeuronModel, Readout, SpikingNetwork, equations
from neurosnn.data import SpikeTrials
from neurosnn.engine import Engine
from neurosnn.equations import receptors
from neurosnn.equations.adex import PATTERNS

AREA = uA / cm2
DURATION = 600 * ms
#: Constant currents of the neurons of each model, in uA/cm2.
CURRENTS = {
    "ExponentialIF": [0.155, 0.17, 0.5, 1, 2],
    "QuadraticIF": [0.155, 0.17, 0.5, 1, 2],
    "HodgkinHuxley": [2, 6.2, 6.4, 10, 20, 160],
    "WangBuzsaki": [0.155, 0.17, 0.5, 1, 10, 20],
    "MorrisLecar": [80, 100, 150, 220],
}


def driven():
    """Models in constant currents, by name."""
    found = {
        name: getattr(equations, name)(I_ext=currents * AREA) for name, currents in CURRENTS.items()
    }
    found["SNIC"] = equations.MorrisLecar(regime="SNIC", I_ext=[39.5, 40.5, 60] * AREA)
    found["TraubMiles"] = equations.TraubMiles(E_L=-65 * mV, I_ext=[0, 100, 500, 1000] * pA)
    found["AdEx"] = equations.AdEx(I_ext=[0.5, 1] * nA)
    no_adaptation = {"a": 0 * nS, "b": 0 * pA}
    found["rheobase"] = equations.AdEx(I_ext=[0.99 * RHEOBASE, 1.01 * RHEOBASE], **no_adaptation)
    return found | {name: equations.AdEx(pattern=name) for name in PATTERNS}


#: g_L*(V_T - E_L - Delta_T)
RHEOBASE = 30 * nS * (-50.4 + 70.6 - 2) * mV


def simulated(dt):
    """Spike times in ms: of each model a list by neuron."""
    models = driven()
    sizes = {name: int(np.size(model.parameters["I_ext"])) for name, model in models.items()}
    layers = [Layer(model, sizes[name], name=name) for name, model in models.items()]
    dimensionless, step = Quantity(1.0).dim, float(dt)
    connections = {
        f"{name}_out": dense(f"{name}_out", name, "readout", np.zeros((n, 1)), dimensionless, step)
        for name, n in sizes.items()
    }
    net = SpikingNetwork(Input(1), *layers, Readout(1), dt=dt, connections=connections)
    trial = SpikeTrials(
        times=[],
        units=[],
        offsets=[0, 0],
        labels=[0],
        n_channels=1,
        duration=DURATION,
        class_names=("all",),
    )
    found = Engine(net, dtype="float64", threads=1).simulate(trial).spikes
    return {
        name: [(found[name][0][0][found[name][0][1] == k] + 1) * step * 1e3 for k in range(n)]
        for name, n in sizes.items()
    }


@pytest.fixture(scope="module")
def spikes():
    return simulated(0.01 * ms)


@pytest.fixture(scope="module")
def coarse():
    return simulated(0.02 * ms)


def interval(times):
    """The last of the intervals between spikes, in ms."""
    return float(np.diff(times)[-1])


def oracle(model, current=0.0, initial=None, t_ref=0.0):
    """The strings of a model, read by Brian2's own parser and integrated without a time grid; SI units."""
    values = {name: float(value) for name, value in model.parameters.items() if not np.ndim(value)}
    return of_strings(
        model.equations,
        model.threshold,
        model.reset,
        values=values | {"I_ext": float(current)},
        initial=initial or {},
        t_ref=t_ref,
        inputs=model.inputs[0],
    )


def holding(model):
    """The flow of a neuron by variable, and the state that a constant current holds at v (V)."""
    neuron = oracle(model)
    own = Equations(model.equations)
    states = [name for name in own.names if own[name].type == DIFFERENTIAL_EQUATION]
    gates = [name for name in states if name not in ("v", *model.inputs)]

    def slope(name, state):
        h = np.array([state.get(other, 0.0) for other in states])
        return float(neuron.flow(0.0, h, 0.0, True)[states.index(name)])

    flow = {name: partial(slope, name) for name in states}

    def state(v):
        found = {"v": v}
        for gate in gates:
            found[gate] = brentq(lambda x, gate=gate: flow[gate](found | {gate: x}), 0, 1)
        return found

    return flow, state


def held_by(model, v):
    """The current (uA/cm2) that holds v (V)."""
    flow, state = holding(model)
    return -float(model.parameters["C"]) * flow["v"](state(v)) * 100


def growth(model, v):
    """Largest real part of the eigenvalues of the flow (1/s) where v is held."""
    flow, state = holding(model)
    h = state(v)
    jacobian = np.empty((len(h), len(h)))
    for k, name in enumerate(h):
        step = 1e-6 * max(abs(h[name]), 1e-2)
        for row, other in enumerate(h):
            up, down = (flow[other](h | {name: h[name] + sign * step}) for sign in (1, -1))
            jacobian[row, k] = (up - down) / (2 * step)
    return np.linalg.eigvals(jacobian).real.max()


def fold(model, low, high):
    """The largest current (uA/cm2) that holds the neuron between two potentials (mV)."""
    return max(held_by(model, v * 1e-3) for v in np.linspace(low, high, 60))


def hopf(model, low, high):
    """The current (uA/cm2) at which rest loses its stability between two potentials (mV)."""
    v = brentq(lambda v: growth(model, v), low * 1e-3, high * 1e-3, xtol=1e-8)
    return held_by(model, v)


# -- exponential and quadratic ----------------------------------------------------------------------


def period(model, current):
    """Time from reset to the cut and the rest after it, by quadrature, in ms."""
    p = {name: float(value) for name, value in model.parameters.items() if not np.ndim(value)}
    flow, _ = holding(model)
    drive = float(current * AREA) / p["C"]
    time, _ = quad(lambda v: 1 / (flow["v"]({"v": v}) + drive), p["V_r"], p["v_peak"], limit=200)
    return 1e3 * (time + p["t_ref"])


def test_the_exponential_neuron_fires_as_its_flow_says(spikes):
    model = driven()["ExponentialIF"]
    rheobase = 0.1 * (65 - 59.9 - 3.48)
    assert rheobase == pytest.approx(0.162)
    assert CURRENTS["ExponentialIF"][0] < rheobase < CURRENTS["ExponentialIF"][1]
    assert len(spikes["ExponentialIF"][0]) == 0
    for current, times in list(
        zip(CURRENTS["ExponentialIF"], spikes["ExponentialIF"], strict=True)
    )[1:]:
        assert interval(times) == pytest.approx(period(model, current), rel=0.01, abs=2 * 0.01)


def test_the_quadratic_neuron_has_its_closed_period(spikes):
    I_T, delta = 0.1 * (65 - 59.9 - 3.48), 3.48
    assert len(spikes["QuadraticIF"][0]) == 0
    for current, times in list(zip(CURRENTS["QuadraticIF"], spikes["QuadraticIF"], strict=True))[
        1:
    ]:
        s = np.sqrt(2 * delta * (current - I_T) / 0.1)  # mV
        turns = np.arctan(59.9 / s) - np.arctan((-68 + 59.9) / s)
        expected = 1.7 + 2 * 10 * delta / s * turns
        assert interval(times) == pytest.approx(expected, rel=0.005, abs=2 * 0.01)


def test_rheobase_of_adex_without_adaptation(spikes):
    quiet, firing = spikes["rheobase"]
    assert len(quiet) == 0
    assert len(firing) > 2
    np.testing.assert_allclose(np.diff(firing), interval(firing), atol=0.02)


def test_adex_adapts_as_the_published_neuron(spikes):
    """0.5 nA is below the rheobase of 0.6 nA; 1 nA makes intervals that grow to a constant one."""
    quiet, firing = spikes["AdEx"]
    assert len(quiet) == 0
    steps = np.diff(firing)
    assert np.all(np.diff(steps) > -0.02)
    assert steps[0] < 15
    assert steps[-1] == pytest.approx(36, abs=1)


def test_firing_patterns_of_adex(spikes):
    """What figure 4 of Naud et al. (2008) shows, panel by panel."""
    steps = {name: np.diff(spikes[name][0]) for name in PATTERNS}
    assert len(steps["tonic"]) > 50
    assert np.ptp(steps["tonic"][20:]) < 0.05 * steps["tonic"][-1]
    assert steps["adapting"][-1] > 5 * steps["adapting"][0]
    assert np.all(np.diff(steps["adapting"][:8]) > 0)
    burst = steps["initial_burst"]
    assert np.all(burst[:2] < 10)
    assert np.all(burst[2:] > 50)
    assert np.ptp(burst[4:]) < 0.1
    bursting = steps["regular_bursting"][2:]
    assert np.all(bursting[::2] > 100)
    assert np.all(bursting[1::2] < 10)
    late = steps["delayed_accelerating"]
    assert spikes["delayed_accelerating"][0][0] > 30
    assert np.all(np.diff(late[:15]) < 0)
    delayed = steps["delayed_regular_bursting"]
    assert spikes["delayed_regular_bursting"][0][0] > 50
    assert np.flatnonzero(delayed > 50).tolist() == list(range(3, len(delayed), 4))
    assert len(spikes["transient"][0]) == 1
    irregular = steps["irregular"]
    assert len(np.unique(np.round(irregular))) > 10
    assert irregular.max() > 5 * irregular.min()


def test_an_unknown_pattern_and_regime_are_refused():
    with pytest.raises(ValueError, match=r"AdEx: unknown firing pattern 'chattering'.*tonic"):
        equations.AdEx(pattern="chattering")
    with pytest.raises(ValueError, match=r"MorrisLecar: unknown regime 'hopf'.*Hopf, SNIC"):
        equations.MorrisLecar(regime="hopf")
    model = equations.AdEx(pattern="adapting", b=0 * pA)
    assert model.parameters["b"] == 0 * pA
    assert model.parameters["g_L"] == 12 * nS


# -- conductances ---------------------------------------------------------------------------------------


def without_grid(model, current, duration, longest=2e-3):
    """Spikes in ms by an integrator with error control, of neurons that are up for less than `longest`."""
    model = model.with_parameters(I_ext=current)
    group = model.group(1)
    start = {name: float(group.variables[name].get_value()[0]) for name in model.states}
    return 1e3 * np.array(
        run(oracle(model, current, start, longest), [], [], duration * 1e-3).spikes
    )


@pytest.mark.parametrize(
    ("name", "k", "current"),
    [
        ("HodgkinHuxley", 3, 10 * AREA),
        ("WangBuzsaki", 3, 1 * AREA),
        ("MorrisLecar", 2, 150 * AREA),
        ("TraubMiles", 2, 500 * pA),
    ],
)
def test_periods_are_those_without_a_grid(spikes, coarse, name, k, current):
    """Both methods are of first order: what two time steps leave is an error of second order."""
    slow = (
        {"duration": 150, "longest": 50e-3}
        if name == "MorrisLecar"
        else {"duration": 65, "longest": 2e-3}
    )
    expected = interval(without_grid(driven()[name], current, **slow))
    fine, rough = (np.diff(found[name][k][3:]).mean() for found in (spikes, coarse))
    assert 2 * fine - rough == pytest.approx(expected, rel=0.003)


def test_hodgkin_huxley_has_its_published_numbers(spikes):
    """Rest is unstable from 9.78 to 154.5 uA/cm2 (Hassard 1978); 68 Hz at 10 uA/cm2."""
    model = equations.HodgkinHuxley()
    assert hopf(model, -62, -57) == pytest.approx(9.78, abs=0.02)
    assert hopf(model, -50, -40) == pytest.approx(154.5, abs=0.5)
    quiet, below, above, ten, twenty, blocked = spikes["HodgkinHuxley"]
    assert len(quiet) == 0
    assert len(below) < 6  # repetitive firing begins near 6.3
    assert len(above) > 30
    assert 1000 / interval(ten) == pytest.approx(68, abs=1)
    assert interval(twenty) < interval(ten)
    assert len(blocked) == 1


def test_the_spike_of_hodgkin_huxley_is_100_mv_high():
    defaultclock.dt = 0.01 * ms
    group = equations.HodgkinHuxley(I_ext=10 * AREA).group(1)
    states = StateMonitor(group, "v", record=True)
    Network(group, states).run(6 * ms, namespace={})
    v = np.asarray(states.v[0] / mV)
    assert 95 < v.max() + 65 < 110
    after = np.argmax(v)
    assert -12 < v[after:].min() + 65 < -8  # towards the potential of potassium


def test_wang_buzsaki_has_its_published_curve(spikes):
    """A rate of zero at 0.16 uA/cm2, and up to 400 Hz (figure 1)."""
    assert fold(equations.WangBuzsaki(), -62, -58) == pytest.approx(0.16, abs=0.005)
    below, above, *_, twenty = spikes["WangBuzsaki"]
    assert len(below) == 0
    assert interval(above) > 100
    assert 1000 / interval(twenty) == pytest.approx(400, abs=20)


def test_morris_lecar_begins_to_fire_in_its_published_ways(spikes):
    """Hopf at 93.9 and 212 uA/cm2; a saddle-node at 39.96 (Rinzel & Ermentrout 1998)."""
    model = equations.MorrisLecar()
    assert hopf(model, -35, -20) == pytest.approx(93.86, abs=0.05)
    assert hopf(model, -5, 20) == pytest.approx(212, abs=0.5)
    quiet, firing, faster, blocked = spikes["MorrisLecar"]
    assert len(quiet) <= 1
    assert interval(firing) < 100  # a rate of its own: class II
    assert interval(faster) < interval(firing)
    assert len(blocked) <= 1
    assert fold(equations.MorrisLecar(regime="SNIC"), -32, -27) == pytest.approx(39.96, abs=0.03)
    below, above, far = spikes["SNIC"]
    assert len(below) == 0
    assert interval(above) > 200
    assert interval(far) < 60


def test_traub_miles_is_silent_at_minus_65_mv_only(spikes):
    quiet, *firing = spikes["TraubMiles"]
    assert len(quiet) == 0
    rates = [1000 / interval(times) for times in firing]
    assert rates == sorted(rates)
    assert rates[0] > 10
    benchmark = without_grid(equations.TraubMiles(), 0 * pA, 200)
    assert len(benchmark) >= 2
    assert 1000 / interval(benchmark) == pytest.approx(14, abs=1)


# -- receptors ----------------------------------------------------------------------------------


def opened(receptor, weight, duration):
    """The variables of a receptor after one spike, in a clamped membrane."""
    defaultclock.dt = 0.01 * ms
    group = NeuronGroup(1, receptor.equations, method="euler", namespace=dict(receptor.parameters))
    setattr(group, receptor.inputs[0], weight)
    conductance = receptor.equations[1:].partition("/dt")[0]
    states = StateMonitor(group, conductance, record=True, when="start")
    Network(group, states).run(duration)
    return np.asarray(states.t / ms), np.asarray(getattr(states, conductance)[0] / nS)


def test_the_weight_of_an_alpha_function_is_its_peak():
    t, g = opened(receptors.alpha("e", tau=2 * ms, E=0 * mV, source="here"), 3 * nS, 12 * ms)
    np.testing.assert_allclose(g, 3 * t / 2 * np.exp(1 - t / 2), atol=0.02)
    assert g.max() == pytest.approx(3, rel=0.005)
    assert t[g.argmax()] == pytest.approx(2, abs=0.03)


def test_nmda_rises_and_decays_as_in_wang_2002():
    t, g = opened(receptors.NMDA(), 1 * nS, 60 * ms)
    np.testing.assert_allclose(
        g, 0.5 * (np.exp(-t / 100) - np.exp(-t / 2)) / (1 / 2 - 1 / 100), atol=0.01
    )


def test_magnesium_blocks_nmda_as_in_jahr_and_stevens():
    """Half of the channels are open at 16.1 mV times log(1/3.57), -20.5 mV, and 5 percent at rest."""
    receptor = receptors.NMDA(E=0 * mV)
    text = receptor.current.replace("g_nmda*(E_nmda - v)", "1")
    model = NeuronModel(
        equations=f"dv/dt = part*volt/second : volt\npart = {text} : 1",
        threshold="v > 0*mV",
        inputs=("v",),
        method="euler",
        parameters={"Mg": 1 * mM},
    )
    flow, _ = holding(model)
    assert flow["v"]({"v": -np.log(1 / 3.57) / -0.062 * 1e-3}) == pytest.approx(0.5)
    assert flow["v"]({"v": -70e-3}) == pytest.approx(1 / (1 + np.exp(0.062 * 70) / 3.57))


def test_receptors_add_up_and_nmda_needs_euler():
    model = equations.TraubMiles(
        receptors=(receptors.AMPA(), receptors.NMDA(), receptors.GABA_A(tau=7 * ms))
    )
    assert model.inputs == ("g_ampa", "x_nmda", "g_gaba")
    assert model.method == "euler"
    assert equations.TraubMiles().method == "exponential_euler"
    assert model.parameters["tau_gaba"] == 7 * ms
    assert "Wang, Neuron 36:955 (2002)" in model.reference
    assert "Jahr & Stevens" in model.reference
    assert set(model.sources) == set(model.parameters)
    with pytest.raises(ValueError, match=r"AdEx: tau_ampa must be > 0"):
        equations.AdEx(receptors=(receptors.AMPA(tau=-1 * ms),))
    with pytest.raises(ValueError, match=r"HodgkinHuxley: equation of v"):
        equations.HodgkinHuxley(receptors=(receptors.AMPA(),))
    per_area = equations.HodgkinHuxley(receptors=(receptors.AMPA(unit="siemens/meter**2"),))
    assert per_area.inputs == ("g_ampa",)


# -- recursions ---------------------------------------------------------------------------------


def recorded(model, states, n=4, n_steps=200, scale=1.0):
    """States at the thresholds, spikes, and the input that arrived before, of stock Brian2."""
    defaultclock.dt = 1 * ms
    rng = np.random.default_rng(5)
    drive = scale * rng.exponential(size=(n_steps, n)) * (rng.random((n_steps, n)) < 0.4)
    group = model.group(n)
    values = TimedArray(drive, dt=1 * ms)
    group.namespace["values"] = values
    group.run_regularly("I += values(t, i)", when="synapses")
    monitor = StateMonitor(group, states, record=True, when="before_thresholds")
    spikes = SpikeMonitor(group)
    Network(group, monitor, spikes).run(n_steps * ms)
    z = np.zeros((n_steps, n))
    z[np.rint(spikes.t / ms).astype(int), spikes.i[:]] = 1
    assert z.sum() > 10
    return drive, {name: getattr(monitor, name).T for name in states}, z


@pytest.mark.parametrize("values", [(15.0, 180.0, 0.5, 1.0), "from the published ranges"])
def test_se_adlif_is_the_published_recursion(values):
    """With one value for all neurons, and with the values of each drawn as the published code does."""
    if isinstance(values, str):
        draw = np.random.default_rng(8).uniform
        values = draw(5, 25, 4), draw(60, 300, 4), draw(0, 1, 4), draw(0, 2, 4)
    tau_u, tau_w, a, b = values
    model = equations.SE_adLIF(tau_u=tau_u * ms, tau_w=tau_w * ms, a=a, b=b)
    drive, found, spiked = recorded(model, ["u", "w"], scale=20.0)
    alpha, beta = np.exp(-1 / tau_u), np.exp(-1 / tau_w)
    u, w = np.zeros(4), np.zeros(4)
    for t in range(len(drive)):
        arriving = drive[t - 1] if t else 0
        before = u
        u = alpha * before + (1 - alpha) * (arriving - w)
        z = (u > 1).astype(float)
        np.testing.assert_allclose(found["w"][t], w, atol=1e-12)
        np.testing.assert_allclose(found["u"][t], u, atol=1e-12)
        np.testing.assert_array_equal(spiked[t], z)
        u = u * (1 - z)
        w = beta * w + (1 - beta) * 120 * (a * u + b * z)


def test_balanced_resonate_and_fire_is_the_published_recursion():
    model = equations.BalancedResonateAndFire()
    drive, found, spiked = recorded(model, ["x", "y", "q"], scale=60.0)
    d, omega, b = 0.01, 10.0, 1.0
    x, y, q = np.zeros(4), np.zeros(4), np.zeros(4)
    for t in range(len(drive)):
        arriving = drive[t - 1] if t else 0
        damping = (-1 + np.sqrt(1 - (d * omega) ** 2)) / d - b - q
        u = (x + 1j * y) * (1 + d * (damping + 1j * omega)) + d * arriving
        x, y = u.real, u.imag
        z = (x - 1 - q > 0).astype(float)
        np.testing.assert_allclose(found["x"][t], x, atol=1e-12)
        np.testing.assert_allclose(found["y"][t], y, atol=1e-12)
        np.testing.assert_allclose(found["q"][t], q, atol=1e-12)
        np.testing.assert_array_equal(spiked[t], z)
        q = 0.9 * q + z
    with pytest.raises(ValueError, match=r"delta\*omega is 1.2"):
        equations.BalancedResonateAndFire(omega=120.0)


def test_the_divergence_boundary_keeps_amplitudes():
    """Without damping, an oscillation below threshold neither grows nor shrinks."""
    defaultclock.dt = 1 * ms
    group = equations.BalancedResonateAndFire(b=0.0, omega=30.0).group(1)
    group.x = 0.5
    states = StateMonitor(group, ["x", "y"], record=True)
    Network(group, states).run(500 * ms)
    np.testing.assert_allclose(np.hypot(states.x[0], states.y[0]), 0.5, rtol=1e-12)


def test_alif_is_the_limit_of_the_adaptive_flow():
    """Spike times come together as the synapse and the time step get shorter."""
    rng = np.random.default_rng(2)
    times = np.sort(rng.uniform(0, 0.08, 24))
    late = []
    for dt in (0.1, 0.02):
        defaultclock.dt = dt * ms
        found = []
        tau_s = 5 * dt * ms
        for model, w in (
            (equations.ALIF(t_ref=0 * ms), 0.4),
            (equations.AdaptiveCurrentLIF(tau_s=tau_s), 0.4 * float(20 * ms / tau_s)),
        ):
            source = SpikeGeneratorGroup(1, np.zeros(24, int), times * second)
            group = model.group(1)
            synapses = Synapses(source, group, on_pre="I_post += weight", namespace={"weight": w})
            synapses.connect()
            spikes = SpikeMonitor(group)
            Network(source, group, synapses, spikes).run(80 * ms)
            found.append(np.asarray(spikes.t / ms))
        late.append(np.abs(found[1][:4] - found[0][:4]).max())
    assert late[1] < late[0] / 2 < 2


def test_eventprop_differentiates_the_adaptive_flow():
    """Its strings, with weights of which several make the neuron fire."""
    model = equations.AdaptiveCurrentLIF()
    case = flows.FlowCase(
        equations=model.equations,
        threshold=model.threshold,
        reset=model.reset,
        inputs=model.inputs,
        method=model.method,
        parameters={
            name: (float(model.parameters[name] / ms), "ms") for name in ("tau_m", "tau_s", "tau_a")
        }
        | {name: (model.parameters[name], "1") for name in ("beta", "v_th")},
        dt=flows.DT * 1e3,
        weights=(3.0, 4.0, 5.0, 4.0, 3.0, 5.0),
    )
    (verdict,) = flows.eventprop([case])
    assert verdict.kind == "same", verdict.reason
    assert len(case.exact[0].spikes) >= 2
