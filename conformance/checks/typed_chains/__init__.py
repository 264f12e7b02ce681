"""Is every input that the chain accepts answered with its own output? For chains with typed arguments."""
