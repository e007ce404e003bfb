"""EventProp by default, for membranes in volts, amperes and siemens, against exact differences."""

import numpy as np
import pytest
from brian2 import Mohm, ms, mV, nS, pF
from reference.hybrid_neuron import HybridNeuron
from single_neurons import Single, measure

from neurosnn import NeuronModel

DURATION, DT = 40e-3, 2e-6
#: A step of the forward pass has an error of its own, largest for Hodgkin-Huxley's channels.
SHIFT = 0.15e-3

pytestmark = pytest.mark.slow
TIMES = (2e-3, 4e-3, 9e-3)


def neuron(
    text, threshold, reset, parameters, exact, weights, *, channel="I", method="euler", **other
):
    """A model, its exact form, and the weights of three input spikes."""
    model = NeuronModel(
        equations=text,
        threshold=threshold,
        reset=reset,
        method=method,
        inputs=(channel,),
        parameters=parameters,
        **other,
    )
    return Single(model, HybridNeuron(**exact), TIMES, weights)


def leaky(held=False):
    """A LIF neuron with a synaptic current in volts, as in the tutorials of Brian2."""
    return neuron(
        "dv/dt = (I - v)/tau : volt" + " (unless refractory)" * held + "\ndI/dt = -I/tau_s : volt",
        "v > v_th",
        "v = 0*mV",
        {"tau": 20 * ms, "tau_s": 5 * ms, "v_th": 20 * mV},
        {
            "flow": lambda t, h, last, free: (
                (h[1] - h[0]) / 20e-3 * (free or not held),
                -h[1] / 5e-3,
            ),
            "margin": lambda t, h, last: h[0] - 20e-3,
            "jump": lambda t, h: (0.0, h[1]),
            "rest": (lambda t, h, last: t - last - 3e-3) if held else None,
        },
        (0.12, 0.12, 0.1),
        refractory=3 * ms if held else False,
    )


def ampere():
    """Current in nA through a membrane resistance."""
    return neuron(
        "dv/dt = (E_L - v + R*I)/tau : volt\ndI/dt = -I/tau_s : amp",
        "v > v_th",
        "v = E_L - 5*mV",
        {"tau": 10 * ms, "tau_s": 4 * ms, "R": 100 * Mohm, "E_L": -70 * mV, "v_th": -50 * mV},
        {
            "flow": lambda t, h, last, free: ((-70e-3 - h[0] + 100e6 * h[1]) / 10e-3, -h[1] / 4e-3),
            "margin": lambda t, h, last: h[0] + 50e-3,
            "jump": lambda t, h: (-75e-3, h[1]),
            "initial": (-70e-3, 0.0),
        },
        (0.7e-9, 0.6e-9, 0.8e-9),
        initial={"v": -70 * mV},
    )


def conductance(held=False):
    """Conductance-based LIF of Vogels and Abbott 2005, with its rest of 5 ms or none."""
    return neuron(
        "dv/dt = (g_L*(E_L - v) + g*(E_e - v))/C : volt"
        + " (unless refractory)" * held
        + "\ndg/dt = -g/tau_s : siemens",
        "v > -50*mV",
        "v = -60*mV",
        {"g_L": 10 * nS, "C": 200 * pF, "E_L": -60 * mV, "E_e": 0 * mV, "tau_s": 5 * ms},
        {
            "flow": lambda t, h, last, free: (
                (10e-9 * (-60e-3 - h[0]) + h[1] * (0 - h[0])) / 200e-12 * (free or not held),
                -h[1] / 5e-3,
            ),
            "margin": lambda t, h, last: h[0] + 50e-3,
            "jump": lambda t, h: (-60e-3, h[1]),
            "rest": (lambda t, h, last: t - last - 5e-3) if held else None,
            "initial": (-60e-3, 0.0),
        },
        (12e-9, 10e-9, 14e-9),
        channel="g",
        initial={"v": -60 * mV},
        refractory=5 * ms if held else False,
    )


