"""When is each request sent, and what becomes of it?"""
