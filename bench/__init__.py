"""Benchmarks of the hot paths: each prints ratios against a limit or against a peer measured in the same run."""
