"""Run and study folders: atomic files, versioned records, checkpoints that survive a crash at any moment.

One run is one folder. `run.json` is the record and the commit point: it names the checkpoint files by content, they are
written before it, and files that it no longer names are removed after it. Whatever moment a process dies at, the folder
holds one complete state. A study's folder holds `study.json`, which is replaced as a whole, and never a run.
"""

from mnist_bench.store._arrays import Arrays, check_arrays, load_arrays, load_weights, to_arrays, to_safetensors
from mnist_bench.store._artifacts import contents, enter, is_whole
from mnist_bench.store._derived import declare
from mnist_bench.store._files import (
    check_writable,
    content,
    digest_of_list,
    explained,
    making,
    saved_files,
    subfolder,
    sweep,
    write_atomically,
)
from mnist_bench.store._layout import (
    NAME_PATTERN,
    NAMES,
    UNFINISHED,
    Saved,
    check_new,
    exists,
    is_of_a_run,
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
    steady,
    to_json,
)
from mnist_bench.store._runs import imported_file, locked, save_checkpoint, save_imported, save_study

__all__ = [
    "NAMES",
    "NAME_PATTERN",
    "UNFINISHED",
    "Arrays",
    "Saved",
    "check_arrays",
    "check_new",
    "check_writable",
    "content",
    "contents",
    "declare",
    "digest_of_list",
    "enter",
    "exists",
    "explained",
    "imported_file",
    "is_of_a_run",
    "is_whole",
    "load",
    "load_arrays",
    "load_if_sound",
    "load_record",
    "load_study",
    "load_unfinished",
    "load_weights",
    "locked",
    "making",
    "read",
    "run_folder",
    "run_names",
    "save",
    "save_checkpoint",
    "save_finished",
    "save_imported",
    "save_study",
    "save_unfinished",
    "saved_files",
    "steady",
    "study_folder",
    "study_names",
    "subfolder",
    "sweep",
    "to_arrays",
    "to_json",
    "to_safetensors",
    "write_atomically",
]
