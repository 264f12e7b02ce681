"""
chainproof tests and load-tests one HTTP operation of Baseten chains.
"""

__version__ = "0.1.0"
