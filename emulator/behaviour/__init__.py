"""
What does the gateway do with a request before and after the chain? One file per stage.
"""
