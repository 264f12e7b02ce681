"""How is a request sent, repeated where needed, and its answer judged?"""
