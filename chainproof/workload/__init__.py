"""
Workloads: when each request starts, and what its body is.
"""
