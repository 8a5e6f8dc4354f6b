"""What an output folder holds: manifests, markers of unfinished work, locks, mixtures."""
