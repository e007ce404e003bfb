"""Networks as programs: C++ and CUDA projects that run without Python."""
