"""
How does one request get to the target and its response back, with exact times?
"""
