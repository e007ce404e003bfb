"""The examples and the README run: every script with --quick, every Python block in order.

Most scripts run in forks of one interpreter, which has imported neurosnn; the first that
trains, and the README, run in interpreters of their own.
"""

import os
import re
import runpy
import subprocess
import sys
import wave
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from brian2 import Hz, ms, second
from engine_cases import spike_trials
from interpreter import Interpreter, prefer_numpy

from neurosnn import (
    BPTT,
    EProp,
    Input,
    Layer,
    Readout,
    SpikingNetwork,
    Trainer,
    data,
    equations,
)

ROOT = Path(__file__).parent.parent
SCRIPTS = [
    str(path.relative_to(ROOT))
    for folder in ("examples", "examples/frompapers")
    for path in sorted((ROOT / folder).glob("*.py"))
]
QUICK = {"examples/02_train_with_eprop.py"}  # the others take ten seconds or more on a busy machine
#: Of the package, which the examples take their names from.
ROOMS = [f"neurosnn.{room}" for room in ("analysis", "data", "equations", "training")]
#: Replaced in the README, so that its training takes seconds.
SHORTER = {
    "epochs=4": "epochs=1",
    "data.spoken_digits()": "data.spoken_digits(n_bands=16, n_thresholds=2)",
}


def environment():
    """A training of seconds is faster with the optimization that the other tests leave out."""
    return {**os.environ, "PYTHONWARNINGS": "default", "NEUROSNN_CXXFLAGS": "-Og"}


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory):
    folder = prefer_numpy(tmp_path_factory.mktemp("interpreter"))
    with Interpreter("neurosnn", *ROOMS, env=environment(), cwd=folder) as one:
        yield one


def run(arguments, folder, interpreter=None):
    """Run Python in a folder, and show all that it printed if it fails."""
    options = {"cwd": prefer_numpy(folder), "env": environment(), "timeout": 300}
    arguments = list(map(str, arguments))
    if interpreter is None:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, **options)
    else:
        done = interpreter.run(arguments, **options)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-5000:]}"
    return done.stdout


def marked(name):
    """A parameter of the test with the markers of the script."""
    marks = [] if name in QUICK else [pytest.mark.slow]
    if "neurosnn.torch" in (ROOT / name).read_text(encoding="utf-8"):
        marks.append(pytest.mark.torch)
    return pytest.param(name, marks=marks, id=Path(name).stem)


@pytest.mark.parametrize("script", [marked(name) for name in SCRIPTS])
def test_example_runs(script, project_root, tmp_path, request):
    own = None if script in QUICK else request.getfixturevalue("interpreter")
    run([project_root / script, "--quick", "--output", tmp_path / "out"], tmp_path, own)
    for picture in tmp_path.rglob("*.png"):
        content = picture.read_bytes()
        assert content.startswith(b"\x89PNG"), picture.name
        assert len(content) > 2000, picture.name
        # --output, or where an example without that option writes
        assert picture.relative_to(tmp_path).parts[0] in ("out", "output")


PHONE_RECIPES = [
    pytest.param("vanderveen_2022", ("--mean", 5, "--silence", 0.5), marks=pytest.mark.slow),
    pytest.param(
        "ponghiran_2022_recurrence",
        ("--task", "phonemes"),
        marks=[pytest.mark.slow, pytest.mark.torch],
    ),
]


def write_corpus(folder):
    """A sentence of noise of each of two training and three test speakers, in TIMIT's layout."""
    rng = np.random.default_rng(1)
    for speaker in ("TRAIN/A", "TRAIN/B", "TEST/C", "TEST/D", "TEST/E"):
        (folder / speaker).mkdir(parents=True)
        path = folder / speaker / "1.WAV"
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 16000, 4800, "NONE", ""))
            file.writeframes(rng.integers(-9000, 9000, 4800).astype("<i2").tobytes())
        path.with_suffix(".PHN").write_text("0 1600 h#\n1600 3200 aa\n3200 4800 h#\n")


