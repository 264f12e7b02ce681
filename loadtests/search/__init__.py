"""What is the highest rate that meets the objectives, and which rate can this machine generate?"""
