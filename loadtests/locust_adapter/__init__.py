"""How do Locust's users, options and web page start and show our runs?"""
