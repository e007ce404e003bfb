"""EventProp for neurons without closed form, against RK4 with spike times found inside the step."""

import dataclasses
from typing import NamedTuple

import numpy as np
import pytest
from brian2 import ms
from eventprop_cases import LABEL, N, engine, grid_run, lif_case, trials
from reference.event_driven import Smooth, differences, simulate

from neurosnn import EventProp, NeuronModel, equations
from neurosnn.calculus.hybrid import hybrid_map


class Flow(NamedTuple):
    """A model, the same in numpy (times in ms), its initial state, and the scale of the weights."""

    model: NeuronModel
    flow: object
    margin: object
    jump: object
    initial: tuple
    scale: float
    learned: str


def _model(name, text, threshold, reset, parameters, initial=None):
    return NeuronModel(
        name=name,
        equations=text,
        threshold=threshold,
        reset=reset,
        method="exponential_euler" if name != "Izhikevich" else "euler",
        inputs=("I",),
        parameters=parameters,
        initial=initial or {},
    )


FLOWS = {
    "adaptive threshold and current": Flow(
        _model(
            "adaptive",
            "dv/dt = (I - u - v)/tau : 1\ndu/dt = (0.3*v - u)/(30*ms) : 1\n"
            "da/dt = -a/(40*ms) : 1\ndI/dt = -I/(5*ms) : 1",
            "v > 1 + a",
            "v = 0.1*v\nu += 0.2\na += 0.3",
            {"tau": 20 * ms},
        ),
        lambda h, p: (
            1e3
            * np.array(
                [
                    (h[3] - h[1] - h[0]) / (1e3 * p["tau"]),
                    (0.3 * h[0] - h[1]) / 30,
                    -h[2] / 40,
                    -h[3] / 5,
                ]
            )
        ),
        lambda h, p: h[0] - 1 - h[2],
        lambda h, p: np.array([0.1 * h[0], h[1] + 0.2, h[2] + 0.3, h[3]]),
        (0, 0, 0, 0),
        1.5,
        "tau",
    ),
    "exponential": Flow(
        _model(
            "exponential",
            "dv/dt = (I - v + D*exp((v - 1)/D))/(20*ms) : 1\ndI/dt = -I/(5*ms) : 1",
            "v > 1.3",
            "v = 0",
            {"D": 0.15},
        ),
        lambda h, p: (
            1e3 * np.array([(h[1] - h[0] + p["D"] * np.exp((h[0] - 1) / p["D"])) / 20, -h[1] / 5])
        ),
        lambda h, p: h[0] - 1.3,
        lambda h, p: np.array([0.0, h[1]]),
        (0, 0),
        1.0,
        "D",
    ),
    "Izhikevich": Flow(
        _model(
            "Izhikevich",
            "dv/dt = (0.04*v**2 + 5*v + 140 - u + I)/ms : 1\ndu/dt = a*(0.2*v - u)/ms : 1\n"
            "dI/dt = -I/(5*ms) : 1",
            "v > 30",
            "v = -65\nu += 2",
            {"a": 0.02},
            {"v": -65.0, "u": -13.0},
        ),
        lambda h, p: (
            1e3
            * np.array(
                [
                    0.04 * h[0] ** 2 + 5 * h[0] + 140 - h[1] + h[2],
                    p["a"] * (0.2 * h[0] - h[1]),
                    -h[2] / 5,
                ]
            )
        ),
        lambda h, p: h[0] - 30,
        lambda h, p: np.array([-65.0, h[1] + 2, h[2]]),
        (-65.0, -13.0, 0.0),
        2.5,
        "a",
    ),
}


