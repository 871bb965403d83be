"""What every HTTP surface shares: who calls, what went wrong, request ids, timings, health."""
