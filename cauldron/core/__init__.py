"""The ground: schema, files, manifests, errors. Imports nothing else of Cauldron."""
