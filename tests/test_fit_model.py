"""fit_model: recordings of stock Brian2, derivatives against central differences, what is refused."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest
from brian2 import (
    Hz,
    Mohm,
    Network,
    NeuronGroup,
    Quantity,
    SpikeMonitor,
    StateMonitor,
    TimedArray,
    amp,
    cm,
    mS,
    ms,
    mV,
    nS,
    pA,
    pF,
    uA,
)
from brian2.units.fundamentalunits import get_dimensions
from scipy.signal import lfilter
from scipy.stats import chi2

from neurosnn import ModelFit, NeuronModel, VanRossumLoss, VoltageLoss, equations, fit_model
from neurosnn.core.files import read_arrays, write_arrays
from neurosnn.training.fit_model.free import free_parameters, model_of_sets
from neurosnn.training.fit_model.intervals import correlated_samples, covariance
from neurosnn.training.fit_model.program import FitProgram
from neurosnn.training.fit_model.recording import Recording
from neurosnn.training.fit_model.search import Search

DT = 0.1 * ms
STEPS = 1200


def fluctuating(mean, spread, n_trials=1, seed=0):
    """Slow noise, so that the whole range of the neuron is visited."""
    white = np.random.default_rng(seed).standard_normal((n_trials, STEPS))
    slow = lfilter([1], [1, -0.99], white, axis=1)
    return mean + spread * slow / slow.std()


def stock(model, name, current):
    """Voltages and spikes of stock Brian2 with the current as a TimedArray."""
    parameters = {key: value for key, value in model.parameters.items() if key != name}
    lines = [
        line for line in model.equations.split("\n") if not line.strip().startswith(f"{name} :")
    ]
    unit = {amp.dim: "amp", get_dimensions(1): "1"}.get(get_dimensions(current), "amp/meter**2")
    group = NeuronGroup(
        len(current),
        "\n".join([*lines, f"{name} = injected(t, i) : {unit}"]),
        threshold=model.threshold or None,
        reset=model.reset or None,
        refractory=model.refractory,
        method=model.method,
        dt=DT,
        namespace={
            **parameters,
            "injected": TimedArray(
                np.asarray(current).T * Quantity(1, dim=get_dimensions(current)), dt=DT
            ),
        },
    )
    for key, value in model.initial.items():
        setattr(group, key, value)
    monitor = StateMonitor(group, "v", record=True)
    objects = [group, monitor]
    if model.threshold:
        objects.append(SpikeMonitor(group))
    Network(*objects).run(STEPS * DT)
    trains = (
        [objects[2].t[objects[2].i == k] for k in range(len(current))] if model.threshold else None
    )
    return Quantity(monitor.v, dim=model.dimensions["v"]), trains


MEMBRANE = NeuronModel(
    equations="dv/dt = (g_L*(E_L - v) + I)/C : volt\nI : amp",
    inputs=("I",),
    initial={"v": "E_L"},
    parameters={"g_L": 10 * nS, "E_L": -70 * mV, "C": 200 * pF},
)
LIF = NeuronModel(
    equations="dv/dt = (E_L - v + R*I)/tau_m : volt (unless refractory)\nI : amp",
    threshold="v > v_th",
    reset="v = v_r",
    refractory="t_ref",
    inputs=("I",),
    method="euler",
    initial={"v": "E_L"},
    parameters={
        **{"tau_m": 20 * ms, "E_L": -70 * mV, "R": 100 * Mohm},
        **{"v_th": -50 * mV, "v_r": -65 * mV, "t_ref": 3 * ms},
    },
)
OWN = NeuronModel(
    equations="dv/dt = (E_L - v + R*(I - w))/tau_m : volt\ndw/dt = -w/tau_w : amp\nI : amp",
    threshold="v > v_th",
    reset="v = v_r\nw += b",
    inputs=("I",),
    initial={"v": -68 * mV},
    parameters={
        **{"tau_m": 20 * ms, "tau_w": 100 * ms, "E_L": -70 * mV, "R": 100 * Mohm},
        **{"v_th": -50 * mV, "v_r": -65 * mV, "b": 20 * pA},
    },
)
AREA = uA / cm**2
CASES = {
    "membrane": (
        MEMBRANE,
        "I",
        fluctuating(0, 100) * pA,
        {"g_L": 12 * nS, "E_L": -68 * mV, "C": 180 * pF},
    ),
    "LIF": (
        LIF,
        "I",
        fluctuating(320, 100) * pA,
        {"tau_m": 19 * ms, "E_L": -69 * mV, "v_r": -66 * mV},
    ),
    "AdEx": (
        equations.AdEx(),
        "I_ext",
        fluctuating(900, 200) * pA,
        {"g_L": 29 * nS, "b": 90 * pA, "tau_w": 130 * ms, "V_T": -50 * mV},
    ),
    "Izhikevich": (
        equations.Izhikevich(),
        "I",
        fluctuating(12, 4),
        {"a": 0.021, "b": 0.19, "c": -64.0, "d": 2.1},
    ),
    "HodgkinHuxley": (
        equations.HodgkinHuxley(),
        "I_ext",
        fluctuating(10, 4) * AREA,
        {"g_Na": 125 * mS / cm**2, "E_rest": -64 * mV},
    ),
    "MorrisLecar": (
        equations.MorrisLecar(regime="homoclinic"),
        "I_ext",
        fluctuating(60, 20) * AREA,
        {"g_Ca": 4.1 * mS / cm**2, "phi": 225 * Hz, "V_3": 12.1 * mV},
    ),
    "own": (
        OWN,
        "I",
        fluctuating(320, 100) * pA,
        {"b": 21 * pA, "tau_w": 90 * ms, "R": 98 * Mohm, "v": -69 * mV},
    ),
}


def program_of(name, steps=STEPS):
    model, variable, current, near = CASES[name]
    voltage, trains = stock(model, variable, current)
    current, voltage = current[:, :steps], voltage[:, :steps]
    if trains:
        trains = [train[train < steps * DT] for train in trains]
    loss = VoltageLoss() + 0.1 * VanRossumLoss() if trains else VoltageLoss()
    recording = Recording(model, current, voltage, trains, DT, loss)
    bounds = {key: (value - abs(value) / 2, value + abs(value) / 2) for key, value in near.items()}
    free = free_parameters(model, bounds, recording.currents)
    sets = model_of_sets(model, free, recording.currents)
    return FitProgram(sets, free.parameters, recording, threads=1), recording


def values_at(program, rows):
    return {
        name: np.ascontiguousarray(column)
        for name, column in zip(program.free, np.array(rows).T, strict=True)
    }


@pytest.mark.parametrize("name", CASES)
def test_trajectory_is_stock_brian2_and_gradient_equals_differences(name):
    program, recording = program_of(name)
    model, _, _, near = CASES[name]
    truth = [
        float(model.parameters[key] if key in model.parameters else model.initial[key])
        for key in near
    ]
    traces = program.run(values_at(program, [truth]), traces=True).traces
    voltage, span = traces["voltage"][..., 0], np.ptp(recording.voltage)
    np.testing.assert_allclose(voltage, recording.voltage, rtol=0, atol=1e-9 * span)
    if model.threshold:
        assert recording.spikes.sum() >= 2, "the neuron is silent"
        np.testing.assert_array_equal(traces["fired"][..., 0], recording.spikes)
    at = np.array([float(value) for value in near.values()])
    step = np.diag(1e-6 * np.abs(at))
    for keep in (None, 0.95):  # free, and guided by the recording
        squares = program.run(values_at(program, [at]), keep=keep, shifts=False)
        error = program.run(
            values_at(program, [*(at + step), *(at - step)]), keep=keep, gradient=False
        ).error
        for k in range(2):
            expected = (error[: len(at), k] - error[len(at) :, k]) / (2 * step.diagonal())
            got = 2 * squares.slope[0, k]
            assert k or np.all(expected != 0)
            scale = np.abs(expected * at).max()
            np.testing.assert_allclose(got * at, expected * at, rtol=0, atol=1e-6 * scale)


@pytest.mark.parametrize("rests", [True, False])
def test_spikes_move_as_in_continuous_time(rests):
    """A neuron with constant current: spike k comes k times the period of the closed form."""
    model = LIF
    bounds = {"tau_m": (10 * ms, 30 * ms), "v_th": (-60 * mV, -45 * mV), "t_ref": (1 * ms, 5 * ms)}
    if not rests:
        del bounds["t_ref"]
        parameters = {key: value for key, value in LIF.parameters.items() if key != "t_ref"}
        equation = LIF.equations.replace(" (unless refractory)", "")
        model = dataclasses.replace(
            LIF, equations=equation, refractory=False, parameters=parameters
        )
    current, voltage = np.full(STEPS, 300) * pA, np.linspace(-70, -60, STEPS) * mV
    recording = Recording(model, current, voltage, [[20] * ms], DT, VanRossumLoss())
    free = free_parameters(model, bounds, recording.currents)
    sets = model_of_sets(model, free, recording.currents)
    program = FitProgram(sets, free.parameters, recording, threads=1)
    at = [20e-3, -50e-3, 3e-3][: len(bounds)]
    squares = program.run(values_at(program, [at]), traces=True)
    spikes = int(squares.traces["fired"].sum())
    assert spikes >= 4
    # t_1 = tau ln(30/10), later periods t_ref + tau ln(25/10); all derivatives by hand
    k = np.arange(spikes)
    first, later = np.log(30 / 10), np.log(25 / 10)
    moves = np.stack([first + k * later, (1 + k) * 20e-3 / 10e-3, k * 1.0])[: len(bounds)]
    np.testing.assert_allclose(squares.timing[0], moves @ moves.T, rtol=0.02)


@pytest.fixture(scope="module")
def recorded():
    current = fluctuating(260, 100, n_trials=2, seed=3) * pA
    voltage, trains = stock(LIF, "I", current)
    noise = 0.5 * mV * np.random.default_rng(1).standard_normal(voltage.shape)
    free = {
        **{"tau_m": (5 * ms, 80 * ms), "E_L": (-80 * mV, -60 * mV), "R": (20 * Mohm, 500 * Mohm)},
        **{"v_th": (-60 * mV, -40 * mV), "v_r": (-80 * mV, -55 * mV)},
    }
    return {
        "current": current,
        "voltage": voltage + noise,
        "spikes": trains,
        "dt": DT,
        "free": free,
    }


@pytest.fixture(scope="module")
def fit(recorded):
    return fit_model(LIF, **recorded, starts=8, seed=1, threads=1)


def test_recovers_the_parameters_within_their_intervals(fit, recorded):
    assert fit.coincidence(0.5 * ms) > 0.95
    assert not fit.undetermined
    for name, value in fit.parameters.items():
        low, high = fit.intervals[name]
        assert abs(float(value / LIF.parameters[name]) - 1) < 0.02
        assert low <= LIF.parameters[name] <= high
        assert high - low < 0.1 * abs(value), "an interval that tells nothing"
        assert get_dimensions(value) is LIF.dimensions[name]
    assert fit.model.parameters["tau_m"] == fit.parameters["tau_m"]
    again = fit_model(LIF, **recorded, starts=8, seed=1, threads=2)
    assert again.parameters == fit.parameters, "the number of threads changes bits"


def test_spike_trains_alone_are_fitted(recorded):
    call = {key: value for key, value in recorded.items() if key != "voltage"}
    call["free"] = {"R": (50 * Mohm, 200 * Mohm), "tau_m": (10 * ms, 40 * ms)}
    fit = fit_model(LIF, **call, seed=1, threads=1, starts=24)
    assert sum(map(len, fit.spikes)) >= 6
    assert fit.coincidence(0.5 * ms) > 0.95
    for name in call["free"]:
        assert float(fit.parameters[name] / LIF.parameters[name]) == pytest.approx(1, rel=0.05)
    assert np.isnan(fit.voltage).all()
    with pytest.raises(ValueError, match="no voltage was recorded"):
        fit_model(LIF, **call, loss=VoltageLoss())


def test_differential_evolution_comes_to_the_same_place(fit, recorded):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = fit_model(
            LIF, **recorded, starts=6, seed=1, threads=1, method="differential_evolution"
        )
    # The stairs of the time step let either be the better one, by less than the noise can tell.
    assert fit.loss <= other.loss * (1 + chi2.ppf(0.95, 5) / (fit.voltage.size - 200))
    for name, (low, high) in fit.intervals.items():
        assert low - (high - low) <= other.parameters[name] <= high + (high - low)


def test_a_killed_fit_goes_on_with_the_same_bits(fit, recorded, tmp_path, monkeypatch):
    monkeypatch.setattr("neurosnn.training.fit_model.checkpoint.EVERY", 0.0)
    step, done = Search._step, []

    def killed(self, *arguments):
        done.append(self.stage)
        if len(done) == 40:
            raise KeyboardInterrupt
        return step(self, *arguments)

    monkeypatch.setattr(Search, "_step", killed)
    path = tmp_path / "search.npz"
    with pytest.raises(KeyboardInterrupt):
        fit_model(LIF, **recorded, starts=8, seed=1, threads=1, checkpoint=path)
    again = fit_model(LIF, **recorded, starts=8, seed=1, threads=1, checkpoint=path)
    assert again.parameters == fit.parameters
    assert again.loss == fit.loss
    with pytest.raises(ValueError, match="this file belongs to another fit"):
        fit_model(LIF, **recorded, starts=8, seed=2, threads=1, checkpoint=path)
    arrays, information = read_arrays(path)
    del arrays["0/damping"]
    write_arrays(path, arrays, information)
    with pytest.raises(ValueError, match="this file cannot be read"):
        fit_model(LIF, **recorded, starts=8, seed=1, threads=1, checkpoint=path)


def test_a_killed_evolution_goes_on_with_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setattr("neurosnn.training.fit_model.checkpoint.EVERY", 0.0)
    current = CASES["membrane"][2]
    voltage, _ = stock(MEMBRANE, "I", current)
    call = {"current": current, "voltage": voltage, "dt": DT, "starts": 4, "seed": 3, "threads": 1}
    call |= {"free": {"g_L": (1 * nS, 100 * nS), "E_L": (-80 * mV, -60 * mV)}}
    call |= {"method": "differential_evolution"}
    whole = fit_model(MEMBRANE, **call)
    assert float(whole.parameters["g_L"] / nS) == pytest.approx(10, rel=0.05)
    run, done = FitProgram.run, []

    def killed(self, *arguments, **settings):
        done.append(1)
        if len(done) == 6:
            raise KeyboardInterrupt
        return run(self, *arguments, **settings)

    monkeypatch.setattr(FitProgram, "run", killed)
    call["checkpoint"] = tmp_path / "search.npz"
    with pytest.raises(KeyboardInterrupt):
        fit_model(MEMBRANE, **call)
    done.clear()
    monkeypatch.setattr(FitProgram, "run", lambda *a, **s: (done.append(1), run(*a, **s))[1])
    again = fit_model(MEMBRANE, **call)
    assert again.parameters == whole.parameters
    assert (again.loss, again.simulated) == (whole.loss, whole.simulated)
    generations = len(read_arrays(call["checkpoint"])[1]["searches"]["0"]["tried"])
    assert generations > 6
    calls = len(done)
    done.clear()
    fit_model(MEMBRANE, **call)
    assert calls - len(done) == generations - 5, "what was known was simulated again"
    with pytest.raises(ValueError, match="this file belongs to another fit"):
        fit_model(MEMBRANE, **(call | {"method": "gradient"}))
    arrays, information = read_arrays(call["checkpoint"])
    kept = information["searches"]["0"]
    for altered, complaint in (
        ({"0": kept | {"tried": ["x"] * generations}}, "does not go on where its file ends"),
        ({"0": kept | {"sizes": []}}, "this file cannot be read"),
        (["0"], "it has no searches"),
    ):
        write_arrays(call["checkpoint"], arrays, information | {"searches": altered})
        with pytest.raises(ValueError, match=complaint):
            fit_model(MEMBRANE, **call)


def test_spikes_without_a_reset_guide_a_fit_too():
    """Where its spikes are left out the voltage tells little of a sodium conductance."""
    _, recording = program_of("HodgkinHuxley")
    assert 0 < (recording.weight > 0).mean() < 0.9
    assert (recording.guide > 0).all()
    _, recording = program_of("LIF")
    np.testing.assert_array_equal(recording.guide, recording.weight)


def test_result_is_stored_shown_and_drawn(fit, tmp_path):
    fit.save(tmp_path / "fit.npz")
    same = ModelFit.load(tmp_path / "fit.npz")
    assert repr(same) == repr(fit)
    assert "tau_m" in fit._repr_html_()
    assert same.model.to_dict() == fit.model.to_dict()
    np.testing.assert_array_equal(same.fitted_spikes[1], fit.fitted_spikes[1])
    arrays, information = read_arrays(tmp_path / "fit.npz")
    del arrays["starts"], information["losses"]
    write_arrays(tmp_path / "altered.npz", arrays, information)
    with pytest.raises(ValueError, match=r"altered.npz: this file cannot be read"):
        ModelFit.load(tmp_path / "altered.npz")
    arrays, information = read_arrays(tmp_path / "fit.npz")
    information["undetermined"] = ["\x1b[2J"]
    write_arrays(tmp_path / "hostile.npz", arrays, information)
    with pytest.raises(ValueError, match="a parameter that its model has not"):
        ModelFit.load(tmp_path / "hostile.npz")
    write_arrays(tmp_path / "other.npz", {}, {})
    with pytest.raises(ValueError, match="holds no ModelFit"):
        ModelFit.load(tmp_path / "other.npz")
    from matplotlib.figure import Figure

    ax = fit.plot(trial=1, ax=Figure().subplots())
    lines = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(lines["fitted"].get_ydata(), np.asarray(fit.fitted_voltage[1]) * 1e3)
    np.testing.assert_allclose(ax.lines[2].get_xdata(), np.asarray(fit.spikes[1]) * 1e3)
    with pytest.raises(ValueError, match="there is no trial 2"):
        fit.plot(trial=2)


def test_intervals_are_those_of_least_squares():
    """A straight line with independent errors: the textbook's covariance; correlated errors count less."""
    rng = np.random.default_rng(0)
    columns = np.stack([np.ones(400), np.linspace(-1, 1, 400)])
    matrix = columns @ columns.T
    np.testing.assert_allclose(
        covariance(matrix[None], np.array([0.25])),
        0.25 * np.linalg.inv(matrix),
        rtol=1e-9,
        atol=1e-15,
    )
    assert np.isinf(covariance(np.diag([1.0, 0.0])[None], np.array([1.0]))[1, 1])
    white = rng.standard_normal((4, 5000))
    assert correlated_samples(white) == pytest.approx(1, abs=0.15)
    slow = lfilter([1], [1, -0.9], white, axis=1)
    assert correlated_samples(slow) == pytest.approx(1.9 / 0.1, rel=0.2)


