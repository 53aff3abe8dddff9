"""Attention in Triton kernels, for CUDA devices: the backend `triton`.

Nothing else imports the library of that name. With TRITON_INTERPRET=1 in the environment before the first
import, the kernels run on CPU tensors, slowly, for tests.
"""