def magnesium():
    """A synapse with the voltage dependence of NMDA receptors (Jahr and Stevens 1990)."""
    return neuron(
        "dv/dt = (g_L*(E_L - v) + g*(E_e - v)/(1 + exp(-v/(16.13*mV))/3.57))/C : volt\n"
        "dg/dt = -g/tau_s : siemens",
        "v > -50*mV",
        "v = -60*mV",
        {"g_L": 10 * nS, "C": 200 * pF, "E_L": -65 * mV, "E_e": 0 * mV, "tau_s": 30 * ms},
        {
            "flow": lambda t, h, last, free: (
                (
                    10e-9 * (-65e-3 - h[0])
                    + h[1] * (0 - h[0]) / (1 + np.exp(-h[0] / 16.13e-3) / 3.57)
                )
                / 200e-12,
                -h[1] / 30e-3,
            ),
            "margin": lambda t, h, last: h[0] + 50e-3,
            "jump": lambda t, h: (-60e-3, h[1]),
            "initial": (-65e-3, 0.0),
        },
        (60e-9, 50e-9, 30e-9),
        channel="g",
        initial={"v": -65 * mV},
    )


def exponential():
    """Exponential integrate-and-fire (Fourcaud-Trocme et al. 2003) with a conductance.

    It is cut four slope factors above v_T: the relative error of an Euler step there is half of dt df/dv.
    """
    return neuron(
        "dv/dt = (g_L*(E_L - v) + g_L*D*exp((v - v_T)/D) + g*(0*mV - v))/C : volt\n"
        "dg/dt = -g/tau_s : siemens",
        "v > -36*mV",
        "v = -65*mV",
        {
            "g_L": 10 * nS,
            "C": 100 * pF,
            "E_L": -65 * mV,
            "v_T": -50 * mV,
            "D": 3.5 * mV,
            "tau_s": 5 * ms,
        },
        {
            "flow": lambda t, h, last, free: (
                (10e-9 * (-65e-3 - h[0] + 3.5e-3 * np.exp((h[0] + 50e-3) / 3.5e-3)) - h[1] * h[0])
                / 100e-12,
                -h[1] / 5e-3,
            ),
            "margin": lambda t, h, last: h[0] + 36e-3,
            "jump": lambda t, h: (-65e-3, h[1]),
            "initial": (-65e-3, 0.0),
        },
        (8e-9, 6e-9, 20e-9),
        channel="g",
        initial={"v": -65 * mV},
    )


def adex():
    """Adaptive exponential integrate-and-fire, parameters of Brette and Gerstner 2005."""
    return neuron(
        "dv/dt = (g_L*(E_L - v) + g_L*D*exp((v - v_T)/D) - a + I)/C : volt\n"
        "da/dt = (4*nS*(v - E_L) - a)/(144*ms) : amp\ndI/dt = -I/tau_s : amp",
        "v > -42.4*mV",
        "v = -70.6*mV\na += 80.5*pA",
        {
            "g_L": 30 * nS,
            "C": 281 * pF,
            "E_L": -70.6 * mV,
            "v_T": -50.4 * mV,
            "D": 2 * mV,
            "tau_s": 5 * ms,
        },
        {
            "flow": lambda t, h, last, free: (
                (30e-9 * (-70.6e-3 - h[0] + 2e-3 * np.exp((h[0] + 50.4e-3) / 2e-3)) - h[1] + h[2])
                / 281e-12,
                (4e-9 * (h[0] + 70.6e-3) - h[1]) / 144e-3,
                -h[2] / 5e-3,
            ),
            "margin": lambda t, h, last: h[0] + 42.4e-3,
            "jump": lambda t, h: (-70.6e-3, h[1] + 80.5e-12, h[2]),
            "initial": (-70.6e-3, 0.0, 0.0),
        },
        (1.6e-9, 1.6e-9, 1.8e-9),
        initial={"v": -70.6 * mV},
    )


def izhikevich():
    """Regular spiking cortical neuron of Izhikevich 2007, with its units."""
    return neuron(
        "dv/dt = (k*(v - v_r)*(v - v_t) - u + I)/C : volt\n"
        "du/dt = a*(b*(v - v_r) - u) : amp\ndI/dt = -I/tau_s : amp",
        "v > 35*mV",
        "v = -50*mV\nu += 100*pA",
        {
            "k": 0.7 * nS / mV,
            "C": 100 * pF,
            "v_r": -60 * mV,
            "v_t": -40 * mV,
            "a": 0.03 / ms,
            "b": -2 * nS,
            "tau_s": 5 * ms,
        },
        {
            "flow": lambda t, h, last, free: (
                (0.7e-6 * (h[0] + 60e-3) * (h[0] + 40e-3) - h[1] + h[2]) / 100e-12,
                30.0 * (-2e-9 * (h[0] + 60e-3) - h[1]),
                -h[2] / 5e-3,
            ),
            "margin": lambda t, h, last: h[0] - 35e-3,
            "jump": lambda t, h: (-50e-3, h[1] + 100e-12, h[2]),
            "initial": (-60e-3, 0.0, 0.0),
        },
        (0.6e-9, 0.5e-9, 0.5e-9),
        initial={"v": -60 * mV},
    )


