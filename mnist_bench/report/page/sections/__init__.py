"""Sections of the page, a module each: a `TITLE`, and `build(material, options)`, which yields blocks."""
