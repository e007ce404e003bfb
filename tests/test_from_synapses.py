"""Synapses as people write them: read exactly, or refused with what cannot come along."""

# ruff: noqa: F841 (Brian2 finds the constants of a script in its frame)

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from brian2 import (
    Network,
    NetworkOperation,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    Synapses,
    TimedArray,
    check_units,
    ms,
    mV,
    nS,
    second,
    set_device,
)
from brian2.core.namespace import get_local_namespace
from brian2.core.variables import DynamicArrayVariable

from neurosnn import NeuronModel, PlasticityRule, analysis

TRACE = "w : 1\ndx/dt = -x/(20*ms) : 1 (event-driven)"
LEARN = "x += 1; w += 0.1*x"


def pair(**options):
    """Two neurons that spike now and then, and what the synapses of a test need."""
    group = NeuronGroup(
        3,
        "dv/dt = (1.5 - v)/(8*ms) : 1 (unless refractory)\nge : siemens\ng : 1\nrest : 1\ntau : second",
        threshold="v > 1",
        reset="v = 0",
        refractory=1 * ms,
        method="exact",
        name="neurons",
        namespace={},
    )
    group.v = "0.2*i"
    return group, Synapses(group, group, **{"model": TRACE, "on_pre": LEARN, **options})


def again(rule, synapses, pre, post, name):
    """The synapses of a rule that has been in a file, where those of the script are."""
    rule = PlasticityRule.from_dict(json.loads(json.dumps(rule.to_dict())))
    connect = {"i": synapses.i[:], "j": synapses.j[:]}
    return rule.synapses(pre, post, connect=connect, name=name)


def arrays(synapses):
    """All values of the synapses by name."""
    found = {
        name: variable
        for name, variable in synapses.variables.items()
        if isinstance(variable, DynamicArrayVariable) and not name.startswith(("_", "N_"))
    }
    return {name: np.array(variable.get_value()) for name, variable in found.items()}


# -- read -----------------------------------------------------------------------------------------


def test_a_network_that_learns_spikes_as_its_script():
    """Neurons and synapses both read; the weights decide about the spikes."""
    tau_m, tau_e, wmax = 10 * ms, 3 * ms, 5.0
    taupre = taupost = 20 * ms
    dApre, dApost = 0.2, -0.21

    def network(ours=False):
        source = SpikeGeneratorGroup(3, [0, 1, 2, 0, 1, 2, 0, 1], np.arange(1, 25, 3) * ms)
        group = NeuronGroup(
            3,
            "dv/dt = (ge - v)/tau_m : 1\ndge/dt = -ge/tau_e : 1",
            threshold="v > 0.3",
            reset="v = 0",
            method="exact",
        )
        synapses = Synapses(
            source,
            group,
            """w : 1
               dApre/dt = -Apre/taupre : 1 (event-driven)
               dApost/dt = -Apost/taupost : 1 (event-driven)""",
            on_pre="""ge += w
                      Apre += dApre
                      w = clip(w + Apost, 0, wmax)""",
            on_post="""Apost += dApost
                       w = clip(w + Apre, 0, wmax)""",
            delay=0.7 * ms,
        )
        recurrent = Synapses(
            group, group, synapses.equations + "d_x : 1", on_pre="ge_post += 0.1*w"
        )
        synapses.connect()
        recurrent.connect("i != j")
        synapses.w = "0.9 + 0.2*i - 0.1*j"
        recurrent.w = 1
        if ours:
            model = NeuronModel.from_group(group, synapses=[synapses], level=1)
            rule = PlasticityRule.from_synapses(synapses, level=1)
            assert (rule.targets, rule.parameters["wmax"]) == (("ge",), 5.0)
            group = model.group(3)
            synapses = again(rule, synapses, source, group, "learning")
            old, recurrent = recurrent, Synapses(group, group, "w : 1", on_pre="ge_post += 0.1*w")
            recurrent.connect(i=old.i[:], j=old.j[:])
            recurrent.w = 1
        spikes = SpikeMonitor(group)
        return Network(source, group, synapses, recurrent, spikes), synapses, spikes

    results = []
    for ours in (False, True):
        net, synapses, spikes = network(ours)
        net.run(30 * ms, namespace=get_local_namespace(level=0))
        results.append((spikes.i[:].tolist(), spikes.t_[:].tolist(), arrays(synapses)))
    assert len(results[0][0]) > 5
    assert results[0][:2] == results[1][:2]
    for name, values in results[0][2].items():
        np.testing.assert_array_equal(results[1][2][name], values, err_msg=name)
    assert np.ptp(results[0][2]["w"]) > 0.5


