"""The topics of the runtime: `seldon-kafka topics`."""
