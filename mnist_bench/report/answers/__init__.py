"""Written answers, a module each: `build(material, options)` yields what the numbers carry, and nothing else."""
