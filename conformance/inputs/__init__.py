"""Which request bodies and wrong keys are sent? Tables and Hypothesis strategies, without I/O."""
