"""Who may call the gateway: API keys and the clients that they belong to."""