def quadratic():
    """Quadratic integrate-and-fire in volts."""
    return neuron(
        "dv/dt = ((v - v_r)*(v - v_t)/(10*mV) + R*I)/tau : volt\ndI/dt = -I/tau_s : amp",
        "v > -30*mV",
        "v = -68*mV",
        {"v_r": -65 * mV, "v_t": -50 * mV, "tau": 10 * ms, "R": 100 * Mohm, "tau_s": 5 * ms},
        {
            "flow": lambda t, h, last, free: (
                ((h[0] + 65e-3) * (h[0] + 50e-3) / 10e-3 + 100e6 * h[1]) / 10e-3,
                -h[1] / 5e-3,
            ),
            "margin": lambda t, h, last: h[0] + 30e-3,
            "jump": lambda t, h: (-68e-3, h[1]),
            "initial": (-65e-3, 0.0),
        },
        (0.5e-9, 0.4e-9, 0.5e-9),
        initial={"v": -65 * mV},
    )


def moving_threshold():
    """A threshold that jumps and decays, in volts, and the membrane loses a fixed amount."""
    return neuron(
        "dv/dt = (I - v)/tau : volt\ndth/dt = (15*mV - th)/(30*ms) : volt\ndI/dt = -I/tau_s : volt",
        "v > th",
        "v -= 12*mV\nth += 4*mV",
        {"tau": 20 * ms, "tau_s": 5 * ms},
        {
            "flow": lambda t, h, last, free: (
                (h[2] - h[0]) / 20e-3,
                (15e-3 - h[1]) / 30e-3,
                -h[2] / 5e-3,
            ),
            "margin": lambda t, h, last: h[0] - h[1],
            "jump": lambda t, h: (h[0] - 12e-3, h[1] + 4e-3, h[2]),
            "initial": (0.0, 15e-3, 0.0),
        },
        (0.11, 0.1, 0.13),
        initial={"th": 15 * mV},
    )


def afterhyperpolarization():
    """A potassium conductance that opens at each spike."""
    return neuron(
        "dv/dt = (g_L*(E_L - v) + a*(E_K - v) + g*(0*mV - v))/C : volt\n"
        "da/dt = -a/(50*ms) : siemens\ndg/dt = -g/tau_s : siemens",
        "v > -52*mV",
        "v = -62*mV\na += 3*nS",
        {"g_L": 10 * nS, "C": 200 * pF, "E_L": -65 * mV, "E_K": -80 * mV, "tau_s": 5 * ms},
        {
            "flow": lambda t, h, last, free: (
                (10e-9 * (-65e-3 - h[0]) + h[1] * (-80e-3 - h[0]) - h[2] * h[0]) / 200e-12,
                -h[1] / 50e-3,
                -h[2] / 5e-3,
            ),
            "margin": lambda t, h, last: h[0] + 52e-3,
            "jump": lambda t, h: (-62e-3, h[1] + 3e-9, h[2]),
            "initial": (-65e-3, 0.0, 0.0),
        },
        (16e-9, 14e-9, 16e-9),
        channel="g",
        initial={"v": -65 * mV},
    )


def alpha():
    """An alpha-shaped conductance: the spike starts its rise."""
    return neuron(
        "dv/dt = (g_L*(E_L - v) + g*(0*mV - v))/C : volt\ndg/dt = (x - g)/(3*ms) : siemens\n"
        "dx/dt = -x/tau_s : siemens",
        "v > -50*mV",
        "v = -60*mV",
        {"g_L": 10 * nS, "C": 200 * pF, "E_L": -60 * mV, "tau_s": 4 * ms},
        {
            "flow": lambda t, h, last, free: (
                (10e-9 * (-60e-3 - h[0]) - h[1] * h[0]) / 200e-12,
                (h[2] - h[1]) / 3e-3,
                -h[2] / 4e-3,
            ),
            "margin": lambda t, h, last: h[0] + 50e-3,
            "jump": lambda t, h: (-60e-3, h[1], h[2]),
            "initial": (-60e-3, 0.0, 0.0),
        },
        (16e-9, 14e-9, 12e-9),
        channel="x",
        initial={"v": -60 * mV},
    )


