"""
Transport: HTTP/1.1 over TCP, timers and the access log.
"""
