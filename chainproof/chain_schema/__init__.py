"""What does a chain accept and return, and which inputs can be generated for it?"""
