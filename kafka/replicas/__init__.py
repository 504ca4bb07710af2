"""Several replicas on one machine: kept at a number, or at what the lag asks for."""
