"""Object stores: Google's own client, credentials, conditional writes and local copies."""
