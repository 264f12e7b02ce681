"""
The chain behind the gateway: the echo chain, or the user's own.
"""
