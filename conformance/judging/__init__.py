"""What does an answer say about the contract? Pure functions, without I/O."""
