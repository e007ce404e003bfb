"""Models that once ran to a wrong result without a word, on every route, against stock Brian2."""

import dataclasses
import functools

import numpy as np
import pytest
from brian2 import Network, SpikeMonitor, ms, us
from brian2.utils.stringtools import word_substitute
from engine_cases import CONSTANT_OVER_DT, GATED

from neurosnn import EProp, EventProp, NeuronModel, equations
from neurosnn.core.symbolic import differentiate, to_string, to_symbolic
from neurosnn.data import SpikeTrials
from neurosnn.engine import Engine
from neurosnn.losses import CrossEntropy
from neurosnn.network import Input, Layer, Readout, SpikingNetwork
from neurosnn.rules.eprop.backend import OnlineBackend
from neurosnn.training.online import OnlineTraining


def no_spikes(steps, dt=1 * ms, n_channels=1):
    """One trial without input."""
    return SpikeTrials(
        times=np.zeros(0), units=np.zeros(0, np.int32), offsets=[0, 0], labels=[0],
        n_channels=n_channels, duration=steps * dt,
    )  # fmt: skip


def network(model, n=4, dt=1 * ms, **settings):
    return SpikingNetwork(Input(1), Layer(model, n, **settings), Readout(2), dt=dt, seed=1)


def engine_spikes(model, n=4, *, steps=300, dt=1 * ms):
    """(step, neuron) of all spikes without input."""
    result = Engine(network(model, n, dt), dtype="float64").simulate(no_spikes(steps, dt))
    steps, neurons = result.spikes["hidden"][0]
    return sorted(zip(steps.tolist(), neurons.tolist(), strict=True))


def brian2_spikes(group, *, steps=300, dt=1 * ms):
    """The same of a stock group."""
    monitor = SpikeMonitor(group)
    Network(group, monitor).run(steps * dt, namespace={})
    return sorted(
        zip(np.rint(monitor.t / dt).astype(int).tolist(), monitor.i[:].tolist(), strict=True)
    )


DECLARED = NeuronModel(
    equations="dv/dt = (I - v)/tau : 1\nI : 1\ntau : second (constant)",
    threshold="v > 1",
    reset="v = 0",
    surrogate="0.3*clip(1 - abs(v - 1), 0, 1)",
    parameters={"I": 1.5, "tau": 20 * ms},
)


class TestParametersDeclaredInTheEquations:
    """One value, or one a neuron, is decided by the value, not by how it is declared."""

    def test_one_value_holds_for_all_neurons(self):
        spikes = engine_spikes(DECLARED)
        assert [sum(j == k for _, j in spikes) for k in range(4)] == [13, 13, 13, 13]
        assert spikes == brian2_spikes(DECLARED.group(4, dt=1 * ms))

    def test_a_value_a_neuron(self):
        model = DECLARED.with_parameters(I=np.array([1.1, 1.5, 0.9, 3.0]), tau=[5, 10, 20, 40] * ms)
        spikes = engine_spikes(model)
        assert len({j for _, j in spikes}) == 3
        assert spikes == brian2_spikes(model.group(4, dt=1 * ms))

    def test_is_learned_as_given(self):
        """The gradient equals that of the same model whose parameters are not declared."""
        plain = dataclasses.replace(DECLARED, equations="dv/dt = (I - v)/tau : 1")
        gradients = []
        for model in (DECLARED, plain):
            net = network(model, learn=("tau", "I"))
            trials = SpikeTrials(
                times=[0.004], units=[0], offsets=[0, 1], labels=[1], n_channels=1, duration=99 * ms
            )
            result = Engine(net, EProp(), CrossEntropy(), dtype="float64").run(
                trials, gradient=True
            )
            assert result.spikes["hidden"] > 4
            gradients.append(result.gradient)
        for name, value in gradients[1].items():
            np.testing.assert_array_equal(gradients[0][name], value)
            assert np.all(value != 0)
        assert gradients[0]["hidden.tau"].shape == ()

    def test_shared_with_an_array_is_refused(self):
        with pytest.raises(ValueError, match="declared .shared. and given 2 values"):
            dataclasses.replace(
                DECLARED,
                equations="dv/dt = (I - v)/tau : 1\nI : 1 (shared)",
                parameters={"I": np.array([1.0, 2.0]), "tau": 20 * ms},
            )

    def test_values_of_each_trial_fit_the_trials(self):
        engine = Engine(network(DECLARED), dtype="float64")
        for wrong in (np.ones((1, 4)), np.ones(2)):
            with pytest.raises(ValueError, match=r"hidden.I has shape"):
                engine.simulate(no_spikes(9), parameters={("hidden", "I"): wrong})
        with pytest.raises(
            ValueError, match="no 'J' among the parameters of 'hidden'. .*Known names: I, tau"
        ):
            engine.simulate(no_spikes(9), parameters={("hidden", "J"): np.ones(1)})
        with pytest.raises(ValueError, match="no 'v' among the states of 'hiden'. .*'hidden'"):
            engine.simulate(no_spikes(9), initial={("hiden", "v"): np.ones((1, 4))})
        varied = Engine(network(DECLARED.with_parameters(I=np.ones(4))), dtype="float64")
        counts = varied.simulate(no_spikes(300), parameters={("hidden", "I"): [1.5]}).counts
        assert counts["hidden"].tolist() == [[13] * 4]