def smooth_case(name, seed):
    """lif_case with another neuron."""
    flow = FLOWS[name]
    case = lif_case(seed, delays=True)
    layer = Smooth(
        flow=flow.flow,
        margin=flow.margin,
        jump=flow.jump,
        initial=np.repeat(np.array(flow.initial, float)[:, None], N, axis=1),
        values={flow.learned: np.full(N, float(flow.model.parameters[flow.learned]))},
        step=0.05e-3,
    )
    links = {
        key: dataclasses.replace(link, w=link.w * (1 if key == "readout" else flow.scale))
        for key, link in case.reference.links.items()
    }
    reference = dataclasses.replace(case.reference, layers=(layer,), links=links)
    return case._replace(reference=reference, model=lambda _: flow.model)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "seed", "dt"),
    [
        ("adaptive threshold and current", 0, 10e-6),
        ("exponential", 0, 10e-6),
        ("Izhikevich", 5, 2.5e-6),  # its upstroke takes microseconds
    ],
)
def test_gradient_equals_differences_of_fine_simulation(name, seed, dt):
    case = smooth_case(name, seed)
    exact = simulate(case.reference, case.times, case.channels)
    machine = engine(case, dt, learn=(FLOWS[name].learned,))
    assert len(exact.spikes) >= 4
    assert grid_run(case, machine, dt).meetings() == exact.meetings()
    gradient = machine.run(trials(case, dt), gradient=True).gradient
    for key in ("input.w", "recurrent.w", "input.delay", "recurrent.delay"):
        ours = gradient[key]
        at = np.unravel_index(np.argsort(-np.abs(ours), axis=None)[:6], ours.shape)
        theirs = differences(case.reference, case.times, case.channels, LABEL, key, at=at)
        assert np.linalg.norm(theirs) > 0
        assert np.linalg.norm(ours[at] - theirs) < 0.05 * np.linalg.norm(theirs), key
    # the engine's gradient of one value for all neurons is the sum
    theirs = differences(
        case.reference, case.times, case.channels, LABEL, (0, FLOWS[name].learned)
    ).sum()
    assert gradient[f"hidden.{FLOWS[name].learned}"] == pytest.approx(theirs, rel=0.05)


def neuron(added, threshold="v > 1", refractory=False):
    """A neuron with a second variable, and something more in its flow."""
    text = (
        f"dv/dt = (I - v + {added})/(20*ms) : 1\ndu/dt = (v - u)/(9*ms) : 1\ndI/dt = -I/(5*ms) : 1"
    )
    return NeuronModel(
        equations=text,
        threshold=threshold,
        reset="v = 0",
        refractory=refractory,
        method="euler",
        inputs=("I",),
    )


@pytest.mark.parametrize(
    ("added", "jump"),
    [
        ("int(v > 0.5)", "v > 0.5"),
        ("u*int(0.5 <= v)", "0.5 <= v"),
        ("int(v > 0.5)*(v - 0.4)", "v > 0.5"),
        ("int(v > 0.5 and u > 0.2)*(v - 0.5)", "u > 0.2"),
        ("int(v > u)*v + int(v <= u)*2*u", "v > u|v <= u"),
        ("v/(1 + int(v > 0.5))", "v > 0.5"),
        ("sign(u)", r"sign\(u\)"),
        ("floor(3*v)", r"floor\(3\*v\)"),
        ("ceil(v)*u", r"ceil\(v\)"),
        ("3*v % 1", r"floor\(3\*v\)"),
        ("int(3*v)", r"int\(3\*v\)"),
    ],
)
def test_a_flow_that_jumps_between_spikes_is_refused(added, jump):
    with pytest.raises(
        ValueError, match=f"the flow of 'v' jumps, by ({jump}), where a state crosses"
    ):
        hybrid_map(neuron(added))


@pytest.mark.parametrize(
    ("threshold", "refractory", "what"),
    [
        ("v > 1 + int(u > 0.3)", False, "the threshold"),
        ("v > 1", "(1 + int(u > 0.3))*ms", "the end of the refractory period"),
    ],
)
def test_a_threshold_or_a_rest_that_jumps_is_refused(threshold, refractory, what):
    with pytest.raises(ValueError, match=f"{what} jumps, by u > 0.3"):
        hybrid_map(neuron("0", threshold, refractory))


@pytest.mark.parametrize(
    "added",
    [
        "abs(u) + clip(v, 0, 0.5)",
        "u*sign(u)",
        "int(v > 0.5)*(v**2 - 0.25)*exp(u)",
        "int(v > 0.5)*(clip(v, 0.5, 1) - 0.5)",
        "int(v > u)*v + int(v <= u)*u",
        "int(0.5 > v)*0.5 + v*int(v >= 0.5)",
        "(v % 1)*(1 - v % 1)",
        "int(t > 5*ms) + sign(t - 9*ms) + floor(t/(7*ms))",
    ],
)
def test_a_flow_without_jumps_or_with_those_of_the_time_is_taken(added):
    assert hybrid_map(neuron(added)).flow["v"]


