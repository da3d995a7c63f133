"""The datasets, a module each."""
