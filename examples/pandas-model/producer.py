import json
import os

from confluent_kafka import Producer

houses = {"names": ["area", "rooms"], "ndarray": [[80, 3], [120, 5]]}
brokers = os.environ["KAFKA_BROKER"]
producer = Producer({"bootstrap.servers": brokers, "partitioner": "murmur2_random"})
producer.produce("model_input", json.dumps({"data": houses}), key="street-1")
producer.flush()
