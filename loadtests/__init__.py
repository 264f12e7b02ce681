"""
Is the promise kept under load? Locust users that measure truthfully.
"""
