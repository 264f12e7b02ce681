"""Which values of its input does a chain return, and do they come back as they were sent?"""
