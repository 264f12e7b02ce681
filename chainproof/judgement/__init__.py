"""What may be concluded from a run folder: verdict, summary, caveats?"""
