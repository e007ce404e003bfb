"""EventProp where spike times follow from more than a crossing: rest, earlier spikes, the time itself."""

import dataclasses

import numpy as np
import pytest
from brian2 import ms
from reference.hybrid_neuron import HybridNeuron
from single_neurons import Single, measure

from neurosnn import NeuronModel
from neurosnn.calculus.hybrid import hybrid_map

DURATION, DT = 40e-3, 2e-6

pytestmark = pytest.mark.slow
MEMBRANE = "dv/dt = (I - v)/tau : 1"
CURRENT = "\ndI/dt = -I/ts : 1"
HELD = " (unless refractory)"
TAU = {"tau": 20 * ms}


def membrane(h, free=True, at=1):
    return (h[at] - h[0]) / 20e-3 * free


def neuron(text, threshold, reset, exact, times, weights, *, ts=10, refractory=False, **other):
    model = NeuronModel(
        equations=text,
        threshold=threshold,
        reset=reset,
        refractory=refractory,
        method="euler",
        inputs=("I",),
        parameters={**TAU, "ts": ts * ms},
        **other,
    )
    return Single(model, HybridNeuron(**exact), times, weights)


def over_one(t, h, last):
    return h[0] - 1


def to_zero(t, h):
    return (0.0, *h[1:])


def resting(period):
    return lambda t, h, last: t - last - period


def lengthened(text, slope):
    """A spike makes u larger, which then changes as given, and the refractory period longer."""
    return neuron(
        MEMBRANE + f"\ndu/dt = {text} : 1" + CURRENT,
        "v > 1",
        "v = 0\nu += 0.5*I",
        {
            "flow": lambda t, h, last, free: (membrane(h, at=2), slope(h[1], free), -h[2] / 10e-3),
            "margin": over_one,
            "jump": lambda t, h: (0.0, h[1] + 0.5 * h[2], h[2]),
            "rest": lambda t, h, last: t - last - 1e-3 - 1e-3 * h[1],
            "initial": (0.0, 0.0, 0.0),
        },
        (2e-3, 7.5e-3),
        (12, 8),
        refractory="1*ms + u*ms",
    )


