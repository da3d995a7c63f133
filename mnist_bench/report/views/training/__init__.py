"""Views of training runs: `build(records, options)` makes tables of one or several `Record`s."""
