"""Types, errors, plug-in folders: what every other room may use. No torch, no click, no rich."""
