"""Uses the public names as a user would; checked by ``mypy --strict``, never run.

With --strict, mypy also complains here about a public function that has no complete signature.
"""

from __future__ import annotations

from pathlib import Path

from brian2 import ms

from neurosnn import (
    Adam,
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
from neurosnn.rules.equilibrium import Convolution, EquilibriumNetwork
from neurosnn.training import EquilibriumTrainer, RateEquilibrium


def windows() -> None:
    rule = equations.PairSTDP(A_plus=0.01, A_minus=-0.0105, tau_plus=20 * ms, tau_minus=20 * ms)
    window = analysis.stdp_window(rule, max_lag=50 * ms, step=1 * ms)
    analysis.plot_stdp_window(window)
    analysis.stdp_window(EProp(), post=equations.STDP_ALIF(), learning_signal=1, background=0.6)


def training(folder: Path) -> dict[str, float]:
    train, test = data.spoken_digits()
    channels: int = train.n_channels
    trials: int = len(train)
    neuron: NeuronModel = equations.STDP_ALIF(tau_a=200 * ms)
    net = SpikingNetwork(
        Input(channels),
        Layer(neuron, 128, recurrent=True),
        Readout(10, tau=20 * ms),
        dt=1 * ms,
        seed=1,
    )
    trainer = Trainer(net, EProp(feedback="symmetric"), optimizer=Adam(1e-3))
    trainer.fit(train, epochs=5, batch_size=min(32, trials))
    scores: dict[str, float] = trainer.evaluate(test)
    net.save(folder / "digits.npz")
    again: SpikingNetwork = SpikingNetwork.load(folder / "digits.npz")
    export(again, folder / "digits_cpp", device="cpp_standalone", inputs=test[:10])
    return scores


def own_data(times: list[list[float]], units: list[list[int]]) -> str:
    trials: data.SpikeTrials = data.SpikeTrials.from_lists(times, units, ["a", "b"])
    names: tuple[str, ...] = data.join_trials(trials, trials).class_names
    return trials.summary() + names[0]


def equilibrium(folder: Path) -> float:
    images, test = data.digits_8x8()
    trainer = EquilibriumTrainer(EquilibriumNetwork((64, 30, 10)), optimizer=Adam(5e-3), seed=1)
    history = trainer.fit(images, epochs=2, validation=0.1, checkpoint=folder / "digits.npz")
    EquilibriumNetwork(((8, 8), Convolution(8, kernel=3, pool=2), 10)).biases("hidden")
    rates = RateEquilibrium((64, 30, 10))
    rates.fit(images, epochs=1, batch_size=20, early_stopping=2)
    classes: int = int(rates.predict(test).max())
    return float(history["validation_loss"][-1]) + trainer.evaluate(test)["loss"] + classes


def own_neuron() -> NeuronModel:
    return NeuronModel(
        equations="dv/dt = -v/tau_m : 1",
        threshold="v > v_th",
        reset="v = 0",
        surrogate="clip(1 - abs(v - v_th), 0, 1)",
        parameters={"tau_m": 20 * ms, "v_th": 1.0},
    )
