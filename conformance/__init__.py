"""
Is the promise kept? Property tests that hold an endpoint against the document.
"""
