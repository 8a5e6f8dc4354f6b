"""The network that is trained: loaded, adapted, sharded, and its forward pass."""