def test_a_time_that_the_state_sets_is_no_time_alone():
    model = NeuronModel(
        equations="dv/dt = (I - v + int(t > due))/(20*ms) : 1\ndI/dt = -I/(5*ms) : 1\ndue : second",
        threshold="v > 1",
        reset="v = 0\ndue = t + 3*ms",
        method="euler",
        inputs=("I",),
    )
    with pytest.raises(ValueError, match="the flow of 'v' jumps, by (due < t|t > due)"):
        hybrid_map(model)


def test_flow_at_rest_only_ends_with_the_rest():
    both = [
        hybrid_map(neuron(f"u*{flag}", refractory=2 * ms)).release.jump
        for flag in ("int(not not_refractory)", "(1 - int(not_refractory))")
    ]
    assert both[0] == both[1] != {}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("clip(I, 0, 1)", "the flow of 'v' is not linear in the input 'I'"),
        ("int(I > 1)*(I - 1)", "the flow of 'v' is not linear in the input 'I'"),
    ],
)
def test_an_input_that_bends_the_flow_is_refused(text, what):
    with pytest.raises(ValueError, match=what):
        hybrid_map(neuron(text))


def test_printed_equations_are_those_of_wunderlich_and_pehle():
    strings = EventProp().equations(equations.CurrentLIF(), learn=("tau_s",))
    assert strings.dynamics == (
        "dlam_v/dt = -lam_v/tau_m : 1\ndlam_I/dt = -lam_I/tau_s + lam_v/tau_m : 1"
    )
    assert strings.spike == "shift = (I*lam_v/tau_m + feedback)/((I - v)/tau_m)\nlam_v = shift"
    assert strings.parameters == {"tau_s": "I*lam_I/tau_s**2"}
    resting = EventProp().equations(equations.CurrentLIF(t_ref=2 * ms))
    assert resting.release == "feedback += I*lam_v/tau_m - lam_v*v/tau_m"
    assert "shift = (feedback)" in resting.spike


def test_printed_equations_of_a_rest_that_the_state_ends():
    model = NeuronModel(
        equations="dv/dt = (I - v)/tau : 1\ndu/dt = -u/tau : 1\n"
        "dI/dt = -I*exp(-(t - lastspike)/tau)/tau : 1 (unless refractory)",
        threshold="v > 1 + t/tau + lastspike/tau",
        reset="v = 0.5*t/tau\nu += 1",
        refractory="u > 0.5",
        method="euler",
        inputs=("I",),
        parameters={"tau": 20 * ms},
    )
    strings = EventProp().equations(model)
    # the flow of u stays, the flow of the current ends, the reset moves with the time
    fading = "exp(lastspike/tau - t/tau)/tau"
    worth = (
        f"I*lam_I*{fading} + I*lam_v/tau + feedback - lam_u/tau"
        " - 0.5*lam_v*t/tau**2 - 0.5*lam_v/tau"
    )
    assert strings.slope == "(I - v)/tau - 1/tau"
    assert strings.spike.splitlines() == [
        f"shift = ({worth})/({strings.slope})",
        "lam_v = shift",
        "feedback = shift/tau",
    ]
    assert strings.waited == f"waiting = {worth}\nlam_v = 0"
    assert strings.release == f"wait = (-I*lam_I*{fading} + waiting)/(u/tau)\nlam_u += -wait"
    assert strings.dynamics.splitlines()[-1] == (
        "dfeedback/dt = I*lam_I*int(not_refractory)*exp(lastspike/tau - t/tau)/tau**2 : Hz"
    )
    # input that arrives at rest is dropped
    assert strings.gradient == {"I": "lam_I*int(not_refractory)"}
    assert strings.feedback["I"].count("int(not_refractory)") == 2
    # the rest ends at the rate of u while it lasts
    text = str(model.equations).replace("-u/tau", "-u*(1 + int(not_refractory))/tau")
    assert "/(u/tau)" in EventProp().equations(dataclasses.replace(model, equations=text)).release


def test_strings_in_brian2_give_the_gradient_of_the_engine(project_root):
    import runpy

    example = runpy.run_path(str(project_root / "examples" / "eventprop_in_brian2.py"))
    ours, theirs, spikes = example["compare"]()
    assert spikes >= 4
    for name, value in ours.items():
        assert np.abs(value).max() > 1e-3
        np.testing.assert_allclose(value, theirs[name], atol=1e-10 * np.abs(theirs[name]).max())
