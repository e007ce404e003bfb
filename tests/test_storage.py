"""Saved networks: the same network comes back, and a file that is not one is refused by name."""

from __future__ import annotations

import io
import json
import os
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from brian2 import ms, nA, nS
from reference.networks import (
    CONDUCTANCE,
    CURRENT,
    N_IN,
    N,
    network,
    simulate,
    spike_trials,
    spikes,
)

from neurosnn import equations
from neurosnn.network import Input, Layer, Readout, SpikingNetwork, storage


def small(connectivity=0.5):
    return network(connectivity=connectivity, delay=np.arange(N) % 3 * ms)


def rewrite(source, target, *, change=None, arrays=None, leave_out=()):
    """The same file with another description or other arrays."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "information.json" and change:
                data = json.loads(content)
                content = json.dumps(change(data) or data)
            if name not in {*leave_out, *(arrays or {})}:
                new.writestr(name, content)
        for name, content in (arrays or {}).items():
            new.writestr(name, content)
    return target


def npy(array, **settings):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, **settings)
    return file.getvalue()


def header(shape, dtype="<f8"):
    """An array file that claims a shape and holds nothing."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    return file.getvalue()


@pytest.mark.smoke
@pytest.mark.parametrize(
    "make",
    [
        small,
        lambda: network(
            CURRENT, layers=2, weight_scale=3 * nA, excitatory=0.8, readout=Readout(3, bias=False)
        ),
        lambda: network(CONDUCTANCE, weight_scale=20 * nS, excitatory=0.7, delay=2 * ms),
        lambda: network(equations.STDP_ALIF(beta=np.linspace(0, 1, N)), name="layer_4"),
        lambda: network(equations.Izhikevich(), readout=Readout(3, tau=7 * ms)),
    ],
)
def test_the_same_network_comes_back(tmp_path, make):
    net = make()
    for array in net.parameters.values():
        array *= 1.5
    net.save(tmp_path / "net.npz")
    again = SpikingNetwork.load(str(tmp_path / "net.npz"))
    assert repr(again) == repr(net)
    for name, array in net.parameters.items():
        np.testing.assert_array_equal(again.parameters[name], array)
    for name, connection in net.connections.items():
        other = again.connections[name]
        for field in ("mask", "pre", "post", "delay", "channel", "sign"):
            np.testing.assert_array_equal(getattr(other, field), getattr(connection, field))
        assert other.w is again.parameters[f"{name}.w"]
        assert other.dimensions is connection.dimensions
    for layer, other in zip(net.layers, again.layers, strict=True):
        assert other.model.to_dict() == layer.model.to_dict()
    assert (float(again.dt), again.seed) == (float(net.dt), net.seed)
    assert storage.network_description(again) == storage.network_description(net)


def test_a_loaded_network_spikes_alike(tmp_path):
    net, trials = small(), spike_trials(1)
    net.save(tmp_path / "net.npz")
    found = spikes(simulate(SpikingNetwork.load(tmp_path / "net.npz"), trials)["hidden_spikes"])
    assert found == spikes(simulate(net, trials)["hidden_spikes"])
    assert len(found) > N


def test_the_synapses_in_the_file_count_not_those_a_seed_draws(tmp_path):
    """Another version of numpy may draw other numbers from the same seed."""
    net = small()
    connection = net.connections["input"]
    drawn = connection.matrix() != 0
    connection.pre, connection.post = (k.astype(np.int32) for k in np.nonzero(~drawn))
    connection.w = np.full(len(connection.pre), 0.25)
    net.save(tmp_path / "net.npz")
    again = SpikingNetwork.load(tmp_path / "net.npz")
    np.testing.assert_array_equal(again.connections["input"].matrix(), 0.25 * ~drawn)
    assert again.parameters["input.w"] is again.connections["input"].w


def test_the_file_says_what_wrote_it_and_needs_no_pickle(tmp_path):
    small().save(tmp_path / "net.npz")
    with zipfile.ZipFile(tmp_path / "net.npz") as archive:
        data = json.loads(archive.read("information.json"))
    assert (data["format"], data["version"], data["seed"]) == ("neurosnn network", 1, 1)
    assert set(data["versions"]) == {"neurosnn", "brian2", "numpy"}
    with np.load(tmp_path / "net.npz", allow_pickle=False) as arrays:
        assert arrays["readout.w"].shape == (N, 3)
        assert arrays["input.w"].shape == arrays["input.pre"].shape == arrays["input.post"].shape


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "net.npz"
    small().save(path)
    before = path.read_bytes()

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", full)
    with pytest.raises(OSError, match="No space left"):
        network(layers=2).save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["net.npz"]


def test_no_file(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"nothing.npz: there is no such file.*net.save\(path\)"
    ):
        SpikingNetwork.load(tmp_path / "nothing.npz")


