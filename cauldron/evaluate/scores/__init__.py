"""From predictions to scores: intervals, and the part that the training data does not show."""
