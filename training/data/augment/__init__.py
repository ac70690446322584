"""Further training texts for rare labels, made from those there are; off unless asked for."""
