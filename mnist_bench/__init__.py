"""Train a small network on MNIST, export it, and show that every runtime gives the same answers."""

__version__ = "0.1.0"
