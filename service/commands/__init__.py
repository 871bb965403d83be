"""What the command line can do; each module is imported only when its command is asked for."""
