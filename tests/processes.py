"""Other processes, as tests look at them."""

import psutil


def words_of(process: psutil.Process) -> list[str]:
    """Return the command line of a process; none of one that has ended meanwhile, whether or not it was waited for."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def lives(process: psutil.Process) -> bool:
    """Tell whether a process still does anything: it has not ended, whether or not it was waited for."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
