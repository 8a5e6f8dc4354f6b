"""Docmatix from PDFs: documents to questions for a model, its answers to a dataset."""
