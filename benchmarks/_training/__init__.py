"""Studies and scripts of `benchmarks.training_overhead` and `benchmarks.preference_sweep`: a study, and the
TRL script one would write in its place."""
