"""The first hour: the walk of somebody with data of their own, and the wrong calls made on the way."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from brian2 import Equations, Hz, NeuronGroup, ms, mV

from neurosnn import (
    BPTT,
    Adam,
    CrossEntropy,
    EProp,
    Input,
    Layer,
    NeuronModel,
    Readout,
    SpikingNetwork,
    Trainer,
    analysis,
    data,
    equations,
    export,
)
from neurosnn.losses import MeanSquareError

# -- the walk ---------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler")
def test_the_walk(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.array(["left", "right"] * 30)
    rates = np.where(
        (labels == "left")[:, None, None], [0.3] * 4 + [0.02] * 4, [0.02] * 4 + [0.3] * 4
    )
    array = rng.random((60, 40, 8)) < rates

    trials = data.SpikeTrials.from_dense(array, 1 * ms, labels)
    print(trials.summary())
    train, test = trials.split(0.2, seed=0)
    net = SpikingNetwork(
        Input(8), Layer(equations.LIF(), 16, weight_scale=3.0), Readout(2), dt=1 * ms
    )
    trainer = Trainer(net, EProp(), optimizer=Adam(1e-2))
    history = trainer.fit(train, epochs=8, batch_size=8, validation=0.2, progress=False)
    assert trainer.evaluate(test)["accuracy"] > 0.9
    assert trainer.confusion(test).class_names == ("left", "right")
    assert trainer.outputs(test).shape == (len(test), 40, 2)
    assert len(trainer.record(test, ["spikes", "v"]).spikes["hidden"].times) > 100
    history.to_csv(tmp_path / "history.csv")
    data.write_trials(tmp_path / "test.npz", test)
    net.save(tmp_path / "net.npz")
    loaded = Trainer(SpikingNetwork.load(tmp_path / "net.npz"), EProp())
    again = loaded.evaluate(data.read_trials(tmp_path / "test.npz"))
    assert again == trainer.evaluate(test)
    assert loaded.net.class_names == ("left", "right")


# -- wrong calls ------------------------------------------------------------------------------------

TRIALS = data.SpikeTrials.from_lists(
    [[1] * ms, [2] * ms], [[0], [1]], [0, 1], n_channels=4, duration=10 * ms
)
MODEL = {
    "equations": "dv/dt = -v/tau_m : volt",
    "threshold": "v > v_th",
    "reset": "v = 0*mV",
    "parameters": {"tau_m": 20 * ms, "v_th": 10 * mV},
}


class NoBackend:
    """A backend that must not be reached."""

    def run(self, trials, targets=None, gradient=False):
        raise AssertionError("ran")


def net():
    return SpikingNetwork(Input(4), Layer(equations.LIF(), 3), Readout(2))


def trainer(**settings):
    return Trainer(net(), EProp(), backend=NoBackend(), **settings)


def lists(times, units, labels=None, **settings):
    return data.SpikeTrials.from_lists(times, units, labels, **settings)


WRONG = {
    # rules, models and parts
    "a rule's name": (lambda: Trainer(net(), "eprop"), r"the text 'eprop'.*Write EProp\(\)"),
    "a rule's class": (lambda: Trainer(net(), BPTT), r"the class BPTT.*Write BPTT\(\)"),
    "no rule": (lambda: Trainer(net()), r"'rule' is missing.*Trainer\(net, EProp\(\)\)"),
    "a plasticity rule": (lambda: Trainer(net(), equations.PairSTDP()), "is a plasticity rule"),
    "rule before network": (lambda: Trainer(EProp(), net()), "net is an EProp, not a network"),
    "trials as network": (lambda: Trainer(TRIALS, EProp()), "net is a SpikeTrials, not a network"),
    "a model's function": (lambda: Layer(equations.LIF, 3), r"the function LIF.*mean LIF\(\)"),
    "a model's name": (lambda: Layer("LIF", 3), r"got 'LIF'.*equations.LIF\(\)"),
    "a layer without a size": (lambda: Layer(equations.LIF()), r"'n' is missing.*100\)"),
    "a size as text": (lambda: Layer(equations.LIF(), "100"), "got '100'.*n=100"),
    "a size that is a shape": (lambda: Input((28, 28)), r"a tuple of 2 \(int\).*n=784"),
    "a model as readout": (
        lambda: Readout(equations.LIF()),
        "n must be a whole.*got a NeuronModel",
    ),
    "a model as part": (
        lambda: SpikingNetwork(Input(4), equations.LIF(), Readout(2)),
        r"a NeuronModel is not a part.*Layer\(model, n\)",
    ),
    "a list of parts": (
        lambda: SpikingNetwork([Input(4), Layer(equations.LIF(), 3), Readout(2)]),
        r"a list of 3 \(Input, Layer, Readout\).*SpikingNetwork\(\*parts\)",
    ),
    "no readout": (
        lambda: SpikingNetwork(Input(4), Layer(equations.LIF(), 3)),
        "the parts must be Input, Layer .one or more., Readout",
    ),
    "dt without unit": (
        lambda: SpikingNetwork(Input(4), Layer(equations.LIF(), 3), Readout(2), dt=0.001),
        r"dt must be a time, got 0.001 .*dt=0.001\*second",
    ),
    # models
    "another parameter's name": (
        lambda: equations.ALIF(tau_mem=20 * ms),
        "'tau_mem'.*mean 'tau_m'",
    ),
    "no such parameter": (lambda: equations.PairSTDP(tau_plsu=1 * ms), "mean 'tau_plus'"),
    "a time without unit": (lambda: equations.LIF(tau_m=20), r"tau_m=20\*ms"),
    "a voltage for a time": (
        lambda: equations.LIF(tau_m=20 * mV),
        "tau_m must be a time, got 20. mV",
    ),
    "changed parameter": (lambda: equations.LIF().with_parameters(tau=1 * ms), "mean 'tau_m'"),
    "a positional equation": (
        lambda: NeuronModel("dv/dt = -v/tau : 1"),
        r'NeuronModel\(equations="',
    ),
    "a function as surrogate": (
        lambda: NeuronModel(**MODEL, surrogate=lambda v: v),
        "surrogate must be text, got function.*formula as a string",
    ),
    "a surrogate of the wrong unit": (
        lambda: NeuronModel(**MODEL, surrogate="clip(1 - abs(v - v_th)/(10*mV), 0, 1)"),
        "surrogate is dimensionless, and must be in 1/V",
    ),
    "a misspelt variable in a reset": (
        lambda: NeuronModel(**{**MODEL, "reset": "vv = 0*mV"}),
        "reset gives a value to 'vv', which nothing reads.*mean 'v'",
    ),
    "a misspelt name in a reset": (
        lambda: NeuronModel(**{**MODEL, "reset": "v = v_rest"}),
        "unknown name 'v_rest' in reset",
    ),
    "a parameter without value": (
        lambda: NeuronModel(**{**MODEL, "threshold": "v > v_hreshold"}),
        "'v_th' is not used in any string",
    ),
    "a parameter as argument": (
        lambda: NeuronModel(equations="dv/dt = -v/tau_m : 1", tau_m=20 * ms),
        r"no argument 'tau_m'.*parameters=\{",
    ),
    "Brian2's namespace": (
        lambda: NeuronModel(equations="dv/dt = -v/tau_m : 1", namespace={"tau_m": 20 * ms}),
        r"no argument 'namespace'.*parameters=\{",
    ),
    "Brian2's Equations": (
        lambda: NeuronModel(equations=Equations("dv/dt = -v/(20*ms) : 1")),
        r"must be text, got Equations.*str\(equations\)",
    ),
    "a group as model": (
        lambda: Layer(NeuronGroup(2, "v : 1"), 3),
        r"got a NeuronGroup.*NeuronModel.from_group\(group\)",
    ),
    "a group as network": (
        lambda: SpikingNetwork.from_brian2(NeuronGroup(2, "v : 1"), readout=Readout(2)),
        r"is a NeuronGroup, not a network.*Pass Network",
    ),
    "the equations of a function": (
        lambda: EProp().equations(equations.LIF),
        r"got the function LIF.*Did you mean LIF\(\)",
    ),
    "names of classes as a size": (
        lambda: Readout(["left", "right"]),
        r"a list of 2 \(str\).*n=2",
    ),
    # data
    "no time step": (
        lambda: data.SpikeTrials.from_dense(np.zeros((2, 3, 4))),
        r"SpikeTrials.from_dense: 'dt' is missing.*from_dense\(array, 1\*ms, labels\)",
    ),
    "a split without seed": (lambda: TRIALS.split(0.25), r"'seed' is missing.*seed=0\)"),
    "a split in percent": (lambda: TRIALS.split(75, 25), r"one number: trials.split\(0.25, seed=0"),
    "arrays to fit": (
        lambda: trainer().fit(np.zeros((50, 100, 4)), np.zeros(50), epochs=1),
        r"an array of shape \(50,\).*Labels belong to the trials",
    ),
    "one array to fit": (
        lambda: trainer().fit(np.zeros((50, 100, 4)), epochs=1),
        r"an array of shape \(50, 100, 4\) is no set of trials.*from_dense",
    ),
    "a list of trials": (
        lambda: trainer().fit([TRIALS[0], TRIALS[1]], epochs=1),
        r"a list of 2 \(Trial\) is no set of trials",
    ),
    "images": (lambda: trainer().fit(data.digits_8x8()[0], epochs=1), "encode_poisson"),
    "times in ms": (lambda: lists([[10, 50]], [[0, 1]]), r"milliseconds\?.*times\*ms"),
    "spikes without names": (
        lambda: data.SpikeTrials([0.1], [0], [0]),
        r"3 arguments without a name.*from_lists\(times, units, labels\)",
    ),
    "unsorted times": (
        lambda: lists([[2, 1] * ms], [[0, 1]]),
        "trial 0: times decrease.*sort=True",
    ),
    "values as labels": (lambda: lists([[1] * ms], [[0]], [0.5]), "not whole.*targets"),
    "labels of fewer trials": (lambda: lists([[1] * ms], [[0]], [0, 1]), "2 labels for 1 trials"),
    "too many channels": (
        lambda: trainer().fit(lists([[1] * ms], [[0]], n_channels=7), epochs=1),
        r"have 7 channels, the network has 4.*Input\(7\)",
    ),
    "too many classes": (
        lambda: trainer().fit(
            lists([[1] * ms] * 3, [[0]] * 3, list("abc"), n_channels=4), epochs=1
        ),
        r"a label 2, but the readout has 2 outputs.*Readout\(3\)",
    ),
    "real values": (
        lambda: trainer().fit(data.FrameTrials.from_dense(np.zeros((2, 3, 4)), 1 * ms), epochs=1),
        "real_valued=True",
    ),
    # training
    "no epochs": (lambda: trainer().fit(TRIALS), r"'epochs' is missing.*epochs=5\)"),
    "epochs as text": (lambda: trainer().fit(TRIALS, epochs="5"), "got '5'.*epochs=5"),
    "another name of epochs": (lambda: trainer().fit(TRIALS, n_epochs=5), "'n_epochs'.*epochs=5"),
    "learning rate of a trainer": (lambda: trainer(lr=1e-3), r"'lr'.*optimizer=Adam\(1e-3\)"),
    "learning rate as lr": (lambda: Adam(lr=1e-3), "'lr'.*Adam\\(1e-3\\)"),
    "an optimizer's name": (lambda: trainer(optimizer="adam"), r"got 'adam'.*Adam\(1e-3\)"),
    "an optimizer's class": (lambda: trainer(optimizer=Adam), "the class Adam.*=Adam"),
    "a misspelt loss": (lambda: trainer(loss="crossentrpy"), "Did you mean 'cross_entropy'"),
    "a loss' class": (lambda: trainer(loss=CrossEntropy), r"Write CrossEntropy\(\)"),
    "a setting of a loss": (lambda: MeanSquareError(reduce="sum"), "'reduce'.*mean 'reduction'"),
    "no targets": (lambda: trainer(loss="mse").fit(TRIALS, epochs=1), r"values \(trials, n_out\)"),
    "targets of a wrong shape": (
        lambda: trainer(loss="mse").fit(TRIALS, epochs=1, targets=np.zeros(7)),
        r"targets have shape \(7,\)",
    ),
    "a callback's name": (
        lambda: trainer().fit(TRIALS, epochs=1, callbacks="log"),
        "'log' is not a",
    ),
    "a setting of a rule": (lambda: EProp(feedbck="random"), "mean 'feedback'"),
    "a value of a rule": (lambda: EProp(feedback="symetric"), "got 'symetric'"),
    "a device": (lambda: trainer(device="cuda"), r"no argument 'device'.*backend=\"cuda\""),
    "arrays to predict": (
        lambda: trainer().predict(np.zeros((6, 20, 4))),
        r"Trainer.predict: an array of shape \(6, 20, 4\).*from_dense",
    ),
    "a confusion of nothing": (lambda: trainer().confusion(), r"trainer.confusion\(test\)"),
    # results
    "a neuron by its name": (
        lambda: analysis.stdp_window(EProp(), post="LIF"),
        r"post must be a NeuronModel, got 'LIF'.*equations.LIF\(\)",
    ),
    "a population with many values": (
        lambda: analysis.stdp_window(
            EProp(), post=NeuronModel(**MODEL, inputs=("v",), initial={"v": [1, 2] * mV})
        ),
        r"v has 2 values.*from_group\(group\[:1\]\)",
    ),
    "one lag": (
        lambda: analysis.stdp_window(equations.PairSTDP(), max_lag=5 * ms, step=10 * ms),
        "step = 10. ms is longer than max_lag = 5. ms.*shorter step",
    ),
    "a rule to draw": (
        lambda: analysis.plot_stdp_window(equations.PairSTDP()),
        r"got a PlasticityRule.*plot_stdp_window\(stdp_window\(rule\)\)",
    ),
    "a trainer to draw": (
        lambda: analysis.plot_learning_curve(trainer()),
        "got a Trainer.*trainer.history",
    ),
    "a rule of a window": (lambda: analysis.stdp_window("PairSTDP"), r"equations.PairSTDP\(\)"),
    "a neuron's window": (lambda: analysis.stdp_window(equations.LIF()), "the neuron LIF.*post="),
    "lags without unit": (
        lambda: analysis.stdp_window(equations.PairSTDP(), max_lag=50),
        r"max_lag=50\*ms",
    ),
    "a rate for a lag": (
        lambda: analysis.stdp_window(equations.PairSTDP(), max_lag=50 * Hz),
        "max_lag must be a time, got 50. Hz",
    ),
    "no such state": (lambda: trainer().record(TRIALS, ["u"]), "nothing called 'u'"),
    "a trainer to export": (lambda: export(trainer(), "x"), "net must be a SpikingNetwork"),
    "no such file": (lambda: SpikingNetwork.load("nothing.npz"), "no such file"),
    "no such trials": (lambda: data.read_trials("nothing.npz"), "no such file"),
}


def test_there_are_forty_wrong_calls():
    assert len(WRONG) >= 40


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_call_is_answered(name):
    """What, where, why and what to do, in one line of at most 600 characters without data in it."""
    call, match = WRONG[name]
    with pytest.raises((TypeError, ValueError, OSError), match=match) as caught:
        call()
    text = str(caught.value.args[-1])
    assert 30 < len(text) <= 600, text
    assert "\n" not in text
    assert ": " in text
    for dump in ("mappingproxy", "array([", " at 0x", "dtype="):
        assert dump not in text, text


def test_an_input_that_never_decays_is_named(monkeypatch):
    """As `I : amp` of Brian2's AdEx example, to which spikes would add for good."""
    from neurosnn.analysis import holding

    monkeypatch.setattr(holding, "MOST_SETTLING", 500)  # it would not settle in 80 000 steps either
    model = NeuronModel(
        equations="dv/dt = (I - v)/(20*ms) : 1\nI : 1",
        threshold="v > 1",
        reset="v = 0",
        inputs=("I",),
    )
    with pytest.raises(ValueError, match=r"the input 'I' keeps for ever.*dI/dt = -I/tau_s"):
        analysis.stdp_window(
            equations.PairSTDP(), post=model, max_lag=5 * ms, step=5 * ms, background=0.6
        )


