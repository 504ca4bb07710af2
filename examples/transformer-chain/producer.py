import json
import os

from confluent_kafka import Producer

producer = Producer({"bootstrap.servers": os.environ["KAFKA_BROKER"]})
producer.produce("model_input", json.dumps({"data": {"ndarray": [[0, 255], [51, 51]]}}), key="k")
producer.flush()
