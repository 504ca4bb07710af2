import json
import os

from confluent_kafka import Producer

brokers = os.environ["KAFKA_BROKER"]
producer = Producer({"bootstrap.servers": brokers, "partitioner": "murmur2_random"})
producer.produce("model_input", json.dumps({"data": {"ndarray": [[0, 255], [51, 51]]}}), key="k")
producer.flush()
