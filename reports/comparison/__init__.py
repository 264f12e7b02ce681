"""How are a comparison of runs and their history shown? One module for each format of either."""
