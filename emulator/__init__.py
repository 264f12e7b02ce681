"""
What would a faithful, or a broken, endpoint do? A server on loopback that keeps the promise.
"""
