"""Where published files lie: folders, buckets and the Hugging Face hub, read by range."""