HELD = NeuronModel(
    equations="dv/dt = (1.5 - v)/tau : 1\nvt = 1.9 - v : 1 (constant over dt)",
    threshold="v > vt",
    reset="v = 0",
    method="euler",
    surrogate="0.3*clip(1 - abs(v - vt), 0, 1)",
    parameters={"tau": 20 * ms},
)


def input_spikes(steps=200, n_channels=3, n_trials=1, seed=0):
    """Trials in which inputs are frequent."""
    raster = np.random.default_rng(seed).random((n_trials, steps, n_channels)) < 0.2
    trial, step, channel = np.nonzero(raster)
    return SpikeTrials(
        times=step * ms, units=channel, offsets=np.searchsorted(trial, range(n_trials + 1)),
        labels=np.arange(n_trials) % 2, n_channels=n_channels, duration=steps * ms,
    )  # fmt: skip


def driven(model, n=5, *, scale=2.0, readout=None, **settings):
    """A recurrent network of these neurons, alive under `input_spikes`."""
    return SpikingNetwork(
        Input(3),
        Layer(model, n, recurrent=True, weight_scale=scale, weight_mean=0.5, **settings),
        readout or Readout(2),
        dt=1 * ms,
        seed=1,
    )


def same_spikes(net, trials):
    """Number of spikes of the engine, if they and the outputs are those of stock Brian2."""
    simulation, schedule = net.brian2(trials, record=("spikes", "output")), net.trial_times(trials)
    simulation.run(schedule.duration, namespace={})
    monitor = simulation["hidden_spikes"]
    place = schedule.locate(monitor.t[:])
    expected = sorted(
        zip(place.trial.tolist(), place.step.tolist(), monitor.i[:].tolist(), strict=True)
    )
    result = Engine(net, dtype="float64").simulate(trials)
    found = [
        (trial, step, neuron)
        for trial, events in enumerate(result.spikes["hidden"])
        for step, neuron in zip(*(part.tolist() for part in events), strict=True)
    ]
    assert sorted(found) == [event for event in expected if event[0] >= 0]
    output = np.asarray(simulation["readout_states"].output).T
    for k, steps in enumerate(result.n_steps):
        part = output[k * schedule.period :][:steps]
        np.testing.assert_allclose(result.output[k, :steps], part, rtol=1e-12, atol=1e-12)
    return len(found)


