"""A dataset of MNIST's form with a handful of images, from a server of one's own."""

import gzip
import hashlib
import struct

import numpy as np
from torchvision import datasets

from mnist_bench.core.digest import sha256
from mnist_bench.data._find import Digests
from mnist_bench.data._idx import IdxSource

SHAPES: dict[str, tuple[int, ...]] = {
    "train-images-idx3-ubyte": (6, 28, 28),
    "train-labels-idx1-ubyte": (6,),
    "t10k-images-idx3-ubyte": (4, 28, 28),
    "t10k-labels-idx1-ubyte": (4,),
}


def idx(shape: tuple[int, ...]) -> bytes:
    """Return a file of zeros in IDX form."""
    return struct.pack(f">{1 + len(shape)}I", 0x0800 + len(shape), *shape) + bytes(int(np.prod(shape)))


FILES = {name: idx(shape) for name, shape in SHAPES.items()}
ARCHIVES = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in FILES.items()}


def source(url: str = "") -> IdxSource:
    """Return the dataset; it is downloaded from the address."""
    datasets.MNIST.mirrors = [url]
    datasets.MNIST.resources = [(name, hashlib.md5(content).hexdigest()) for name, content in ARCHIVES.items()]
    digests = {name: Digests(sha256(content)) for name, content in FILES.items()}
    return IdxSource("small", "MNIST", tuple("0123456789"), digests, SHAPES)
