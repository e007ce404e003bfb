"""What a notebook shows of things: complete, short, and harmless whatever names a stranger gave."""

from __future__ import annotations

import dataclasses
from html.parser import HTMLParser

import numpy as np
import pytest
from brian2 import ms
from hostile import TEXTS
from reference.killed_training import make_trials
from reference.linear_backend import LinearBackend

from neurosnn import (
    Adam,
    EProp,
    EventProp,
    Input,
    Layer,
    Readout,
    SpikingNetwork,
    Trainer,
    analysis,
    data,
    equations,
)
from neurosnn.core import html
from neurosnn.losses import as_loss
from neurosnn.study import StudyTable
from neurosnn.training.confusion import confusion_matrix
from neurosnn.training.history import History

TAGS = {
    *("div", "strong", "pre", "table", "tr", "th", "td", "span", "svg", "defs", "marker", "path"),
    *("rect", "text", "line", "polyline"),
}


class Reader(HTMLParser):
    """Tags, attributes and words of a piece of HTML; every tag is closed."""

    def __init__(self, content):
        super().__init__()
        self.tags, self.attributes, self.words, self.open = set(), set(), [], []
        self.feed(content)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}
        self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, words):
        self.words.append(words)


def checked(thing):
    """The words of a thing's HTML, which holds nothing but tables, words and pictures."""
    content = thing if isinstance(thing, str) else thing._repr_html_()
    reader = Reader(content)
    assert reader.tags <= TAGS, reader.tags - TAGS
    assert not {
        name for name in reader.attributes if name.startswith("on") or name in ("href", "src")
    }
    assert len(content) < 40_000
    return "".join(reader.words)


def network(**settings):
    return SpikingNetwork(
        Input(8),
        Layer(equations.LIF(), 5, recurrent=True),
        Layer(equations.ALIF(), 4, recurrent=True, delay=2 * ms),
        Readout(3),
        **settings,
    )


@pytest.mark.parametrize("name", equations.__all__)
def test_models_show_each_parameter_with_its_source(name):
    model = getattr(equations, name)()
    words = checked(model)
    constants = getattr(model, "constants", model.parameters)
    for parameter, value in constants.items():
        assert parameter in words
        assert str(value) in words
        assert model.sources.get(parameter, "") in words
    assert model.name in words
    line = repr(model)
    assert "\n" not in line
    assert "mappingproxy" not in line
    assert 20 < len(line) <= 400


def test_equations_are_set_as_mathematics():
    content = equations.LIF()._repr_html_()
    assert r"\frac{dv}{dt} = - \frac{v}{\tau_{m}}" in content
    assert r"\frac{dx}{dt} = - \frac{x}{\tau_{plus}}" in equations.PairSTDP()._repr_html_()


def test_arrays_are_counted_and_not_printed():
    model = equations.LIF(tau_m=np.linspace(10, 30, 500) * ms)
    assert "tau_m=500 values" in repr(model)
    assert "500 values, 10. ms to 30. ms" in checked(model)
    layer = Layer(model, 500, delay=np.arange(500) * ms)
    assert repr(layer) == "Layer(LIF, 500, delay=500 values)"
    assert repr(Input(3)) == "Input(3)"
    assert repr(Readout(3, bias=False)) == "Readout(3, tau=20. * msecond, bias=False)"


def test_networks_trainers_histories_rules_windows_and_tables():
    net, trials = network(), make_trials()
    assert "Layer" not in checked(net)
    for words in ("input", "hidden1", "5 x LIF", "hidden2", "readout", "recurrent1.w", "2 ms"):
        assert words in checked(net)
    single = SpikingNetwork(Input(8), Layer(equations.LIF(), 5), Readout(3))
    trainer = Trainer(
        single,
        EProp(),
        backend=LinearBackend(single, as_loss("cross_entropy")),
        optimizer=Adam(0.01),
    )
    trainer.fit(trials, epochs=2, progress=False)
    assert "Adam(0.01)" in checked(trainer)
    assert f"{trainer.history['loss'][1]:.4f}" in checked(trainer.history)
    assert repr(trainer).startswith("Trainer: EProp(")
    assert "random" in checked(EventProp()) + checked(EProp(feedback="random"))
    assert "trials without a spike" in checked(trials)
    assert "correct" in checked(confusion_matrix([0, 1], [0, 1]))
    table = StudyTable([{"n": k, "accuracy": k / 60} for k in range(60)])
    assert "... and 10 more" in checked(table)
    window = analysis.StdpWindow(np.array([-1.0, 0.0, 2.0]) * ms, np.array([-1.0, 0.5, 0.25]))
    assert repr(window) == "StdpWindow: 3 lags from -1 to 2 ms, Δw from -1.0 to 0.5"
    assert 'points="0.0,120.0 80.0,0.0 240.0,20.0"' in window._repr_html_()
    checked(window)


@pytest.mark.parametrize("label", TEXTS)
def test_hostile_names_do_nothing(label):
    """Each place in which a text of somebody else is shown: it is refused when made, or shown as it is."""
    text = TEXTS[label]
    places = [
        lambda: dataclasses.replace(equations.LIF(), name=text),
        lambda: dataclasses.replace(equations.LIF(), reference=text),
        lambda: dataclasses.replace(equations.LIF(), sources={"tau_m": text}),
        lambda: dataclasses.replace(equations.PairSTDP(), name=text, reference=text),
        lambda: data.SpikeTrials.from_lists([[1] * ms], [[0]], [text]),
        lambda: data.SpikeTrials.from_lists([[1] * ms], [[0]], name=text),
        lambda: confusion_matrix([0], [0], [text]),
        lambda: History([{text: 1.0}]),
        lambda: StudyTable([{"kind": text, text[:100]: 1}]),
        lambda: SpikingNetwork(Input(2), Layer(equations.LIF(), 2, name=text), Readout(2)),
    ]
    for make in places:
        try:
            thing = make()
        except (ValueError, TypeError):
            continue
        words = checked(thing)
        assert "\x1b" not in words
        assert "\u202e" not in words
    checked(html.block(text, html.paragraph(text), html.code(text), html.table([text], [[text]])))
    checked(html.diagram([(text, text, True), (text, text, False)], [0]))


def test_a_dollar_begins_no_formula():
    content = html.text("$\\frac{a}{b}$ \\(x\\)")
    pieces = Reader(content).words
    assert all("$" not in piece or piece == "$" for piece in pieces)
    assert all("\\" not in piece or piece == "\\" for piece in pieces)
