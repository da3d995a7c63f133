"""`python -m mnist_bench` is the command `mnist-bench`."""

from mnist_bench.cli._main import main

if __name__ == "__main__":
    main()
