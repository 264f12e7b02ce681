"""
What is the highest rate that meets the objectives, and what can this machine generate?
"""
