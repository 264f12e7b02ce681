"""
What is promised: the published document, its clauses, and how an answer can depart from them.
"""
