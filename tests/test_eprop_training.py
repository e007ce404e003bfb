"""Online e-prop in use: whole epochs inside Brian2, loops in Python, standalone programs, errors."""

import re

import brian2_programs
import numpy as np
import pytest
from brian2 import (
    Equations,
    Network,
    NeuronGroup,
    PoissonGroup,
    SpikeGeneratorGroup,
    Synapses,
    defaultclock,
    get_device,
    ms,
    mV,
    prefs,
    set_device,
)
from engine_cases import raster, spike_trials
from reference.eprop_numpy import INPUT, eprop
from reference.eprop_numpy import Layer as PlainLayer
from reference.eprop_numpy import Network as PlainNetwork
from reference.eprop_numpy import Projection as PlainProjection

from neurosnn import NeuronModel, equations
from neurosnn.losses import CrossEntropy, CrossEntropyPerStep, MeanSquareError
from neurosnn.network import Input, Layer, Readout, SpikingNetwork
from neurosnn.rules.eprop import EProp
from neurosnn.rules.eprop.backend import OnlineBackend
from neurosnn.rules.eventprop import EventProp
from neurosnn.training import Trainer
from neurosnn.training.online import OnlineTraining
from neurosnn.training.optimizers import SGD, Adam

N_STEPS, N_IN, N_OUT = 80, 8, 3


def network(*, layers=2, excitatory=0.7):
    models = (equations.ALIF(tau_a=50 * ms), equations.STDP_ALIF(t_ref=3 * ms))[:layers]
    parts = [
        Layer(
            model, 6, recurrent=k == 0, weight_scale=2.5, excitatory=excitatory if k == 0 else None
        )
        for k, model in enumerate(models)
    ]
    return SpikingNetwork(Input(N_IN), *parts, Readout(N_OUT), seed=4)


def in_millivolts():
    model = NeuronModel(
        equations="dv/dt = (v_rest - v)/tau_m : volt (unless refractory)",
        threshold="v > v_th",
        reset="v = v_rest",
        refractory=2 * ms,
        surrogate="clip(1 - abs(v - v_th)/(10*mV), 0, 1)/(10*mV)",
        parameters={"tau_m": 20 * ms, "v_rest": -70 * mV, "v_th": -50 * mV},
        initial={"v": "v_rest"},
    )
    readout = NeuronModel(
        equations="dy/dt = -y/tau : volt", inputs=("y",), parameters={"tau": 20 * ms}
    )
    net = SpikingNetwork(
        Input(N_IN),
        Layer(model, 6, recurrent=True, weight_scale=30 * mV),
        Readout(N_OUT, model=readout),
    )
    net.parameters["readout.w"][:] *= 300
    return net


# -- a whole epoch inside Brian2 ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("feedback", "optimizer", "make"),
    [
        ("symmetric", SGD(0.05, momentum=0.5), network),
        ("random", SGD(0.05, weight_decay=0.1, decoupled=False), network),
        ("adaptive", Adam(0.01, weight_decay=0.01), network),
        ("symmetric", Adam(0.02, factors={"readout*.w": 0.5}), in_millivolts),
    ],
)
def test_an_epoch_in_one_simulation_equals_steps_of_the_trainer(feedback, optimizer, make):
    trials = spike_trials(5, N_IN, N_STEPS, rate=60.0, seed=5)
    rule = EProp(feedback=feedback, rate_strength=1e-6)
    net = make()
    before = {name: array.copy() for name, array in net.parameters.items()}
    training = OnlineTraining(net, rule, trials, optimizer=optimizer, batch_size=2)
    training.run()
    learned = training.parameters
    np.testing.assert_array_equal(net.parameters["input.w"], before["input.w"])

    loss = CrossEntropyPerStep()
    backend = OnlineBackend(net, rule, loss)
    trainer = Trainer(net, rule, optimizer=optimizer, loss=loss, backend=backend)
    losses = [trainer.step(trials[k : k + 2])["loss"] for k in (0, 2, 4)]
    pairs = [training.losses[:2].mean(), training.losses[2:4].mean(), training.losses[4]]
    np.testing.assert_allclose(pairs, losses, rtol=1e-9)
    assert 0 < training.accuracy < 1
    assert training.history.rows == [
        {
            "epoch": 1,
            "loss": pytest.approx(np.dot([2, 2, 1], losses) / 5, rel=1e-9),
            "accuracy": training.accuracy,
            "learning_rate": optimizer.learning_rate,
        }
    ]
    expected = {**net.parameters, **backend.parameters}
    assert learned.keys() == expected.keys()
    for name, array in expected.items():
        if name in before:
            assert np.abs(array - before[name]).max() > 0
        np.testing.assert_allclose(learned[name], array, rtol=1e-9, atol=1e-9 * np.abs(array).max())


