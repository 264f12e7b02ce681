"""
Running the checks: setup, pytest hooks, forecast, progress and the result.
"""
