"""The type of a rule, what is said to those who give something else, and rules from outside the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from brian2 import ms
from engine_cases import spike_trials
from own_rules import sign_symmetry
from own_rules.sign_symmetry import DeltaRule, SignSymmetry

from neurosnn import Adam, EProp, EventProp, Trainer, analysis, equations
from neurosnn.engine import Engine
from neurosnn.losses import CrossEntropy
from neurosnn.network import Input, Layer, Readout, SpikingNetwork
from neurosnn.rules import NAMED


def network(**options):
    layer = Layer(equations.LIF(), 20, weight_scale=3.0, recurrent=True)
    return SpikingNetwork(Input(30), layer, Readout(3, tau=20 * ms), dt=1 * ms, seed=1, **options)


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        ("eprop", "is the text 'eprop'"),
        (EProp, r"is the class EProp.*Write EProp\(\)"),
        (equations.PairSTDP(), "PairSTDP is a plasticity rule.*stdp_window"),
        (equations.LIF(), "is the neuron LIF"),
        (None, "the rule is None"),
    ],
)
def test_what_is_no_rule_is_refused_with_advice(rule, what):
    with pytest.raises(TypeError, match=what) as caught:
        Trainer(network(), rule)
    assert len(str(caught.value)) < 600


def test_every_rule_has_a_name_a_reference_and_says_what_a_synapse_needs():
    for name, rule in NAMED.items():
        assert rule.name == name
        assert "doi" in rule.reference
        assert rule().needs <= set(analysis.locality(rule())._fields)
        assert all(getattr(analysis.locality(rule()), need) for need in rule().needs)


def test_a_rule_without_an_online_form_says_so():
    with pytest.raises(ValueError, match="EventProp has no online form"):
        Trainer(network(), EventProp(), backend="brian2")


def test_rules_from_outside_are_short():
    lines = Path(sign_symmetry.__file__).read_text().splitlines()
    assert len(lines) < 150


def test_sign_symmetry_is_e_prop_with_other_feedback():
    """With readout weights of size one both are the same; else they differ, but not for the readout."""
    trials, net = spike_trials(4, n_steps=200, rate=60), network()
    found = {}
    for scaled in (False, True):
        if scaled:
            net.set_parameters({"readout.w": np.sign(net.parameters["readout.w"])})
        for rule in (EProp(), SignSymmetry()):
            result = Engine(net, rule, CrossEntropy(), dtype="float64").run(trials, gradient=True)
            assert result.spikes["hidden"] > 100
            found[scaled, rule.name] = result.gradient
    for name in ("input.w", "recurrent.w"):
        assert np.abs(found[True, "eprop"][name]).max() > 0
        np.testing.assert_array_equal(
            found[True, "eprop"][name], found[True, "sign_symmetry"][name]
        )
        assert not np.allclose(found[False, "eprop"][name], found[False, "sign_symmetry"][name])
    for name in ("readout.w", "readout.b"):
        np.testing.assert_array_equal(
            found[False, "eprop"][name], found[False, "sign_symmetry"][name]
        )
    assert analysis.locality(SignSymmetry()).weight_transport is False


def test_the_delta_rule_is_the_readouts_part_of_e_prop():
    trials, net = spike_trials(4, n_steps=200, rate=60), network()
    own = Engine(net, DeltaRule(), CrossEntropy(), dtype="float64").run(trials, gradient=True)
    eprop = Engine(net, EProp(), CrossEntropy(), dtype="float64").run(trials, gradient=True)
    for name in ("readout.w", "readout.b"):
        assert np.abs(eprop.gradient[name]).max() > 0
        np.testing.assert_allclose(own.gradient[name], eprop.gradient[name], rtol=1e-9, atol=1e-13)
    assert not own.gradient["input.w"].any()


@pytest.mark.parametrize("rule", [SignSymmetry(), DeltaRule()])
def test_rules_from_outside_train(rule):
    net, trials = network(), spike_trials(24, n_steps=150, rate=60, seed=3)
    trainer = Trainer(net, rule, optimizer=Adam(1e-2), dtype="float64", seed=1)
    history = trainer.fit(trials, epochs=8, batch_size=8, progress=False)
    assert history["loss"][-1] < 0.8 * history["loss"][0]
