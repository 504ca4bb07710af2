"""What tests of several houses share."""
