"""The command ``neurosnn``: look at models and rules, train recipes, evaluate and export networks."""

from __future__ import annotations

import argparse
import os
import re
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from neurosnn.core.messages import did_you_mean, message

__all__ = ["main"]

EPILOG = """examples:
  neurosnn models
  neurosnn show ALIF --rule eprop
  neurosnn window PairSTDP --png window.png
  neurosnn window eprop --neuron STDP_LIF
  neurosnn train spoken_digits --out digits.npz
  neurosnn train mine.toml --rule bptt --learning-rate 3e-3 --seed 2
  neurosnn evaluate digits.npz spoken_digits
  neurosnn export digits.npz digits_cpp --data spoken_digits --trials 3
  neurosnn doctor

exit codes: 0 done, 1 an error that the message explains, 2 wrong arguments, 130 interrupted"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process if None.

    Returns
    -------
    int
        The exit code: 0 done, 1 an error, 2 wrong arguments, 130 interrupted.

    Examples
    --------
    >>> main(["show", "LIF"])  # doctest: +ELLIPSIS
    LIF...
    0
    """
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as stop:  # argparse has written why
        return stop.code if isinstance(stop.code, int) else 2
    try:
        code = options.run(options)
        sys.stdout.flush()
        return int(code or 0)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("neurosnn: interrupted", file=sys.stderr)
        return 130
    except (ValueError, TypeError, OSError, ImportError, RuntimeError, ArithmeticError) as error:
        text = error.args[-1] if isinstance(error, OSError) and error.args else error
        print(f"neurosnn: {_in_options(str(text))}", file=sys.stderr)
        return 1


#: Arguments of Python that messages name, and the options that they are here.
OPTIONS = {
    "inputs": "--data",
    "duration": "--duration",
    "backend": "--backend",
    "post": "--neuron",
    "max_lag": "--max-lag",
    "arch": "--arch",
    "epochs": "--epochs",
}


def _in_options(text: str) -> str:
    """A message with the options of the command line in the place of Python's arguments."""
    text = text.replace("overwrite=True", "--overwrite")
    for name, option in OPTIONS.items():
        text = re.sub(rf"\b{name}=(['\"]?)([\w.+-]*\w)?(?:\*(\w+))?\1", _option(option), text)
    return text


