"""The image models on sale: the list kept fresh, requests checked against it, requests priced."""
