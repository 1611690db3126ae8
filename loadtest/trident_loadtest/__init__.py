"""Load on the endpoint `recommend`: perf_analyzer, and where the time of a request goes."""
