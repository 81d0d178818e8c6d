"""Stage 5, what the labels are worth: plain PyTorch that reads nothing but a release folder."""
