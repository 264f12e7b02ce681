"""
Request bodies and wrong keys, as tables and Hypothesis strategies, without I/O.
"""
