"""The list of all faults."""

from tests.faults.catalogue import brokers, classes, inputs, machine, network, upstream, workers
from tests.faults.fault import Fault

FAULTS: tuple[Fault, ...] = (
    *workers.FAULTS,
    *brokers.FAULTS,
    *network.FAULTS,
    *inputs.FAULTS,
    *classes.FAULTS,
    *machine.FAULTS,
    *upstream.FAULTS,
)