@pytest.mark.parametrize("part", [0.0, 0.01, 0.3, 0.7, 0.999])
def test_truncated_files(tmp_path, part):
    small().save(tmp_path / "net.npz")
    content = (tmp_path / "net.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[: int(part * len(content))])
    with pytest.raises(ValueError, match=r"cut.npz: the file cannot be read as a network"):
        SpikingNetwork.load(tmp_path / "cut.npz")


def test_a_changed_byte_in_the_weights(tmp_path):
    small().save(tmp_path / "net.npz")
    content = bytearray((tmp_path / "net.npz").read_bytes())
    content[content.index(b"input.w.npy") + 1000] ^= 1
    (tmp_path / "net.npz").write_bytes(content)
    with pytest.raises(
        ValueError, match=r"net.npz: the file cannot be read as a network \(Bad CRC"
    ):
        SpikingNetwork.load(tmp_path / "net.npz")


def _set(*keys, value):
    def change(data):
        inner = data
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value

    return change


MODEL = ("layers", 0, "model")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda data: [1, 2], r"is not in the format 'neurosnn network'"),
        (_set("format", value="other"), r"is not in the format"),
        (_set("version", value=99), r"has format version 99, this program reads 1"),
        (_set("layers", value=[]), r"disagrees with itself about which connections are sparse"),
        (_set("layers", value=None), r"cannot be read as a network"),
        (_set("readout", "n", value=10**12), r"has 10000\d* in place of a number of neurons"),
        (_set("layers", 0, "n", value=-5), r"has -5 in place of a number of neurons"),
        (_set("layers", 0, "n", value="20"), r"has '20' in place of a number of neurons"),
        (_set("layers", 0, "n", value=N + 1), r"'readout.w.npy' with shape \(20, 3\), not \(21, 3\)"),
        (_set("synapses", "input", value=10**12), r"has 10000\d* in place of a number of synapses"),
        (_set("synapses", "input", value=True), r"has True in place of a number of synapses"),
        (_set("synapses", "input", value=7), r"'input.w.npy' with shape \(\d+,\), not \(7,\)"),
        (_set("synapses", value={}), r"disagrees with itself about which connections are sparse"),
        (_set("layers", 0, "recurrent", value=False), r"about which connections are sparse"),
        (_set("layers", 0, "connectivity", value=1.0), r"disagrees with itself about which connections"),
        (_set("layers", 0, "color", value="red"), r"there is no argument 'color'"),
        (_set("layers", 0, "name", value="../../etc"), r"must be an identifier"),
        (_set("units", "input", value=[1, 0, 0, 0, 0, 0, 0]), r"disagrees with itself about the unit of"),
        (_set("dt", value={"value": 0.001, "dimensions": [0] * 7}), r"dt must be a time"),
        (_set("seed", value=-1), r"seed must be a whole number"),
        (_set(*MODEL, "equations", value="dv/dt = -v/tau : __import__('os').system('x')"), r"cannot be read"),
        (_set(*MODEL, "equations", value="dv/dt = -v*(9**9**9**9)/ms : 1"), r"a power of a power"),
        (_set(*MODEL, "equations", value="dv/dt = -v/ms : 9**99999999"), r"an exponent above"),
        (_set(*MODEL, "threshold", value="__import__('os').system('touch hacked')"), r"cannot be read"),
        (_set(*MODEL, "reset", value="import os\nos.system('touch hacked')"), r"cannot be read"),
        (_set(*MODEL, "step", value="exec('open(\"hacked\", \"w\")')"), r"cannot be read"),
        (_set(*MODEL, "initial", value={"v": "open('hacked', 'w')"}), r"cannot be read"),
        (_set(*MODEL, "refractory", value="(lambda: 1)()"), r"cannot be read"),
        (_set(*MODEL, "__class__", value="x"), r"'__class__' is not a field of a NeuronModel"),
        (_set(*MODEL, "parameters", value={"tau_m": {"value": [[]], "dimensions": []}}), r"cannot be read"),
    ],
)  # fmt: skip
def test_hostile_descriptions_run_nothing(tmp_path, monkeypatch, change, match):
    monkeypatch.chdir(tmp_path)
    small().save("net.npz")
    rewrite("net.npz", "bad.npz", change=change)
    start = time.monotonic()
    with pytest.raises(ValueError, match=match) as caught:
        SpikingNetwork.load("bad.npz")
    assert str(caught.value).startswith("bad.npz: the file")
    assert time.monotonic() - start < 10
    assert sorted(os.listdir()) == ["bad.npz", "net.npz"]


