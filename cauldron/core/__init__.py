"""What all other packages use: schema, manifests, files, errors. Imports no other package of ours."""
