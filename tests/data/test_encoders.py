import numpy as np
import pytest
from brian2.units import Hz, ms, mV, nA, second

from neurosnn.data import (
    Images,
    digits_8x8,
    encode_current,
    encode_latency,
    encode_poisson,
    encode_regular_rate,
)


def test_latency_equals_its_formula():
    image = np.array([[[0, 1], [128, 255]]], dtype=np.uint8)
    trials = encode_latency(image, [3], earliest=2 * ms, latest=18 * ms, threshold=1 / 255)
    assert trials.units.tolist() == [3, 2]
    assert trials.labels.tolist() == [3]
    np.testing.assert_allclose(trials.times, [0.002, 0.002 + 0.016 * 127 / 255])
    assert trials.n_channels == 4
    assert trials.duration / ms == pytest.approx(19)


def test_poisson_has_the_wanted_rate_and_no_memory():
    trials = encode_poisson(np.full((1, 2000), 0.5), seed=0, max_rate=100 * Hz, duration=1 * second)
    counts = np.bincount(trials.units, minlength=2000)
    # Mean and variance of a Poisson count are both rate times length = 50.
    assert counts.mean() == pytest.approx(50, abs=4 * np.sqrt(50 / 2000))
    assert counts.var() == pytest.approx(50, rel=0.15)
    assert np.histogram(trials.times, 4, (0, 1))[0] == pytest.approx([25000] * 4, rel=0.03)
    again = encode_poisson(np.full((1, 2000), 0.5), seed=0, duration=1 * second)
    np.testing.assert_array_equal(again.times, trials.times)


def test_regular_rate_spikes_at_the_middle_of_each_interval():
    trials = encode_regular_rate(np.array([[1.0, 0.5, 0.0]]), duration=40 * ms)
    np.testing.assert_allclose(trials.times * 1e3, [5, 10, 15, 25, 30, 35])
    assert trials.units.tolist() == [0, 1, 0, 0, 1, 0]


def test_current_is_proportional():
    train, _ = digits_8x8()
    current = encode_current(train[:2], amplitude=2 * nA)
    assert current.shape == (2, 64)
    np.testing.assert_allclose(current / nA, train.images[:2].reshape(2, -1) / 8)


def test_labels_and_classes_come_from_images():
    train, _ = digits_8x8()
    trials = encode_latency(train[:5])
    np.testing.assert_array_equal(trials.labels, train.labels[:5])
    assert trials.n_classes == 10
    assert trials.name == "digits_8x8"
    dark = Images(images=np.zeros((2, 4, 4), dtype=np.uint8), labels=[0, 1])
    assert len(encode_latency(dark).times) == 0
    assert len(encode_latency(dark[:0])) == 0


ONE = np.ones((1, 2))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: encode_latency(ONE * 2), "hold values from 2 to 2.*0 to 1"),
        (lambda: encode_latency(ONE * np.nan), "hold values from nan"),
        (lambda: encode_latency(np.ones(3)), r"images must have shape.*got \(3,\)"),
        (lambda: encode_latency(ONE, earliest=20 * ms), "latest=20. ms is not after"),
        (lambda: encode_latency(ONE, earliest=-1 * ms), "earliest must be finite and zero or more"),
        (lambda: encode_latency(ONE, threshold=2), "threshold must be a number between 0 and 1"),
        (lambda: encode_latency(ONE * 0.1, duration=5 * ms), "is not before duration"),
        (lambda: encode_latency(ONE, [0, 1]), "labels has 2 items where 1"),
        (lambda: encode_poisson(ONE, seed=-1), "seed must be a whole number"),
        (lambda: encode_poisson(ONE, seed=0, max_rate=100), "max_rate must be one frequency"),
        (lambda: encode_poisson(ONE, seed=0, max_rate=3 * mV), "max_rate must be one frequency"),
        (lambda: encode_regular_rate(ONE, duration=1), "duration must be a time"),
        (lambda: encode_current(ONE, amplitude=[1, 2] * nA), "amplitude must be one finite number"),
    ],
)
def test_wrong_input(call, match):
    with pytest.raises(ValueError, match=match):
        call()


