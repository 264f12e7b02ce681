"""
One pure function per format: a report in, text out.
"""
