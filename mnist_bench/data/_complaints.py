"""What is wrong with a file that is called as a part of a dataset and does not hold its bytes; and the way out."""

from pathlib import Path
from typing import TYPE_CHECKING

from mnist_bench.core import plugins, text
from mnist_bench.core.errors import DataDamaged
from mnist_bench.data import _find, _format

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mnist_bench.data._find import File
    from mnist_bench.data._idx import IdxSource


def missing(folder: Path, name: str) -> DataDamaged:
    """Say that a part is not beside the others."""
    return DataDamaged(f"{folder / name} is missing beside the other files: restore it, or remove the whole folder")


def wrong(source: "IdxSource", name: str, file: "File") -> DataDamaged:
    """Say what a file is that is called as a part and is not that part."""
    path, content = file.path, file.content
    if file.damage:
        return file.damage
    if not content:
        return DataDamaged(f"{path} is empty: replace it")
    if what := _format.otherwise(content):
        return DataDamaged(f"{path} is {what}")
    if owner := _owner(source, file):
        return DataDamaged(_of_another(source, name, path, *owner))
    if what := _format.known_by_count(content):
        return DataDamaged(f"{path} is not of {source.name} but {what}: {_ways_out(source, what, path.parent)}")
    return DataDamaged(_other_bytes(source, name, file))


def another(source: "IdxSource", folder: Path) -> DataDamaged | None:
    """Say of which other dataset the files of a folder are, by their names; None where there are none such."""
    found = _find.of_others(folder, source.folder)
    if found is None:
        return None
    name, title = found
    return DataDamaged(
        f"{folder} holds files of {title} ({text.line(name)}), not of {source.name}: {_ways_out(source, title, folder)}"
    )


def _ways_out(source: "IdxSource", title: str, folder: Path) -> str:
    ours = {"FashionMNIST": "fashion", "KMNIST": "kmnist"}.get(title)
    others = f"--dataset {ours}" if ours else f"--dataset {folder} to use these as they are"
    return f"give --data-dir with the files of {source.name}, or {others}"


def _owner(source: "IdxSource", file: "File") -> "tuple[IdxSource, str] | None":
    """Return the dataset of ours that a file is a part of, and which; None where it is of none."""
    return next(
        ((one, part) for one in (source, *_ours()) for part, digests in one.digests.items() if file.is_right(digests)),
        None,
    )


def _ours() -> "Iterator[IdxSource]":
    from mnist_bench.data import sets

    for name in plugins.names(sets):
        module = plugins.load(sets, name)
        if hasattr(module, "SOURCE"):
            yield module.SOURCE


def _of_another(source: "IdxSource", name: str, path: Path, owner: "IdxSource", part: str) -> str:
    if owner.name == source.name:
        return f"{path} holds what belongs into {part}, and {name} is nowhere beside it: restore both"
    return f"{path.parent} holds {owner.folder}'s files: use --dataset {owner.name}, or give another --data-dir"


def _other_bytes(source: "IdxSource", name: str, file: "File") -> str:
    path, content, digests, wanted = file.path, file.content, source.digests[name], source.header(name)
    if not (digests.unpacked or file.archive):
        return f"{path} cannot be checked without {name}.gz beside it: keep both"
    if content[: len(wanted.start)] != wanted.start:
        return f"{path} starts with {content[:4].hex()}, not {wanted.start.hex()}: it is another kind of file"
    if len(content) != wanted.file_size:
        return f"{path} holds {len(content):,} bytes unpacked, not {wanted.file_size:,}: replace it"
    if digests.unpacked:
        return f"{path} does not hold the bytes of {source.name} (SHA-256 {file.sha256[:12]}…): replace it"
    return f"{path} is not the published file (SHA-256 {(file.archive or '')[:12]}…): replace it"
