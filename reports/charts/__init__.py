"""
The charts of a load run: one module per chart, a description of plots in `plot`, the drawing library in `drawing`.
"""
