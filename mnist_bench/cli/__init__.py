"""The command line: a module per command, each with a click `command`; the only place that knows click.

Modules are imported for `--help`, so whatever is heavy is imported inside the functions.
"""
