"""
The shared language of chainproof: what is promised, what was observed, how we count and judge.
"""

__version__ = "0.1.0"