def everything(pre, post):
    """Synapses with the rarer things that people write; each learns with a variable of its own."""
    common = {"namespace": {"eta": 0.1, "tau": 5 * ms}}
    made = {
        # its name comes before that of the neurons, so that it sees them as they were a step ago
        "early": Synapses(
            pre, post, "dw/dt = (v_post - w)/(2*ms) : 1 (clock-driven)", on_pre="g_post += w",
            method="euler", name="aaa",
        ),
        "late": Synapses(
            pre, post, "dw/dt = (v_post - w)/(2*ms) : 1 (clock-driven)", on_pre="g_post += w",
            method="euler", name="zzz",
        ),
        "later": Synapses(
            pre, post, "dw/dt = (v_pre - w)/(2*ms) : 1 (clock-driven)", on_pre="g_post += w",
            order=3, name="later",
        ),
        "kinds": Synapses(
            pre, post,
            """w : 1
            n_seen : integer
            on : boolean
            gain : 1 (constant)
            top : 1 (shared)
            level = 0.5 + 0.1*t/ms : 1 (constant over dt)
            both = gain*level : 1""",
            on_pre="g_post += w*both; n_seen += 1; on = n_seen > 2; w = clip(w + eta*int(on), 0, top)",
            on_post={"post": "w -= 0.01*gain*N_incoming*(i + 1)", "after": "w *= 0.99"},
            name="kinds", **common,
        ),
        "delays": Synapses(
            pre, post, "w : 1\nduration : second",
            on_pre={"first": "w += eta", "then": "w *= 2; g_post += w"},
            on_post={"post": "w -= eta*exp(-(t - lastspike_pre)/tau_x)*int(not_refractory_pre)"},
            name="delays", namespace={"eta": 0.1, "tau_x": 5 * ms},
        ),
        "step": Synapses(
            pre, post, "w : 1\ndx/dt = (v_post - x)/(5*ms) : 1 (clock-driven)",
            on_pre="g_post += w", method="exact", name="step",
        ),
        "own clock": Synapses(
            pre, post, "dw/dt = (0.5 - w)/(20*ms) : 1 (clock-driven)", on_pre="g_post += w",
            dt=0.5 * ms, method="euler", name="own",
        ),
        "random": Synapses(
            pre, post, "w : 1\np : 1", on_pre="g_post += w*int(rand() < 2); w += 0.01", name="random"
        ),
        "graded": Synapses(
            pre, post, "ds/dt = (1/(1 + exp((0.5 - v_pre)/0.1)) - s)/(5*ms) : 1 (clock-driven)\n"
            "rest_post = w*s : 1 (summed)\nw : 1", method="euler", name="graded",
        ),
    }  # fmt: skip
    for synapses in made.values():
        synapses.connect("i != j or i == 0", namespace={})
        synapses.w = "0.1 + 0.01*i"
    kinds, delays = made["kinds"], made["delays"]
    kinds.gain, kinds.top, kinds.n_seen, kinds.on = "1 + 0.5*j", 1.5, "i", "i > 1"
    delays.first.delay, delays.then.delay = "0.1*(i + j)*ms", 0.3 * ms
    delays.then.order = -3
    made["step"].run_regularly("w += 0.01*x - 0.001*x**2", dt=1 * ms)
    return made


