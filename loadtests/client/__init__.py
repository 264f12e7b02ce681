"""How is one request sent and its answer read, with exact times?"""
