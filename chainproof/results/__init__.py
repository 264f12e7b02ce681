"""
The run folder and everything that is stored in it.
"""
