"""How are several runs made one after another or side by side, and compared?"""
