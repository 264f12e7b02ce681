"""
How do Locust's users, options and web page drive our runs?
"""
