"""Which charts does a load run have? One module for each chart; only `drawing` uses the chart library."""
