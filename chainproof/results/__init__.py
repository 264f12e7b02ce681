"""
What was observed, and the run folder in which the tools meet.
"""
