"""What do the tools share: the contract, the run folder, the statistics and the verdicts?"""

__version__ = "0.1.0"