def test_what_the_recording_does_not_determine_is_said():
    model = NeuronModel(
        equations="dv/dt = (g_1*(E_L - v) + g_2*(E_L - v) + I)/C : volt\nI : amp",
        inputs=("I",),
        initial={"v": "E_L"},
        parameters={"g_1": 5 * nS, "g_2": 5 * nS, "E_L": -70 * mV, "C": 200 * pF},
    )
    current = CASES["membrane"][2]
    voltage, _ = stock(MEMBRANE, "I", current)
    voltage += 0.5 * mV * np.random.default_rng(2).standard_normal(voltage.shape)
    free = {"g_1": (0 * nS, 10 * nS), "g_2": (0 * nS, 10 * nS), "E_L": (-80 * mV, -60 * mV)}
    with pytest.warns(UserWarning, match="does not determine g_1, g_2"):
        fit = fit_model(model, current=current, voltage=voltage, dt=DT, free=free, starts=4)
    assert fit.undetermined == ("g_1", "g_2")
    assert float((fit.parameters["g_1"] + fit.parameters["g_2"]) / nS) == pytest.approx(
        10, rel=0.05
    )
    free = {"E_L": (-69 * mV, -60 * mV)}
    with pytest.warns(UserWarning, match="E_L lies at a bound"):
        fit_model(model, current=current, voltage=voltage, dt=DT, free=free, starts=2)


