"""imagehash's crop-resistant and colour hashes as proposers of leaks, beside our features."""
