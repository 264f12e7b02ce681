"""
An emulated endpoint: a server on loopback that behaves correctly, or with a chosen fault.
"""
