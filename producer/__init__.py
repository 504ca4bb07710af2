"""Sends images to the topic `model_input`: data set, image files, bundled samples."""
