"""What `benchmarks.training_overhead` and `benchmarks.preference_sweep` measure: a study, and the TRL script
one would write in its place."""
