"""
How do bytes become requests, and responses bytes? Sockets, HTTP/1.1, timers.
"""
