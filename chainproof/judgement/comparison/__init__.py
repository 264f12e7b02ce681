"""How do runs differ: those of a candidate from those of a baseline, and runs over time?"""
