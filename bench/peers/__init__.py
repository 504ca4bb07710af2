"""Other systems that classify images between two Kafka topics, for comparison with this runtime.

Each folder has one: `app.py`, and the `requirements.txt` of its own environment.
"""
