"""Checkpoints: whole or not there, exact, and refused when they belong to something else."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from brian2 import ms
from reference.killed_training import drop_spikes, make_trials
from reference.linear_backend import LinearBackend

from neurosnn import equations
from neurosnn.core import files
from neurosnn.core.files import atomic_file, read_arrays, write_arrays
from neurosnn.losses import as_loss
from neurosnn.network import Input, Layer, Readout, SpikingNetwork
from neurosnn.training import Trainer
from neurosnn.training import checkpoint as checkpoints
from neurosnn.training.checkpoint import Checkpoint, load_checkpoint
from neurosnn.training.optimizers import SGD, Adam

SCRIPT = Path(__file__).parent / "reference" / "killed_training.py"


def make_trainer(n=5, *, tau=20 * ms, rule="rule", **settings):
    net = SpikingNetwork(Input(8), Layer(equations.LIF(tau_m=tau), n), Readout(3), seed=1)
    loss = as_loss(settings.get("loss", "cross_entropy"))
    return Trainer(net, rule, backend=LinearBackend(net, loss), **settings)


def fit(trainer, path, epochs=2, **settings):
    return trainer.fit(
        make_trials(), **{"epochs": epochs, "checkpoint": path, "progress": False, **settings}
    )


# -- files ------------------------------------------------------------------------------------


def test_arrays_come_back_exactly(tmp_path):
    arrays = {
        "a/b.w": np.arange(6.0, dtype=np.float32).reshape(2, 3),
        "file": np.array([np.nan, 1 / 3, -0.0]),
        "empty": np.zeros((0, 2), dtype=bool),
        "one": np.array(7, dtype=np.int64),
    }
    information = {"big": 2**127 + 1, "float": 0.1, "none": None}
    write_arrays(tmp_path / "new" / "a.npz", arrays, information)
    got, text = read_arrays(tmp_path / "new" / "a.npz")
    assert text == information
    assert list(got) == list(arrays)
    for name, array in arrays.items():
        assert got[name].dtype == array.dtype
        assert got[name].tobytes() == array.tobytes()
        assert got[name].shape == array.shape
    with np.load(tmp_path / "new" / "a.npz", allow_pickle=False) as archive:
        assert np.array_equal(archive["a/b.w"], arrays["a/b.w"])


def test_a_file_is_replaced_whole_or_not(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o640)

    def fail():
        with atomic_file(path) as file:
            file.write(b"half")
            assert path.read_text() == "old"
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        fail()
    assert path.read_text() == "old"
    with atomic_file(path) as file:
        file.write(b"new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["file"]


def test_new_files_have_the_usual_permissions_and_links_are_followed(tmp_path):
    (tmp_path / "plain").touch()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with atomic_file(tmp_path / "link") as file:
        file.write(b"x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_what_killed_writers_left_is_removed_after_a_while(tmp_path):
    old, young = tmp_path / ".a[1].npz.abc.partial", tmp_path / ".a[1].npz.def.partial"
    other = tmp_path / ".b.npz.abc.partial"
    for path in (old, young, other):
        path.touch()
    for path in (old, other):
        os.utime(path, (time.time() - 3600,) * 2)
    write_arrays(tmp_path / "a[1].npz", {}, {})
    assert not old.exists()
    assert young.exists()
    assert other.exists()


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "training.npz"
    trainer = make_trainer()
    fit(trainer, path)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    expected = "No space left on device.*file that was there is intact.*Make room"
    with pytest.raises(OSError, match=expected) as caught:
        fit(trainer, path, epochs=4)
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["training.npz"]


def test_a_file_that_outgrows_its_limit_leaves_the_old_one(tmp_path):
    """The operating system itself refuses the write in the middle."""
    program = (
        "import resource, sys, numpy as np\n"
        "from neurosnn.core.files import write_arrays\n"
        "write_arrays(sys.argv[1], {'w': np.ones(10)}, {})\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        "write_arrays(sys.argv[1], {'w': np.ones(100_000)}, {})\n"
    )
    path = tmp_path / "w.npz"
    command = [sys.executable, "-c", program, str(path)]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert re.search(r"OSError: \[Errno 27\].*cannot be written \(File too large\)", result.stderr)
    assert np.array_equal(read_arrays(path)[0]["w"], np.ones(10))
    assert os.listdir(tmp_path) == ["w.npz"]


def test_files_that_cannot_be_read_or_written(tmp_path):
    path = tmp_path / "w.npz"
    write_arrays(path, {"w": np.arange(1000.0)}, {"format": "other"})
    whole = path.read_bytes()
    with pytest.raises(
        ValueError, match=r"w.npz: this is no checkpoint of a training, but 'other'"
    ):
        load_checkpoint(path)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"w.npz: this file cannot be read.*Delete it"):
        read_arrays(path)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(ValueError, match="this file cannot be read .*CRC"):
        read_arrays(path)
    np.savez(path, w=np.ones(2))
    with pytest.raises(ValueError, match="was not written by neurosnn"):
        read_arrays(path)
    with pytest.raises(FileNotFoundError, match="none.npz: there is no such file"):
        read_arrays(tmp_path / "none.npz")
    with pytest.raises(IsADirectoryError, match="this is a folder.*Pass a file in it"):
        write_arrays(tmp_path, {}, {})
    with pytest.raises(TypeError, match="the array 'o' holds Python objects"):
        write_arrays(path, {"o": np.array([{}])}, {})
    with pytest.raises(TypeError, match="the information cannot be stored"):
        write_arrays(path, {}, {"a": {1, 2}})
    with pytest.raises(OSError, match="cannot be written"):
        write_arrays(path / "below", {}, {})


# -- resuming ---------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["random", "write"])
def test_killed_at_any_moment_it_ends_bit_equal(how, tmp_path):
    """SIGKILL at 20 random moments, and at 12 places of three writes; the script compares."""
    command = [sys.executable, str(SCRIPT), str(tmp_path), how]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout.splitlines()[-1])
    assert report["kills"] == {"random": 20, "write": 12}[how]
    assert report["positions"] >= 3
    assert report["moved"] > 0.1


def test_a_finished_training_is_not_repeated_but_can_be_prolonged(tmp_path):
    path = tmp_path / "training.npz"
    whole = make_trainer(seed=4)
    fit(whole, None, epochs=5)
    first = make_trainer(seed=4)
    fit(first, path, epochs=3)
    again = make_trainer(seed=4)
    assert len(fit(again, path, epochs=3)) == 3
    assert again.backend.calls == 0
    assert len(fit(again, path, epochs=5)) == 5
    for name, array in whole.net.parameters.items():
        assert np.array_equal(again.net.parameters[name], array)
        assert not np.array_equal(first.net.parameters[name], array)
    anew = make_trainer(seed=4)
    fit(anew, path, epochs=1, resume=False)
    assert load_checkpoint(path).progress["epoch"] == 1


@pytest.mark.parametrize(
    ("settings", "changed"),
    [
        ({"optimizer": Adam(2e-3)}, r"optimizer: Adam\(0.001\), now it is Adam\(0.002\)"),
        ({"seed": 9}, "seed: 0, now it is 9"),
        ({"rule": "other"}, "rule: 'rule', now it is 'other'"),
        ({"tau": 30 * ms}, "network"),
        ({"n": 6}, "network"),
        ({"schedule": lambda epoch: 0.5}, "schedule: None, now it is <function <lambda>>"),
        ({"weight_bounds": (-1, 1)}, "weight_bounds"),
        ({"clip_gradient": 1.0}, "clip_gradient: None, now it is 1.0"),
    ],
)
def test_another_training_is_not_continued(settings, changed, tmp_path):
    path = tmp_path / "training.npz"
    fit(make_trainer(), path)
    trainer = make_trainer(**settings)
    before = {name: array.copy() for name, array in trainer.net.parameters.items()}
    with pytest.raises(ValueError, match=f"this training had another {changed}.*resume=False"):
        fit(trainer, path)
    for name, array in before.items():
        assert np.array_equal(trainer.net.parameters[name], array)


def test_other_trials_or_batches_are_not_continued(tmp_path):
    path = tmp_path / "training.npz"
    fit(make_trainer(), path)
    with pytest.raises(ValueError, match="this training had another batch_size: 32, now it is 16"):
        fit(make_trainer(), path, batch_size=16)
    with pytest.raises(ValueError, match="this training had another trials: 60 trials"):
        make_trainer().fit(make_trials(seed=5), epochs=2, checkpoint=path, progress=False)
    with pytest.raises(ValueError, match=r"another trials: 60 trials .* now it is 30 trials"):
        fit(make_trainer(), path, validation=0.5)


def test_other_versions_and_backends_are_told(tmp_path, monkeypatch):
    path = tmp_path / "training.npz"
    fit(make_trainer(), path)

    class OtherBackend(LinearBackend):
        pass

    trainer = make_trainer()
    trainer.backend.__class__ = OtherBackend
    with pytest.warns(UserWarning, match="ran with backend LinearBackend, now it is OtherBackend"):
        fit(trainer, path)
    versions = checkpoints.package_versions()
    monkeypatch.setattr(checkpoints, "package_versions", lambda: {**versions, "numpy": "9.9"})
    with pytest.warns(UserWarning, match=r"written with other versions \(numpy .* -> 9.9\)"):
        fit(make_trainer(), path)


@pytest.mark.filterwarnings("ignore:.*written with other versions")
def test_a_checkpoint_of_the_loop_before_this_one_goes_on(tmp_path):
    """Written in the second of three batches of epoch 2, by the loop that only Trainer had."""
    settings = {"epochs": 3, "batch_size": 16, "validation": 0.2, "early_stopping": 3}
    whole, again = (make_trainer(augment=drop_spikes, seed=3) for _ in range(2))
    history = fit(whole, None, **settings)
    path = shutil.copy(
        SCRIPT.parents[1] / "golden" / "training_in_epoch_2.npz", tmp_path / "old.npz"
    )
    resumed = fit(again, path, **settings)
    assert again.backend.calls == 1 + 1 + 3 + 1
    for name in ("loss", "validation_loss", "accuracy"):
        np.testing.assert_allclose(resumed[name], history[name], rtol=1e-12)
    for name, array in whole.net.parameters.items():
        np.testing.assert_allclose(again.net.parameters[name], array, rtol=1e-10)


def test_a_hand_written_loop_is_saved_and_restored(tmp_path):
    trials = make_trials()
    whole, first = make_trainer(), make_trainer()
    for k in range(6):
        whole.step(trials[k::6])
    for k in range(3):
        first.step(trials[k::6])
    first.random.random(5)
    first.save_checkpoint(tmp_path / "own.npz")
    second = make_trainer()
    second.load_checkpoint(tmp_path / "own.npz")
    assert second.updates == 3
    assert second.random.random() == first.random.random()
    for k in range(3, 6):
        second.step(trials[k::6])
    for name, array in whole.net.parameters.items():
        assert np.array_equal(second.net.parameters[name], array)
    with pytest.raises(
        ValueError, match=r"own.npz: this checkpoint was written by save_checkpoint"
    ):
        fit(make_trainer(), tmp_path / "own.npz")


def test_weights_that_do_not_fit_change_nothing(tmp_path):
    path = tmp_path / "own.npz"
    make_trainer().save_checkpoint(path)
    for other, what in [
        (make_trainer(optimizer=SGD()), "the optimizer's state 'input.w/mean' has shape"),
        (
            make_trainer(7),
            r"the optimizer's state 'input.w/mean' has shape \(8, 5\) .* \(8, 7\) here",
        ),
    ]:
        before = {name: array.copy() for name, array in other.net.parameters.items()}
        with pytest.raises(ValueError, match=what):
            other.load_checkpoint(path)
        for name, array in before.items():
            assert np.array_equal(other.net.parameters[name], array)
    make_trainer(optimizer=SGD()).save_checkpoint(path)
    with pytest.raises(ValueError, match=r"the parameter 'input.w' has shape \(8, 5\) in the file"):
        make_trainer(7, optimizer=SGD()).load_checkpoint(path)


def test_how_often(tmp_path, monkeypatch):
    path, written = tmp_path / "training.npz", []
    real = checkpoints.write_arrays

    def note(name, arrays, information):
        progress = information["progress"]
        written.append((progress["epoch"], progress["fit"]["batch"]))
        real(name, arrays, information)

    monkeypatch.setattr(checkpoints, "write_arrays", note)
    settings = {"epochs": 2, "batch_size": 10, "resume": False}
    fit(make_trainer(), path, **settings)
    assert written == [(1, 0), (2, 0)]
    written.clear()
    fit(make_trainer(), Checkpoint(path, every_batches=4), **settings)
    assert written == [(0, 4), (1, 0), (1, 4), (2, 0)]
    written.clear()
    fit(make_trainer(), Checkpoint(path, every_seconds=1e-9), **settings)
    assert len(written) == 12
    with pytest.raises(ValueError, match="every_batches must be greater than zero, got 0"):
        Checkpoint(path, every_batches=0)
    with pytest.raises(ValueError, match="every_seconds must be greater than zero"):
        Checkpoint(path, every_seconds=-1)
    with pytest.raises(TypeError, match="checkpoint must be a path, got 7"):
        fit(make_trainer(), 7)
