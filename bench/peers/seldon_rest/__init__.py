"""Seldon's REST server behind a consumer."""
