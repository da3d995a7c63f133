"""MNIST: Y. LeCun, C. Cortes, C. J. C. Burges, http://yann.lecun.com/exdb/mnist/."""

from mnist_bench.data._find import Digests
from mnist_bench.data._idx import IdxSource

SOURCE = IdxSource(
    name="mnist",
    folder="MNIST",
    classes=tuple("0123456789"),
    digests={
        "train-images-idx3-ubyte": Digests("ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
        "train-labels-idx1-ubyte": Digests("65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
        "t10k-images-idx3-ubyte": Digests("0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
        "t10k-labels-idx1-ubyte": Digests("ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    },
    usual_distance=7.7187,
)
load = SOURCE.load
