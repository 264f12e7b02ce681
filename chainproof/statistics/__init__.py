"""How are durations counted, and how certain is a percentile or a share?"""
