"""The network that answers where in a picture a sound comes from: visual trunk, sound net, attention
between them, weights, and the sound map they make of a film."""
