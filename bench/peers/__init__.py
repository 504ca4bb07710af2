"""Other ways to classify images between two Kafka topics, to measure this runtime beside.

Each folder holds one: `app.py`, and the `requirements.txt` of an environment of its own.
"""
