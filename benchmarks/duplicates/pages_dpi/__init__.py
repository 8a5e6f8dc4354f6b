"""Pages of a PDF at two resolutions: what is joined, and what would tell them apart."""
