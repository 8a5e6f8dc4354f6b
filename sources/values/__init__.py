"""Published values turned into images, questions and answers."""