def test_rarer_things_do_what_the_script_does():
    pre, _ = pair()
    scripts = everything(pre, pre)
    graded = PlasticityRule.from_synapses(scripts["graded"], weight="w")
    assert (graded.targets, graded.clock_driven) == (("rest",), True)
    rules = {
        name: graded if name == "graded" else PlasticityRule.from_synapses(found)
        for name, found in scripts.items()
    }
    assert rules["later"].method == "exact"  # Brian2's choice
    assert rules["early"].orders == {"equations": -0.5}
    assert rules["late"].orders == {"equations": 0.5}
    assert rules["later"].orders == {"equations": 3}
    assert rules["kinds"].initial["gain"].tolist() != rules["kinds"].initial["w"].tolist()
    assert rules["kinds"].parameters == {"eta": 0.1}
    assert np.ndim(rules["delays"].delays["first"]) == 1
    assert rules["delays"].delays["then"] == 0.3 * ms
    assert [p.name for p in rules["delays"].pathways] == ["then", "first", "post"]
    assert rules["delays"].requires_pre == {"lastspike": 1 * second, "not_refractory": 1.0}
    assert rules["step"].step_slot == "start"
    assert rules["step"].orders == {"equations": 0.5, "step": 0}
    assert rules["step"].step_dt == 1 * ms
    assert rules["own clock"].dt == 0.5 * ms
    spikes = SpikeMonitor(pre)
    Network(pre, scripts.values(), spikes).run(25 * ms, namespace={})
    assert spikes.num_spikes >= 6
    sent, summed = np.array(pre.g), np.array(pre.rest)
    wanted = {name: arrays(synapses) for name, synapses in scripts.items()}
    post, _ = pair()
    # the same names in another order: what Brian2 sorts by name must not depend on them
    names = dict(
        zip(scripts, ("m1", "m2", "m3", "kinds", "m4", "n1", "own", "random", "m5"), strict=True)
    )
    ours = {
        name: again(rule, scripts[name], post, post, names[name]) for name, rule in rules.items()
    }
    Network(post, ours.values()).run(25 * ms, namespace={})
    for name, values in wanted.items():
        found = arrays(ours[name])
        for variable, value in values.items():
            np.testing.assert_array_equal(found[variable], value, err_msg=f"{name}.{variable}")
    np.testing.assert_allclose(post.g, sent, rtol=1e-12)
    np.testing.assert_array_equal(post.rest, summed)
    assert np.abs(sent).min() > 0
    assert np.abs(summed).min() > 1e-3


def test_before_there_are_synapses_there_are_no_values():
    _, synapses = pair(on_post="w += x")
    rule = PlasticityRule.from_synapses(synapses)
    assert rule.initial == {}
    assert rule.transmission is None
    assert rule.transmitted == ""


def test_the_weight_is_what_is_sent_and_learned():
    """Among others: a trace and a gain that are sent, too."""
    model = TRACE + "\ngain : 1\nq : 1"
    for code, weight in (
        ("g_post += gain*q*x; x += 1; q += 0.1", "q"),  # no dynamics of its own
        ("released = q*x; x -= released; g_post += released*gain; q *= 2", "q"),
        ("g_post += w", None),
        ("x += 1; q += x", "q"),  # nothing is sent
        ("g_post += 0.1*q; q += 1; gain += 1", "q"),
    ):
        _, synapses = pair(model=model, on_pre=code)
        if weight:
            assert PlasticityRule.from_synapses(synapses).weight == weight
    with pytest.raises(ValueError, match="no string changes the weight 'w'"):
        PlasticityRule.from_synapses(pair(on_pre="g_post += w")[1])
    chosen = PlasticityRule.from_synapses(pair(model=model, on_pre="g_post += q*w; q += 1")[1])
    assert chosen.weight == "q"
    assert PlasticityRule.from_synapses(synapses, weight="gain").weight == "gain"


def test_bounds_and_fields_of_the_caller():
    _, synapses = pair(
        model=TRACE + "\nreward : 1 (shared)\nscale : 1 (shared, constant)",
        on_pre="x += 1; w = clip(w + scale*reward*x, w_min, w_max)",
        namespace={"w_min": 0.0, "w_max": 1.0},
    )
    synapses.connect()
    synapses.scale = 0.25
    rule = PlasticityRule.from_synapses(synapses, third_factor="reward", name="mine")
    assert (rule.w_min, rule.w_max, rule.third_factor, rule.name) == (0.0, 1.0, "reward", "mine")
    assert rule.parameters == {"scale": 0.25}


# -- the same strings by hand ---------------------------------------------------------------------

BY_HAND = {
    "equations": """   w : 1  # the weight; no unit
      dx/dt = -x/tau : 1 (event-driven)""".replace(";", ","),
    "on_pre": """
            ge_post += w*nS     # as in every script
        x += 1
    """,
    "on_post": "w += A*x  # potentiation",
    "parameters": {"tau": 20 * ms, "A": 0.1},
}