GOOD = {
    "current": np.zeros(20) * pA,
    "voltage": np.linspace(-70, -60, 20) * mV,
    "dt": DT,
    "free": {"g_L": (1 * nS, 100 * nS)},
}
BAD = {
    "voltage is .* dimensionless.*voltage.mV": {"voltage": np.linspace(-70, -60, 20)},
    "current I has 1 trials of 19 samples, voltage 1 of 20": {"current": np.zeros(19) * pA},
    "the current sets: it has the unit": {"current": np.zeros(20) * mV},
    "current I has samples that are NaN": {"current": np.full(20, np.nan) * pA},
    "1 samples of the voltage are NaN": {"voltage": np.r_[np.linspace(-70, -60, 19), np.nan] * mV},
    "all samples of the voltage are equal": {"voltage": np.full(20, -70) * mV},
    "'gL' cannot be fitted.*Did you mean 'g_L'": {"free": {"gL": (1 * nS, 100 * nS)}},
    "'I' cannot be fitted.*current sets it": {"free": {"I": (1 * pA, 100 * pA)}},
    "bounds of g_L are .*nothing between": {"free": {"g_L": (100 * nS, 1 * nS)}},
    "a bound of g_L is": {"free": {"g_L": (1 * mV, 100 * mV)}},
    "the bounds of g_L are": {"free": {"g_L": 3 * nS}},
    "free is": {"free": {}},
    "membrane has no threshold": {"loss": VanRossumLoss()},
    "no loss of a fit": {"loss": VoltageLoss},
    "weights of shape": {"loss": VoltageLoss(weights=np.ones(7))},
    "no method 'bptt'": {"method": "bptt"},
    "'u' is not the recorded state": {"voltage": {"u": np.linspace(-70, -60, 20) * mV}},
    "dt must be a time": {"dt": 0.1},
    "starts must be": {"starts": 0},
}


