"""The classifier as a model: data set, networks, training, evaluation, artefact."""
