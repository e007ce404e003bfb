"""Groups that no NeuronModel can be: each is refused with the reason."""

import numpy as np
import pytest
from brian2 import (
    ExplicitStateUpdater,
    Hz,
    Network,
    NeuronGroup,
    PoissonGroup,
    Soma,
    SpatialNeuron,
    Synapses,
    TimedArray,
    check_units,
    linked_var,
    ms,
    prefs,
    set_device,
    umetre,
)

from neurosnn import NeuronModel

REFUSED = {}
KEPT = []  # Brian2's subgroups do not keep their group alive


def refused(match):
    """Note a group that is refused, with the message."""

    def note(case):
        REFUSED[case.__name__] = (case, match)
        return case

    return note


def plain(text="dv/dt = (1.5 - v)/(10*ms) : 1", n=2, **options):
    options = {"threshold": "v > 1", "reset": "v = 0", "method": "euler"} | options
    return NeuronGroup(n, text, name="neurons*", **options)


@refused(r"unknown name 'tau_far'.*Call from_group where 'tau_far' is defined, or pass namespace=")
def a_constant_of_another_function():
    return plain("dv/dt = -v/tau_far : 1")


@refused(r"stim\(t - x\*ms\) reads 'x'")
def a_timed_array():
    return plain(
        "dv/dt = (stim(t - x*ms) - v)/(10*ms) : 1\nx : 1",
        namespace={"stim": TimedArray([0.0, 2.0], dt=10 * ms)},
    )


@refused(r"'double' is a function of the script")
def a_function():
    @check_units(x=1, result=1)
    def double(x):
        return 2 * x

    return plain("dv/dt = (double(1) - v)/(10*ms) : 1", namespace={"double": double})


@refused(r"'drive' is an array in the namespace.*set group.drive")
def an_array_in_the_namespace():
    return plain("dv/dt = (drive - v)/(10*ms) : 1", namespace={"drive": np.arange(2)})


@refused(r"'on' is not a number")
def a_flag_in_the_namespace():
    return plain(threshold="v > 1 and on", namespace={"on": True})


@refused(r"the name 'tau_post' ends in '_post'.*Choose another name")
def a_constant_named_as_in_a_synapse():
    return plain("dv/dt = -v/tau_post : 1", namespace={"tau_post": 10 * ms})


@refused(r"the variable 'drive' is linked to one of another group")
def a_linked_variable():
    source = plain()
    group = plain("dv/dt = (drive - v)/(10*ms) : 1\ndrive : 1 (linked)")
    group.drive = linked_var(source, "v")
    return group


@refused(r"a SpatialNeuron has compartments")
def a_cable():
    soma = Soma(diameter=30 * umetre)
    return SpatialNeuron(soma, "Im = 0*amp/meter**2 : amp/meter**2", name="neurons*")


@refused(r"a PoissonGroup has no equations of neurons.*Input\(n\)")
def a_poisson_group():
    return PoissonGroup(3, 10 * Hz, name="neurons*")


@refused(r"the event 'jump' cannot be part of a NeuronModel")
def another_event():
    return plain(events={"jump": "v > 2"})


@refused(r"run_regularly\) runs in slot 'start', order 0.*when='groups', order=1")
def run_regularly_at_the_start():
    group = plain()
    group.run_regularly("v += 0.1")
    return group


@refused(r"run_regularly\) runs every 1. ms, the group every 100. us")
def run_regularly_now_and_then():
    group = plain()
    group.run_regularly("v += 0.1", dt=1 * ms, when="groups", order=1)
    return group


@refused(r"run_regularly of 'neurons.*' changes some neurons only")
def run_regularly_of_a_part():
    group = plain()
    group[:1].run_regularly("v += 0.1", when="groups", order=1)
    return group


@refused(r"'neurons.*_spike_resetter' runs in slot 'after_resets'")
def a_late_reset():
    group = plain()
    group.resetter["spike"].when = "after_resets"
    return group


@refused(r"'neurons.*_stateupdater' is switched off")
def a_part_that_is_off():
    group = plain()
    group.state_updater.active = False
    return group


@refused(r"neurons have spiked already.*before it runs")
def neurons_that_have_run():
    group = plain(refractory=2 * ms)
    Network(group).run(20 * ms, namespace={})
    assert (group.lastspike > 0 * ms).all()
    return group


@refused(r"the schedule is start, synapses, groups.*Keep start, groups, thresholds")
def another_schedule():
    prefs.core.network.default_schedule = [
        "start",
        "synapses",
        "groups",
        "thresholds",
        "resets",
        "end",
    ]
    return plain()


@refused(r"prefs.legacy.refractory_timing is set")
def refractory_periods_of_old():
    prefs.legacy.refractory_timing = True
    return plain(refractory=2 * ms)


@refused(r"'v' is of type float32.*without dtype")
def single_precision():
    return plain(dtype=np.float32)


@refused(r"the integration method has options")
def options_of_a_method():
    return plain(method="exact", method_options={"simplify": False})


@refused(r"the integration method is an object of the script's own")
def a_method_of_the_script():
    return plain(method=ExplicitStateUpdater("x_new = x + dt*f(x, t)"))


@refused(r"none of the methods exact can integrate the equations")
def no_method_that_can():
    return plain("dv/dt = (1.5 - v**2)/(10*ms) : 1", method=("exact",))


@refused(r"the strings use 'i', which counts all neurons")
def the_index_in_a_slice():
    KEPT.append(plain("dv/dt = (1 + i - v)/(10*ms) : 1", n=4))
    return KEPT[-1][2:]


@refused(r"the initial value of v must be finite")
def an_infinite_value():
    group = plain()
    group.v = -np.inf
    return group


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_the_reason(case):
    make, match = REFUSED[case]
    with pytest.raises(ValueError, match=match) as caught:
        NeuronModel.from_group(make())
    assert str(caught.value).startswith(("NeuronModel.from_group(", "neurons"))


@pytest.mark.standalone
def test_values_that_a_standalone_program_computes():
    set_device("cpp_standalone", build_on_run=False)
    group = plain()
    group.v = [0.25, 0.5]
    assert NeuronModel.from_group(group).initial["v"].tolist() == [0.25, 0.5]
    group.v = "rand()"
    with pytest.raises(ValueError, match=r"the values of 'v' are not known.*runtime device"):
        NeuronModel.from_group(group)


def test_things_that_are_no_groups():
    group = plain()
    for thing in ("neurons", Synapses(group, group)):
        with pytest.raises(
            TypeError, match=r"a (str|Synapses) is no group of neurons.*Pass the group"
        ):
            NeuronModel.from_group(thing)


def test_a_private_constant_of_the_script():
    _tau = 10 * ms
    with pytest.raises(ValueError, match="the name '_tau' starts with an underscore"):
        NeuronModel.from_group(plain("dv/dt = -v/_tau : 1"))
