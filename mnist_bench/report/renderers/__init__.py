"""Renderers, a module each, with a `render(tables, color)` that returns text."""
