"""Trainings of equilibrium propagation go on after an interruption as if there had been none."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import ms

from neurosnn import Adam, data
from neurosnn.rules.equilibrium import EquilibriumNetwork
from neurosnn.training.equilibrium import EquilibriumTrainer
from neurosnn.training.rate_equilibrium import RateEquilibrium
from neurosnn.training.schedules import Cosine

IMAGES = data.digits_8x8()[0][:90]


def noisy(x, random):
    """Augmentation that draws random numbers."""
    return np.clip(x + random.normal(0, 0.05, x.shape), 0, 1)


def spiking(input="constant", **settings):
    net = EquilibriumNetwork((64, 12, 10), input=input, free=60 * ms, nudged=40 * ms, seed=1)
    given = {"optimizer": Adam(3e-3), "augment": noisy, "schedule": Cosine(3, 0.1), "threads": 1}
    return EquilibriumTrainer(net, seed=2, **{**given, **settings})


def rates(**settings):
    given = {"optimizer": Adam(3e-3), "augment": noisy, "schedule": Cosine(3, 0.1)}
    return RateEquilibrium((64, 12, 10), seed=2, **{**given, **settings})


MAKERS = {
    "spiking": spiking,
    "spiking input": lambda **settings: spiking("spikes", **settings),
    "rates": rates,
}


class Killed(BaseException):
    """What no handler of the package expects."""


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("batch", [2, 7, 12])
def test_goes_on_bit_equal_after_a_break_in_any_epoch(kind, batch, tmp_path, monkeypatch):
    make, file = MAKERS[kind], tmp_path / "training.npz"
    whole = make()
    start = {name: array.copy() for name, array in whole._weights.items()}
    whole.fit(IMAGES, epochs=3, validation=IMAGES[:20])
    assert all(np.any(array != start[name]) for name, array in whole._weights.items())

    broken, count = make(), 0
    learn = type(broken)._learn

    def dying(self, *given):
        nonlocal count
        count += 1
        if count == batch:
            raise Killed
        return learn(self, *given)

    with monkeypatch.context() as patched:
        patched.setattr(type(broken), "_learn", dying)
        with pytest.raises(Killed):
            broken.fit(IMAGES, epochs=3, validation=IMAGES[:20], checkpoint=file)
    n_batches = -(-len(IMAGES) // broken.batch_size)
    assert file.exists() == (batch > n_batches)

    again = make()
    rows = again.fit(IMAGES, epochs=3, validation=IMAGES[:20], checkpoint=file)
    for name, array in whole._weights.items():
        np.testing.assert_array_equal(again._weights[name], array)
    for name, array in whole.state.items():
        np.testing.assert_array_equal(again.state[name], array)
    told = [{k: v for k, v in row.items() if k != "seconds"} for row in rows]
    assert told == [{k: v for k, v in row.items() if k != "seconds"} for row in whole.history]
    assert len(again.fit(IMAGES, epochs=3, checkpoint=file)) == 3  # nothing is left to do
    assert len(again.fit(IMAGES, epochs=4, checkpoint=file)) == 4


@pytest.mark.parametrize(
    ("change", "name"),
    [({"beta": 2.0}, "beta"), ({"batch_size": 7}, "batch_size"), ({"augment": None}, "augment")],
)
@pytest.mark.parametrize("kind", ["spiking", "rates"])
def test_another_training_is_not_continued(kind, change, name, tmp_path):
    file = tmp_path / "training.npz"
    MAKERS[kind]().fit(IMAGES[:20], epochs=1, checkpoint=file)
    other = MAKERS[kind](**change)
    with pytest.raises(ValueError, match=f"had another {name}"):
        other.fit(IMAGES[:20], epochs=1, checkpoint=file)
    other.fit(IMAGES[:20], epochs=1, checkpoint=file, resume=False)
    with pytest.raises(ValueError, match="had another images"):
        other.fit(IMAGES[20:40], epochs=2, checkpoint=file)


def test_another_network_is_not_continued(tmp_path):
    file = tmp_path / "training.npz"
    spiking().fit(IMAGES[:20], epochs=1, checkpoint=file)
    with pytest.raises(ValueError, match="had another network"):
        spiking("spikes").fit(IMAGES[:20], epochs=1, checkpoint=file)


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    file = tmp_path / "training.npz"
    trainer = rates()
    trainer.fit(IMAGES[:20], epochs=1, checkpoint=file)
    before = file.read_bytes()
    monkeypatch.setattr(
        "os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left"))
    )
    with pytest.raises(OSError, match="No space left"):
        trainer.fit(IMAGES[:20], epochs=2, checkpoint=file)
    assert file.read_bytes() == before