def _option(option: str) -> Callable[[re.Match[str]], str]:
    def write(match: re.Match[str]) -> str:
        value, unit = match[2], match[3]
        if value is None:
            return option
        return f'{option} "{value} {unit}"' if unit else f"{option} {value}"

    return write


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="neurosnn",
        description="Spiking networks whose learning rules are derived from Brian2 equations.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"neurosnn {metadata.version('neurosnn')}"
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, run: Callable[[Any], Any], text: str, example: str) -> Any:
        command = commands.add_parser(
            name,
            help=text,
            description=text,
            epilog=f"example: {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(run=run)
        return command

    add("models", _models, "list neurons, plasticity rules and recipes", "neurosnn models")

    show = add("show", _show, "print a model's equations, parameters and sources",
               "neurosnn show ALIF --rule eprop")  # fmt: skip
    show.add_argument("model", metavar="MODEL", help="a neuron or a plasticity rule")
    show.add_argument("--rule", metavar="RULE", help="eprop, eventprop or bptt: how it learns, too")

    window = add("window", _window, "compute the STDP window of a rule",
                 "neurosnn window eprop --neuron STDP_LIF --png window.png")  # fmt: skip
    window.add_argument("rule", metavar="RULE", help="a plasticity rule, or eprop")
    window.add_argument("--neuron", metavar="MODEL", help="postsynaptic neuron, for eprop")
    window.add_argument("--max-lag", default="50 ms", metavar="TIME", help='default: "50 ms"')
    window.add_argument("--step", default="1 ms", metavar="TIME", help='default: "1 ms"')
    window.add_argument("--png", metavar="FILE", help="draw it; without, a table is printed")

    train = add("train", _train, "train the network of a recipe and save it",
                "neurosnn train spoken_digits --epochs 2 --out digits.npz")  # fmt: skip
    train.add_argument("recipe", metavar="RECIPE", help="a name (neurosnn models) or a TOML file")
    train.add_argument("--out", metavar="FILE", help="default: RECIPE.npz")
    train.add_argument("--epochs", type=_positive, metavar="N", help="instead of the recipe's")
    train.add_argument("--rule", metavar="RULE", help="eprop, eventprop or bptt, instead")
    train.add_argument("--learning-rate", type=_rate, metavar="X", help="instead of the recipe's")
    train.add_argument("--seed", type=_seed, metavar="N", help="of the weights and of the order")
    train.add_argument("--threads", type=_positive, metavar="N", help="default: all processors")
    train.add_argument("--backend", default="auto", choices=("auto", "engine", "cuda", "brian2"))
    train.add_argument("--checkpoint", metavar="FILE", help="go on from it if it exists")

    evaluate = add("evaluate", _evaluate, "test a saved network on a recipe's data",
                   "neurosnn evaluate digits.npz spoken_digits")  # fmt: skip
    evaluate.add_argument("network", metavar="FILE", help="what train or net.save wrote")
    evaluate.add_argument("recipe", metavar="RECIPE", help="whose data, loss and rule are meant")
    evaluate.add_argument("--backend", default="auto", choices=("auto", "engine", "cuda", "brian2"))

    export = add("export", _export, "write a saved network as a C++ or CUDA project",
                 "neurosnn export digits.npz digits_cpp --data spoken_digits --trials 3")  # fmt: skip
    export.add_argument("network", metavar="FILE", help="what train or net.save wrote")
    export.add_argument("folder", metavar="FOLDER", help="the project, which must not exist yet")
    export.add_argument("--data", metavar="RECIPE", help="take the trials from this recipe's tests")
    export.add_argument("--trials", type=_positive, default=2, metavar="N", help="default: 2")
    export.add_argument("--duration", metavar="TIME", help='without trials, for example "1 second"')
    export.add_argument("--cuda", action="store_true", help="CUDA instead of C++")
    export.add_argument("--arch", default="sm_80", help="GPU architecture (default: sm_80)")
    export.add_argument("--overwrite", action="store_true", help="replace an exported project")

    add("doctor", _doctor, "check compilers, devices and optional packages", "neurosnn doctor")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return number


def _seed(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"must be at least 0, got {text}")
    return number


def _rate(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be greater than 0, got {text}")
    return number


def _rule_name(name: str | None, where: str) -> str | None:
    """The name of a gradient rule as recipes have it."""
    from neurosnn.rules import NAMED

    if name is None or name.lower() in NAMED:
        return None if name is None else name.lower()
    fix = did_you_mean(name, NAMED)
    raise ValueError(message(f"there is no rule '{name}'.", where, "", fix))


# -- models ---------------------------------------------------------------------------------------


def _made(name: str) -> Any:
    """The model or rule of that name, with its defaults."""
    from neurosnn import equations

    names = {known.lower(): known for known in equations.__all__}
    wanted = names.get(name.lower().replace("-", "_"))
    if wanted is None:
        fix = did_you_mean(name, equations.__all__)
        raise ValueError(message(f"there is no model or rule '{name}'.", "models", "", fix))
    return getattr(equations, wanted)()


def _models(options: Any) -> None:
    from neurosnn import NeuronModel, equations
    from neurosnn.cli.recipes import built_in
    from neurosnn.rules import NAMED

    made = {name: _made(name) for name in equations.__all__}
    neurons = {name for name, model in made.items() if isinstance(model, NeuronModel)}
    for title, names in (
        ("Neurons", neurons),
        ("Plasticity rules", set(made) - neurons),
    ):
        print(f"{title}:")
        for name in sorted(names):
            summary = (getattr(equations, name).__doc__ or "").strip().splitlines()[0]
            print(f"  {name:<16} {summary}")
    print("Gradient rules, for every neuron:")
    for name, rule in NAMED.items():
        print(f"  {name:<16} {(rule.__doc__ or '').strip().splitlines()[0]}")
    print("Recipes:")
    for name, summary in built_in().items():
        print(f"  {name:<16} {summary}")


def _show(options: Any) -> None:
    from neurosnn import NeuronModel
    from neurosnn.rules import NAMED

    model, rule = _made(options.model), _rule_name(options.rule, "show")
    strings = None
    if rule is not None:
        if not isinstance(model, NeuronModel):
            fix = "Name a neuron, for example ALIF."
            raise ValueError(message(f"{options.model} is a rule itself.", "show", "", fix))
        strings = NAMED[rule]().equations(model)
    print(model.name)
    for field in ("reference", "method", "inputs", "refractory", "pairing", "delay_placement"):
        value = getattr(model, field, None)
        if value not in (None, "", False, ()):
            print(f"{field}: {', '.join(value) if isinstance(value, tuple) else value}")
    for field in ("equations", "threshold", "reset", "step", "on_pre", "on_post", "surrogate"):
        text = textwrap.dedent(getattr(model, field, "")).strip()
        if text:
            print(f"\n{field}:\n{textwrap.indent(text, '    ')}")
    print("\nparameters:")
    constants: Mapping[str, Any] = getattr(model, "constants", model.parameters)
    for name, value in constants.items():
        print(f"    {name:<14} {value!s:<16} {model.sources.get(name, '')}".rstrip())
    if strings is not None:
        print(f"\nlearning with {rule}:\n{textwrap.indent(str(strings), '    ')}")


def _window(options: Any) -> None:
    import numpy as np
    from brian2.units.allunits import msecond

    from neurosnn import analysis
    from neurosnn.cli.recipes import quantity
    from neurosnn.rules import NAMED

    trained = NAMED.get(options.rule.lower())
    if options.neuron is None and trained is not None:
        fix = "Write for example --neuron STDP_LIF."
        what = f"{trained.name} needs a neuron."
        raise ValueError(message(what, "window", "It reads its state.", fix))
    if options.png is not None:
        _check_picture(options.png)
    rule = _made(options.rule) if trained is None else trained()
    post = None if options.neuron is None else _made(options.neuron)
    lags = {"max_lag": options.max_lag, "step": options.step}
    window = analysis.stdp_window(
        rule, post=post, **{name: quantity(text, name) for name, text in lags.items()}
    )
    if options.png is None:
        print("lag [ms]  change of w")
        for lag, change in zip(np.asarray(window.lag / msecond), window.dw, strict=True):
            print(f"{lag:8.1f}  {change}")
        return
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    from neurosnn.core.files import atomic_file
    from neurosnn.core.messages import drawable

    figure, ax = plt.subplots(layout="constrained")
    analysis.plot_stdp_window(window, ax=ax, marker="")
    ax.set_title(drawable(options.rule if post is None else f"{options.rule}, {post.name}"))
    with atomic_file(options.png) as file:
        figure.savefig(file, dpi=150, format="png")
    plt.close(figure)
    print(f"wrote {options.png}")


def _check_picture(path: str) -> None:
    """Refuse a picture that could not be written, before anything is computed for it."""
    if Path(path).suffix.lower() != ".png":
        fix = f"Write --png {Path(path).with_suffix('.png').name}."
        raise ValueError(
            message("the picture would be a PNG.", path, "Its name says otherwise.", fix)
        )
    if Path(path).absolute().parent.exists() and not Path(path).absolute().parent.is_dir():
        raise NotADirectoryError(
            message(
                "it cannot be written.",
                path,
                "Its parent is not a folder.",
                "Choose another --png.",
            )
        )


# -- networks -------------------------------------------------------------------------------------


def _train(options: Any) -> None:
    from neurosnn.cli.recipes import load_recipe

    recipe = load_recipe(options.recipe).changed(
        rule=_rule_name(options.rule, "train"),
        learning_rate=options.learning_rate,
        epochs=options.epochs,
        seed=options.seed,
    )
    out = Path(options.out or f"{recipe.name}.npz")
    if not out.absolute().parent.is_dir():
        fix = "Create it, or choose another --out."
        raise FileNotFoundError(message("there is no such folder.", str(out.parent), "", fix))
    train, test = recipe.trials()
    net = recipe.build(train)
    print(f"{recipe.title}\n{net}\n{train}")
    trainer = recipe.trainer(net, threads=options.threads, backend=options.backend)
    if options.checkpoint is not None and Path(options.checkpoint).exists():
        print(f"going on from {options.checkpoint}", flush=True)
    trainer.fit(
        train,
        epochs=recipe.training["epochs"],
        batch_size=recipe.training.get("batch_size", 32),
        checkpoint=options.checkpoint,
    )
    net.save(out)
    print(f"wrote {out}")
    _report(trainer.evaluate(test), len(test))


def _report(result: Mapping[str, float], n: int) -> None:
    print(f"on {n} trials not trained on:")
    for name, value in result.items():
        print(f"  {name:<16} {value:.4g}")


def _evaluate(options: Any) -> None:
    from neurosnn import SpikingNetwork
    from neurosnn.cli.recipes import load_recipe

    net, recipe = SpikingNetwork.load(options.network), load_recipe(options.recipe)
    _, test = recipe.trials()
    _report(recipe.trainer(net, backend=options.backend).evaluate(test), len(test))


def _export(options: Any) -> None:
    from neurosnn import SpikingNetwork, export
    from neurosnn.cli.recipes import load_recipe, quantity

    net = SpikingNetwork.load(options.network)
    inputs = None
    if options.data is not None:
        inputs = load_recipe(options.data).trials()[1][: options.trials]
    duration = None if options.duration is None else quantity(options.duration, "duration")
    path = export(
        net,
        options.folder,
        device="cuda_standalone" if options.cuda else "cpp_standalone",
        inputs=inputs,
        duration=duration,
        arch=options.arch,
        overwrite=options.overwrite,
    )
    print(f"wrote {path}; build and run it: cd {path} && make && ./run")


def _doctor(options: Any) -> int:
    from neurosnn.cli.doctor import report

    lines, well = report()
    print("\n".join(lines))
    return 0 if well else 1
