"""When is each request sent, and what is its result?"""
