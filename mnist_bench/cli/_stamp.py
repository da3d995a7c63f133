"""What `mnist-bench verify --stamp` does: the file that passed, copied, with the verdict in its metadata."""

from dataclasses import dataclass
from pathlib import Path

from mnist_bench import importers, store
from mnist_bench.analysis import stamp
from mnist_bench.cli._output import check_json_path
from mnist_bench.core import onnx_stamp
from mnist_bench.core.errors import BadInput, ModelRefused
from mnist_bench.core.kinds import Precision
from mnist_bench.core.types import Manifest, ParityRecord
from mnist_bench.stages.requests import Verify


@dataclass(frozen=True)
class Stamping:
    """A file as it was before it was verified, and where its copy goes; `own` is the precision of a run's own file."""

    asked: Verify
    folder: Path
    path: Path
    content: bytes
    own: Precision | None

    @classmethod
    def of(cls, asked: Verify, folder: Path, place: Path) -> "Stamping":
        """Read what is to be verified, and check that its copy can be written to a place.

        Raises:
            BadInput: it is no ONNX file, or the copy would take the place of what is verified, or of a device.
            OutputUnwritable: the copy cannot be written.
        """
        path = place.absolute()
        check_json_path(path)
        if path.exists() and not path.is_file():  # a device, say, whose place the copy would take
            raise BadInput(f"{place} is no regular file: name another place for the copy with --stamp")
        if asked.model_file and path.exists() and path.samefile(asked.model_file):
            raise BadInput(f"{asked.model_file} is what is verified: name another file for the copy with --stamp")
        own = None if asked.model_file else asked.precision or "fp32"
        return cls(asked, folder, path, _content(asked, folder, own), own)

    def write(self, found: ParityRecord) -> None:
        """Write the copy of a file that passed.

        Raises:
            BadInput: no runtime that was asked opens it, or it was changed meanwhile.
            ModelRefused: it carries a stamp that is not of it.
        """
        facts = stamp.facts(found, self.own) | ({"output": self.asked.output} if self.asked.output else {})
        if _content(self.asked, self.folder, self.own) != self.content:
            raise BadInput("the file was changed while it was verified: nothing is stamped; verify it again")
        try:
            document = onnx_stamp.stamped(self.content, facts)
        except ModelRefused as error:
            raise ModelRefused(f"{self.asked.model_file or self.folder}: {error}") from error
        store.sweep(self.path.parent, self.path.name)
        store.write_atomically(self.path, document)


def _content(asked: Verify, folder: Path, own: Precision | None) -> bytes:
    if asked.model_file:
        content = importers.content(asked.model_file)
        if (kind := importers.kind_of(asked.model_file, content)) != stamp.FORMAT:
            raise BadInput(f"{asked.model_file} is {kind}: only ONNX files have metadata for --stamp")
        return content
    manifest = store.load(folder, Manifest)
    for artifact in manifest.artifacts if manifest else ():
        if (artifact.format, artifact.precision) == (stamp.FORMAT, own):
            return next(iter(store.contents(folder, artifact).values()))
    raise BadInput(f"{folder} has no ONNX file of {own} to stamp: export it first, with mnist-bench export")
