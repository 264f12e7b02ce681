"""
How is it shown? Every report is a pure function of run folders.
"""
