"""Where kernels run: a graphics processor, or the processor with the same text, for tests."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import math
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

from neurosnn.core.files import atomic_file
from neurosnn.core.messages import message
from neurosnn.engine.build import cache_folder, load_library

__all__ = ["Device", "Machine", "Processor", "compile_cubin", "make_machine", "why_no_device"]

_WHERE = "CudaEngine"
#: Threads of a block: as many as the largest layer has neurons, up to this, so that each has registers.
MOST_THREADS = 512
WARP = 32


class Machine(Protocol):
    """Memory and kernels of a machine; a block has ``threads`` threads."""

    threads: int

    def compile(self, source: str, sizes: Mapping[str, int], real: str) -> None:
        """Compile the generated text for layers of these sizes."""

    def array(self, shape: Any, dtype: Any) -> Any:
        """New memory that holds no values yet, with ``address`` and ``get()``."""

    def put(self, values: np.ndarray) -> Any:
        """A copy of an array in the machine's memory."""

    def fetch(self, pairs: Sequence[tuple[Any, np.ndarray]]) -> None:
        """Wait for the kernels, and copy memory of the machine into arrays."""

    def launch(self, kernel: str, batch: ctypes.Structure, blocks: int, shared: int) -> None:
        """Run a kernel with this number of blocks, and this much shared memory for each."""


class _HostArray:
    """An array of numpy as memory of the machine."""

    def __init__(self, values: np.ndarray):
        self.values = values
        self.address = values.ctypes.data
        self.nbytes, self.shape = values.nbytes, values.shape

    def get(self) -> np.ndarray:
        return self.values


class Processor:
    """The kernels on the processor: blocks one after the other, for tests.

    Parameters
    ----------
    threads : int
        Threads of a block: one, in which a barrier does nothing, or several real ones.
    lanes : int
        Threads of a warp.
    flags : tuple of str
        More flags of the compiler.
    """

    def __init__(self, threads: int = 1, lanes: int = 1, flags: tuple[str, ...] = ()):
        self.threads, self.lanes, self.flags = threads, lanes, flags

    def compile(self, source: str, sizes: Mapping[str, int], real: str) -> None:
        """As :class:`Machine` says, with the C++ compiler of the engine."""
        text = _constants(sizes, self.threads, self.lanes) + source
        self._library = load_library(text, real=real, flags=("-std=c++20", *self.flags))

    def array(self, shape: Any, dtype: Any) -> _HostArray:
        """As :class:`Machine` says."""
        return _HostArray(np.empty(shape, dtype))

    def put(self, values: np.ndarray) -> _HostArray:
        """As :class:`Machine` says."""
        return _HostArray(np.array(values))

    def fetch(self, pairs: Sequence[tuple[Any, np.ndarray]]) -> None:
        """As :class:`Machine` says."""
        for memory, array in pairs:
            np.copyto(array, memory.get().reshape(array.shape))

    def launch(self, kernel: str, batch: ctypes.Structure, blocks: int, shared: int) -> None:
        """As :class:`Machine` says."""
        call = getattr(self._library, f"launch_{kernel}")
        call(ctypes.byref(batch), ctypes.c_int64(blocks), ctypes.c_int64(shared))


