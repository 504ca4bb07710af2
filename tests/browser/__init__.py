"""The dashboard, as a visitor uses it, in a real browser."""
