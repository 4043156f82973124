"""Where images and labels come from: sources, the preprocessing contract, published corrupted files."""
