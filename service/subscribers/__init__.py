"""Who wants to know what, and the sending of it: subscriptions, signatures, the outbound guard, the delivery loop."""
