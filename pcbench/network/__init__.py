"""The predictive-coding core: configuration, conversion of any CNN, the update rule and its unrolling."""
