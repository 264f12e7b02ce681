"""What is written to the run folder while a run goes on?"""
