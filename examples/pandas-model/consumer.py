import json
import os

from confluent_kafka import Consumer

consumer = Consumer(
    {
        "bootstrap.servers": os.environ["KAFKA_BROKER"],
        "group.id": "pandas-model-reader",
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
    }
)
consumer.subscribe(["model_output"])
while (message := consumer.poll(10)) is not None:
    data = json.loads(message.value())["data"]
    print(message.key().decode(), data["names"], data["ndarray"])
