"""What is set from outside: settings, clients, access rights."""
