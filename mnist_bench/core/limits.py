"""How large what comes from elsewhere may be: more is refused before it is read, unpacked or opened.

Each is many times what this project writes itself. A file that unpacks is measured unpacked.
"""

MIB = 2**20

RECORD_BYTES = 64 * MIB
"""A JSON document: a run, a manifest, a comparison, a benchmark (10,000 rows of six processes have 17 MB), a study.

Decoded it can take twenty times as much memory: a dictionary of the shortest strings does.
"""

CHECKPOINT_BYTES = 64 * MIB
"""A safetensors file: the optimizer's of this network has 4 MiB."""

MODEL_BYTES = 512 * MIB
"""A model file, and all files of an artifact that is a folder; the largest of this network has 3 MiB."""

DATASET_BYTES = 256 * MIB
"""One file of a dataset; MNIST's largest has 45 MiB."""

IMAGE_BYTES = MIB
"""One image file; a PNG of 28 × 28 pixels has about 400 bytes, and one with a picture editor's notes some thousand."""

MOST_IMAGES = 200_000
"""The image files of a dataset: three times as many as MNIST has images. IDX files may hold more."""

MOST_CLASSES = 1_000
"""What a record can name; the network of the protocol has 10 outputs."""

PICTURE_BYTES = 64 * MIB
"""A photograph or a drawing; a phone's largest have 30 MiB."""

LIST_BYTES = MIB
"""A list of file patterns, a process's status, and the like."""


def spelled(size_bytes: int) -> str:
    """Write a limit for people."""
    return f"{size_bytes // MIB} MiB"