@pytest.mark.parametrize(("name", "task"), PHONE_RECIPES)
def test_phones_of_a_corpus_in_folders(name, task, project_root, tmp_path, interpreter):
    """Half of the training speakers are held out, and the test part is not shown with --choose."""
    pytest.importorskip("librosa")
    write_corpus(tmp_path / "corpus")
    script = project_root / f"examples/frompapers/{name}.py"
    options = ["--root", "corpus", "--corpus", "My sentences", "--validation-speakers", 0.5]
    begin = [script, "--quick", "--output", "out", *task, *options]
    chosen = run([*begin, "--choose"], tmp_path, interpreter)
    assert re.findall(r"'corpus': (\d) trials", chosen) == ["1", "1", "1"]
    assert "validation part" in chosen
    assert "speech" in chosen
    assert (tmp_path / "out" / f"{name.removesuffix('_recurrence')}_my_sentences.png").exists()


def test_everybody_trains_when_nothing_is_left_to_choose(project_root, tmp_path):
    pytest.importorskip("librosa")
    write_corpus(tmp_path / "corpus")
    script = runpy.run_path(str(project_root / "examples/frompapers/vanderveen_2022.py"))
    settings = {
        "root": tmp_path / "corpus",
        "validation_speakers": 0.5,
        "split_seed": 0,
        "later": 2,
        "silence": 1.0,
        "quick": True,
    }
    _, parts = script["read"](SimpleNamespace(everybody=False, **settings))
    assert [part.name for part in parts] == ["corpus"] * 3
    _, everybody = script["read"](SimpleNamespace(everybody=True, **settings))
    assert [len(part) for part in everybody] == [2, 1, 3]
    both = data.join_trials(*parts[:2])
    np.testing.assert_array_equal(everybody[0].features, both.features)
    np.testing.assert_array_equal(everybody[0].labels, both.labels)


def test_which_frames_are_scored_and_when(project_root):
    script = runpy.run_path(str(project_root / "examples/frompapers/vanderveen_2022.py"))
    trials = data.FrameTrials(
        features=np.arange(5.0)[:, None],
        offsets=[0, 2, 5],
        frame=10 * ms,
        labels=[0, 1, 2, -1, 1],
        class_names=("aa", "sil", "z"),
    )
    left = script["speech_only"](trials)
    assert left.labels.tolist() == [0, -1, 2, -1, -1]
    assert left.lengths.tolist() == [2, 3]
    late = script["asked_later"](trials, 2)
    assert late.labels.tolist() == [-1, -1, 0, 1, -1, -1, 2, -1, 1]
    assert late.features.ravel().tolist() == [0, 1, 1, 1, 2, 3, 4, 4, 4]
    many = data.FrameTrials(
        features=np.zeros((900, 1)),
        offsets=[0, 900],
        frame=10 * ms,
        labels=np.tile([0, 1, 2], 300),
        class_names=("aa", "sil", "z"),
    )
    less = script["asked_less_in_silence"](many, 0.2, np.random.default_rng(0))
    assert 30 < (less.labels == 1).sum() < 90
    assert (less.labels[many.labels != 1] == many.labels[many.labels != 1]).all()


