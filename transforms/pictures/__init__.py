"""Pictures: checked, stored, hashed."""
