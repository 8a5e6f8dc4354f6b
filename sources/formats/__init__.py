"""How published files are read: parquet, JSON, archives, PDF, and the values in their rows."""