@pytest.mark.parametrize("target", ["ge_post", "ge"])
def test_a_rule_written_by_hand_acts_on_the_neuron(target):
    rule = PlasticityRule(**BY_HAND | {"on_pre": f"{target} += w*nS\n    x += 1"})
    assert rule.targets == ("ge",)
    assert rule.written == {"ge_post": nS.dim}
    source = SpikeGeneratorGroup(1, [0, 0], [1, 5] * ms)
    post = NeuronGroup(1, "ge : siemens", threshold="timestep(t, dt) == 30", reset="")
    synapses = rule.synapses(source, post)
    synapses.w = 0.5
    Network(source, post, synapses).run(6 * ms, namespace={})
    learned = 0.5 + 0.1 * np.exp(-2 / 20)
    assert synapses.w[0] == pytest.approx(learned, abs=1e-14)
    assert post.ge[0] / nS == pytest.approx(0.5 + learned, abs=1e-12)
    window = analysis.stdp_window(rule, max_lag=4 * ms, step=2 * ms)
    np.testing.assert_allclose(window.dw, [0, 0, 0.1, 0.1 * np.exp(-0.1), 0.1 * np.exp(-0.2)])


def test_without_a_target_only_what_learns_is_left():
    rule = PlasticityRule(
        equations="w : 1\nx : 1\nforce = E - v_post : 1\nkept = x + 1 : 1",
        on_pre={"send": "I = w*force; g_post += I; x += kept", "late": "w -= A*x; h_post += w"},
        on_post="w += A*x",
        requires={"v": 1.0},
        parameters={"E": 1.0, "A": 0.1},
        orders={"late": 5},
        delays={"late": 2 * ms},
        initial={"x": 0.5},
    )
    silent = rule.silent
    assert rule.targets == ("g", "h")
    assert silent.targets == ()
    assert "force" not in silent.equations
    assert "kept" in silent.equations
    assert dict(silent.on_pre) == {"send": "x += kept", "late": "w -= A*x"}
    assert silent.requires == {}
    assert silent.parameters == {"A": 0.1}
    assert (silent.orders, silent.delays, silent.initial) == (
        rule.orders,
        rule.delays,
        rule.initial,
    )
    assert silent.silent is silent


def test_a_target_with_a_unit_of_its_own():
    """The transmission carries the unit, the weight has none."""
    rule = PlasticityRule(**BY_HAND | {"on_pre": "x += 1", "transmission": "w*nS"})
    source = SpikeGeneratorGroup(1, [0], [1] * ms)
    group = NeuronGroup(1, "ge : siemens\ng : 1", threshold="False", reset="", name="neurons")
    assert rule.transmitted == "w*nS"
    rule.synapses(source, group, target="ge")
    with pytest.raises(
        ValueError, match="'g' of the group 'neurons.*' is in dimensionless, but must be"
    ):
        rule.synapses(source, group, target="g")


def test_pathways_by_name_send_the_weight_before_they_change_it():
    """To the target that `synapses` is told; also if an order says first."""
    rule = PlasticityRule(
        equations="w : 1",
        on_pre={"a": "w *= 2", "b": "w += 1"},
        orders={"b": -7},
        initial={"w": 0.5},
    )
    source = SpikeGeneratorGroup(1, [0], [1] * ms)
    post = NeuronGroup(1, "g : 1", threshold="False", reset="")
    synapses = rule.synapses(source, post, target="g", delay=2 * ms)
    net = Network(source, post, synapses)
    net.run(3 * ms, namespace={})
    assert post.g[0] == 0
    net.run(1 * ms, namespace={})
    assert post.g[0] == 0.5
    assert synapses.w[0] == 3.0


# -- refused --------------------------------------------------------------------------------------

REFUSED = {}
FOREIGN = TimedArray([0.0, 1.0], dt=1 * ms)


def refused(match):
    """Note synapses that are refused, with the message."""

    def note(case):
        REFUSED[case.__name__] = (case, match)
        return case

    return note


@refused("'synapses.*' is a Synapses, not a group of neurons.*variable of the neurons")
def synapses_onto_synapses():
    KEPT.append(pair()[1])
    return Synapses(KEPT[-1].source, KEPT[-1], "w_x : 1", on_pre="w_x += 1")


@refused("a pathway runs at the event 'jump'")
def another_event():
    group = NeuronGroup(2, "v : 1", threshold="v > 1", events={"jump": "v > 2"})
    return Synapses(group, group, TRACE, on_pre=LEARN, on_event="jump")


@refused("number those of the same pair in 'k'")
def a_multisynaptic_index():
    return pair(multisynaptic_index="k")[1]


@refused("the variable 'q' is linked")
def a_linked_variable():
    _, synapses = pair(model=TRACE + "\nq : 1 (linked)")
    return synapses


@refused("_pre' is switched off")
def a_pathway_that_is_off():
    _, synapses = pair()
    synapses.pre.active = False
    return synapses


