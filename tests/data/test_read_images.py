"""MNIST, Fashion-MNIST and CIFAR-10: files in the exact format, made here."""

import gzip
import os

import numpy as np
import pytest

from neurosnn.data import read_cifar10, read_fashion_mnist, read_idx, read_mnist

RNG = np.random.default_rng(0)


def idx(array):
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes()
    return head + array.astype(np.uint8).tobytes()


@pytest.fixture
def mnist(tmp_path):
    """Seven training and three test images, packed and plain; returns folder and arrays."""
    arrays = {}
    for part, n in (("train", 7), ("t10k", 3)):
        images = RNG.integers(0, 256, (n, 28, 28)).astype(np.uint8)
        labels = RNG.integers(0, 10, n).astype(np.uint8)
        (tmp_path / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels))
        arrays[part] = images, labels
    return tmp_path, arrays


@pytest.mark.parametrize("read", [read_mnist, read_fashion_mnist])
def test_idx_files_give_their_arrays(mnist, read):
    folder, arrays = mnist
    for images, part in zip(read(folder), ("train", "t10k"), strict=True):
        np.testing.assert_array_equal(images.images, arrays[part][0])
        np.testing.assert_array_equal(images.labels, arrays[part][1])
        assert images.n_classes == 10


def test_root_from_the_environment(mnist, monkeypatch):
    folder, _ = mnist
    inner = folder / "mnist"
    inner.mkdir()
    for file in folder.glob("*ubyte*"):
        file.rename(inner / file.name)
    monkeypatch.setenv("NEUROSNN_DATA", str(folder))
    assert len(read_mnist()[0]) == 7
    monkeypatch.delenv("NEUROSNN_DATA")
    with pytest.raises(FileNotFoundError, match=r"no root= was given.*NEUROSNN_DATA is not set"):
        read_mnist()


def test_missing_things(mnist):
    folder, _ = mnist
    with pytest.raises(FileNotFoundError, match=r"nowhere' does not exist.*Nothing is downloaded"):
        read_mnist(folder / "nowhere")
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match=r"t10k-labels-idx1-ubyte.* is not in"):
        read_mnist(folder)


def change(name, edit):
    def apply(folder):
        file = folder / name
        data = gzip.decompress(file.read_bytes()) if name.endswith("gz") else file.read_bytes()
        data = edit(data)
        file.write_bytes(gzip.compress(data) if name.endswith("gz") else data)

    return apply


IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte"


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (change(IMAGES, lambda d: d[:-5]), "images-idx3.*holds 5483 values where its header says"),
        (change(IMAGES, lambda d: d + b"x"), "truncated or has something appended"),
        (change(IMAGES, lambda d: d[:9]), "ends inside its header after 9 bytes"),
        (change(IMAGES, lambda d: b"<html>" + d), "starts with b'<htm', which is no idx magic"),
        (change(IMAGES, lambda d: d[:2] + b"\x0d" + d[3:]), "idx type 0x0d"),
        (change(LABELS, lambda d: idx(np.zeros((2, 2)))), "labels-idx1.*has 2 dimensions"),
        (change(LABELS, lambda d: idx(np.zeros(6))), "has 6 labels for the 7 images"),
        (change(LABELS, lambda d: d[:-1] + b"\x0a"), "holds the label 10"),
        (
            lambda f: (f / IMAGES).write_bytes((f / IMAGES).read_bytes()[:-20]),
            "cannot be unpacked.*Get the file again",
        ),
        (lambda f: (f / IMAGES).write_bytes(b"nonsense"), "cannot be unpacked"),
    ],
)
def test_damaged_idx(mnist, damage, match):
    damage(mnist[0])
    with pytest.raises(ValueError, match=match):
        read_mnist(mnist[0])


@pytest.fixture
def cifar(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    records = RNG.integers(0, 256, (6, 2, 3073)).astype(np.uint8)
    records[:, :, 0] %= 10
    names = [*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin"]
    for name, record in zip(names, records, strict=True):
        (folder / name).write_bytes(record.tobytes())
    return tmp_path, records


def test_cifar_pixels_are_in_place(cifar):
    root, records = cifar
    train, test = read_cifar10(root)
    assert train.images.shape == (10, 32, 32, 3)
    assert len(test) == 2
    assert train.labels.tolist() == records[:5, :, 0].ravel().tolist()
    # Record 3 of the second batch: green of row 4, column 9.
    assert train.images[3, 4, 9, 1] == records[1, 1, 1 + 1024 + 4 * 32 + 9]
    assert len(read_cifar10(root / "cifar-10-batches-bin")[1]) == 2


def test_damaged_cifar(cifar):
    root, _records = cifar
    file = root / "cifar-10-batches-bin" / "data_batch_3.bin"
    good = file.read_bytes()
    file.write_bytes(good[:-1])
    with pytest.raises(ValueError, match=r"data_batch_3.bin: has 6145 bytes, no whole number"):
        read_cifar10(root)
    file.write_bytes(b"\x0b" + good[1:])
    with pytest.raises(ValueError, match=r"data_batch_3.bin: holds the label 11"):
        read_cifar10(root)
    file.unlink()
    with pytest.raises(FileNotFoundError, match=r"data_batch_3.bin is not in.*binary version"):
        read_cifar10(root)


def test_read_idx_alone(tmp_path):
    array = RNG.integers(0, 256, (3, 4)).astype(np.uint8)
    (tmp_path / "a").write_bytes(idx(array))
    np.testing.assert_array_equal(read_idx(tmp_path / "a"), array)


@pytest.mark.needs_data
def test_real_mnist():
    train, test = read_mnist(os.environ["NEUROSNN_DATA"])
    expected = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(train.labels).tolist() == expected
    assert len(test) == 10000
    assert np.bincount(read_fashion_mnist()[0].labels).tolist() == [6000] * 10
