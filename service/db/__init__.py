"""Postgres: the whole schema on one page (tables), the only committer (engine), waking (listen)."""
