"""How a bundle reads: negation, plain journal sentences, distress and emoji, on texts that no corpus here holds."""
