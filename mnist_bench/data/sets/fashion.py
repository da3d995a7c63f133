"""Fashion-MNIST: Xiao, Rasul and Vollgraf 2017, arXiv 1708.07747; sums of the files as Debian ships them."""

from mnist_bench.data._find import Digests
from mnist_bench.data._idx import IdxSource

SOURCE = IdxSource(
    name="fashion",
    folder="FashionMNIST",
    classes=("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Boot"),
    digests={
        "train-images-idx3-ubyte": Digests("c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
        "train-labels-idx1-ubyte": Digests("bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
        "t10k-images-idx3-ubyte": Digests("5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"),
        "t10k-labels-idx1-ubyte": Digests("0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
    },
)
load = SOURCE.load
