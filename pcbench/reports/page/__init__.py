"""The page of one or more runs: one HTML file that opens from disk without a network."""
