"""`kopal train --nproc`: the same command in several processes, under PyTorch's launcher."""

from __future__ import annotations

import logging
import os
import sys

from kopal.backends.torch_module import require_torch
from kopal.errors import TogetherError, UsageError
from kopal.parallel import cores

FAILED, USAGE = 1, 2


def launch(processes: int, restarts: int) -> int:
    """Run this process's own command `processes` times, side by side; the exit code of the whole.

    If one of them dies, the others are ended, and all are started again up to `restarts` times: they go on from the
    last checkpoint. Raises `TogetherError` where that did not help.
    """
    if processes < 2:
        raise UsageError(f"--nproc {processes}", "2 or more", "leave it out to train in one process")
    require_torch()
    # For the launcher, which is this process: with its own store kept from one attempt to the next, restarts fail.
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // processes)))
    logging.getLogger("torch").setLevel(logging.ERROR)
    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)

    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=restarts,
        monitor_interval=0.1,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "kopal", *_without_launch(sys.argv[1:]))
    except ChildFailedError as error:
        rank, first = error.get_first_failure()
        if first.exitcode == USAGE:  # the first process has said what it was
            return USAGE
        raise TogetherError(
            f"process {rank} of {processes} ended with exit code {first.exitcode}; the others were ended too",
            "all of them until the end",
            "--resume goes on from the last checkpoint",
        ) from error
    return 0


def _without_launch(arguments: list[str]) -> list[str]:
    """The command line without the options that are about processes."""
    kept: list[str] = []
    skip = False
    for argument in arguments:
        if skip:
            skip = False
        elif argument in ("--nproc", "--max-restarts"):
            skip = True
        elif not argument.startswith(("--nproc=", "--max-restarts=")):
            kept.append(argument)
    return kept
