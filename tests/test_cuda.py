"""The kernels of the graphics processor, run on a processor: the results of the engine, bit for bit."""

import ctypes
import os
import shutil
import subprocess
import sys
import textwrap
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from brian2 import ms
from engine_cases import MODELS, SCALE, spike_trials
from own_rules.sign_symmetry import DeltaRule

from neurosnn import (
    BPTT,
    EProp,
    EventProp,
    Input,
    Layer,
    Population,
    Projection,
    Readout,
    SpikingNetwork,
    Trainer,
    equations,
)
from neurosnn.cuda import CudaEngine
from neurosnn.cuda.machines import Processor
from neurosnn.data import FrameTrials
from neurosnn.engine import Engine
from neurosnn.engine.build import load_library
from neurosnn.losses import CrossEntropy, CrossEntropyPerStep, MeanSquareError
from neurosnn.study import Uniform

pytestmark = pytest.mark.standalone

#: Two warps of two threads, which meet at real barriers; and a block of one thread.
MANY, ONE = Processor(threads=4, lanes=2), Processor()


def network(name, *, layers=1, delays=False, n=13, **options):
    model = MODELS[name] if name in MODELS else getattr(equations, name)()
    scale = float(SCALE.get(name, 5.0 if name == "CurrentLIF" else 1.5))
    delay = np.arange(n) % 4 * ms if delays else 0 * ms
    parts = [
        Layer(model, n, recurrent=True, delay=delay, weight_scale=scale, **options)
        for _ in range(layers)
    ]
    return SpikingNetwork(Input(30), *parts, Readout(3), dt=1 * ms, seed=1)


def equal(net, rule, trials, machine, *, loss=None, dtype="float64", rtol=0.0, **run):
    """Results of both, after they were held against each other."""
    loss = loss or CrossEntropy()
    ours = CudaEngine(net, rule, loss, dtype=dtype, device=machine)
    theirs = Engine(net, rule, loss, dtype=dtype, threads=2)
    a, b = ours.run(trials, gradient=True, **run), theirs.run(trials, gradient=True, **run)
    assert all(count > 0 for count in b.spikes.values()), "a layer is silent"
    for name, count in b.counts.items():
        np.testing.assert_array_equal(a.counts[name], count)
    np.testing.assert_allclose(a.loss, b.loss, rtol=rtol)
    np.testing.assert_allclose(a.scores, b.scores, rtol=rtol)
    assert (a.correct, a.total) == (b.correct, b.total)
    assert set(a.gradient) == set(b.gradient)
    for name, value in b.gradient.items():
        largest = np.abs(value).max()
        assert largest > 0, f"no gradient of {name}"
        np.testing.assert_allclose(a.gradient[name], value, rtol=0, atol=rtol * largest)
    return ours, a


@pytest.mark.parametrize(
    ("name", "rule", "machine"),
    [
        ("two_conductances", EventProp(), MANY),
        ("STDP_ALIF", BPTT(), MANY),
        ("gated", EProp(), ONE),
    ],
)
def test_gradient_has_the_bits_of_the_engine(name, rule, machine):
    net, trials = network(name, layers=2, delays=True), spike_trials(3, n_steps=70, rate=60)
    engine, result = equal(net, rule, trials, machine)
    # the trials of a fit are prepared; more than there are groups, and in another order
    many = spike_trials(19, n_steps=20, rate=60)
    index = np.array([3, 18, 0, 7, 7, 12] * 3)
    part = engine.prepare(many)[index]
    np.testing.assert_array_equal(part.labels, many.labels[index])
    a, b = engine.run(part, gradient=True), engine.run(many[index], gradient=True)
    assert a.loss == b.loss
    reference = Engine(net, rule, CrossEntropy(), dtype="float64", threads=2)
    c = reference.run(many[index], gradient=True)
    for key, value in b.gradient.items():
        np.testing.assert_array_equal(a.gradient[key], value)
        np.testing.assert_array_equal(c.gradient[key], value)
    assert result.loss != a.loss


