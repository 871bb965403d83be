"""Development only: one image's whole journey, and the private Postgres that it and the tests run on."""
