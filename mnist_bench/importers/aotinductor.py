"""Machine code that AOTInductor compiled: a program whose weights and graph are nothing to be read."""

from mnist_bench.core.signature import OURS
from mnist_bench.importers._contract import Found, Given, Request, refuse_output

WHAT, PROGRAM = "a package of AOTInductor", True
COMPILED = "/data/aotinductor/"


def recognises(given: Given) -> bool:
    """See `Importer`."""
    return any(COMPILED in f"/{name}" for name in given.entries)


def read(request: Request) -> Found:
    """Tell what it is: it is taken for a network of our signature until it has answered."""
    refuse_output(request, "a package of AOTInductor")
    return Found(
        kind="aotinductor",
        specified=False,
        ending="other",
        signature=OURS,
        precision="unknown",
        notes=("it is machine code: neither its graph nor its weights can be read",),
        opens=("aotinductor",),
    )
