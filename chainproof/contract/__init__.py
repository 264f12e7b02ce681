"""
The contract: the published OpenAPI document, its clauses, and the violations of an answer.
"""
