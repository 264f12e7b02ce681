"""
Gateway behaviour: how a request is checked before it reaches the chain. One module for each stage.
"""
