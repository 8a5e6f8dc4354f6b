"""The miniature hub's files, in the published layouts."""
