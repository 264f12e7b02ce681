"""
What does a response say about the contract? Pure functions, without I/O.
"""
