"""Reading what comes out."""
