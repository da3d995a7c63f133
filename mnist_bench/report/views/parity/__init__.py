"""Views of a comparison of runtimes: `build(record, options)` makes tables of a `ParityRecord`."""
