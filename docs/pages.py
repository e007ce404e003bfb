"""Pages and pictures of the manual that the code makes: one page a rule, the gallery's scripts, notebooks.

python docs/pages.py        # draws images/windows.png, the picture of the README, anew
"""

from __future__ import annotations

import re
import shutil
from importlib import metadata
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import notebooks
import numpy as np
import thumbnails
from brian2 import Network, SpikeGeneratorGroup, SpikeMonitor, Synapses, ms, prefs
from matplotlib import pyplot as plt

from neurosnn import BPTT, EProp, EventProp, analysis, citation, equations
from neurosnn.analysis.protocols import private_brian

STDP_NEURONS = {
    name: getattr(equations, name)(t_ref=5 * ms)
    for name in ("LIF", "ALIF", "STDP_LIF", "STDP_ALIF")
}


def voltage_neuron():
    """A neuron in mV for the rule of Clopath et al., which reads the voltage.

    Its spike is a jump to 0 mV for one step: the rule potentiates above -45.3 mV only.
    """
    from brian2 import mV

    from neurosnn import NeuronModel

    return NeuronModel(
        name="LIF in mV",
        equations="dv/dt = (E - v)/tau_m : volt",
        threshold="v > v_th",
        reset="v = E",
        parameters={"tau_m": 20 * ms, "E": -70 * mV, "v_th": 0 * mV},
        initial={"v": "E"},
    )


def rules():
    """Every rule by the name of its page: object, documented name, title, cost, deviations."""
    found = {
        "pair_stdp": (equations.PairSTDP(), "equations.PairSTDP", "Pair STDP"),
        "triplet_stdp": (equations.TripletSTDP(), "equations.TripletSTDP", "Triplet STDP"),
        "voltage_stdp": (equations.VoltageSTDP(), "equations.VoltageSTDP", "Voltage-based STDP"),
        "inhibitory_stdp": (
            equations.InhibitorySTDP(),
            "equations.InhibitorySTDP",
            "Inhibitory STDP",
        ),
        "reward_stdp": (equations.RewardSTDP(), "equations.RewardSTDP", "Reward-modulated STDP"),
        "eprop": (EProp(), "EProp", "E-prop"),
        "eventprop": (EventProp(), "EventProp", "EventProp"),
        "bptt": (BPTT(), "BPTT", "Backpropagation through time"),
    }
    found["eqspike"] = (equations.EqSpike(), "equations.EqSpike", "EqSpike")
    return found


def draw_window(name, rule, ax, step=1 * ms):
    """The window of a rule, in the way that suits it; returns what its caption says."""
    options = {"max_lag": 50 * ms, "step": step}
    if name == "eqspike":
        analysis.plot_stdp_window(eqspike_window(rule, step), ax=ax, marker="")
        return (
            "One pair of spikes in the nudged phase with beta = 1, between neurons of "
            "``equations.EqSpikeLIF`` that are silent otherwise."
        )
    if name == "eprop":
        for neuron, model in STDP_NEURONS.items():
            window = analysis.stdp_window(rule, post=model, background=0.6, **options)
            analysis.plot_stdp_window(window, ax=ax, label=neuron, marker="", lw=1.5)
        ax.legend(fontsize=8)
        return "Learning signal 1, the postsynaptic neuron held at 0.6 of its threshold."
    if name in ("eventprop", "bptt"):
        draw_adjoint(ax, rule)
        return (
            f"{type(rule).__name__} has no window of spike pairs: its update needs an error. Shown "
            "instead: how much credit an input spike gets by its age, for e-prop and "
            f"{type(rule).__name__} on the same recurrent network."
        )
    if name == "voltage_stdp":
        options |= {"post": voltage_neuron(), "background": 0, "dt": 1 * ms}
    window = analysis.stdp_window(rule, **options)
    analysis.plot_stdp_window(window, ax=ax, marker="")
    if name == "voltage_stdp":
        return (
            "A leaky neuron at rest, whose spike is a jump to 0 mV for 1 ms: a single pair. The rule "
            "was fitted to an exponential neuron with a spike after-potential, whose window differs."
        )
    return "Default parameters; one pair of spikes."


