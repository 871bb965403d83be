"""Uploads on their way through: read once into one unlinked file per request, checked, hashed, sent on from there."""
