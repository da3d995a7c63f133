"""What a command does once its options are read: the command line and Python's interface both call this.

Nothing is printed: callbacks say what happens, and what cannot be done is raised.
"""
