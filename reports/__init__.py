"""How are the results of runs shown? Every report is a pure function of run folders."""
