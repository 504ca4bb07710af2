import json
import os

from confluent_kafka import Producer

brokers = os.environ["KAFKA_BROKER"]
producer = Producer({"bootstrap.servers": brokers, "partitioner": "murmur2_random"})
for key, row in {"a": [4, 0], "b": [-4, 4], "c": [0, -4]}.items():
    producer.produce("model_input", json.dumps({"data": {"ndarray": [row]}}), key=key)
producer.flush()
