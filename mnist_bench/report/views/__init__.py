"""Views, a module each: `build(records, options)` makes tables; `ORDER` is their place on the screen."""
