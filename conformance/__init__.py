"""Does an endpoint keep its contract?"""