NEURONS = {
    "fires as its rest ends": neuron(
        MEMBRANE + CURRENT,
        "v > 1",
        "v = 0",
        {
            "flow": lambda t, h, last, free: (membrane(h), -h[1] / 10e-3),
            "margin": over_one,
            "jump": to_zero,
            "rest": resting(3e-3),
        },
        (2e-3, 7.5e-3),
        (12, 8),
        refractory=3 * ms,
    ),
    "drops input while it rests": neuron(
        MEMBRANE + HELD + CURRENT + HELD,
        "v > 1",
        "v = 0",
        {
            "flow": lambda t, h, last, free: (membrane(h, free), -h[1] / 10e-3 * free),
            "margin": over_one,
            "jump": to_zero,
            "rest": resting(5e-3),
            "gated": True,
        },
        (2e-3, 7e-3, 10e-3),
        (12, 1, 4),
        refractory=5 * ms,
    ),
    "drops input, the membrane moves on": neuron(
        MEMBRANE + CURRENT + HELD,
        "v > 1",
        "v = 0",
        {
            "flow": lambda t, h, last, free: (membrane(h), -h[1] / 10e-3 * free),
            "margin": over_one,
            "jump": to_zero,
            "rest": resting(5e-3),
            "gated": True,
        },
        (2e-3, 4e-3, 7e-3, 20e-3),
        (6, 1, 1, 4),
        refractory=5 * ms,
    ),
    "a kink in the flow": neuron(
        "dv/dt = (I - v + int(v > 0.5)*1.5*(v - 0.5))/tau : 1" + CURRENT,
        "v > 1",
        "v = 0",
        {
            "flow": lambda t, h, last, free: (
                (h[1] - h[0] + 1.5 * max(h[0] - 0.5, 0)) / 20e-3,
                -h[1] / 10e-3,
            ),
            "margin": over_one,
            "jump": to_zero,
        },
        (2e-3, 4e-3, 15e-3),
        (9, 4, 8),
    ),
    "works at rest only": neuron(
        "dv/dt = (I - v*(1 + 4*int(not not_refractory)))/tau : 1" + CURRENT,
        "v > 1",
        "v = 0.5",
        {
            "flow": lambda t, h, last, free: (
                (h[1] - h[0] * (5 - 4 * free)) / 20e-3,
                -h[1] / 10e-3,
            ),
            "margin": over_one,
            "jump": lambda t, h: (0.5, h[1]),
            "rest": resting(3e-3),
        },
        (2e-3, 4e-3, 15e-3),
        (6, 6, 6),
        refractory=3 * ms,
    ),
    "time in the threshold": neuron(
        MEMBRANE + CURRENT,
        "v > 1.5 - t/(40*ms)",
        "v = 0",
        {
            "flow": lambda t, h, last, free: (membrane(h), -h[1] / 5e-3),
            "margin": lambda t, h, last: h[0] - 1.5 + t / 40e-3,
            "jump": to_zero,
        },
        (2e-3, 4e-3, 15e-3),
        (6, 6, 6),
        ts=5,
    ),
    "last spike in the threshold": neuron(
        MEMBRANE + CURRENT,
        "v > 1 + exp(-(t - lastspike)/(10*ms))",
        "v = 0",
        {
            "flow": lambda t, h, last, free: (membrane(h), -h[1] / 10e-3),
            "margin": lambda t, h, last: h[0] - 1 - np.exp(-(t - last) / 10e-3),
            "jump": to_zero,
            "rest": resting(1e-3),
        },
        (2e-3, 4e-3, 15e-3),
        (6, 6, 6),
        refractory=1 * ms,
    ),
    "last spike in the flow": neuron(
        "dv/dt = (I - v)/tau*(1 - 0.8*exp(-(t - lastspike)/(5*ms))) : 1" + CURRENT,
        "v > 1",
        "v = 0",
        {
            "flow": lambda t, h, last, free: (
                membrane(h) * (1 - 0.8 * np.exp(-(t - last) / 5e-3)),
                -h[1] / 10e-3,
            ),
            "margin": over_one,
            "jump": to_zero,
            "rest": resting(1e-3),
        },
        (2e-3, 4e-3, 15e-3),
        (6, 6, 6),
        refractory=1 * ms,
    ),
    "reset keeps the current and the time": neuron(
        MEMBRANE + CURRENT + "\na : 1\nb : 1",
        "v > 1 + a + b",
        "v = 0\na = 0.2*I\nb = t/(50*ms)",
        {
            "flow": lambda t, h, last, free: (membrane(h, at=3), 0.0, 0.0, -h[3] / 10e-3),
            "margin": lambda t, h, last: h[0] - 1 - h[1] - h[2],
            "jump": lambda t, h: (0.0, 0.2 * h[3], t / 50e-3, h[3]),
            "initial": (0.0, 0.0, 0.0, 0.0),
        },
        (2e-3, 4e-3, 15e-3, 22e-3),
        (6, 6, 6, 8),
    ),
    "rest as long as the reset says": neuron(
        MEMBRANE + HELD + CURRENT + "\nrest : second",
        "v > 1",
        "v = 0\nrest = 2*ms + 0.5*ms*I",
        {
            "flow": lambda t, h, last, free: (membrane(h, free, at=2), 0.0, -h[2] / 10e-3),
            "margin": over_one,
            "jump": lambda t, h: (0.0, 2e-3 + 0.5e-3 * h[2], h[2]),
            "rest": lambda t, h, last: t - last - h[1],
            "initial": (0.0, 0.0, 0.0),
        },
        (2e-3, 4e-3, 15e-3),
        (6, 6, 6),
        refractory="rest",
    ),
    "rest while a variable is high": neuron(
        MEMBRANE + HELD + "\ndu/dt = (0.2*v - u)/(5*ms) : 1" + CURRENT,
        "v > 1",
        "v = 0.3\nu += 1",
        {
            "flow": lambda t, h, last, free: (
                membrane(h, free, at=2),
                (0.2 * h[0] - h[1]) / 5e-3,
                -h[2] / 10e-3,
            ),
            "margin": over_one,
            "jump": lambda t, h: (0.3, h[1] + 1, h[2]),
            "rest": lambda t, h, last: 0.5 - h[1],
            "initial": (0.0, 0.0, 0.0),
        },
        (2e-3, 4e-3, 15e-3),
        (6, 6, 6),
        refractory="u > 0.5",
    ),
    "fires as a variable falls": neuron(
        MEMBRANE + "\ndu/dt = (0.2*I - u)/(5*ms) : 1" + CURRENT,
        "v > 1",
        "v = 0\nu += 1",
        {
            "flow": lambda t, h, last, free: (
                membrane(h, at=2),
                (0.2 * h[2] - h[1]) / 5e-3,
                -h[2] / 10e-3,
            ),
            "margin": over_one,
            "jump": lambda t, h: (0.0, h[1] + 1, h[2]),
            "rest": lambda t, h, last: 1.3 - h[1],
            "initial": (0.0, 0.0, 0.0),
        },
        (2e-3, 7.5e-3),
        (12, 8),
        refractory="u > 1.3",
    ),
    "a period that changes as it passes": lengthened("-u/(20*ms)", lambda u, free: -u / 20e-3),
    "a period that changes at another rate while it lasts": lengthened(
        "-u*(1 + 9*int(not_refractory))/(20*ms)", lambda u, free: -u * (1 + 9 * free) / 20e-3
    ),
}


@pytest.fixture(scope="module")
def measured():
    return measure(list(NEURONS.values()), duration=DURATION, dt=DT)


@pytest.mark.parametrize("name", NEURONS)
def test_gradient_equals_differences(name, measured):
    k = list(NEURONS).index(name)
    assert len(measured.exact[k]) >= 3, "too few spikes"
    np.testing.assert_allclose(measured.grid[k], measured.exact[k], atol=20 * DT)
    for ours, theirs in (
        (measured.ours[k], measured.theirs[k]),
        (measured.our_delays[k], measured.their_delays[k]),
    ):
        assert np.abs(theirs).max() > 0
        assert np.linalg.norm(ours - theirs) < 0.02 * np.linalg.norm(theirs)


@pytest.mark.parametrize(
    ("name", "dropped"),
    [("drops input while it rests", [1]), ("drops input, the membrane moves on", [2, 3])],
)
def test_dropped_input_has_no_gradient(name, dropped, measured):
    k = list(NEURONS).index(name)
    for i in range(len(NEURONS[name].times)):
        zero = (measured.ours[k][i] == 0, measured.our_delays[k][i] == 0)
        assert zero == ((i in dropped,) * 2)


@pytest.mark.parametrize(
    ("refractory", "reason"),
    [
        ("v > 1 and I > 0.5", "refractory condition .* is not one comparison"),
        ("I > 0.5", "spikes add to 'I', which the refractory period reads"),
        ("1*ms + I*ms", "spikes add to 'I', which the refractory period reads"),
    ],
)
def test_a_rest_without_a_derivative_is_refused(refractory, reason):
    model = dataclasses.replace(NEURONS["fires as its rest ends"].model, refractory=refractory)
    with pytest.raises(ValueError, match=reason):
        hybrid_map(model)
