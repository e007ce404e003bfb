"""EventProp on the engine against exact event-driven simulations that know no time grid."""

import dataclasses

import numpy as np
import pytest
from eventprop_cases import LABEL, N, engine, grid_run, lif_case, trials
from reference.event_driven import cross_entropy, differences, simulate
from reference.eventprop_numpy import table_1

from neurosnn import equations
from neurosnn.calculus.hybrid import hybrid_map
from neurosnn.rules.eventprop import adjoint as eventprop_adjoint

FINE = 0.02e-3
SQUARED = "dv/dt = (I*I - v)/tau_m : 1\ndI/dt = -I/tau_s : 1"
STEPS = (0.16e-3, 0.08e-3, 0.04e-3, 0.02e-3)
ELEMENTS = 8
RESTING = {"t_ref": 3.2e-3}
#: Kind of network, and seeds for which grid and exact simulation have the same spikes, and the same
#: order of spikes and arrivals at each neuron: the gradient jumps where this order changes.
CASES = {
    "current": ({}, (0, 1, 5, 6, 7)),
    "refractory": (RESTING, (0, 1, 3, 4, 5)),
    "delays": ({"delays": True, **RESTING}, (0, 3, 5, 6, 7)),
    "two layers": ({"delays": True, "layers": 2}, (12, 17, 24, 37, 38)),
    "leaky readout": ({"leaky": True, "delays": True}, (8, 12, 17, 20, 34)),
}