def test_regression_in_one_simulation():
    trials = spike_trials(2, N_IN, N_STEPS, rate=60.0, seed=7)
    target = np.sin(np.arange(N_STEPS) / 10)[:, None] * np.ones(N_OUT)
    net, rule, loss = network(layers=1, excitatory=None), EProp(), MeanSquareError()
    options = {"loss": loss, "optimizer": SGD(0.1), "targets": target}
    training = OnlineTraining(net, rule, trials, **options)
    training.run()
    trainer = Trainer(
        net, rule, optimizer=SGD(0.1), loss=loss, backend=OnlineBackend(net, rule, loss)
    )
    losses = [trainer.step(trials[k : k + 1], target)["loss"] for k in range(2)]
    np.testing.assert_allclose(training.losses, losses, rtol=1e-9)
    assert np.isnan(training.accuracy)
    for name, array in net.parameters.items():
        np.testing.assert_allclose(training.parameters[name], array, rtol=1e-9, atol=1e-12)


@pytest.mark.standalone
@pytest.mark.slow
def test_a_program_that_learns_without_python(tmp_path):
    trials = spike_trials(3, N_IN, N_STEPS, rate=60.0, seed=5)

    def training():
        net = network(layers=1, excitatory=None)
        return OnlineTraining(net, EProp(), trials, optimizer=Adam(0.01), batch_size=2)

    runtime = training()
    runtime.run()
    set_device("cpp_standalone", build_on_run=False, directory=None)
    program = training()
    program.run()
    brian2_programs.build(tmp_path / "program")
    np.testing.assert_allclose(program.losses, runtime.losses, rtol=1e-9)
    for name, array in runtime.parameters.items():
        np.testing.assert_allclose(program.parameters[name], array, rtol=1e-9, atol=1e-12)


# -- the user's own script ----------------------------------------------------------------------


def test_a_loop_in_python_with_a_third_factor():
    """Three trials, each with a reward set from Python, and an update between them."""
    defaultclock.dt = 1 * ms
    model, n, rewards, rate = equations.ALIF(tau_a=50 * ms, beta=0.3), 5, (1.0, -0.5, 2.0), 0.05
    trials = spike_trials(3, N_IN, N_STEPS, rate=60.0, seed=8)
    offsets, step, channel = trials.steps(1 * ms)
    source = SpikeGeneratorGroup(N_IN, [], [] * ms)
    neurons = model.group(n)
    synapses = EProp().synapses(source, neurons)
    w = 2.5 * np.random.default_rng(0).normal(size=(N_IN, n)) / np.sqrt(N_IN)
    synapses.w = w.ravel()
    net = Network(source, neurons, synapses)
    net.store()
    for k, reward in enumerate(rewards):
        w_now = np.array(synapses.w[:])
        net.restore()
        synapses.w, neurons.L = w_now, reward
        part = slice(offsets[k], offsets[k + 1])
        source.set_spikes(channel[part], step[part] * ms)
        net.run((N_STEPS + 1) * ms, namespace={})
        synapses.w = synapses.w - rate * synapses.G

    plain = PlainLayer(
        n, "alif", np.exp(-1 / 20), np.exp(-1 / 50), beta=0.3, n_ref=2, psi_prefactor=1.0
    )
    for k, reward in enumerate(rewards):
        same = PlainNetwork([plain], [PlainProjection(INPUT, 0, w.T)], [np.zeros((1, n))], 0.0)
        zeros = np.zeros((N_STEPS, 1))
        *_, (traces,) = eprop(
            same, raster(trials, k, N_STEPS), zeros, feedback=[np.zeros((n, 1))], with_traces=True
        )
        w = w - rate * reward * traces.e.sum(axis=0).T
    change = np.abs(np.array(synapses.w[:]) - w.ravel()).max()
    assert change < 1e-12 * np.abs(w).max()


