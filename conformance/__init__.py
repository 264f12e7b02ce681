"""
Conformance tests: send requests to a target and compare its answers with the contract.
"""
