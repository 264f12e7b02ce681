"""
How does a run start, go on and end? The target, the run folder, pytest, progress.
"""