def test_learning_signal_as_a_summed_variable_of_ones_own_readout():
    """The slots that Brian2 gives summed variables fit: the result is that of the backend."""
    net = network(layers=1, excitatory=None)
    trial = spike_trials(1, N_IN, N_STEPS, rate=60.0, seed=5)
    loss = MeanSquareError(reduction="sum")
    expected = OnlineBackend(net, EProp(), loss).run(
        trial, np.ones((N_STEPS, N_OUT)), gradient=True
    )
    defaultclock.dt = 1 * ms
    simulation = net.brian2(trial)
    hidden, readout = simulation["hidden"], simulation["readout"]
    readout_group = NeuronGroup(N_OUT, "err : 1", name="error", namespace={})
    copy = Synapses(readout, readout_group, "err_post = output_pre - 1 : 1 (summed)", namespace={})
    copy.connect(j="i")
    copy.summed_updaters["err_post"].when = "end"
    source = simulation["input"]
    plastic = EProp().synapses(source, hidden, readout_filter=20 * ms)
    plastic.w = 0
    back = Synapses(readout_group, hidden, "L_post = B*err_pre : 1 (summed)\nB : 1", namespace={})
    back.connect()
    back.B = net.parameters["readout.w"].T.ravel()
    simulation.add(readout_group, copy, plastic, back)
    simulation.run((N_STEPS + 1) * ms, namespace={})
    gradient = np.array(plastic.G[:]).reshape(N_IN, -1)
    np.testing.assert_allclose(gradient, expected.gradient["input.w"], rtol=1e-9, atol=1e-12)
    assert np.abs(gradient).max() > 0


def test_a_second_call_and_a_subgroup_share_the_variables_of_the_group():
    defaultclock.dt = 1 * ms
    neurons = equations.ALIF().group(6)
    half = neurons[2:5]
    source = PoissonGroup(3, rates=100 / (1000 * ms))
    rule = EProp()
    synapses = [rule.synapses(source, neurons), rule.synapses(source, half)]
    for one in synapses:
        one.w = 1
    neurons.L = 1
    Network(source, neurons, *synapses).run(50 * ms, namespace={})
    whole = np.array(synapses[0].G[:]).reshape(3, 6)
    np.testing.assert_array_equal(np.array(synapses[1].G[:]).reshape(3, 3), whole[:, 2:5])
    assert np.abs(whole).max() > 0
    names = [obj.name for obj in neurons.contained_objects]
    assert len(names) == len(set(names))


def test_printed_strings_are_the_executed_ones():
    model, source = equations.STDP_ALIF(), PoissonGroup(2, rates=0 / (1000 * ms))
    code = EProp().equations(model)
    neurons = model.group(2)
    synapses = EProp().synapses(source, neurons, readout_filter=20 * ms)
    executed = {obj.name: getattr(obj, "abstract_code", "") for obj in synapses.contained_objects}
    assert executed[f"{synapses.name}_eprop"] == code.step
    executed = {obj.name: obj.abstract_code for obj in neurons.contained_objects}
    assert executed[f"{neurons.name}_coefficients"] == code.before_groups
    assert executed[f"{neurons.name}_eprop"] == code.after_thresholds
    for part in (code.step, code.before_groups, code.after_thresholds, code.on_pre):
        assert part in str(code)
    assert Equations(code.synapse).names >= {"w", "G", "ebar", *code.eligibility}
    assert code.eligibility == ("eps_v", "eps_a")
    assert np.asarray(synapses.kappa) == pytest.approx(np.exp(-1 / 200))  # dt is 0.1 ms here


