"""
How is a request put on the wire, and how is the response read? Knows nothing of clauses.
"""