def compared(case, key, gradient, *, elements=ELEMENTS, measure=cross_entropy):
    """Engine and central differences, for some elements of one parameter."""
    reference = case.reference
    several = len(reference.layers) > 1
    if isinstance(key, str):
        name, kind = key.split(".")
        array = getattr(reference.links[name], kind)
        ours = gradient[key]
        possible = np.ones(array.shape, bool)
        if name.startswith("recurrent") and kind == "w":
            possible = ~np.eye(N, dtype=bool)
    else:
        ours = gradient[f"hidden{key[0] + 1 if several else ''}.{key[1]}"]
        possible = np.ones(N, bool)
    # the largest tell most; the others must be small too
    rank = np.argsort(-np.abs(np.where(possible, ours, np.inf)), axis=None, kind="stable")
    rank = rank[np.count_nonzero(~possible) :]
    chosen = np.concatenate([rank[: elements // 2], rank[elements // 2 :: 7][: elements // 2]])
    at = np.unravel_index(np.unique(chosen), ours.shape)
    theirs = differences(reference, case.times, case.channels, LABEL, key, at=at, measure=measure)
    known = ~np.isnan(theirs)
    assert known.mean() > 0.9, f"{key}: too many differences cross a change of the events"
    return ours[at][known], theirs[known]


def keys(reference):
    """All parameters of a network."""
    found = [f"{name}.w" for name in reference.links]
    found += [f"{name}.delay" for name, link in reference.links.items() if link.delay.any()]
    return found + [(k, p) for k in range(len(reference.layers)) for p in ("tau_m", "tau_s")]


def cosine(a, b):
    return a @ b / np.sqrt((a @ a) * (b @ b))


def error(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def exact_and_grid(case, dt, **options):
    """The engine's gradient at dt, once its events are known to be those of the exact run."""
    exact = simulate(case.reference, case.times, case.channels)
    machine = engine(case, dt, **options)
    assert len(exact.spikes) >= 4, "too few hidden spikes"
    assert {layer for _, layer, _ in exact.spikes} == set(range(len(case.reference.layers)))
    assert min(exact.slopes) > 0.2, "a grazing spike has an unbounded gradient"
    assert grid_run(case, machine, dt).meetings() == exact.meetings()
    return machine.run(trials(case, dt), gradient=True).gradient


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "seed"), [(k, s) for k, (_, seeds) in CASES.items() for s in seeds]
)
def test_gradient_equals_differences_of_exact_simulation(name, seed):
    case = lif_case(seed, **CASES[name][0])
    gradient = exact_and_grid(case, FINE)
    for key in keys(case.reference):
        ours, theirs = compared(case, key, gradient)
        assert np.linalg.norm(theirs) > 0
        assert cosine(ours, theirs) > 0.999, key
        assert error(ours, theirs) < 0.06, key


@pytest.mark.slow
def test_error_is_of_first_order_in_the_step():
    """Where spikes lie inside a step is chance, so single networks scatter: ten are averaged."""
    errors = []
    several = {"current": (0, 5, 20), "refractory": (24, 30, 46), "delays": (20, 28, 42, 58)}
    for name, seed in ((name, seed) for name, seeds in several.items() for seed in seeds):
        case = lif_case(seed, **CASES[name][0])
        gradients = [exact_and_grid(case, dt) for dt in STEPS]
        for key in ("input.w", "recurrent.w", (0, "tau_m"), (0, "tau_s")):
            errors.append([error(*compared(case, key, g, elements=6)) for g in gradients])
    slope, _ = np.polyfit(np.log(STEPS), np.log(errors).mean(axis=0), 1)
    assert 0.7 < slope < 1.3


def changed_map(**changes):
    """hybrid_map with some entries replaced: a dict of new entries, where "" removes one."""

    def mapped(model, learn=()):
        slopes = hybrid_map(model, learn)
        if not model.spikes:
            return slopes
        values = {}
        for name, new in changes.items():
            old = getattr(slopes, name)
            if isinstance(old, dict):
                new = {key: text for key, text in {**old, **new}.items() if text}
            values[name] = new
        return dataclasses.replace(slopes, **values)

    return mapped


MUTATIONS = {
    "no jump of the potential's flow at an arrival": {"input_slope": {("v", "I"): ""}},
    "no jump of the current's flow at an arrival": {"input_slope": {("I", "I"): ""}},
    "adjoint of the current lost": {"reset_slope": {("I", "I"): ""}},
    "spike time without margin": {"margin": {"v": ""}},
    "flow after the reset as before": {"reset": {"v": "v"}},
    "current does not drive the potential": {"transition": {("v", "I"): ""}},
    "end of rest has no effect": {"release": None},
    "tau_s acts on the current only": {
        "parameters": {"tau_m": {"v": "0"}, "tau_s": {"I": "I*exp(-dt/tau_s)*dt/tau_s**2"}}
    },
}


@pytest.mark.parametrize("mutation", MUTATIONS)
@pytest.mark.usefixtures("derived_anew")
def test_leaving_out_a_term_is_noticed(mutation, monkeypatch):
    case = lif_case(5, **({} if mutation.startswith("flow after") else RESTING))
    right = exact_and_grid(case, FINE)
    monkeypatch.setattr(eventprop_adjoint, "hybrid_map", changed_map(**MUTATIONS[mutation]))
    wrong = exact_and_grid(case, FINE)
    assert right.keys() == wrong.keys()
    assert max(error(wrong[key].ravel(), right[key].ravel()) for key in right) > 0.1


@pytest.mark.parametrize("side", ["before", "after"])
def test_arrival_and_spike_in_one_step(side):
    """The gradient of an arrival time jumps at a spike; the grid keeps the order of the two."""
    case = lif_case(5, delays=True, **RESTING)
    first = min(simulate(case.reference, case.times, case.channels).spikes)[0]
    gradients = {}
    for at in ("before", "after"):
        time = (np.floor if at == "before" else np.ceil)(first / FINE) * FINE
        delay = case.reference.links["input"].delay[0]
        moved = case._replace(
            times=np.append(case.times, time - delay), channels=np.append(case.channels, 0)
        )
        gradient = exact_and_grid(moved, FINE)
        gradients[at] = gradient["input.delay"][0]
        if at == side:
            for key in ("input.w", "input.delay", "recurrent.w"):
                assert cosine(*compared(moved, key, gradient)) > 0.999
    assert abs(gradients["before"] - gradients["after"]) > 0.1 * abs(gradients["after"])


def test_general_formula_is_table_1_of_wunderlich_and_pehle():
    case = lif_case(20)
    model = dataclasses.replace(
        case.reference.layers[0], tau_m=np.full(N, 20e-3), tau_s=np.full(N, 5e-3)
    )
    case = case._replace(reference=dataclasses.replace(case.reference, layers=(model,)))
    machine = engine(case, 1e-4, learn=())
    batch = trials(case, 1e-4)
    found = machine.simulate(batch, record=(("hidden", "v"), ("hidden", "I")))
    steps = int(found.n_steps[0])
    # states are recorded at the start of a step; this is where the update brings them
    v, current = found.states["hidden", "v"][0], found.states["hidden", "I"][0]
    slow, fast = np.exp(-1e-4 / 20e-3), np.exp(-1e-4 / 5e-3)
    before, v = v, v * slow + current * 5 / (5 - 20) * (fast - slow)
    current = current * fast
    z = np.zeros((steps, N), bool)
    z[found.spikes["hidden"][0]] = True
    assert z.any(axis=0).sum() >= 3
    assert z.sum() >= 4
    x = np.zeros((steps, len(case.reference.links["input"].w)))
    _, step, channel = batch.steps(machine.net.dt)
    x[step, channel] = 1
    _, error_t = machine.loss.value_and_error(found.output[0], LABEL, np.full(steps, 1 / steps))
    names = ("input", "recurrent", "readout")
    theirs = table_1(
        v,
        before,
        current,
        z,
        dict(zip(names, (x, z, z), strict=True)),
        {name: case.reference.links[name].w for name in names},
        error_t,
        dt=1e-4,
        tau_m=20e-3,
        tau_s=5e-3,
        readout=(20e-3, 5e-3),
    )
    ours = machine.run(batch, gradient=True).gradient
    np.fill_diagonal(theirs["recurrent"], 0)
    for name in names:
        assert np.abs(theirs[name]).max() > 1e-6
        scale = np.abs(theirs[name]).max()
        assert np.abs(ours[f"{name}.w"] - theirs[name]).max() < 1e-10 * scale


@pytest.mark.parametrize(
    ("change", "learn", "reason"),
    [
        ({}, ("v_th",), "stands in the threshold"),
        (
            {"equations": "dv/dt = (I*I - v)/tau_m : 1\ndI/dt = -I/tau_s : 1", "method": "euler"},
            (),
            "not linear",
        ),
        ({"step": "v += 0"}, (), "step code"),
        ({"inputs": ("v",), "threshold": "v**2 > v_th"}, (), "threshold is not linear in 'v'"),
    ],
)
def test_what_has_no_exact_gradient_is_refused(change, learn, reason):
    model = dataclasses.replace(equations.CurrentLIF(), **change)
    with pytest.raises(ValueError, match=reason):
        hybrid_map(model, learn)
