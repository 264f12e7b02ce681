"""
Verdicts, caveats and summaries: pure functions of what run folders contain.
"""
