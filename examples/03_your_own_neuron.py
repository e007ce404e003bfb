"""Your own neuron: write its equations in mV, nA and nS, and everything else follows.

An exponential integrate-and-fire neuron (Fourcaud-Trocme et al. 2003; the values are typical of
cortex and not fitted to anything) whose excitatory and inhibitory synapses are conductances. Its
strings are all there is: from them e-prop's equations are derived, printed below, its STDP window is
measured, and a network of it is trained with Dale's law: 80 % of the neurons excite and 20 % inhibit.
The exponent is clipped because an Euler step of 0.5 ms may overshoot the threshold.

    python examples/03_your_own_neuron.py             # about a minute
"""

import argparse
from pathlib import Path

from brian2 import ms, mV, nS, pF
from matplotlib import pyplot as plt

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
)
from neurosnn.training.schedules import Exponential

EIF = NeuronModel(
    name="EIF",
    equations="""
        dv/dt = (g_L*(E_L - v) + g_L*Delta*exp(clip((v - v_T)/Delta, -50, 5))
                 + g_e*(E_e - v) + g_i*(E_i - v))/C : volt (unless refractory)
        dg_e/dt = -g_e/tau_e : siemens
        dg_i/dt = -g_i/tau_i : siemens
        """,
    threshold="v > v_cut",
    reset="v = E_L",
    refractory="t_ref",
    method="euler",
    inputs=("g_e", "g_i"),  # the first is for excitatory, the second for inhibitory synapses
    # psi: a triangle around the soft threshold. Its unit is one over that of v.
    surrogate="int(not_refractory)*0.3*clip(1 - abs(v - v_T)/(15*mV), 0, 1)/(15*mV)",
    parameters={
        "C": 200 * pF,
        "g_L": 10 * nS,
        "E_L": -70 * mV,
        "v_T": -50 * mV,
        "Delta": 2 * mV,
        "v_cut": -40 * mV,
        "t_ref": 2 * ms,
        "E_e": 0 * mV,
        "E_i": -80 * mV,
        "tau_e": 5 * ms,
        "tau_i": 10 * ms,
    },
    initial={"v": "E_L"},
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few lags, one epoch: only a test")
    parser.add_argument("--output", type=Path, default=Path("output"), help="folder of the picture")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    rule = EProp()
    print("E-prop for an excitatory synapse of this neuron, derived from its strings:\n")
    print(rule.equations(EIF, target="g_e"), "\n")

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    step = 10 * ms if options.quick else 1 * ms
    window = analysis.stdp_window(
        rule, post=EIF, max_lag=50 * ms, step=step, dt=0.5 * ms, background=0.5
    )
    analysis.plot_stdp_window(window, ax=axes[0], marker="")

    train, test = data.spoken_digits(n_bands=16, n_thresholds=4)
    if options.quick:
        train = train[::10]
    net = SpikingNetwork(
        Input(train.n_channels),
        Layer(EIF, 64, recurrent=True, excitatory=0.8, weight_scale=2 * nS),
        Readout(10, tau=20 * ms),
        dt=0.5 * ms,
        seed=options.seed,
    )
    print(net)
    adam = Adam(0.05, factors={"readout*": 0.1})  # 0.05 nS; the readout's weights have no unit
    trainer = Trainer(net, rule, optimizer=adam, schedule=Exponential(0.8), seed=options.seed)
    history = trainer.fit(train, epochs=1 if options.quick else 10, validation=0.1)
    result = trainer.evaluate(test)
    print(f"new recordings: {result['accuracy']:.1%} correct, {result['rate.hidden']:.0f} Hz")
    analysis.plot_learning_curve(history, ax=axes[1])
    figure.savefig(options.output / "your_own_neuron.png", dpi=120)
    print(f"picture: {options.output / 'your_own_neuron.png'}")


if __name__ == "__main__":
    main()
