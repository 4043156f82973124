"""Evidence that an attack's numbers mean something: gradients, signs that they are broken, transfer, and a verdict."""