def eqspike_window(rule, step):
    """Change of a weight by one pair of spikes that are forced upon two silent neurons."""
    lags = np.arange(-50, 51, int(step / ms))
    spikes = {"pre": 300 + np.maximum(-lags, 0), "post": 300 + np.maximum(lags, 0)}
    model, objects, groups = equations.EqSpikeLIF(drive=0.0), [], {}
    with private_brian(1 * ms):
        for name, steps in spikes.items():
            cause = SpikeGeneratorGroup(len(lags), np.arange(len(lags)), steps * ms, when="start")
            groups[name] = model.group(len(lags), name=f"eqspike_{name}")
            kicks = Synapses(cause, groups[name], on_pre="v_post += 2", namespace={})
            kicks.connect(condition="i == j", namespace={})
            kicks.pre.when = "before_thresholds"
            objects += [cause, groups[name], kicks]
        synapses = rule.synapses(groups["pre"], groups["post"], connect="i == j", target="")
        synapses.signal = 1
        monitors = [SpikeMonitor(group) for group in groups.values()]
        Network(*objects, synapses, *monitors).run(700 * ms, namespace={})
        assert all(monitor.num_spikes == len(lags) for monitor in monitors), "not one spike each"
        return analysis.StdpWindow(lags * ms, np.array(synapses.w[:]))


def draw_adjoint(ax, rule):
    """Credit against the age of a spike, for e-prop and a rule with an adjoint."""
    from neurosnn import Input, Layer, Readout, SpikingNetwork, Trainer

    net = SpikingNetwork(
        Input(60),
        Layer(equations.CurrentLIF(), 50, recurrent=True, weight_scale=7.0),
        Readout(4, tau=20 * ms),
        seed=1,
    )
    lags = np.array([1, 2, 4, 7, 10, 15, 20, 30, 45, 60, 80, 100, 125, 150]) * ms
    if isinstance(rule, EventProp):
        rule = EventProp(smallest_slope=50)
    for one in (EProp(), rule):
        trainer = Trainer(net, one, loss="cross_entropy_per_step", threads=1)
        name = "e-prop" if isinstance(one, EProp) else type(one).__name__
        analysis.plot_credit(analysis.credit_curve(trainer, lags), ax=ax, label=name)
    ax.legend()


def rule_page(key, rule, documented, title, caption):
    """Text of the page of one rule."""
    kind = "autofunction" if documented.startswith("equations.") else "autoclass"
    # a row for each need, since as many columns are too many for a narrow window
    head, _, row = analysis.locality_table({title: rule}, style="markdown").splitlines()
    needs = zip(cells(head)[1:], cells(row)[1:], strict=True)
    table = "\n".join(
        ["| | |", "|---|---|", *(f"| {need} | {answer or '-'} |" for need, answer in needs)]
    )
    return f"""# {title}

```{{image}} {key}.png
:alt: {title}
```

{caption}

## What it needs at the synapse

{table}

They are explained in {{py:class}}`neurosnn.analysis.Locality`.

## Equations, parameters and their sources, cost, deviations

```{{eval-rst}}
.. {kind}:: neurosnn.{documented}
   :no-index:
```

## Citation

```bibtex
{citation(rule)}
```
"""


def cells(row):
    """What stands between the bars of a row of a table in Markdown."""
    return [cell.strip() for cell in row.strip().strip("|").split("|")]


def write_rules(folder: Path) -> None:
    """One page and one picture a rule, and the table of locality of all."""
    folder.mkdir(parents=True, exist_ok=True)
    objects = {}
    for key, (rule, documented, title) in rules().items():
        picture = folder / f"{key}.png"
        figure, ax = plt.subplots(figsize=(5.5, 3.5), layout="constrained")
        caption = draw_window(key, rule, ax)
        figure.savefig(picture, dpi=110)
        plt.close(figure)
        text = rule_page(key, rule, documented, title, caption)
        (folder / f"{key}.md").write_text(text, encoding="utf-8")
        objects[title] = rule
    objects["E-prop, random feedback"] = EProp(feedback="random")
    objects["E-prop, global"] = EProp(feedback="global")
    figure, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
    analysis.plot_locality(objects, ax=ax)
    figure.savefig(folder / "locality.png", dpi=110)
    plt.close(figure)
    names = "\n".join(rules())
    (folder / "index.md").write_text(
        f"""# Learning rules

Every page shows the rule's window as the code computes it, what the rule needs to know at a synapse, its
equations with the source of every number, and how to cite it.

```{{image}} locality.png
:alt: What each rule needs at the synapse
```

```{{toctree}}
:maxdepth: 1

{names}
```
""",
        encoding="utf-8",
    )


def write_examples(source: Path, folder: Path) -> None:
    """The examples with a title that the gallery can see; the scripts themselves stay as they are."""
    for part, title, text in (
        ("", "Examples", "One script a subject; each runs with ``--quick`` too."),
        ("frompapers", "From papers", "Experiments of publications, with their settings."),
    ):
        target = folder / part
        if target.exists():
            shutil.rmtree(target)
        target.mkdir(parents=True)
        underline = "=" * len(title)
        (target / "GALLERY_HEADER.rst").write_text(
            f"{title}\n{underline}\n\n{text}\n", encoding="utf-8"
        )
        for script in sorted((source / part).glob("*.py")):
            text = with_title(script.read_text(encoding="utf-8"), script.stem)
            (target / script.name).write_text(text, encoding="utf-8")


