"""What torchrun tells each of the processes that it starts."""

import os
from dataclasses import dataclass

from mnist_bench.core.errors import BadInput

SIZE, RANK = "WORLD_SIZE", "RANK"
LOCAL_SIZE, LOCAL_RANK = "LOCAL_WORLD_SIZE", "LOCAL_RANK"


@dataclass(frozen=True)
class Place:
    """Where a process stands: the `rank`-th of `size` in all, the `local_rank`-th of `local_size` on this machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1


def is_distributed() -> bool:
    """Tell whether this is one of several processes that do one work."""
    return os.environ.get(SIZE, "1") != "1"


def is_rank_zero() -> bool:
    """Tell whether this process says what all of them have to say: the first, or the only one."""
    return not is_distributed() or os.environ.get(RANK, "0") == "0"


def place() -> Place:
    """Return where this process stands.

    Raises:
        BadInput: some of the variables that torchrun sets are there, and others are not, or are no such numbers.
    """
    if not is_distributed():
        return Place()
    try:
        rank, size, local_rank, local_size = (int(os.environ[name]) for name in (RANK, SIZE, LOCAL_RANK, LOCAL_SIZE))
    except (KeyError, ValueError) as error:
        raise BadInput(
            f"{SIZE} is set, but torchrun did not start this process ({error}): unset it, or use torchrun"
        ) from error
    if not (0 <= rank < size and 0 <= local_rank < local_size <= size):
        raise BadInput(f"process {rank} of {size}, {local_rank} of {local_size} here, cannot be: use torchrun")
    return Place(rank, size, local_rank, local_size)
