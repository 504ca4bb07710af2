"""What was right and what wrong, as senders and people say it."""
