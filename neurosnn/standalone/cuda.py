"""What it takes to generate CUDA projects with brian2cuda on a machine without a GPU."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from neurosnn.core.messages import message
from neurosnn.core.optional import import_optional

__all__ = ["cuda_device", "settings"]

BACKEND = "devices.cuda_standalone.cuda_backend"


def settings(arch: str) -> dict[str, Any]:
    """Preferences of Brian2 that name a GPU instead of looking for one."""
    match = re.fullmatch(r"sm_(\d+)(\d)", str(arch))
    if not match:
        raise ValueError(
            message(
                f"arch must be an architecture such as 'sm_80', got {arch!r}.",
                "export",
                "The project is compiled for it.",
                "sm_70 is a V100, sm_75 a T4, sm_80 an A100, sm_90 an H100.",
            )
        )
    return {
        f"{BACKEND}.detect_gpus": False,
        f"{BACKEND}.detect_cuda": False,
        f"{BACKEND}.gpu_id": 0,
        f"{BACKEND}.compute_capability": float(f"{match[1]}.{match[2]}"),
        f"{BACKEND}.cuda_path": "/usr/local/cuda",
        f"{BACKEND}.cuda_runtime_version": 12.0,
        f"{BACKEND}.extra_compile_args_nvcc": ["-w"],
    }


@contextlib.contextmanager
def cuda_device() -> Iterator[Any]:
    """A new device of brian2cuda; its settings about GPUs are reset afterwards."""
    where = "export to cuda_standalone"
    module = import_optional("brian2cuda.device", where=where)
    tools = import_optional("brian2cuda.utils.gputools", where=where)
    installation, selection = dict(tools._cuda_installation), dict(tools._gpu_selection)
    tools.reset_gpu_selection()
    tools.restore_cuda_installation(
        {"cuda_path": "/usr/local/cuda", "nvcc_path": "nvcc", "runtime_version": 12.0}
    )
    try:
        yield module.CUDAStandaloneDevice()
    finally:
        tools.restore_cuda_installation(installation)
        tools.restore_gpu_selection(selection)