@refused("they contain 'operation', a NetworkOperation")
def another_part():
    _, synapses = pair()
    synapses.contained_objects.append(NetworkOperation(lambda: None, name="operation"))
    return synapses


@refused("_stateupdater' runs in slot 'end', order 0")
def another_moment():
    _, synapses = pair(model="dw/dt = -w/(9*ms) : 1 (clock-driven)", method="euler")
    synapses.state_updater.when = "end"
    return synapses


@refused("the pathways run in the slots 'after_resets', 'synapses'")
def pathways_in_different_slots():
    _, synapses = pair(on_post="w += 1")
    synapses.post.when = "after_resets"
    return synapses


@refused("run_regularly is called 2 times, for different moments")
def two_steps():
    _, synapses = pair()
    synapses.run_regularly("w *= 0.9")
    synapses.run_regularly("w += 0.1", dt=2 * ms)
    return synapses


@refused("'middle_stateupdater' runs between parts of the neurons only by its name.*order=1")
def between_the_neurons_by_name():
    groups = [NeuronGroup(1, "dv/dt = -v/ms : 1", threshold="v > 1", reset="v = 0", name=name,
                          method="euler") for name in ("first", "other")]  # fmt: skip
    KEPT.append(groups)
    return Synapses(
        *groups, "dw/dt = (v_pre - v_post)/ms : 1 (clock-driven)", on_pre="v_post += w",
        method="euler", name="middle",
    )  # fmt: skip


@refused("the code of 'pre' cannot be read.*comment follows one.*ends of lines")
def a_comment_alone():
    return pair(on_pre="# traces\n" + LEARN)[1]


@refused("'w' is of type float32")
def single_precision():
    _, synapses = pair(dtype={"w": np.float32})
    synapses.connect()
    return synapses


@refused("the weight could be any of q, w")
def two_weights():
    return pair(model=TRACE + "\nq : 1", on_pre="g_post += w*q; w += 1; q += 1")[1]


@refused("no variable of the synapses looks like a weight.*Pass weight='w'")
def no_weight():
    return pair(on_pre="x += 1")[1]


@refused("unknown name 'eta_far'.*Call from_synapses where 'eta_far' is defined")
def a_constant_of_another_function():
    return pair(on_pre="w += eta_far")[1]


@refused("'stim' is a TimedArray")
def a_timed_array():
    return pair(on_pre="w += stim(t)", namespace={"stim": FOREIGN})[1]


@refused("'double' is a function of the script")
def a_function():
    @check_units(x=1, result=1)
    def double(x):
        return 2 * x

    return pair(on_pre="w += double(1)", namespace={"double": double})[1]


@refused("the synapses have run already.*Read them before the run")
def synapses_that_have_run():
    group, synapses = pair()
    synapses.connect()
    Network(group, synapses).run(9 * ms, namespace={})
    return synapses


@refused("the synapses have run already")
def spikes_on_their_way():
    group, synapses = pair(model="w : 1", on_pre="w += 1", delay=5 * ms)
    synapses.connect()
    Network(group, synapses).run(9 * ms, namespace={})
    return synapses


KEPT = []


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_the_reason(case):
    make, match = REFUSED[case]
    with pytest.raises(ValueError, match=match) as caught:
        PlasticityRule.from_synapses(make())
    assert str(caught.value).startswith("PlasticityRule.from_synapses(")


def test_things_that_are_no_synapses():
    group, _ = pair()
    for thing in (group, "synapses"):
        with pytest.raises(TypeError, match="is no Synapses object.*Pass the Synapses"):
            PlasticityRule.from_synapses(thing)


@pytest.mark.standalone
def test_values_that_a_standalone_program_computes():
    set_device("cpp_standalone", build_on_run=False)
    _, synapses = pair(on_pre="g_post += w; w += 0.1")
    synapses.connect(i=[0, 1], j=[1, 2])
    synapses.w = "rand()"
    with pytest.raises(ValueError, match=r"the values of 'w' are not known.*runtime device"):
        PlasticityRule.from_synapses(synapses)


