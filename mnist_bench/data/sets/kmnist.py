"""Kuzushiji-MNIST: Clanuwat et al. 2018, arXiv 1812.01718.

The sums are of the published archives, so the `.gz` files must be there; torchvision's download keeps them.
"""

from mnist_bench.data._find import Digests
from mnist_bench.data._idx import IdxSource

SOURCE = IdxSource(
    name="kmnist",
    folder="KMNIST",
    classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    digests={
        "train-images-idx3-ubyte": Digests(archive="51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4"),
        "train-labels-idx1-ubyte": Digests(archive="e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17"),
        "t10k-images-idx3-ubyte": Digests(archive="edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5"),
        "t10k-labels-idx1-ubyte": Digests(archive="20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c"),
    },
)
load = SOURCE.load
