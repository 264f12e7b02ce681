"""
What is asked of the target: when each request should start, and what it carries.
"""
