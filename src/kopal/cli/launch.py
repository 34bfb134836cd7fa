"""`kopal train --nproc`: the same command in several processes, under PyTorch's launcher."""

from __future__ import annotations

import logging
import os
import signal
import sys
from typing import Any

from kopal.backends.torch_module import require_torch
from kopal.cli.output import say
from kopal.cli.voices import RESTARTED
from kopal.errors import TogetherError
from kopal.parallel import cores

USAGE, INTERRUPTED = 2, 130


def launch(processes: int, restarts: int) -> int:
    """Run this process's own command `processes` times, side by side; the exit code of the whole.

    If one of them dies, the others are ended, and all are started again up to `restarts` times: they go on from the
    last checkpoint. Raises `TogetherError` where that did not help.
    """
    require_torch()
    # For the launcher, which is this process: a store kept from one attempt would disturb the next.
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // processes)))
    # This process only waits for the others; what they had to say they have said.
    logging.disable(logging.CRITICAL)
    command = ["-m", "kopal", *_without_launch(sys.argv[1:])]
    for left in range(restarts, -1, -1):
        code, why = _attempt(processes, command)
        if not why:
            return code
        if left:
            # Not the launcher's own restarts: it would also repeat a command that cannot work.
            say(f"{why}; all of them start again from the last checkpoint", sys.stderr)
            os.environ[RESTARTED] = "1"
    raise TogetherError(
        f"{why}; the others were ended too",
        "all of them until the end",
        "the same command with --resume goes on from the last checkpoint",
    )


def _attempt(processes: int, command: list[str]) -> tuple[int, str]:
    """The exit code of one try, and in words which process failed; nothing where the first has said itself why."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id="kopal",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.1,
    )
    try:
        elastic_launch(config, sys.executable)(*command)
    except ChildFailedError as error:
        codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
        for code in (USAGE, INTERRUPTED):
            if code in codes.values():
                return code, ""
        # Whoever was killed is the cause; the others failed for want of it, or were ended by the launcher.
        rank = min(codes, key=lambda rank: (codes[rank] == -signal.SIGTERM, codes[rank]))
        return 1, f"process {rank} of {processes} {_ending(codes[rank])}"
    except (KeyboardInterrupt, SignalException):
        return INTERRUPTED, ""
    return 0, ""


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    names: dict[int, Any] = {number.value: number.name for number in signal.Signals}
    return f"was ended by {names.get(-code, f'signal {-code}')}"


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
