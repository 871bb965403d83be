"""The image gateway: start reading at app.py, or run `python -m service --help`."""
