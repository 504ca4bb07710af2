"""Other systems that classify images between two Kafka topics, for comparison with this runtime.

Each folder has one system: `app.py`, and `requirements.txt` for an environment of its own.
"""
