"""
Numbers, names and sentences as people read them: used by every report format, so that a run reads the same everywhere.
"""
