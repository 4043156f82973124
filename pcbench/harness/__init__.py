"""From a request to outcomes: suites become conditions, conditions become work, work becomes tables."""