def _rate(a, x, b):
    """a x / (exp(x/b) - 1), as in Traub and Miles."""
    return a * x / np.expm1(x / b)


def hodgkin_huxley():
    """The Hodgkin-Huxley neuron of Brette et al. 2007, refractory while its membrane is high."""
    text = """
    dv/dt = (g_L*(E_L - v) + g*(0*mV - v) - g_Na*m**3*h*(v - E_Na) - g_K*n**4*(v - E_K))/C : volt
    dm/dt = 0.32/mV*(13*mV - v + VT)/(exp((13*mV - v + VT)/(4*mV)) - 1)/ms*(1 - m)
            - 0.28/mV*(v - VT - 40*mV)/(exp((v - VT - 40*mV)/(5*mV)) - 1)/ms*m : 1
    dn/dt = 0.032/mV*(15*mV - v + VT)/(exp((15*mV - v + VT)/(5*mV)) - 1)/ms*(1 - n)
            - 0.5*exp((10*mV - v + VT)/(40*mV))/ms*n : 1
    dh/dt = 0.128*exp((17*mV - v + VT)/(18*mV))/ms*(1 - h)
            - 4/(1 + exp((40*mV - v + VT)/(5*mV)))/ms*h : 1
    dg/dt = -g/tau_s : siemens
    """
    vt = -63e-3

    def flow(t, h, last, free):
        v, m, n, inactive, g = h
        am = _rate(0.32e6, 13e-3 - v + vt, 4e-3)
        bm = _rate(0.28e6, v - vt - 40e-3, 5e-3)
        an = _rate(0.032e6, 15e-3 - v + vt, 5e-3)
        bn = 0.5e3 * np.exp((10e-3 - v + vt) / 40e-3)
        ah = 0.128e3 * np.exp((17e-3 - v + vt) / 18e-3)
        bh = 4e3 / (1 + np.exp((40e-3 - v + vt) / 5e-3))
        current = (
            10e-9 * (-60e-3 - v)
            - g * v
            - 20e-6 * m**3 * inactive * (v - 50e-3)
            - 6e-6 * n**4 * (v + 90e-3)
        )
        return (
            current / 200e-12,
            am * (1 - m) - bm * m,
            an * (1 - n) - bn * n,
            ah * (1 - inactive) - bh * inactive,
            -g / 5e-3,
        )

    return neuron(
        text,
        "v > -20*mV",
        "",
        {
            "g_L": 10 * nS,
            "C": 200 * pF,
            "E_L": -60 * mV,
            "E_Na": 50 * mV,
            "E_K": -90 * mV,
            "g_Na": 20000 * nS,
            "g_K": 6000 * nS,
            "VT": -63 * mV,
            "tau_s": 5 * ms,
        },
        {
            "flow": flow,
            "margin": lambda t, h, last: h[0] + 20e-3,
            "jump": lambda t, h: h,
            "rest": lambda t, h, last: -20e-3 - h[0],
            "initial": (-65e-3, 0.05, 0.1, 0.9, 0.0),
        },
        (30e-9, 30e-9, 60e-9),
        channel="g",
        initial={"v": -65 * mV, "m": 0.05, "n": 0.1, "h": 0.9},
        refractory="v > -20*mV",
        method="exponential_euler",
    )


MODELS = {
    "current in volts": leaky(),
    "current in volts, with rest": leaky(held=True),
    "current in amperes": ampere(),
    "conductance": conductance(),
    "conductance, with rest": conductance(held=True),
    "NMDA conductance": magnesium(),
    "exponential": exponential(),
    "AdEx": adex(),
    "Izhikevich 2007": izhikevich(),
    "quadratic": quadratic(),
    "adaptive threshold": moving_threshold(),
    "afterhyperpolarization": afterhyperpolarization(),
    "alpha conductance": alpha(),
    "Hodgkin-Huxley": hodgkin_huxley(),
}


@pytest.fixture(scope="module")
def measured():
    return measure(list(MODELS.values()), duration=DURATION, dt=DT)


@pytest.mark.parametrize("name", MODELS)
def test_default_in_any_unit_equals_differences(name, measured):
    k = list(MODELS).index(name)
    assert len(measured.exact[k]) >= 2, "too few spikes"
    np.testing.assert_allclose(measured.grid[k], measured.exact[k], atol=SHIFT)
    ours, theirs = measured.ours[k], measured.theirs[k]
    assert np.linalg.norm(ours - theirs) < 0.02 * np.linalg.norm(theirs)
