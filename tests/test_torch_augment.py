"""Random shifts, turns and scales: against indices, numpy's quarter turns and SciPy's interpolation."""

import numpy as np
import pytest
from scipy import ndimage

pytest.importorskip("torch", reason="PyTorch is not installed (extra neurosnn[torch])")
import torch

from neurosnn.torch import moved


def test_shifts_move_whole_trials_and_repeat_the_edge():
    x = torch.arange(2 * 3 * 1 * 6 * 7, dtype=torch.float64).view(2, 3, 1, 6, 7)
    torch.manual_seed(0)
    seen = set()
    for _ in range(60):
        for before, after in zip(x, moved(x, 1), strict=True):
            # the numbers tell from where the middle comes
            origin = round((after[0, 0, 2, 3] - before[0, 0, 0, 0]).item())
            row, column = divmod(origin, 7)
            rows = torch.arange(row - 2, row + 4).clamp(0, 5)
            columns = torch.arange(column - 3, column + 4).clamp(0, 6)
            torch.testing.assert_close(after, before[:, :, rows][:, :, :, columns])
            seen.add((row - 2, column - 3))
    assert seen == {(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)}


def pixels(*shape):
    return torch.from_numpy(np.random.default_rng(0).random(shape))


@pytest.fixture
def drawn(monkeypatch):
    """Every random number is the largest, or the one that is set."""
    value = [1.0]
    monkeypatch.setattr(torch, "rand", lambda n: torch.full((n,), value[0]))
    return value


def test_quarter_and_half_turns(drawn):
    x = pixels(2, 3, 6, 6)
    left = np.rot90(x.numpy(), 1, axes=(2, 3)).copy()
    right = np.rot90(x.numpy(), -1, axes=(2, 3)).copy()
    found = []
    for drawn[0] in (0.0, 1.0):
        found.append(moved(x, degrees=90.0).numpy())
    errors = [[np.abs(turn - f).max() for turn in (left, right)] for f in found]
    assert sorted(np.argmin(errors, axis=1)) == [0, 1], "the two ends turn to different sides"
    assert np.min(errors, axis=1).max() < 1e-12
    wide = pixels(2, 1, 2, 4, 7)
    torch.testing.assert_close(moved(wide, degrees=180.0), wide.flip(-1, -2), atol=1e-12, rtol=0)


@pytest.mark.parametrize(("number", "zoom"), [(1.0, 1.25), (0.0, 1 / 1.25), (0.5, 1.0)])
def test_scales_about_the_middle(number, zoom, drawn):
    drawn[0] = number
    x = pixels(1, 1, 9, 12)
    middle = np.array([4.0, 5.5])
    expected = ndimage.affine_transform(
        x[0, 0].numpy(), [1 / zoom] * 2, middle - middle / zoom, order=1, mode="nearest"
    )
    np.testing.assert_allclose(moved(x, zoom=0.25)[0, 0], expected, atol=1e-12)


def test_a_turn_is_one_in_pixels_also_where_sides_differ(drawn):
    x = pixels(1, 1, 9, 15)
    angle = np.radians(20.0)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    middle = np.array([4.0, 7.0])
    expected = ndimage.affine_transform(
        x[0, 0].numpy(), turn, middle - turn @ middle, order=1, mode="nearest"
    )
    np.testing.assert_allclose(moved(x, degrees=20.0)[0, 0], expected, atol=1e-12)


def test_trials_move_by_themselves_and_their_frames_alike():
    torch.manual_seed(0)
    image = torch.rand(8, 8)
    x = image.expand(5, 4, 2, 8, 8).clone()
    found = moved(x, 2, degrees=30.0, zoom=0.2)
    torch.testing.assert_close(found, found[:, :1, :1].expand_as(x))
    assert len({round(v, 4) for v in found[:, 0, 0, 4, 4].tolist()}) == 5
