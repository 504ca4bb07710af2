import json
import os
import sys

from confluent_kafka import Producer

producer = Producer({"bootstrap.servers": os.environ["KAFKA_BROKER"]})
for text in sys.argv[1:]:
    producer.produce("model_input", json.dumps({"data": {"ndarray": [text]}}), key=text)
producer.flush()
