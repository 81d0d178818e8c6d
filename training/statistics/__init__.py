"""What the trained models say: measures, intervals, contrasts, the curve, and what the next votes would buy."""