GOOD = {"images": np.zeros((2, 3, 3), dtype=np.uint8), "labels": [0, 1]}


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"images": np.zeros((2, 3, 3))}, "images must be uint8"),
        ({"images": np.zeros((2, 9), dtype=np.uint8)}, r"got uint8 of shape \(2, 9\)"),
        ({"images": np.full((2, 3, 3), 17, np.uint8), "maximum": 16}, "hold 17, above maximum=16"),
        ({"labels": [0]}, "labels has 1 items where 2"),
        ({"labels": [0, -1]}, "label -1 is out of range"),
        ({"labels": [0, 2], "class_names": "ab"}, "label 2 is out of range"),
    ],
)
def test_images_refuse_wrong_input(changes, match):
    with pytest.raises(ValueError, match=match):
        Images(**{**GOOD, **changes})


def test_embedded_digits_are_the_uci_test_set():
    train, test = digits_8x8()
    # Class counts of the UCI test set, as in its documentation.
    total = np.bincount(train.labels) + np.bincount(test.labels)
    assert total.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert (len(train), len(test)) == (1438, 359)
    assert train.maximum == 16
    assert max(train.images.max(), test.images.max()) == 16
    # A nearest-centroid classifier shows that images and labels belong together.
    flat = train.images.reshape(len(train), -1).astype(float)
    centre = np.array([flat[train.labels == k].mean(axis=0) for k in range(10)])
    distance = ((test.images.reshape(len(test), 1, -1) - centre) ** 2).sum(axis=2)
    assert (distance.argmin(axis=1) == test.labels).mean() > 0.85
    image, label = train[0]
    assert image.shape == (8, 8)
    assert label == train.labels[0]


def surround(image, sigma):
    """The Gaussian mean of an image that goes on mirrored: a sum over 4 standard deviations."""
    reach = int(4 * sigma + 0.5)
    weights = np.exp(-np.square(np.arange(-reach, reach + 1)) / (2 * sigma**2))
    padded = np.pad(image, reach, mode="symmetric")
    rows = [np.convolve(row, weights / weights.sum(), "valid") for row in padded]
    return np.array(
        [np.convolve(c, weights / weights.sum(), "valid") for c in np.transpose(rows)]
    ).T


@pytest.mark.parametrize("channels", [(), (3,)])
def test_on_and_off_channels_are_differences_of_gaussians(channels):
    shape = (2, 9, 7, *channels)
    images = np.random.default_rng(1).integers(0, 17, shape).astype(np.uint8)
    seen = Images(images=images, labels=[0, 1], name="drawn", maximum=16).on_off(
        (0.8, 1.5), contrast=2
    )
    x = images.reshape(2, 9, 7, -1) / 16
    expected = []
    for sigma in (0.8, 1.5):
        difference = np.array(
            [[im[..., c] - surround(im[..., c], sigma) for c in range(x.shape[3])] for im in x]
        )
        expected += [2 * difference, -2 * difference]
    expected = np.moveaxis(np.concatenate(expected, axis=1), 1, -1).clip(0, 1)
    assert (expected == 1).any()
    np.testing.assert_allclose(
        seen.pixels().reshape(expected.shape), expected, atol=0.5 / 255 + 1e-6
    )
    assert seen.labels.tolist() == [0, 1]
    assert (seen.name, seen.maximum, seen.images.dtype) == ("drawn", 255, np.uint8)


def test_on_and_off_change_places_in_the_negative_and_even_areas_are_silent():
    train, _ = digits_8x8()
    bright = train[:20].on_off(1.0).images
    negative = Images(images=16 - train.images[:20], labels=train.labels[:20], maximum=16)
    np.testing.assert_allclose(negative.on_off(1.0).images[..., ::-1], bright, atol=1)
    assert min(bright[..., 0].mean(), bright[..., 1].mean()) > 10
    even = Images(images=np.full((1, 8, 8), 200, np.uint8), labels=[0])
    assert not even.on_off().images.any()
    assert train[:0].on_off().images.shape == (0, 8, 8, 4)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"sigmas": ()}, r"on_off: sigmas must be a number.*shape \(0,\).*sigmas=\(1, 4\)"),
        ({"sigmas": [[1.0, 2.0]]}, r"got shape \(1, 2\)"),
        ({"sigmas": (1, 0)}, "sigmas must be > 0, got 0"),
        ({"contrast": -1}, "contrast must be > 0, got -1"),
    ],
)
def test_on_off_refuses_what_makes_no_channels(changes, match):
    with pytest.raises(ValueError, match=match):
        Images(**GOOD).on_off(**changes)
