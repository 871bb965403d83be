"""A task from request to end: state decides (pure), submit pays, advance moves, reconcile asks, watch waits."""