@pytest.mark.parametrize(
    ("name", "rule", "machine"),
    [
        ("CurrentLIF", EventProp(), MANY),
        ("two_conductances", BPTT(), ONE),
        ("CurrentLIF", EProp(), ONE),
    ],
)
def test_delays_of_synapses_have_the_bits_of_the_engine(name, rule, machine):
    """Fixed and learned weights, from the input and between neurons, with and without other delays."""
    two = name == "two_conductances"
    model = MODELS[name] if two else equations.CurrentLIF()
    scale = SCALE.get(name, 5.0)
    sign = np.where(np.arange(13) % 3 == 0, -1, 1) if two else None
    exact = isinstance(rule, EventProp)
    net = SpikingNetwork.from_graph(
        dict.fromkeys("AB", Population(model, 13)),
        [
            Projection("input", "A", delay=Uniform(0 * ms, 5 * ms), weight_scale=scale),
            Projection("input", "B", connectivity=0.6, learn=(), weight_scale=scale),
            Projection(
                "A",
                "A",
                in_degree=6,
                delay=Uniform(0 * ms, 7 * ms),
                sign=sign,
                weight_scale=scale,
                learn=("w", "delay") if exact else ("w",),
            ),
            Projection("A", "B", connectivity="(i + j) % 2 == 0", delay=Uniform(1 * ms, 3 * ms)),
            Projection("B", "A", delay=2 * ms, sign=sign),
        ],
        Readout(3),
        input=Input(30),
        dt=1 * ms,
        seed=1,
    )
    trials = spike_trials(3, n_steps=40, rate=80)
    engine, result = equal(net, rule, trials, machine, rtol=1e-14)
    assert min(result.spikes.values()) > 20
    assert result.gradient["A_to_A.w"].shape == (78,)
    before = net.connections["A_to_A"].delay.max()
    if exact:  # other groups, the same program
        net.parameters["A_to_A.delay"][:] *= 0.5
        assert net.connections["A_to_A"].delay.max() < before
        again = engine.run(trials, gradient=True)
        reference = Engine(net, rule, CrossEntropy(), dtype="float64", threads=1)
        expected = reference.run(trials, gradient=True)
        assert expected.loss != result.loss
        np.testing.assert_array_equal(again.counts["A"], expected.counts["A"])
        np.testing.assert_array_equal(again.gradient["A_to_A.w"], expected.gradient["A_to_A.w"])


def test_single_precision_is_close():
    net, trials = network("CurrentLIF"), spike_trials(4, n_steps=100, rate=60)
    equal(net, EventProp(), trials, ONE, dtype="float32", rtol=2e-4)


def test_more_input_in_a_step_than_is_read_ahead():
    net, trials = network("CurrentLIF", n=8), spike_trials(2, n_steps=20, rate=900)
    assert np.bincount(trials.steps(net.dt)[1]).max() > 40
    equal(net, EventProp(), trials, Processor(threads=8, lanes=2))


def test_other_losses_and_learned_parameters():
    net = network("CurrentLIF", delays=True, learn=("tau_m", "delay"))
    trials = spike_trials(3, n_steps=80, rate=60)
    targets = np.random.default_rng(0).normal(size=(80, 3))
    engine, _ = equal(
        net, EventProp(), trials, ONE, loss=MeanSquareError(), targets=targets, rtol=1e-12
    )
    prepared = engine.run(engine.prepare(trials), targets)
    assert prepared.loss == engine.run(trials, targets).loss


def test_real_valued_input_of_trials_of_unequal_length():
    rng, lengths = np.random.default_rng(0), np.array([40, 61])
    trials = FrameTrials(
        features=rng.normal(size=(101, 5)).astype(np.float32),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        labels=rng.integers(0, 3, 101),
        frame=1 * ms,
    )
    layer = Layer(equations.ALIF(), 12, recurrent=True, connectivity=0.25, weight_scale=3.0)
    net = SpikingNetwork(Input(5, real_valued=True), layer, Readout(3), dt=1 * ms)
    engine, _ = equal(net, EProp(), trials, MANY, loss=CrossEntropyPerStep(), rtol=1e-12)
    assert engine.prepare(trials) is trials


