"""Words that every room uses, in a module without dependencies: a worker starts with these and NumPy alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

PROGRAM = "mnist-bench"
DEFAULT_OUT = Path("exports")
DEFAULT_CONVERGENCE_AT = 0.97
"""The validation accuracy, as a share, that counts as converged."""

WEIGHTS = "weights"
"""The format of the checkpoint itself."""

Activation = Literal["relu", "sigmoid"]
Validation = Literal["test", "holdout"]

Precision = Literal["fp32", "tf32", "fp16", "bf16", "int8", "int8-dynamic"]
"""`int8` is quantised statically, `int8-dynamic` at run time; `tf32` and `bf16` round what products multiply."""

LARGEST_INT16 = 2**15 - 1
LARGEST_BYTE, MIDDLE_BYTE = 255, 128  # kernels that need signed weights take the middle off unsigned ones
LARGEST_BATCH = 1_000_000

PROTOCOL_BATCH = 128
"""The batch size of the protocol: what is measured for one purpose only is measured for this."""

SCENARIOS = {"single-stream": "SingleStream", "offline": "Offline", "server": "Server"}
"""The loads that MLPerf LoadGen can put on a session, and what it calls them."""


@dataclass(frozen=True)
class Skipped:
    """Something that could not be done here, and what would make it possible: absence never looks like success."""

    target: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.target}: skipped: {self.reason}; {self.remedy}"
