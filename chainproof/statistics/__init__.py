"""
Histograms that merge without loss, and confidence intervals.
"""
