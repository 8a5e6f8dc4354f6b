"""The base of all other packages: schema, manifests, files, errors. Imports none of them."""