def test_words_of_further_speakers_sound_like_digits(project_root, tmp_path):
    """Recordings at 16 kHz reach the channels of the same sound at 8 kHz; above 4 kHz nothing is heard."""
    script = runpy.run_path(str(project_root / "examples/spoken_digits.py"))
    pitch = dict(zip(script["WORDS"], range(500, 3500, 250), strict=True))
    heard = {}
    for rate in (16000, 8000):
        t = np.arange(rate // 4) / rate
        heard[rate] = {word: 8000 * np.sin(2 * np.pi * hertz * t) for word, hertz in pitch.items()}
    for word, tone in heard[16000].items():
        (tmp_path / word).mkdir()
        with wave.open(str(tmp_path / word / "a1_nohash_0.wav"), "wb") as file:
            file.setparams((1, 2, 16000, len(tone), "NONE", ""))
            tone = tone + 8000 * np.sin(2 * np.pi * 6100 * np.arange(len(tone)) / 16000)
            file.writeframes(tone.astype("<i2").tobytes())
    for part in ("validation", "testing"):
        (tmp_path / f"{part}_list.txt").write_text("")

    spikes = script["words_as_spikes"](
        script["read_words"](tmp_path), np.arange(6), n_bands=35, n_thresholds=4
    )
    frames = data.log_mel(list(heard[8000].values()), 8000 * Hz, hop=5 * ms)
    wanted = data.encode_cochlea(frames, n_bands=35, n_thresholds=4)
    assert spikes.class_names[:5] == ("0", "1", "5", "8", "down")
    for got, other in zip(spikes, wanted, strict=True):
        counts, reference = (np.bincount(one.units, minlength=140) for one in (got, other))
        assert reference.sum() > 50
        assert np.abs(counts - reference).sum() < 0.1 * reference.sum()

    digits = data.spoken_digits(n_bands=35, n_thresholds=4)[1]
    both = data.join_trials(digits, spikes)
    assert both.class_names[:10] == digits.class_names
    assert both.labels[300:304].tolist() == [0, 1, 5, 8]
    assert script["digits_of"](both).labels.tolist() == digits.labels.tolist()


def test_an_answer_is_one_of_the_ten_digits(project_root):
    script = runpy.run_path(str(project_root / "examples/spoken_digits.py"))
    scores = np.zeros((2, 18))
    scores[:, 3], scores[:, 12] = 1, 2
    trainer = SimpleNamespace(scores=lambda trials: scores)
    assert script["share_right"](trainer, SimpleNamespace(labels=np.array([3, 4]))) == 0.5


@pytest.mark.parametrize("neuron", ["se_adlif", "brf"])
def test_neurons_that_oscillate_hear_words(neuron, project_root):
    """Each has a frequency of its own, most fire from the first weights on, and all are taught."""
    script = runpy.run_path(str(project_root / "examples/speech_commands.py"))
    net, rule, settings = script["make_network"]("eprop", neuron, 40, 2, 16, 1)
    model = script["make_neuron"](neuron, "eprop", 16, 1)
    differs = model.parameters[{"se_adlif": "tau_u", "brf": "omega"}[neuron]]
    assert len(np.unique(np.asarray(differs))) == 16
    rng = np.random.default_rng(1)
    trials = data.SpikeTrials.from_lists(
        [np.sort(rng.uniform(0, 0.3, 600)) * second for _ in range(4)],
        [rng.integers(0, 40, 600) for _ in range(4)],
        [0, 1, 0, 1],
        n_channels=40,
    )
    trainer = Trainer(net, rule, threads=1, **settings)
    before = {name: value.copy() for name, value in net.parameters.items()}
    assert trainer.evaluate(trials)["rate.hidden"] > 2
    gradient = trainer.gradient(trials)
    assert all(np.any(gradient[name], axis=0).mean() > 0.8 for name in ("input.w", "recurrent.w"))
    trainer.step(trials)
    # Adam's first step is the learning rate of each kind of weights
    for name in ("input.w", "recurrent.w", "readout.w"):
        size = 1 if name == "readout.w" else script["SIZES"][neuron]
        assert np.abs(net.parameters[name] - before[name]).max() == pytest.approx(3e-3 * size, 1e-3)


@pytest.fixture
def plausibility(project_root, monkeypatch):
    """The study of plausibility, beside the recipe that it uses."""
    monkeypatch.syspath_prepend(str(project_root / "examples"))
    return runpy.run_path(str(project_root / "examples/plausibility.py"))


@pytest.mark.parametrize("rule", [EProp(feedback="random"), BPTT()])
def test_credit_of_marked_spikes_is_a_part_of_the_gradient(plausibility, rule):
    """The parts of two windows add up to the gradient of a network that knows of no marks."""
    trials = spike_trials(n_trials=3, n_steps=60)
    net = SpikingNetwork(
        Input(30), Layer(equations.ALIF(), 12, recurrent=True, weight_scale=4.0), Readout(3), seed=3
    )
    net.parameters["readout.b"][:] = [0.1, 0.0, -0.2]
    whole = Trainer(net, rule, dtype="float64").gradient(trials)["input.w"]
    both = Trainer(plausibility["with_marked_input"](net), rule, dtype="float64")
    early, late = (
        both.gradient(plausibility["mark"](trials, *window))["from_marked.w"]
        for window in ((0 * ms, 20 * ms), (20 * ms, 60 * ms))
    )
    assert np.abs(early).max() > 1e-4
    assert np.abs(late).max() > 1e-4
    np.testing.assert_allclose(early + late, whole, rtol=1e-9, atol=1e-12)


def test_when_credit_has_fallen(plausibility):
    delays = np.array([0.0, 10, 20, 40, 80, 200])
    fall_time = plausibility["fall_time"]
    assert fall_time(delays, 3 * np.exp(-delays / 50)) == pytest.approx(50)
    # counted from the error, not from the largest credit
    assert fall_time(delays, np.r_[0.1, 1, np.exp(-delays[2:] / 30)]) == pytest.approx(30, rel=0.01)
    assert np.isnan(fall_time(delays, np.exp(-delays / 1000)))


def test_needs_are_in_their_order(plausibility):
    needs = {name: plausibility["hardest_need"](row) for name, row in plausibility["ROWS"].items()}
    assert list(dict.fromkeys(needs.values())) == [
        "nothing", "weight_transport", "third_factor", "neuron_error", "backward_in_time",
        "second_phase",
    ]  # fmt: skip
    assert needs["e-prop, random"] == needs["e-prop, adaptive"] == "neuron_error"


def test_rates_of_thirds_follow_the_word(plausibility):
    """The same word later and slower has the same thirds; the delayed copies do not count."""
    word = np.repeat([0.1, 0.2, 0.3], 20) + np.tile(np.linspace(0, 0.099, 20), 3)
    channel = np.repeat([0, 1, 2], 20)
    trials = data.SpikeTrials(
        times=np.r_[word, 2 * word + 0.1, 0.95],
        units=np.r_[channel, channel, 17],
        offsets=[0, 60, 121],
        labels=[0, 1],
        n_channels=18,
        duration=1000 * ms,
    )
    images, scale = plausibility["rates_of_thirds"](trials)
    assert images.images.shape == (2, 3, 3)
    quick, slow = images.images / 255 * scale
    for rates in (quick, slow):
        assert np.all(np.diag(rates) > 5 * (rates.sum(axis=1) - np.diag(rates)))
    # 20 spikes of a channel in about 0.1 s and, in the slow word, 0.2 s
    assert np.diag(quick) == pytest.approx([200, 200, 200], rel=0.2)
    assert np.diag(slow) == pytest.approx(np.diag(quick) / 2, rel=0.05)


def test_there_are_examples(project_root):
    assert len(SCRIPTS) >= 5


@pytest.mark.slow
def test_readme_blocks_run_in_order(project_root, tmp_path):
    text = (project_root / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 4
    source = "\n".join(blocks)
    for long, short in SHORTER.items():
        assert source.count(long) == 1, f"the README has no {long!r} any more: adapt SHORTER"
        source = source.replace(long, short)
    script = tmp_path / "readme.py"
    script.write_text(source, encoding="utf-8")
    printed = run([script], tmp_path)
    assert "'accuracy':" in printed
    assert "eps_v" in printed
    assert (tmp_path / "digits.npz").stat().st_size > 10_000
