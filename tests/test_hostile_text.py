"""A stranger's file runs no program of theirs: every text is refused, or does nothing.

Each case would make a file named "pwned" in the working directory if it ran.
"""

from __future__ import annotations

import dataclasses

import pytest
from brian2 import ms

from neurosnn import (
    BPTT,
    Input,
    Layer,
    NeuronModel,
    PlasticityRule,
    Readout,
    SpikingNetwork,
    Trainer,
)
from neurosnn.engine import program
from neurosnn.storage import load_network, save_network

STRUCT = 'x\nstruct P{P(){std::system("touch pwned");}};static P p;//'
PYTHON = "__import__('os').system('touch pwned')"
#: Python without a single name in it, as Brian2's own check of names looks for them.
OCTAL = "'" + "".join(f"\\{ord(character):03o}" for character in PYTHON) + "'"
MODEL = {
    "equations": "dv/dt = -v/tau_m : 1",
    "threshold": "v > 1",
    "reset": "v = 0",
    "surrogate": "1/(1 + abs(v - 1))",
    "parameters": {"tau_m": 20 * ms},
}
RULE = {"equations": "w : 1", "on_pre": "w += A", "parameters": {"A": 0.1}}


@pytest.fixture(autouse=True)
def no_marker(tmp_path, monkeypatch):
    """The working directory of each test is empty, and stays so except for what the test names."""
    monkeypatch.chdir(tmp_path)
    yield
    assert not list(tmp_path.rglob("pwned*"))


def changed_after_checks(model: NeuronModel, **fields) -> NeuronModel:
    """What another program could write to a file."""
    for name, value in fields.items():
        object.__setattr__(model, name, value)
    return model


@pytest.mark.parametrize(
    "field",
    [
        {"name": STRUCT},
        {"equations": f"dv/dt = (clip({OCTAL}, 0, 1) - v)/tau_m : 1"},
        {"threshold": f"v > clip({OCTAL}, 0, 1)"},
        {"reset": f"v = clip({OCTAL}, 0, 1)"},
        {"step": f"v = clip({OCTAL}, 0, 1)"},
        {"surrogate": f"1 + 0*clip({OCTAL}, 0, 1)"},
        {"refractory": f"(1 + 0*clip({OCTAL}, 0, 1))*ms"},
        {"initial": {"v": f"clip({OCTAL}, 0, 1)"}},
    ],
    ids=lambda field: next(iter(field)),
)
def test_opening_a_file_runs_nothing(field, tmp_path):
    with pytest.raises(ValueError, match="holds a"):
        NeuronModel(**{**MODEL, **field})
    net = SpikingNetwork(Input(3), Layer(NeuronModel(**MODEL), 4), Readout(2), dt=1 * ms)
    changed_after_checks(net.layers[0].model, **field)
    save_network(net, tmp_path / "net.npz")
    with pytest.raises(ValueError, match="cannot be read as a network"):
        Trainer(load_network(tmp_path / "net.npz"), BPTT())


@pytest.mark.parametrize(
    "field",
    [
        {"name": STRUCT},
        {"equations": f"dw/dt = clip({OCTAL}, 0, 1)*Hz : 1 (clock-driven)"},
        {"on_pre": f"w += A + clip({OCTAL}, 0, 1)"},
        {"on_post": f"w += clip({OCTAL}, 0, 1)"},
        {"step": f"w += clip({OCTAL}, 0, 1)"},
        {"transmission": f"w + clip({OCTAL}, 0, 1)"},
    ],
    ids=lambda field: next(iter(field)),
)
def test_a_rule_runs_nothing(field):
    with pytest.raises(ValueError, match="holds a"):
        PlasticityRule(**{**RULE, **field})
    data = {**PlasticityRule(**RULE).to_dict(), **field}
    with pytest.raises(ValueError, match="holds a"):
        PlasticityRule.from_dict(data)


def test_generated_code_holds_no_text_of_the_model(monkeypatch):
    sources = []
    load = program.load_library
    monkeypatch.setattr(
        program,
        "load_library",
        lambda source, **real: sources.append(source) or load(source, **real),
    )
    fields = {
        "name": "Kilroy",
        "reference": "Kilroy was here (1943)",
        "sources": {"tau_m": "Kilroy"},
    }
    model = dataclasses.replace(NeuronModel(**MODEL), **fields)
    net = SpikingNetwork(Input(3), Layer(model, 4, name="kilroy"), Readout(2), dt=1 * ms)
    Trainer(net, BPTT(), backend="engine")
    assert "kilroy" not in sources[0].lower()
    assert "struct Layer0" in sources[0]