class _DeviceArray:
    """Memory of a graphics processor, freed with this object."""

    def __init__(self, driver: Any, shape: Any, dtype: Any):
        self.shape = (shape,) if isinstance(shape, int) else tuple(shape)
        self.dtype, self._driver = np.dtype(dtype), driver
        self.nbytes = -(-max(math.prod(self.shape) * self.dtype.itemsize, 1) // 8) * 8
        self.address = int(_check(driver, driver.cuMemAllocAsync(self.nbytes, 0)))

    def __del__(self) -> None:
        if getattr(self, "address", 0):
            with contextlib.suppress(Exception):  # Python may be ending
                self._driver.cuMemFreeAsync(self.address, 0)

    def set(self, values: np.ndarray) -> None:
        values = np.ascontiguousarray(values)
        _check(
            self._driver,
            self._driver.cuMemcpyHtoDAsync(self.address, values.ctypes.data, values.nbytes, 0),
        )

    def get(self) -> np.ndarray:
        values = np.empty(self.shape, self.dtype)
        if values.nbytes:
            _check(
                self._driver,
                self._driver.cuMemcpyDtoH(values.ctypes.data, self.address, values.nbytes),
            )
        return values


class Device:
    """The first graphics processor.

    Raises
    ------
    RuntimeError
        If the extra ``gpu`` or a driver is missing.
    """

    def __init__(self) -> None:
        try:
            from cuda.bindings import driver
            from cuda.core import Device as CudaDevice
        except ImportError as error:
            raise _missing("the packages of the extra 'gpu' are not installed") from error
        try:
            device = CudaDevice(0)
            device.set_current()
        except Exception as error:
            raise _missing("there is no NVIDIA graphics processor with a driver") from error
        self._driver = driver
        self.name = device.name
        self.lanes = WARP
        major, minor = device.compute_capability
        self.architecture = f"sm_{major}{minor}"
        # memory that is freed stays with this process
        pool = _check(driver, driver.cuDeviceGetDefaultMemPool(0))
        keep = driver.CUmemPool_attribute.CU_MEMPOOL_ATTR_RELEASE_THRESHOLD
        _check(driver, driver.cuMemPoolSetAttribute(pool, keep, driver.cuuint64_t(2**64 - 1)))
        self._functions: dict[str, Any] = {}
        self._allowed: dict[str, int] = {}
        #: Whether each kernel is timed, for :meth:`times`.
        self.timing = False
        self._staging = np.zeros(0, np.uint8)
        self._timed: list[tuple[str, Any, Any]] = []

    def compile(self, source: str, sizes: Mapping[str, int], real: str) -> None:
        """As :class:`Machine` says, with NVRTC."""
        largest = max(size for name, size in sizes.items() if name != "INPUT")
        self.threads = min(MOST_THREADS, -(-max(largest, 4 * WARP) // WARP) * WARP)
        text = _constants(sizes, self.threads, self.lanes) + source
        cubin = compile_cubin(text, real=real, architecture=self.architecture)
        image = ctypes.create_string_buffer(cubin, len(cubin))
        address = ctypes.addressof(image)
        self._module = _check(self._driver, self._driver.cuModuleLoadData(address))

    def array(self, shape: Any, dtype: Any) -> _DeviceArray:
        """As :class:`Machine` says."""
        return _DeviceArray(self._driver, shape, dtype)

    def put(self, values: np.ndarray) -> _DeviceArray:
        """As :class:`Machine` says."""
        array = _DeviceArray(self._driver, values.shape, values.dtype)
        if values.nbytes:
            array.set(values)
        return array

    def fetch(self, pairs: Sequence[tuple[Any, np.ndarray]]) -> None:
        """As :class:`Machine` says, by way of memory that the graphics processor can write to."""
        driver, total = self._driver, sum(memory.nbytes for memory, _ in pairs)
        if self._staging.nbytes < total:
            if self._staging.nbytes:
                _check(driver, driver.cuMemFreeHost(self._staging.ctypes.data))
            address = int(_check(driver, driver.cuMemAllocHost(total)))
            self._staging = np.ctypeslib.as_array((ctypes.c_uint8 * total).from_address(address))
        start, base = 0, self._staging.ctypes.data
        for memory, array in pairs:
            if array.nbytes:
                _check(
                    driver,
                    driver.cuMemcpyDtoHAsync(base + start, memory.address, array.nbytes, 0),
                )
            start += memory.nbytes
        _check(driver, driver.cuStreamSynchronize(0))
        start = 0
        for memory, array in pairs:
            part = self._staging[start : start + array.nbytes]
            np.copyto(array, part.view(array.dtype).reshape(array.shape))
            start += memory.nbytes

    def launch(self, kernel: str, batch: ctypes.Structure, blocks: int, shared: int) -> None:
        """As :class:`Machine` says; does not wait for the end."""
        driver = self._driver
        if kernel not in self._functions:
            name = kernel.encode()
            self._functions[kernel] = _check(driver, driver.cuModuleGetFunction(self._module, name))
        function = self._functions[kernel]
        if shared > self._allowed.get(kernel, 48 * 1024):
            attribute = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
            _check(driver, driver.cuFuncSetAttribute(function, attribute, shared))
            self._allowed[kernel] = shared
        argument = (ctypes.c_void_p * 1)(ctypes.addressof(batch))
        begin = self._event() if self.timing else None
        _check(
            driver,
            driver.cuLaunchKernel(
                function,
                *(blocks, 1, 1),
                *(self.threads, 1, 1),
                *(shared, 0, ctypes.addressof(argument), 0),
            ),
        )
        if begin is not None:
            self._timed.append((kernel, begin, self._event()))

    def _event(self) -> Any:
        event = _check(self._driver, self._driver.cuEventCreate(0))
        _check(self._driver, self._driver.cuEventRecord(event, 0))
        return event

    def times(self) -> dict[str, float]:
        """Seconds of each kernel since the last call; only while ``timing`` is set."""
        _check(self._driver, self._driver.cuCtxSynchronize())
        total: dict[str, float] = {}
        for kernel, begin, end in self._timed:
            milliseconds = _check(self._driver, self._driver.cuEventElapsedTime(begin, end))
            total[kernel] = total.get(kernel, 0.0) + milliseconds * 1e-3
            for event in (begin, end):
                _check(self._driver, self._driver.cuEventDestroy(event))
        self._timed = []
        return total


def why_no_device() -> str:
    """Why nothing can run on a graphics processor here; "" if it can."""
    if find_spec("cuda") is None or find_spec("cuda.core") is None:
        return "the extra gpu is not installed"
    return "" if _devices() else "there is no NVIDIA graphics processor with a driver"


@cache
def _devices() -> int:
    """How many graphics processors the driver knows; none without a driver."""
    for name in ("libcuda.so.1", "nvcuda.dll"):
        try:
            driver = ctypes.CDLL(name)
        except OSError:
            continue
        number = ctypes.c_int(0)
        if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(number)) == 0:
            return number.value
    return 0


def make_machine(device: Any) -> Machine:
    """The machine of a name, or the one that was given."""
    if device == "cuda":
        return Device()
    if device == "processor":
        return Processor()
    if not isinstance(device, str) and callable(getattr(device, "launch", None)):
        machine: Machine = device
        return machine
    raise ValueError(
        message(
            f"device must be 'cuda' or 'processor', got {device!r}.",
            _WHERE,
            "It says where the kernels run.",
            "Write device='cuda'; 'processor' is for tests.",
        )
    )


def compile_cubin(text: str, *, real: str, architecture: str) -> bytes:
    """Compile a text for an architecture, unless the cache has it; no graphics processor is needed.

    Parameters
    ----------
    text : str
        The whole CUDA text.
    real : str
        "float" or "double"; without contraction in double precision, so that it rounds as Brian2 does.
    architecture : str
        For example "sm_90".

    Returns
    -------
    bytes
        Machine code.

    Raises
    ------
    RuntimeError
        If the extra ``gpu`` is missing or the compiler refuses the text.
    """
    try:
        from cuda.bindings import nvrtc
        from cuda.core import Program, ProgramOptions
    except ImportError as error:
        raise _missing("the packages of the extra 'gpu' are not installed") from error
    version = nvrtc.nvrtcVersion()[1:]
    single = real == "float"
    key = hashlib.sha256(f"{text}\0{architecture}\0{version}\0{single}".encode()).hexdigest()[:24]
    path = cache_folder() / f"{key}.cubin"
    if path.exists():
        return path.read_bytes()
    options = ProgramOptions(
        std="c++17",
        arch=architecture,
        fma=single,
        ftz=single,
        prec_div=not single,
        device_as_default_execution_space=True,
    )
    try:
        code = bytes(Program(text, "c++", options).compile("cubin").code)
    except Exception as error:
        lines = [line for line in str(error).splitlines() if "error:" in line.lower()]
        raise RuntimeError(
            message(
                f"NVRTC refused the generated text: {(lines or [type(error).__name__])[0][:200]}.",
                _WHERE,
                "This is an error of neurosnn, or your loss uses more than C++ has there.",
                "Report it with the equations of your model; backend='engine' works without.",
            )
        ) from error
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        file.write(code)
    return code


def _constants(sizes: Mapping[str, int], threads: int, lanes: int) -> str:
    values = {"THREADS": threads, "LANES": lanes, **{f"N_{key}": n for key, n in sizes.items()}}
    return "".join(f"#define {name} {value}\n" for name, value in values.items())


def _check(driver: Any, answer: Any) -> Any:
    """The result of a call of the driver, or an error."""
    status, *values = answer
    if int(status) == 0:
        return values[0] if values else None
    if status == driver.CUresult.CUDA_ERROR_OUT_OF_MEMORY:
        raise MemoryError("CUDA_ERROR_OUT_OF_MEMORY")
    raise RuntimeError(
        message(
            f"the graphics processor answered {status.name}.",
            _WHERE,
            "What it computed is lost.",
            "Start Python anew; report it if it happens again.",
        )
    )


def _missing(absence: str) -> RuntimeError:
    return RuntimeError(
        message(
            f"{absence}.",
            _WHERE,
            "Kernels are compiled by NVRTC and run by CUDA.",
            "pip install \"neurosnn[gpu]\", or backend='engine'.",
        )
    )
