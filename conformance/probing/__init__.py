"""
How is a request sent, repeated where needed, and its response judged?
"""
