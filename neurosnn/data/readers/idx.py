"""MNIST and Fashion-MNIST: the idx format, packed or not."""

import math
from os import PathLike

import numpy as np

from neurosnn.data.images import Images
from neurosnn.data.locations import bad_file, find_root, need, read_bytes

_FASHION = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_HOW = (
    "The four files are called train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, "
    "t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz; people get them from "
    "{source}."
)


def read_idx(path: str | PathLike[str]) -> np.ndarray:
    """Read an idx file of unsigned bytes.

    Four bytes 0, 0, 8, number of dimensions; the dimensions as big-endian uint32; then the bytes.

    Parameters
    ----------
    path : str or path-like
        Unpacked first if the name ends in .gz.

    Returns
    -------
    numpy.ndarray of uint8

    Raises
    ------
    ValueError
        Wrong magic number, another data type, or a size that does not fit the header.
    """
    data = read_bytes(path)
    if len(data) < 4 or data[:2] != b"\0\0":
        raise bad_file(
            path,
            f"starts with {data[:4]!r}, which is no idx magic number",
            "An idx file starts with two zero bytes.",
            "Check that it is the idx file and not, for example, a web page saved in its place.",
        )
    if data[2] != 8:
        raise bad_file(
            path,
            f"holds data of idx type 0x{data[2]:02x}",
            "Images and labels are unsigned bytes, type 0x08.",
            "Convert the values to unsigned bytes.",
        )
    n_dims = data[3]
    start = 4 + 4 * n_dims
    if len(data) < start:
        raise bad_file(
            path,
            f"ends inside its header after {len(data)} bytes",
            "The file is truncated.",
            "Get the file again.",
        )
    shape = tuple(int(n) for n in np.frombuffer(data, dtype=">u4", count=n_dims, offset=4))
    if len(data) - start != math.prod(shape):
        raise bad_file(
            path,
            f"holds {len(data) - start} values where its header says {shape}",
            "The file is truncated or has something appended.",
            "Get the file again.",
        )
    return np.frombuffer(data, dtype=np.uint8, offset=start).reshape(shape)


def read_mnist(root: str | PathLike[str] | None = None) -> tuple[Images, Images]:
    """MNIST from its four idx files.

    Parameters
    ----------
    root : str, path-like or None
        Folder with the files (or with ``mnist`` or ``MNIST/raw`` in it); None: the environment
        variable NEUROSNN_DATA.

    Returns
    -------
    train, test : Images
        60 000 and 10 000 images of 28 x 28.

    Raises
    ------
    FileNotFoundError
        The folder or one of the files is missing.
    ValueError
        A file is damaged, or images and labels do not match.
    """
    source = "yann.lecun.com/exdb/mnist or a mirror of it"
    return _read(root, ("mnist", "MNIST/raw"), "read_mnist", "mnist", source, tuple("0123456789"))


def read_fashion_mnist(root: str | PathLike[str] | None = None) -> tuple[Images, Images]:
    """Fashion-MNIST from its four idx files.

    Parameters
    ----------
    root : str, path-like or None
        Folder with the files (or with ``fashion_mnist`` or ``FashionMNIST/raw`` in it); None: the
        environment variable NEUROSNN_DATA.

    Returns
    -------
    train, test : Images
        60 000 and 10 000 images of 28 x 28.

    Raises
    ------
    FileNotFoundError
        The folder or one of the files is missing.
    ValueError
        A file is damaged, or images and labels do not match.
    """
    folders = ("fashion_mnist", "fashion-mnist", "FashionMNIST/raw")
    source = "github.com/zalandoresearch/fashion-mnist or the Debian package dataset-fashion-mnist"
    return _read(root, folders, "read_fashion_mnist", "fashion_mnist", source, _FASHION)


def _read(root, folders, where, name, source, class_names):
    how = _HOW.format(source=source)
    path = find_root(root, folders, where=where, how=how)
    parts = []
    for part in ("train", "t10k"):
        files = []
        for kind, dims in (("images", 3), ("labels", 1)):
            stems = (f"{part}-{kind}-idx{dims}-ubyte", f"{part}-{kind}.idx{dims}-ubyte")
            names = [s + end for s in stems for end in (".gz", "")]
            file = need(path, names, where=where, how=how)
            array = read_idx(file)
            if array.ndim != dims:
                raise bad_file(
                    file,
                    f"has {array.ndim} dimensions",
                    f"The {kind} have {dims}; this is another file.",
                    "Give each file its own name back.",
                )
            files.append((file, array))
        (image_file, images), (label_file, labels) = files
        if len(images) != len(labels):
            raise bad_file(
                label_file,
                f"has {len(labels)} labels for the {len(images)} images of {image_file.name}",
                "The files are not of one set.",
                "Get both again from one place.",
            )
        if labels.max(initial=0) > 9:
            raise bad_file(
                label_file,
                f"holds the label {labels.max()}",
                "There are ten classes, 0 to 9.",
                "Check that it is the labels file of this set.",
            )
        parts.append(Images(images=images, labels=labels, class_names=class_names, name=name))
    return tuple(parts)