def with_title(source: str, name: str = "") -> str:
    """A script whose docstring begins with an underlined title, its commands as literal blocks.

    The picture of one that the manual does not run stands below its docstring.
    """
    match = re.match(r'"""(.+?)\n(.*?)"""', source, flags=re.DOTALL)
    if not match:
        raise ValueError(f"no docstring of several lines: {source[:60]!r}")
    title, rest = match.group(1).strip().rstrip("."), match.group(2)
    # A paragraph that is indented is a command to type, or a table.
    lines, inside = [], False
    for line in rest.splitlines():
        indented = line.startswith("    ") and bool(line.strip())
        if indented and not inside:
            lines += ["::", ""]
        inside = indented or (inside and not line.strip())
        lines.append(line)
    body = "\n".join(lines)
    underline = "=" * len(title)
    # Neither the gallery nor a notebook gives a script its docstring, whose first line is its --help.
    program = source[match.end() :].replace("__doc__.splitlines()[0]", repr(title))
    thumbnail = ""
    if name in thumbnails.PICTURES:
        settings = thumbnails.PICTURES[name][1]
        body += f"\n\n.. image:: /images/gallery/{name}.png\n   :alt: {title}\n"
        if settings:
            body += f"\nThe picture is that of a shorter run: ``{settings}``.\n"
        thumbnail = f"\n# sphinx_gallery_thumbnail_path = 'images/gallery/{name}.png'\n"
    return f'r"""\n{title}\n{underline}\n{body}\n"""' + thumbnail + program


def write_windows(path: Path, step=1 * ms) -> None:
    """The windows of all rules in one picture."""
    prefs.codegen.target = "numpy"
    figure, axes = plt.subplots(2, 4, figsize=(13, 5.8), layout="constrained")
    window = {"max_lag": 50 * ms, "step": step}
    found = rules()
    for ax, key in zip(
        axes.flat[:5],
        ("pair_stdp", "triplet_stdp", "voltage_stdp", "inhibitory_stdp", "reward_stdp"),
        strict=True,
    ):
        rule, _, title = found[key]
        draw_window(key, rule, ax, step)
        ax.set_title(title, fontsize=10, loc="right")
    soft = equations.PairSTDP(bounds="multiplicative")
    axes[0, 0].lines[-1].set_label("hard bounds")
    for weight, label in ((0.2, "soft, w = 0.2"), (0.8, "soft, w = 0.8")):
        curve = analysis.stdp_window(soft, weight=weight, **window)
        analysis.plot_stdp_window(curve, ax=axes[0, 0], marker="", label=label)
    axes[0, 0].legend(fontsize=7, loc="lower right")
    for ax, background, title in (
        (axes[1, 1], 0.0, "E-prop, neuron at rest"),
        (axes[1, 2], 0.6, "E-prop, held at 0.6 of the threshold"),
    ):
        for name, model in STDP_NEURONS.items():
            curve = analysis.stdp_window(EProp(), post=model, background=background, **window)
            label = name.replace("_", "-")
            analysis.plot_stdp_window(curve, ax=ax, label=label, marker="", lw=1.5)
        ax.set_title(title, fontsize=10, loc="right")
    axes[1, 1].legend(fontsize=7, loc="lower right")
    draw_window("eqspike", found["eqspike"][0], axes[1, 3], step)
    axes[1, 3].set_title("EqSpike, nudged phase", fontsize=10, loc="right")
    for ax in axes.flat:
        ax.xaxis.get_label().set_fontsize(9)
        ax.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3), useMathText=True)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def write_performance(results: Path, target: Path) -> None:
    """The page of measured figures, from the file that keeps them."""
    text = results.read_text(encoding="utf-8")
    target.write_text(text.replace("# Benchmark results", "# Performance", 1), encoding="utf-8")


def write_all(here: Path) -> None:
    """Everything, into ``generated/``."""
    prefs.codegen.target = "numpy"
    generated = here / "generated"
    write_rules(generated / "rules")
    write_examples(here.parent / "examples", generated / "examples")
    notebooks.write_notebooks(
        here.parent / "examples" / "notebooks",
        generated / "notebooks",
        metadata.version("neurosnn"),
    )
    write_performance(here.parent / "benchmarks" / "RESULTS.md", generated / "performance.md")


if __name__ == "__main__":
    write_windows(Path(__file__).parent / "images" / "windows.png")