@pytest.mark.cuda
def test_cuda_code_of_a_users_script_is_generated(tmp_path):
    pytest.importorskip("brian2cuda")
    from neurosnn.standalone.cuda import settings

    for name, value in settings("sm_80").items():
        prefs[name] = value
    set_device("cuda_standalone", build_on_run=False, directory=None)
    defaultclock.dt = 1 * ms
    source = PoissonGroup(10, rates=50 / (1000 * ms))
    neurons = equations.STDP_ALIF().group(5, name="hidden")
    synapses = EProp().synapses(source, neurons, readout_filter=20 * ms, name="plastic")
    synapses.w = "rand()"
    neurons.L = 1
    Network(source, neurons, synapses).run(50 * ms, namespace={})
    get_device().build(directory=str(tmp_path / "cuda"), compile=False, run=False)
    # Brian2 numbers a code object if an earlier one of the same name is still alive.
    written = {
        re.sub(r"_\d+$", "", path.stem) for path in (tmp_path / "cuda/code_objects").glob("*.cu")
    }
    assert {
        "plastic_eprop_codeobject",
        "hidden_eprop_codeobject",
        "plastic_pre_codeobject",
    } <= written


# -- errors ---------------------------------------------------------------------------------------


def test_errors_of_synapses():
    source = PoissonGroup(2, rates=0 / (1000 * ms))
    foreign = NeuronGroup(
        2, "dv/dt = -v/(20*ms) : 1", threshold="v > 1", reset="v = 0", method="exact"
    )
    rule, neurons = EProp(), equations.LIF().group(2)
    with pytest.raises(ValueError, match=r"was not made by a NeuronModel.*model\.group\(n\)"):
        rule.synapses(source, foreign)
    with pytest.raises(ValueError, match=r"'v' is not an input of LIF.*Known names: I"):
        rule.synapses(source, neurons, target="v")
    with pytest.raises(ValueError, match=r"no variable 'x'.*Leave amplitude out"):
        rule.synapses(source, neurons, amplitude="x")
    with pytest.raises(ValueError, match=r"readout_filter must be a time.*got -5.*20\*ms"):
        rule.synapses(source, neurons, readout_filter=-5 * ms)
    with pytest.raises(ValueError, match="readout_filter must be a time or a factor"):
        rule.synapses(source, neurons, readout_filter=1.0)
    with pytest.raises(ValueError, match="LeakyReadout has no threshold.*needs? no trace"):
        rule.synapses(source, equations.LeakyReadout().group(2))
    with pytest.raises(ValueError, match="delay must be"):
        rule.synapses(source, neurons, delay=-1 * ms)
    assert rule.synapses(source, neurons, delay=1 * ms, connect="i == j").N[:] == 2


def test_a_group_of_the_users_own_with_model():
    defaultclock.dt = 1 * ms
    group = NeuronGroup(
        2,
        "dv/dt = -v/tau_m : 1",
        threshold="v > v_th",
        reset="v = 0",
        method="exact",
        namespace={"tau_m": 20 * ms, "v_th": 1.0},
    )
    model = NeuronModel.from_group(group, surrogate="0.3*clip(1 - abs(v - v_th)/v_th, 0, 1)/v_th")
    source = SpikeGeneratorGroup(1, [0], [3] * ms)
    own = EProp().synapses(source, group, model=model)
    made = model.group(2)
    ours = EProp().synapses(source, made)
    for synapses, neurons in ((own, group), (ours, made)):
        synapses.w, neurons.v, neurons.L = 0.4, 0.9, 1
    Network(source, group, made, own, ours).run(40 * ms)
    assert own.G[0] > 0
    np.testing.assert_allclose(own.G[:], ours.G[:], rtol=1e-12)


