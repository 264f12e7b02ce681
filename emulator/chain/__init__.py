"""
What does the chain behind the gateway answer?
"""