def test_simulation_records_what_the_engine_records():
    net = network("two_conductances", layers=2, delays=True)
    trials = spike_trials(3, n_steps=60, rate=60)
    record = (("hidden2", "v"),)
    ours = CudaEngine(net, dtype="float64", device=MANY).simulate(trials, record=record)
    theirs = Engine(net, dtype="float64").simulate(trials, record=record)
    np.testing.assert_array_equal(ours.output, theirs.output)
    np.testing.assert_array_equal(ours.states[record[0]], theirs.states[record[0]])
    for name, spikes in theirs.spikes.items():
        assert sum(len(step) for step, _ in spikes) > 0
        for a, b in zip(ours.spikes[name], spikes, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_training_comes_to_the_same_bits():
    weights = []
    for backend in ("engine", "cuda"):
        net = network("CurrentLIF")
        if backend == "cuda":
            backend = CudaEngine(net, EventProp(), CrossEntropy(), dtype="float64", device=ONE)
        trainer = Trainer(net, EventProp(), backend=backend, dtype="float64")
        trials = spike_trials(11, n_steps=80, rate=60)
        trainer.fit(trials, epochs=2, batch_size=4, validation=0.3, progress=False)
        weights.append({name: value.copy() for name, value in net.parameters.items()})
    for name, value in weights[0].items():
        np.testing.assert_array_equal(weights[1][name], value)


def test_a_rule_for_one_thread_is_refused():
    net = network("LIF")
    with pytest.raises(ValueError, match="DeltaBackward is written for one thread"):
        CudaEngine(net, DeltaRule(), CrossEntropy(), device=ONE)


def test_a_machine_that_is_none_is_refused():
    with pytest.raises(ValueError, match="device must be 'cuda' or 'processor', got 'tpu'"):
        CudaEngine(network("LIF"), device="tpu")


def test_a_loss_of_ones_own_runs_in_one_thread():
    class Own(CrossEntropy):
        name: ClassVar[str] = "own_cross_entropy"
        cpp: ClassVar[str] = CrossEntropy.cpp.replace("return loss;", "return 2*loss;").replace(
            "FOR_STEPS(step, steps)", "for (int64_t step = 0; step < steps; step++)"
        )

    trials = spike_trials(2, n_steps=60, rate=40)
    engine, _ = equal(network("LIF"), EProp(), trials, MANY, loss=Own())
    assert "alone = true; if (thread() == 0) loss = own_cross_entropy(" in engine._source()
    assert "(thread() == 0) loss = cross_entropy(" not in engine._source()


# -- real threads under ThreadSanitizer -------------------------------------------------------------

RACES = """
    import sys
    sys.path.insert(0, {tests!r})
    from test_cuda import *

    class Changed(Processor):
        barrier = "advance<gradient>(step);\\n            BARRIER;"

        def compile(self, source, sizes, real):
            assert source.count(self.barrier) == 1
            open_ = self.barrier.replace("BARRIER;", 'if (!std::getenv("OPEN")) BARRIER;')
            super().compile("#include <cstdlib>\\n" + source.replace(self.barrier, open_), sizes, real)

    machine = Changed(threads=4, lanes=2, flags=("-fsanitize=thread", "-g0", "-O1"))
    net, trials = network("CurrentLIF", n=6), spike_trials(2, n_steps=40, rate=100)
    engine = CudaEngine(net, EventProp(), CrossEntropy(), dtype="float64", device=machine)
    for _ in range(2):
        result = engine.run(trials, gradient=True)
        assert result.spikes["hidden"] > 5
        print("done", file=sys.stderr, flush=True)
        os.environ["OPEN"] = "1"
"""


@pytest.mark.slow
def test_threads_meet_at_barriers_and_race_without(tmp_path):
    compiler = shutil.which("g++")
    library = (
        compiler
        and subprocess.run(
            [compiler, "-print-file-name=libtsan.so"], capture_output=True, text=True
        ).stdout.strip()
    )
    if not library or not os.path.isabs(library) or not shutil.which("setarch"):
        pytest.skip("g++ with ThreadSanitizer and setarch are needed")
    code = textwrap.dedent(RACES).format(tests=os.path.dirname(__file__))
    file = tmp_path / "races.py"
    file.write_text(code)
    done = subprocess.run(
        ["setarch", "-R", sys.executable, str(file)],
        env={
            **os.environ,
            "LD_PRELOAD": library,
            "TSAN_OPTIONS": "exitcode=66 report_bugs=1",
            "CXX": compiler,
            "OPENBLAS_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 66, done.stderr[-2000:]
    as_it_is, without_a_barrier, _ = done.stderr.split("done\n")
    assert "data race" not in as_it_is, as_it_is[-2000:]
    assert "data race" in without_a_barrier


# -- the driver of a graphics processor, played by the processor -----------------------------------


class FakeDriver:
    """The calls of CUDA's driver that are used, with their arguments; memory is the processor's."""

    class CUresult:
        CUDA_ERROR_OUT_OF_MEMORY = 2

    class CUmemPool_attribute:
        CU_MEMPOOL_ATTR_RELEASE_THRESHOLD = 4

    class CUfunction_attribute:
        CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8

    def __init__(self, limit=2**30):
        self.memory, self.limit, self.library = {}, limit, None

    cuuint64_t = int

    def cuDeviceGetDefaultMemPool(self, device):
        return 0, "pool"

    def cuMemPoolSetAttribute(self, pool, attribute, value):
        return (0,)

    def _new(self, size):
        if size > self.limit:
            return 2, None
        array = np.full(size, 0xAB, np.uint8)  # new memory holds anything
        self.memory[array.ctypes.data] = array
        return 0, array.ctypes.data

    def cuMemAllocAsync(self, size, stream):
        return self._new(size)

    def cuMemAllocHost(self, size):
        return self._new(size)

    def cuMemFreeAsync(self, address, stream):
        del self.memory[address]
        return (0,)

    def cuMemFreeHost(self, address):
        del self.memory[address]
        return (0,)

    def cuMemcpyHtoDAsync(self, to, source, size, stream):
        ctypes.memmove(to, source, size)
        return (0,)

    def cuMemcpyDtoHAsync(self, to, source, size, stream):
        ctypes.memmove(to, source, size)
        return (0,)

    def cuMemcpyDtoH(self, to, source, size):
        ctypes.memmove(to, source, size)
        return (0,)

    def cuStreamSynchronize(self, stream):
        return (0,)

    def cuModuleLoadData(self, cubin):
        return 0, "module"

    def cuModuleGetFunction(self, module, name):
        return 0, name.decode()

    def cuFuncSetAttribute(self, function, attribute, value):
        return (0,)

    def cuLaunchKernel(self, function, x, y, z, threads, ty, tz, shared, stream, arguments, extra):
        assert (y, z, ty, tz, stream, extra) == (1, 1, 1, 1, 0, 0)
        batch = ctypes.c_void_p.from_address(arguments).value
        launch = getattr(self.library, f"launch_{function}")
        launch(ctypes.c_void_p(batch), ctypes.c_int64(x), ctypes.c_int64(shared))
        return (0,)


@pytest.fixture
def driver(monkeypatch):
    fake = FakeDriver()
    device = SimpleNamespace(set_current=lambda: None, name="fake", compute_capability=(9, 0))
    bindings = SimpleNamespace(driver=fake)
    monkeypatch.setitem(sys.modules, "cuda", SimpleNamespace(bindings=bindings))
    monkeypatch.setitem(sys.modules, "cuda.bindings", bindings)
    monkeypatch.setitem(sys.modules, "cuda.core", SimpleNamespace(Device=lambda number: device))

    def compile_cubin(text, *, real, architecture):
        text = text.replace("#define THREADS 128", "#define THREADS 1")
        text = text.replace("#define LANES 32", "#define LANES 1")
        fake.library = load_library(text, real=real, flags=("-std=c++20",))
        return b""

    monkeypatch.setattr("neurosnn.cuda.machines.compile_cubin", compile_cubin)
    return fake


def test_the_calls_of_the_driver(driver):
    """The program of one of the tests above, through all calls of the driver but its own machine."""
    net, trials = network("CurrentLIF"), spike_trials(4, n_steps=100, rate=60)
    engine, result = equal(net, EventProp(), trials, "cuda", dtype="float32", rtol=2e-4)
    for _ in range(2):
        again = engine.run(engine.prepare(trials), gradient=True)
        for name, value in result.gradient.items():
            np.testing.assert_array_equal(again.gradient[name], value)
    # the weights are read at every call
    net.parameters["readout.w"][:] *= 2
    assert engine.run(trials).loss != result.loss
    memory = len(driver.memory)
    engine.run(trials, gradient=True)
    assert len(driver.memory) == memory
    driver.limit = 2**16
    with pytest.raises(MemoryError, match="need .* GiB, .* MiB each"):
        engine.run(spike_trials(40, n_steps=100, rate=60), gradient=True)


# -- a graphics processor ---------------------------------------------------------------------------


@pytest.mark.gpu
def test_a_graphics_processor_gives_the_spikes_and_the_gradient_of_the_engine():
    """One program; tools/gpu_equality.py has every rule."""
    net, trials = network("CurrentLIF", delays=True), spike_trials(37, n_steps=100, rate=60)
    equal(net, EventProp(), trials, "cuda", rtol=1e-9)


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90", "sm_100", "sm_120"])
def test_kernels_compile_without_a_graphics_processor(architecture):
    pytest.importorskip("cuda.core", reason="the extra gpu is needed")
    from neurosnn.cuda.machines import _constants, compile_cubin

    net = network("CurrentLIF", n=40)
    engine = CudaEngine(net, EventProp(), CrossEntropy(), device=ONE)
    text = _constants({"0": 40, "1": 3, "INPUT": 30}, 64, 32) + engine._source()
    assert compile_cubin(text, real="float", architecture=architecture)[:4] == b"\x7fELF"
