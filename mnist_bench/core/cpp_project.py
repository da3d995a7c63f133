"""The C++ project that `export --format cpp` writes and the host `cpp` builds: the same files, as package data."""

from pathlib import Path

FOLDER = Path(__file__).parent / "_cpp_project"


def files() -> dict[str, bytes]:
    """Return the project's files by name, in the order of their names; it is a flat folder."""
    return {path.name: path.read_bytes() for path in sorted(FOLDER.iterdir()) if path.is_file()}
