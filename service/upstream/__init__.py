"""The image API as we see it: how it is called, how its answers are read, and what an exchange with it proves."""
