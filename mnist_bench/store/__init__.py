"""Run and study folders: atomic files, versioned records, checkpoints that survive a crash at any moment.

One run is one folder. `run.json` is the record and the commit point: it names the checkpoint files by content, they are
written before it, and files that it no longer names are removed after it. Whatever moment a process dies at, the folder
holds one complete state. A study's folder holds `study.json`, which is replaced as a whole, and never a run.
"""

from mnist_bench.store._arrays import Arrays, load_arrays, to_arrays, to_safetensors
from mnist_bench.store._derived import declare
from mnist_bench.store._files import (
    content,
    contents,
    digest_of_list,
    explained,
    read_regular,
    replacing,
    saved_files,
    write_atomically,
)
from mnist_bench.store._layout import (
    NAME_PATTERN,
    NAMES,
    UNFINISHED,
    Saved,
    check_new,
    exists,
    run_folder,
    run_names,
    study_folder,
    study_names,
)
from mnist_bench.store._records import (
    load,
    load_if_sound,
    load_record,
    load_study,
    load_unfinished,
    read,
    save,
    save_finished,
    save_unfinished,
    to_json,
)
from mnist_bench.store._runs import locked, save_checkpoint, save_study

__all__ = [
    "NAMES",
    "NAME_PATTERN",
    "UNFINISHED",
    "Arrays",
    "Saved",
    "check_new",
    "content",
    "contents",
    "declare",
    "digest_of_list",
    "exists",
    "explained",
    "load",
    "load_arrays",
    "load_if_sound",
    "load_record",
    "load_study",
    "load_unfinished",
    "locked",
    "read",
    "read_regular",
    "replacing",
    "run_folder",
    "run_names",
    "save",
    "save_checkpoint",
    "save_finished",
    "save_study",
    "save_unfinished",
    "saved_files",
    "study_folder",
    "study_names",
    "to_arrays",
    "to_json",
    "to_safetensors",
    "write_atomically",
]
