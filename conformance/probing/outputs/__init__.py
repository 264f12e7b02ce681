"""What do several outputs show together: stored answers, arguments that stick, values that are no chance?"""
