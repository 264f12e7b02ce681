"""
How we count: histograms that merge exactly, and intervals that say how sure we are.
"""
