"""The Hugging Face hub: calls that wait, are repeated, and give up in time."""
