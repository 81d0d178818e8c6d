"""What the trained models say: measures, intervals, contrasts, the curve, what the next votes would buy."""
