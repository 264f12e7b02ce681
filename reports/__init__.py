"""
Reports on run folders. Every report is a pure function of them.
"""
