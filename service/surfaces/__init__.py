"""The faces of the gateway: routes and shapes only, each a thin translation over the same use-cases."""
