"""Views of a comparison by processor: `build(record, options)` makes tables of a `FleetRecord`."""
