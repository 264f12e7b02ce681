"""What does the contract say, and does one answer violate it?"""
