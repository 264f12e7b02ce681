"""What is counted in each second of a load run, and how is it stored?"""
