"""Threads on purpose: every library takes as many as it likes unless it is told."""

from __future__ import annotations

import os

_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def limit_threads(threads: int) -> None:
    """Set the threads of torch and of BLAS, here and in processes started from here.

    Libraries that were imported before read their variable no more; what they were told by a call holds.
    """
    for variable in _VARIABLES:
        os.environ[variable] = str(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "false" if threads == 1 else "true"
    import torch

    torch.set_num_threads(threads)
