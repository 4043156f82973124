"""Training: backbones for the embedded data set, feedback weights without labels, hyperparameters, studies."""