def test_errors_of_names_and_units():
    parameters = {"tau_m": 20 * ms, "v_th": 20 * mV}
    common = {"threshold": "v > v_th", "reset": "v = 0*mV", "parameters": parameters}
    taken = NeuronModel(
        equations="dv/dt = -v/tau_m : volt\npsi : 1",
        surrogate="clip(1 - abs(v - v_th)/v_th, 0, 1)/v_th",
        **common,
    )
    assert "neurosnn_psi" in EProp().equations(taken).neuron_variables
    with pytest.raises(
        ValueError, match=r"surrogate is dimensionless, and must be in 1/V.*Divide it"
    ):
        NeuronModel(
            equations="dv/dt = -v/tau_m : volt",
            surrogate="clip(1 - abs(v - v_th)/v_th, 0, 1)",
            **common,
        )
    source, model = PoissonGroup(1, rates=0 / (1000 * ms)), equations.LIF()
    group = model.group(1)
    group.variables.add_array("psi", size=1)
    with pytest.raises(ValueError, match="has a variable 'psi' already.*another name"):
        EProp().synapses(source, group)


def test_errors_of_readouts_and_training():
    trials = spike_trials(1, N_IN, N_STEPS, seed=5)
    net = network(layers=1)
    several = equations.LeakyReadout(tau=[10, 20, 30] * ms)
    uneven = SpikingNetwork(Input(N_IN), Layer(equations.LIF(), 3), Readout(3, model=several))
    with pytest.raises(ValueError, match=r"different tau for each output.*same, linear way"):
        OnlineBackend(uneven, EProp(), CrossEntropyPerStep()).run(trials, gradient=True)
    curved = NeuronModel(
        equations="dy/dt = -y**2/tau : 1",
        method="euler",
        inputs=("y",),
        parameters={"tau": 20 * ms},
    )
    with pytest.raises(ValueError, match="is not linear"):
        EProp().equations(equations.LIF(), readout_filter=curved)
    with pytest.raises(ValueError, match="EventProp has no online form.*backwards in time"):
        OnlineBackend(net, EventProp(), CrossEntropyPerStep())
    with pytest.raises(ValueError, match="no rule was given"):
        OnlineBackend(net, None, CrossEntropyPerStep()).run(trials, gradient=True)
    with pytest.raises(ValueError, match="known only at the end of a trial.*per_step"):
        OnlineTraining(net, EProp(), trials, loss=CrossEntropy())
    with pytest.raises(ValueError, match="factors names 'hidden.w'"):
        OnlineTraining(net, EProp(), trials, optimizer=SGD(0.1, factors={"hidden.w": 2.0}))


def test_only_optimizers_that_are_written_as_statements_train_online():
    """What a subclass does in Python would not happen in Brian2: it must not be ignored."""
    trials, net = spike_trials(1, N_IN, N_STEPS, seed=5), network(layers=1)

    class Renamed(SGD):
        """Other numbers only."""

        def __init__(self):
            super().__init__(0.1, momentum=0.5)

    assert OnlineTraining(net, EProp(), trials, optimizer=Renamed()).duration > 0 * ms

    class Sign(SGD):
        def _step(self, name, slope, rate, state):
            return rate * np.sign(slope)

    class Lazy(Adam):
        def update(self, parameters, gradient, state, learning_rate=None):
            pass

    class Halved(Adam):
        def _factor(self, name):
            return 0.5

    class Other:
        learning_rate, start, update = 0.1, staticmethod(dict), staticmethod(dict)

    for optimizer in (Sign(0.1), Lazy(0.1), Halved(0.1), Other()):
        name = type(optimizer).__name__
        with pytest.raises(ValueError, match=f"the optimizer {name} is not known.*Use SGD or Adam"):
            OnlineTraining(net, EProp(), trials, optimizer=optimizer)
    with pytest.raises(
        TypeError, match="OnlineTraining: optimizer must be an optimizer, got 'sgd'"
    ):
        OnlineTraining(net, EProp(), trials, optimizer="sgd")