class TestConstantOverDt:
    """Such a subexpression is computed at the start of a step, and all of the step sees that value."""

    def test_threshold_sees_the_value_of_the_start(self):
        spikes = engine_spikes(HELD, 1, steps=400, dt=5 * ms)
        assert len(spikes) == 80
        assert spikes == brian2_spikes(HELD.group(1, dt=5 * ms), steps=400, dt=5 * ms)

    def test_update_refractory_period_and_reset(self):
        """Several trials too: what the last one has left is forgotten."""
        net, trials = driven(CONSTANT_OVER_DT, scale=8.0), input_spikes(n_trials=2)
        assert same_spikes(net, trials) > 50
        written_out = dataclasses.replace(
            CONSTANT_OVER_DT,
            equations=CONSTANT_OVER_DT.equations.replace(" (constant over dt)", ""),
        )
        at_once = Engine(driven(written_out, scale=8.0), dtype="float64").simulate(trials)
        held = Engine(net, dtype="float64").simulate(trials)
        assert not np.array_equal(at_once.counts["hidden"], held.counts["hidden"])

    @pytest.mark.parametrize("model", [HELD, CONSTANT_OVER_DT], ids=["HELD", "CONSTANT_OVER_DT"])
    def test_eprop_online_is_the_engines(self, model):
        net = driven(model, scale=2.0 if model is HELD else 8.0)
        trials = input_spikes(n_trials=2)
        loss = CrossEntropy()
        online = OnlineBackend(net, EProp(), loss).run(trials, gradient=True)
        factored = Engine(net, EProp(), loss, dtype="float64").run(trials, gradient=True)
        assert online.spikes == factored.spikes
        assert online.spikes["hidden"] > 50
        for name, gradient in factored.gradient.items():
            assert np.linalg.norm(gradient) > 0
            np.testing.assert_allclose(online.gradient[name], gradient, rtol=1e-9, atol=1e-12)

    def test_eventprop_equals_differences(self):
        """In the limit of small steps such a variable follows the state."""
        model = NeuronModel(
            equations="""
            dv/dt = (I*gain - v)/(20*ms) : 1
            dI/dt = -I/(5*ms) : 1
            gain = 1 - 0.2*v : 1 (constant over dt)
            vt = 1 + 0.3*v : 1 (constant over dt)
            """,
            threshold="v > vt",
            reset="v = 0",
            method="euler",
            inputs=("I",),
        )
        net = SpikingNetwork(
            Input(2),
            Layer(model, 1),
            Readout(2, model=equations.CurrentReadout(), bias=False),
            dt=1 * us,
            seed=1,
        )
        trials = SpikeTrials(
            times=[2e-3, 4e-3], units=[0, 1], offsets=[0, 2], labels=[0], n_channels=2,
            duration=40 * ms,
        )  # fmt: skip
        engine = Engine(net, EventProp(), CrossEntropy(), dtype="float64")
        w = net.parameters["input.w"]
        w[:, 0] = 14.0, 9.0
        result = engine.run(trials, gradient=True)
        assert result.spikes["hidden"] >= 2
        losses = []
        for value in (9.0 * 1.02, 9.0 * 0.98):
            w[1, 0] = value
            losses.append(engine.run(trials))
        assert [loss.spikes for loss in losses] == [result.spikes] * 2
        slope = (losses[0].loss - losses[1].loss) / (0.04 * 9.0)
        np.testing.assert_allclose(result.gradient["input.w"][1, 0], slope, rtol=0.02)

    def test_writing_to_one_is_refused(self):
        with pytest.raises(ValueError, match="reset writes to 'vt'.*Its equation says what it is"):
            dataclasses.replace(HELD, reset="v = 0; vt = 1")


#: Names that the generated code, online e-prop, its training or C++ itself use for something else, for
#: v, u and the parameters of GATED.
NAMES = {
    "engine": "spiked since_spike u_k_u_v scalar_0 array_0 psi n j",
    "C++": "u_v v_u accepted_input double z b auto real",
    "online": "w L G kappa ebar etrace pre_in spiked",
    "network": "zbar n_spikes rate_error within_trial eps_u J_u_u weight neurosnn_w",
    "training": "slope now change mean target err B batch_share",
}


def renamed(names):
    """GATED with other names."""
    own = ("v", "u", "tau_m", "tau_u", "k", "v_th", "v_r", "t_ref")
    new = dict(zip(own, names.split(), strict=True))
    texts = {
        field: word_substitute(getattr(GATED, field).replace("du/dt", "d(u)/dt"), new)
        for field in ("equations", "threshold", "reset", "surrogate", "refractory")
    }
    texts["equations"] = texts["equations"].replace("dv/dt", f"d{new['v']}/dt")
    texts["equations"] = texts["equations"].replace(f"d({new['u']})/dt", f"d{new['u']}/dt")
    return new, dataclasses.replace(
        GATED,
        **texts,
        inputs=(new["v"],),
        spike_gradient=(new["u"],),
        parameters={new[name]: value for name, value in GATED.parameters.items()},
    )


@functools.cache
def plain_gradients():
    """Gradients of GATED with its own names."""
    net = driven(GATED, scale=8.0, learn=("k", "tau_m"))
    engine = Engine(net, EProp(rate_strength=1e-4), CrossEntropy(), dtype="float64")
    return engine.run(input_spikes(n_trials=2), gradient=True)