@pytest.mark.parametrize("match", BAD)
def test_what_cannot_be_fitted_is_refused(match):
    model = dataclasses.replace(MEMBRANE, name="membrane")
    with pytest.raises((ValueError, TypeError), match=match) as caught:
        fit_model(model, **(GOOD | BAD[match]))
    assert len(str(caught.value)) < 600


def test_a_group_is_fitted_and_only_one_neuron():
    own = f"{MEMBRANE.equations}\ng_L : siemens\nE_L : volt\nC : farad"
    group = NeuronGroup(1, own, namespace={}, method="exact", dt=DT)
    for key, value in MEMBRANE.parameters.items():
        setattr(group, key, value)
    group.v = -70 * mV
    model = NeuronModel.from_group(group, inputs=("I",))
    current = CASES["membrane"][2]
    voltage, _ = stock(MEMBRANE, "I", current)
    free = {"g_L": (1 * nS, 100 * nS), "v": (-80 * mV, -60 * mV)}
    fit = fit_model(model, current=current, voltage=voltage, dt=DT, free=free, starts=4)
    assert float(fit.parameters["g_L"] / nS) == pytest.approx(10, rel=1e-6)
    assert float(fit.model.initial["v"] / mV) == pytest.approx(-70, rel=1e-6)
    several = MEMBRANE.with_parameters(C=[100, 200] * pF)
    with pytest.raises(ValueError, match="C has 2 values"):
        fit_model(several, **GOOD)


def test_losses_add_up():
    loss = 2 * (VoltageLoss() + 0.5 * VanRossumLoss(tau=10 * ms))
    assert repr(loss) == "2*VoltageLoss() + VanRossumLoss(tau=10. * msecond)"
    with pytest.raises(ValueError, match="VoltageLoss is there twice"):
        VoltageLoss() + VoltageLoss()
    with pytest.raises(ValueError, match="the factor is -1"):
        -1 * VoltageLoss()
    for wrong in ({"weights": -np.ones(3)}, {"spike_window": 2}):
        with pytest.raises(ValueError, match="VoltageLoss"):
            VoltageLoss(**wrong)