NAMED = {
    "on_pre": {"send": "g_post += w", "learn": "x += 1"},
    "equations": TRACE,
    "on_post": "w += x",
}


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"weight": "q"}, "do not declare the weight 'q'"),
        ({"equations": "w = 2*x : 1\nx : 1"}, "'w' cannot be the weight"),
        ({"delay_placement": "dendritic"}, "delay_placement='dendritic' together with pathways"),
        ({"on_pre": {"w": "x += 1"}}, "a pathway cannot be called 'w'"),
        ({"on_pre": {"post": "x += 1"}}, "a pathway cannot be called 'post'"),
        (
            {"on_pre": {"transmit": "x += 1"}},
            "a pathway is called 'transmit' and transmits nothing",
        ),
        ({"orders": {"sent": 1}}, "orders has 'sent', which is no pathway.*Did you mean 'send'"),
        ({"orders": {"send": "first"}}, "the order of 'send' is 'first'"),
        ({"delays": {"step": 1 * ms}}, "delays has 'step', which is no pathway"),
        ({"delays": {"send": -1 * ms}}, "send must be >= 0"),
        ({"dt": 0 * ms}, "dt must be >"),
        ({"initial": {"q": 1.0}}, "initial has 'q', which is no variable"),
        ({"initial": {"w": 1 * mV}}, "the initial value of w is in V, but w is in dimensionless"),
        (
            {"initial": {"q": [1.0, 2.0]}, "equations": TRACE + "\nq : 1 (shared)"},
            "q has 2 initial values.*All synapses share it",
        ),
        ({"transmission": "2*w"}, "transmission='2\\*w' together with strings that act on g"),
        (
            {"on_post": "w += x; v_post = 0"},
            r"'post' writes to v_post, whose unit is not known.*requires=",
        ),
        ({"on_post": "w += x; q *= 2"}, r"writes to q_post, whose unit is not known"),
        ({"on_post": "w += x +"}, "on_post cannot be used"),
        ({"on_post": "w"}, "on_post cannot be used: Parsing the statement failed"),
        ({"step": "q += 1"}, "unknown name 'q' in step"),
        (
            {"equations": TRACE + "\ns_post = x : 1 (summed)"},
            "equation of s_post reads 'x', which is event",
        ),
    ],
)
def test_bad_rule_is_refused(changes, match):
    PlasticityRule(**NAMED)
    with pytest.raises(ValueError, match=match):
        PlasticityRule(**NAMED | changes)


@pytest.mark.parametrize(
    ("changes", "options", "match"),
    [
        ({}, {"target": "g"}, "target='g', sign=1 together with strings that act on g"),
        ({}, {"sign": -1}, "sign=-1 together with strings"),
        (
            {"delays": {"send": 1 * ms}},
            {"delay": 1 * ms},
            "delays of their own.*The rule delays send",
        ),
        (
            {"on_pre": "x += 1", "transmission": None},
            {"target": "g"},
            "target='g', but the rule transmits nothing",
        ),
        ({"initial": {"w": [1.0, 2.0]}}, {}, "initial has 2 values of 'w' for 9 synapses"),
        ({"delays": {"send": [1, 2] * ms}}, {}, "delays has 2 values of 'send' for 9 synapses"),
        (
            {"initial": {"w": 1.0}},
            {"connect": False},
            "values of 'w' for synapses that do not exist yet",
        ),
        (
            {"on_post": "w += x/tau*ms", "parameters": {"tau": 1 * ms}},
            {},
            "'tau' of the rule is also a variable of the group 'neurons.*'tau_syn'",
        ),
        (
            {"on_post": "rest = 2; w += x*rest"},
            {},
            "'rest' of the rule is also a variable of the group",
        ),
        (
            {"on_post": "w += x/tau_pre*ms", "parameters": {"tau_pre": 1 * ms}},
            {},
            "'tau_pre' of the rule is also a variable",
        ),
        ({"on_pre": "h_post += w; x += 1"}, {}, "has no variable 'h'"),
    ],
)
def test_synapses_refuse_what_does_not_fit(changes, options, match):
    group, _ = pair()
    rule = PlasticityRule(**NAMED | changes)
    with pytest.raises(ValueError, match=match):
        rule.synapses(group, group, **options)


def test_what_reads_the_neuron_before_its_step_has_no_window():
    rule = PlasticityRule(
        equations="dw/dt = v_post/ms : 1 (clock-driven)",
        requires={"v": 1.0},
        orders={"equations": 0.5},
        method="euler",
    )
    model = NeuronModel(
        equations="v : 1", step="v *= 0.9", threshold="v > 1", reset="v = 0", name="stepped"
    )
    with pytest.raises(
        ValueError, match="reads v between the equations of the neuron and its step"
    ):
        analysis.stdp_window(rule, post=model)
    assert dataclasses.replace(rule, orders={}).orders == {}
