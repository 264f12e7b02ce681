"""What is missing or risky on this machine for a target?"""
