"""Python's garbage collector in a process that imports large libraries: a million objects, and none of them garbage.

Looking through them again and again takes a tenth of what importing PyTorch takes, and looking through them once more
when the process ends a third of a second.
"""

import gc
import sys

OBJECTS = 100_000
"""How many new objects it waits for; of Python's own accord 700 or 2,000, by its version."""


def spare() -> None:
    """Let it look less often."""
    gc.set_threshold(OBJECTS, *gc.get_threshold()[1:])


def dismiss() -> None:
    """Let it look no more at what there is: the process ends, and the system takes it all.

    Triton would complain on the screen that its objects were never collected.
    """
    if "triton" not in sys.modules:
        gc.freeze()
