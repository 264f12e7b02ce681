"""When does each request of a load test start, and what is its body?"""
