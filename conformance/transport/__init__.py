"""How is a request sent and its answer read? Knows nothing of clauses."""
