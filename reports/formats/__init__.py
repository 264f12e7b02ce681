"""
The report formats: one module each, with a function `render` from a report to text.
"""
