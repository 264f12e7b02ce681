"""What does the gateway do with a request? One module for each stage."""
