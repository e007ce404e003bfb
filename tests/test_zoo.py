"""Published neurons through every route: what zoo/table.py says must be so, refusals included."""

from __future__ import annotations

import collections

import numpy as np
import pytest
from brian2 import ms
from fuzz import flows, routes
from zoo import table, windows
from zoo.flows import Flow
from zoo.table import EXPORTED, FACTORED, FLOWS, NEURONS, REFUSED, TORCH

from neurosnn import BPTT, EProp, analysis
from neurosnn.calculus.hybrid import hybrid_map
from neurosnn.calculus.step import model_code, pseudo_derivative, refuse_undifferentiable

pytestmark = pytest.mark.slow
taken = {route: [n for n in NEURONS if (n, route) not in REFUSED] for route in table.ROUTES}


@pytest.fixture(scope="module")
def stock():
    """All neurons in one simulation of stock Brian2."""
    from brian2 import prefs

    prefs["codegen.target"] = "numpy"
    return dict(zip(NEURONS, routes.stock(list(NEURONS.values())), strict=True))


def verdicts(route, names, stock, **options):
    """What a route says of some neurons, by name."""
    cases = [NEURONS[name] for name in names]
    found = getattr(routes, route)(cases, [stock[name] for name in names], **options)
    return dict(zip(names, found, strict=True))


def others(found):
    """What is not as it must be."""
    return {name: verdict for name, verdict in found.items() if verdict.kind != "same"}


def test_there_are_enough_neurons_and_all_of_them_spike(stock):
    assert len(NEURONS) >= 30
    assert len({neuron.reference for neuron in NEURONS.values()}) == len(NEURONS)
    for name, result in stock.items():
        assert routes.usable(NEURONS[name], result) is None, name
        counts = collections.Counter(neuron for _, neuron in result.spikes)
        assert len(counts) >= 3, f"{name} is almost silent"


def test_the_engine_spikes_as_stock_brian2(stock):
    compared = [name for name in taken["engine"] if name not in table.NOISY]
    assert others(verdicts("engine", compared, stock)) == {}
    for name in set(NEURONS) - set(taken["engine"]):
        (verdict,) = verdicts("engine", [name], stock).values()
        assert verdict.kind == "refused"
        assert table.reason(name, "engine") in verdict.reason


def test_the_factored_form_of_eprop_is_the_online_one(stock):
    found = verdicts("factored", table.measured(FACTORED, "eprop"), stock)
    assert others(found) == {}


@pytest.mark.torch
def test_gradients_of_bptt_are_those_of_torch(stock):
    found = verdicts("torch", TORCH, stock, rules=(BPTT(),))
    assert others(found) == {}


@pytest.mark.parametrize("route", ["eprop", "eventprop"])
def test_what_can_be_derived_and_what_is_refused(route):
    """Both ways: a refusal that is gone must leave the table, and a new one must enter it."""

    def derive(model):
        if route == "eventprop":
            return hybrid_map(model)
        refuse_undifferentiable(model)
        return pseudo_derivative(model, model_code(model))

    measured = FLOWS if route == "eventprop" else ()  # derived where they are measured
    for name in sorted(NEURONS.keys() - set(measured)):
        neuron, words = NEURONS[name], table.reason(name, route)
        if not words:
            derive(neuron.model)
            continue
        with pytest.raises(ValueError, match=words.replace("(", r"\(")):
            derive(neuron.model)


def test_eventprop_is_the_difference_of_spike_times():
    found = dict(zip(FLOWS, flows.eventprop([Flow(NEURONS[name]) for name in FLOWS]), strict=True))
    assert others(found) == {}
    assert len(FLOWS) >= 30


@pytest.mark.standalone
def test_an_exported_program_spikes_as_stock_brian2(stock):
    found = verdicts("exported", table.measured(EXPORTED, "export"), stock)
    assert others(found) == {}


@pytest.mark.parametrize("name", table.measured(NEURONS, "window"))
def test_window_of_eprop(name):
    """Finite, not zero, and held as the table says."""
    measured, words = windows.window(NEURONS[name]), table.reason(name, "window")
    assert words in measured if words else measured == table.WINDOWS[name]


def test_window_of_eprop_is_the_closed_form():
    """At rest the pseudo-derivative is zero: 0.3*exp(-lag/tau), from the step of the spike alone."""
    stein = NEURONS["stein"]
    model = stein.read(stein.group(1))
    window = analysis.stdp_window(
        EProp(), post=model, background=0, max_lag=2 * ms, step=2 * ms, dt=0.05 * ms
    )
    np.testing.assert_allclose(window.dw, [0, 0, 0.3 * np.exp(-0.2)], rtol=1e-6, atol=1e-12)


def test_the_page_of_the_manual_is_that_of_the_table(project_root):
    assert (project_root / "docs" / "published_neurons.md").read_text(
        encoding="utf-8"
    ) == table.page()


def test_reading_a_group_loses_nothing():
    """Per-neuron values, initial values and the method that Brian2 chose."""
    model = NEURONS["izhikevich_2003"].model
    np.testing.assert_allclose(
        np.asarray(model.parameters["c"]) * 1e3, [-65, -55, -50, -65, -65, -65]
    )
    assert model.initial["v"] is not None
    assert NEURONS["stein"].model.method == "exact"
    assert NEURONS["wang_buzsaki"].model.method == "euler"
    assert NEURONS["rulkov"].model.step.count("\n") == 3
