"""
One file per part of the contract, one function per clause.
"""
