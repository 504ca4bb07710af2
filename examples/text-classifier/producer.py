import json
import os
import sys

from confluent_kafka import Producer

brokers = os.environ["KAFKA_BROKER"]
producer = Producer({"bootstrap.servers": brokers, "partitioner": "murmur2_random"})
for text in sys.argv[1:]:
    producer.produce("model_input", json.dumps({"data": {"ndarray": [text]}}), key=text)
producer.flush()
