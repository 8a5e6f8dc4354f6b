"""From the shards of a mixture to packed sequences of tokens and tiles."""
