"""
Which charts does a load run have? One module per chart; only `drawing` uses the chart library.
"""
