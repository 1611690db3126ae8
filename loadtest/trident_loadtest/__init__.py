"""Load tests: perf_analyzer and locust against the endpoint `recommend`."""
