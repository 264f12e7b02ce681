"""
Which request bodies and keys are sent? Tables and strategies, without I/O.
"""
