import json
import os

from confluent_kafka import Consumer

consumer = Consumer(
    {
        "bootstrap.servers": os.environ["KAFKA_BROKER"],
        "group.id": "text-classifier-reader",
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
    }
)
consumer.subscribe(["model_output"])
while (message := consumer.poll(10)) is not None:
    data = json.loads(message.value())["data"]
    probabilities = dict(zip(data["names"], data["ndarray"][0]))
    print(message.key().decode(), "->", max(probabilities, key=probabilities.get))