# -- what takes long --------------------------------------------------------------------------------


def test_a_compilation_that_takes_long_is_said(tmp_path, monkeypatch, capsys):
    import time

    from neurosnn.network import compiling

    monkeypatch.setattr(compiling, "_cache_folder", lambda: str(tmp_path))
    monkeypatch.setattr(compiling, "PATIENCE", 0.05)
    monkeypatch.setattr(compiling, "EVERY", 0.05)
    with compiling.telling_of_compilation():
        time.sleep(0.3)
    assert capsys.readouterr().err == ""  # nothing is compiled: slow for another reason
    with compiling.telling_of_compilation(), compiling.telling_of_compilation():
        (tmp_path / "a.pyx").write_text("")
        time.sleep(0.2)
        (tmp_path / "a.so").write_text("")
        time.sleep(0.4)
    lines = capsys.readouterr().err.splitlines()
    assert "Brian2 compiles the network with Cython: 0 parts so far" in lines[0]
    assert "prefs.codegen.target = 'numpy'" in lines[0]
    assert "1 parts so far" in lines[-1]


def test_a_network_that_tells_is_brian2s(monkeypatch):
    from brian2 import Network, prefs

    from neurosnn.network import compiling

    made = net().brian2(TRIALS)
    assert isinstance(made, Network)
    made.run(1 * ms, namespace={})
    assert prefs["codegen.target"] == "numpy"
    assert compiling._cache_folder() is None  # and nobody watches
    prefs["codegen.target"] = "cython"
    assert compiling._cache_folder().endswith("brian_extensions")