class TestNames:
    """What a user's variables are called changes nothing."""

    def test_a_state_named_since_spike(self):
        model = NeuronModel(
            equations="dv/dt = (1.2 - v)/tau : 1\nsince_spike : 1",
            threshold="v > 1 + since_spike",
            reset="v = 0\nsince_spike = 0.1",
            method="euler",
            parameters={"tau": 20 * ms},
        )
        spikes = engine_spikes(model, 1)
        assert len(spikes) == 6
        assert spikes == brian2_spikes(model.group(1, dt=1 * ms))

    @pytest.mark.parametrize("names", NAMES)
    def test_gradients_of_engine_and_online(self, names):
        """The same as with plain names, online and backwards in time, weights and parameters."""
        new, model = renamed(NAMES[names])
        plain = plain_gradients()
        net, rule = (
            driven(model, scale=8.0, learn=(new["k"], new["tau_m"])),
            EProp(rate_strength=1e-4),
        )
        trials = input_spikes(n_trials=2)
        other = Engine(net, rule, CrossEntropy(), dtype="float64").run(trials, gradient=True)
        assert plain.spikes["hidden"] > 50
        assert plain.spikes == other.spikes
        assert len(plain.gradient) == len(other.gradient) == 6
        values = {f"hidden.{old}": f"hidden.{name}" for old, name in new.items()}
        online = OnlineBackend(driven(model, scale=8.0), rule, CrossEntropy())
        step_by_step = online.run(trials, gradient=True).gradient
        for name, gradient in plain.gradient.items():
            assert np.linalg.norm(gradient) > 0
            found = other.gradient[values.get(name, name)]
            np.testing.assert_allclose(found, gradient, rtol=1e-9, atol=1e-13)
            if name not in values:
                np.testing.assert_allclose(step_by_step[name], gradient, rtol=1e-9, atol=1e-12)

    @pytest.mark.parametrize("names", ["online", "network", "training"])
    def test_training_inside_brian2(self, names):
        trained = []
        for model in (GATED, renamed(NAMES[names])[1]):
            net = driven(model, scale=8.0)
            rule = EProp(rate_strength=1e-4, feedback="adaptive")
            training = OnlineTraining(net, rule, input_spikes(60, n_trials=3), batch_size=2)
            training.run()
            trained.append((training.losses, training.parameters))
        np.testing.assert_allclose(trained[1][0], trained[0][0], rtol=1e-9)
        for name, value in trained[0][1].items():
            np.testing.assert_allclose(trained[1][1][name], value, rtol=1e-7, atol=1e-12)

    def test_states_whose_names_are_joined_to_the_same(self):
        """Derivatives of a by b_c and of a_b by c are two."""
        model = NeuronModel(
            equations="""
            da/dt = (b_c - a)/(20*ms) : 1
            da_b/dt = (0.5*c - a_b)/(30*ms) : 1
            db_c/dt = (a_b - b_c)/(5*ms) : 1
            dc/dt = (0.1*a - c)/(9*ms) : 1
            """,
            threshold="a > 0.3 + 0.1*c",
            reset="a = 0.2*tanh(a*c); a_b -= 0.1*tanh(b_c*a_b); b_c -= 0.1*tanh(a*b_c); c *= 0.9",
            inputs=("a_b", "c"),
            method="euler",
            surrogate="clip(1 - abs(a - 0.3 - 0.1*c), 0, 1)",
            spike_gradient=("b_c",),
        )
        net, trials = driven(model, scale=3.0), input_spikes()
        online = OnlineBackend(net, EProp(), CrossEntropy()).run(trials, gradient=True)
        engine = Engine(net, EProp(), CrossEntropy(), dtype="float64").run(trials, gradient=True)
        assert online.spikes["hidden"] == engine.spikes["hidden"] > 20
        for name, gradient in engine.gradient.items():
            np.testing.assert_allclose(online.gradient[name], gradient, rtol=1e-9, atol=1e-13)

    def test_the_learning_signal_may_be_declared(self):
        """A number L that the dynamics do not read is the learning signal, any other L is not."""
        declared = dataclasses.replace(HELD, equations=HELD.equations + "\nL : 1")
        assert "L_post" in EProp().equations(declared).step
        read = dataclasses.replace(declared, reset="v = L")
        assert "neurosnn_L_post" in EProp().equations(read).step


