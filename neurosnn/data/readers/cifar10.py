"""CIFAR-10 in its binary version."""

from os import PathLike

import numpy as np

from neurosnn.data.images import Images
from neurosnn.data.locations import bad_file, find_root, need

CIFAR10_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
_RECORD = 1 + 3 * 32 * 32
_HOW = (
    "Get the binary version, cifar-10-binary.tar.gz, from www.cs.toronto.edu/~kriz/cifar.html and "
    "unpack it. (The Python version is a pickle, which can run code, and is not read.)"
)


def read_cifar10(root: str | PathLike[str] | None = None) -> tuple[Images, Images]:
    """CIFAR-10 from data_batch_1.bin to data_batch_5.bin and test_batch.bin.

    A record is one label byte and 3072 bytes: red, green and blue plane of 32 x 32.

    Parameters
    ----------
    root : str, path-like or None
        Folder with the files (or with ``cifar-10-batches-bin`` in it); None: the environment
        variable NEUROSNN_DATA.

    Returns
    -------
    train, test : Images
        50 000 and 10 000 images of 32 x 32 x 3.

    Raises
    ------
    FileNotFoundError
        The folder or one of the files is missing.
    ValueError
        A file is no whole number of records, or a label is above 9.
    """
    where = "read_cifar10"
    path = find_root(root, ("cifar-10-batches-bin", "cifar10"), where=where, how=_HOW)
    if (path / "cifar-10-batches-bin").exists():
        path = path / "cifar-10-batches-bin"
    names = [[f"data_batch_{k}.bin" for k in range(1, 6)], ["test_batch.bin"]]
    parts = []
    for part in names:
        batches = [_read_batch(need(path, [name], where=where, how=_HOW)) for name in part]
        parts.append(
            Images(
                images=np.concatenate([b[0] for b in batches]),
                labels=np.concatenate([b[1] for b in batches]),
                class_names=CIFAR10_CLASSES,
                name="cifar10",
            )
        )
    return tuple(parts)


def _read_batch(path):
    data = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    if len(data) == 0 or len(data) % _RECORD:
        raise bad_file(
            path,
            f"has {len(data)} bytes, no whole number of records of {_RECORD}",
            "The file is truncated, or it is not the binary version.",
            _HOW,
        )
    records = data.reshape(-1, _RECORD)
    if records[:, 0].max() > 9:
        raise bad_file(
            path,
            f"holds the label {records[:, 0].max()}",
            "There are ten classes, 0 to 9.",
            _HOW,
        )
    return records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), records[:, 0]