@pytest.mark.parametrize(
    ("arrays", "leave_out", "match"),
    [
        ({}, ["input.w.npy"], r"lacks the array 'input.w'"),
        ({}, ["recurrent.mask.npy"], r"disagrees with itself about which synapses of 'recurrent' exist"),
        ({}, ["information.json"], r"has no information.json"),
        ({"../../evil.npy": npy(np.zeros(3))}, [], r"holds something unknown: '../../evil.npy'"),
        ({"/etc/passwd": b"root"}, [], r"holds something unknown: '/etc/passwd'"),
        ({"input.w.npy": npy(np.zeros((3, 3)))}, [], r"with shape \(3, 3\), not \(30, 20\)"),
        ({"input.w.npy": npy(np.zeros((N_IN, N), np.float32))}, [], r"as float32, not float64"),
        ({"input.w.npy": npy(np.full((N_IN, N), None), allow_pickle=True)}, [], r"as object, not float64"),
        ({"input.w.npy": header((N_IN, N))}, [], r"claims 4800 bytes in 'input.w.npy'"),
        ({"input.w.npy": header((10**9, 10**9))}, [], r"with shape \(1000000000, 1000000000\), not"),
        ({"input.w.npy": npy(np.zeros((N_IN, N))) + b"more"}, [], r"holds more than 'input.w.npy' should"),
        ({"input.w.npy": b"not an array"}, [], r"cannot be read as a network"),
        ({"input.w.npy": npy(np.full((N_IN, N), np.nan))}, [], r"input.w holds a value that is not finite"),
        ({"recurrent.w.npy": npy(np.ones((N, N)))}, [], r"there is no such synapse"),
    ],
)  # fmt: skip
def test_hostile_arrays(tmp_path, arrays, leave_out, match):
    small(connectivity=1.0).save(tmp_path / "net.npz")
    bad = rewrite(tmp_path / "net.npz", tmp_path / "bad.npz", arrays=arrays, leave_out=leave_out)
    with pytest.raises(ValueError, match=match) as caught:
        SpikingNetwork.load(bad)
    assert str(bad) in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda pre, post: (pre[::-1], post[::-1]),
        lambda pre, post: (pre, np.where(np.arange(len(post)) == 3, N, post)),
        lambda pre, post: (np.where(np.arange(len(pre)) == 0, -1, pre), post),
        lambda pre, post: (pre, np.where(np.arange(len(post)) == 5, post[4], post)),
        lambda pre, post: (pre, np.where(np.arange(len(post)) == len(post) - 1, N - 1, post)),
    ],
    ids=["order", "beyond the last", "before the first", "twice", "to itself"],
)
def test_synapses_that_cannot_be(tmp_path, change):
    net = small()
    recurrent = net.connections["recurrent"]
    assert (recurrent.pre[4], recurrent.pre[-1]) == (recurrent.pre[5], N - 1)
    net.save(tmp_path / "net.npz")
    pre, post = change(recurrent.pre, recurrent.post)
    arrays = {
        "recurrent.pre.npy": npy(pre.astype("i4")),
        "recurrent.post.npy": npy(post.astype("i4")),
    }
    bad = rewrite(tmp_path / "net.npz", tmp_path / "bad.npz", arrays=arrays)
    with pytest.raises(ValueError, match=r"holds synapses of 'recurrent' that cannot be"):
        SpikingNetwork.load(bad)


def test_two_arrays_of_one_name(tmp_path):
    path = tmp_path / "net.npz"
    small().save(path)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("input.w.npy", npy(np.zeros((N_IN, N))))
    with pytest.raises(ValueError, match=r"holds two arrays named 'input.w.npy'"):
        SpikingNetwork.load(path)


def test_real_valued_input_is_kept(tmp_path):
    net = SpikingNetwork(
        Input(3, real_valued=True), Layer(equations.LIF(), 2), Readout(1), dt=0.5 * ms
    )
    net.save(tmp_path / "net.npz")
    again = SpikingNetwork.load(tmp_path / "net.npz")
    assert again.input.real_valued
    assert float(again.dt) == 0.5e-3


STACKS = ("py311_brian2_9", "py312_brian2_10", "py313_brian2_11")


@pytest.mark.smoke
@pytest.mark.parametrize("stack", STACKS)
def test_files_of_every_supported_stack(stack):
    """Written by Brian2 2.9, 2.10.1 and 2.11 with Python 3.11, 3.12 and 3.13 (see tests/golden/README.md)."""
    folder = Path(__file__).parent / "golden"
    net = SpikingNetwork.load(folder / f"network_{stack}.npz")
    (layer,) = net.layers
    assert (net.seed, float(net.dt), layer.model.name) == (4, 0.5e-3, "STDP_ALIF")
    np.testing.assert_array_equal(layer.model.parameters["beta"], np.linspace(0, 1, 4))
    assert float(layer.delay) == 2e-3
    assert float(net.readout.model.parameters["tau"]) == 7e-3
    for name, array in net.parameters.items():
        values = np.arange(array.size).reshape(array.shape)
        if name == "readout.b":
            np.testing.assert_array_equal(array, values / 4)
            continue
        connection = net.connections[name.removesuffix(".w")]
        exists = np.ones(array.shape, bool) if connection.mask is None else connection.mask
        np.testing.assert_array_equal(np.abs(array), np.where(exists, 1 + values / 8, 0))
        assert np.count_nonzero(array) > 3
        if connection.sign is not None:
            assert np.all(array * connection.sign_of_weights >= 0)
    first = SpikingNetwork.load(folder / f"network_{STACKS[0]}.npz")
    assert storage.network_description(net) == storage.network_description(first)
    for name, array in net.parameters.items():
        np.testing.assert_array_equal(array, first.parameters[name])