class TestStrings:
    """What Brian2 accepts in strings means the same here, or is refused when the model is made."""

    def test_remainders_infinity_and_integers(self):
        model = NeuronModel(
            equations="""
            dv/dt = (1.2 + 0.3*(k % 3) - 0.5*(w//0.5) + x - v)/tau : 1
            dw/dt = -w/(30*ms) : 1
            x : 1
            k : integer
            """,
            threshold="v > 1 and v < inf",
            reset="v = 0; w -= 0.7; k += 1; x = -0.2*((-k) % 3) - 0.01*((-k)//2) + 0.1*(w % 0.3)",
            method="euler",
            parameters={"tau": 20 * ms},
        )
        spikes = engine_spikes(model, 2)
        assert len(spikes) > 20
        assert spikes == brian2_spikes(model.group(2, dt=1 * ms))

    @pytest.mark.parametrize(
        ("text", "slope"),
        [
            ("sqrt(1 + v**2)", "v/sqrt(v**2 + 1)"),
            ("sqrt(v)", "int(v != 0)/(2*sqrt(___nonzero(v)))"),
            ("v % u", "1"),
            ("v//u", "0"),
        ],
    )
    def test_derivatives(self, text, slope):
        assert to_string(differentiate(to_symbolic(text), "v")) == slope

    def test_noise_is_checked_as_all_else(self):
        parameters = {"tau": 20 * ms}
        with pytest.raises(ValueError, match="unknown name 'undefined_name'"):
            NeuronModel(
                equations="dv/dt = -v/tau + undefined_name*volt*xi/tau**0.5 : 1",
                parameters=parameters,
                method="euler",
            )
        with pytest.raises(ValueError, match="inconsistent units"):
            NeuronModel(equations="dv/dt = -v/tau + xi : 1", parameters=parameters, method="euler")
        noisy = NeuronModel(
            equations="dv/dt = -v/tau + 0.1*xi*tau**-0.5 : 1", parameters=parameters, method="euler"
        )
        group = noisy.group(2, dt=1 * ms)
        Network(group).run(5 * ms, namespace={})
        assert np.all(group.v[:] != 0)

    def test_a_third_input_is_refused(self):
        model = dataclasses.replace(
            HELD, equations=HELD.equations + "\na : 1\nb : 1", inputs=("v", "a", "b")
        )
        with pytest.raises(ValueError, match="has 3 inputs, and 'input' has no synapses for b"):
            network(model)

    def test_clip_at_zero_in_volts_online(self):
        model = NeuronModel(
            equations="dv/dt = (20*mV + 0.2*clip(v, 0*mV, 5*mV) - v)/tau : volt",
            threshold="v > 15*mV",
            reset="v = 0*mV",
            method="euler",
            parameters={"tau": 20 * ms},
            surrogate="clip(1 - abs(v - 15*mV)/(10*mV), 0, 1)/(10*mV)",
        )
        net, trials = driven(model), input_spikes()
        online = OnlineBackend(net, EProp(), CrossEntropy()).run(trials, gradient=True)
        engine = Engine(net, EProp(), CrossEntropy(), dtype="float64").run(trials, gradient=True)
        assert online.spikes["hidden"] == engine.spikes["hidden"] > 20
        for name, gradient in engine.gradient.items():
            np.testing.assert_allclose(online.gradient[name], gradient, rtol=1e-9)


FROM_OTHERS = NeuronModel(
    equations="""
    dv/dt = (1.2 - v)/tau : 1
    dn/dt = (n_inf - n)/tau : 1
    x : 1
    n_inf = 1/(1 + exp(-v)) : 1
    """,
    threshold="v - 0.1*n > 1 + x",
    reset="v = 0; n = 0",
    method="euler",
    initial={"n": "3*n_inf", "x": np.array([0.1, 0, 0.2, 0]), "v": "0.5*n*b + i*0.1 - x"},
    parameters={"tau": 20 * ms, "b": 0.7},
    surrogate="0.3*clip(1 - abs(v - 1), 0, 1)",
)


class TestInitialValues:
    """They are assigned one by one, as Brian2 does, and see what those before have left."""

    def test_from_subexpressions_and_other_states(self):
        spikes = engine_spikes(FROM_OTHERS)
        assert len(spikes) > 15
        group = FROM_OTHERS.group(4, dt=1 * ms)
        assert len(set(group.v[:])) == 4
        assert spikes == brian2_spikes(group)

    def test_gradient_goes_through_them(self):
        """As through the same value written down."""
        model = dataclasses.replace(
            FROM_OTHERS, reset="v = 0", initial={"n": "3*n_inf", "v": "0.5*n*b"}
        )
        gradients = []
        for neuron in (model, dataclasses.replace(model, initial={"n": 1.5, "v": "0.75*b"})):
            engine = Engine(
                network(neuron, 1, learn=("b",)), EProp(), CrossEntropy(), dtype="float64"
            )
            gradients.append(engine.run(no_spikes(60), gradient=True).gradient["hidden.b"])
        assert gradients[0] != 0
        np.testing.assert_allclose(*gradients, rtol=1e-9)

    def test_an_array_that_a_learned_one_reads_is_refused(self):
        net = network(
            dataclasses.replace(FROM_OTHERS, initial={"x": [0.1, 0, 0.2, 0], "v": "x*b"}),
            learn=("b",),
        )
        with pytest.raises(ValueError, match="'b' cannot be learned.*of x, which is an array"):
            Engine(net, EProp(), CrossEntropy())
