"""Starts, watches and stops Seldon's server and the workers."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import time
from typing import Dict, List, Optional

from prometheus_client.multiprocess import mark_process_dead

from seldon_kafka.config.settings import Settings
from seldon_kafka.messages import JsonObject
from seldon_kafka.supervisor.halt_marker import HaltMarker
from seldon_kafka.supervisor.http import Report, StatusServer
from seldon_kafka.supervisor.open_inference import Served
from seldon_kafka.supervisor.process import reap_orphans
from seldon_kafka.supervisor.seldon_server import SeldonServer
from seldon_kafka.supervisor.worker_slot import GaveUp, WorkerSlot
from seldon_kafka.worker.identity import identity_of, state_folder
from seldon_kafka.worker.in_flight import clear_in_flight
from seldon_kafka.worker.status import HALTED

log = logging.getLogger("seldon_kafka.supervisor")

# The interval of the supervisor's loop.
_TURN_S = 0.1
# A supervisor whose loop has not run for this time is not live.
_LIVE_S = 10.0


class Supervisor:
    """Runs Seldon's server and the workers of one replica.

    Args:
        settings: the settings; without a broker no workers are started.
        class_name: the wrapper class.
        environment: environment variables for Seldon's server and the workers.

    Raises:
        OSError: the HTTP port is not available.
        SettingsError: the state folder can't be used.
    """

    def __init__(self, settings: Settings, class_name: str, environment: Dict[str, str]) -> None:
        self._settings = settings
        self._class_name = class_name
        self._marker = HaltMarker(settings)
        self._metrics_folder = tempfile.mkdtemp(prefix="kafka-metrics-")
        self._server: Optional[SeldonServer] = None
        if settings.seldon_server:
            self._server = SeldonServer(
                class_name,
                {**environment, "KAFKA_WORKER_ID": settings.worker_id},
                logs_requests=settings.log_requests,
            )
        worker_environment = {
            **environment,
            "KAFKA_BROKER": settings.broker,
            "KAFKA_WORKER_ID": settings.worker_id,
            # prometheus-client changed the spelling in 0.10, so both are set.
            "PROMETHEUS_MULTIPROC_DIR": self._metrics_folder,
            "prometheus_multiproc_dir": self._metrics_folder,
        }
        self._slots: List[WorkerSlot] = []
        if settings.broker:
            self._slots = [
                WorkerSlot(class_name, index, worker_environment)
                for index in range(settings.workers)
            ]
        self._halted = self._marker.read() if self._slots else None
        self._stopping = False
        self._stopping_since = 0.0
        self._started_s = time.time()
        self._checked_at = time.monotonic()
        name = environment.get("PREDICTIVE_UNIT_ID", class_name)
        self._http = StatusServer(
            settings.http_host,
            settings.http_port,
            self.report,
            self._metrics_folder,
            Served(name, self._server.http_port if self._server is not None else None),
            settings.max_message_bytes,
        )

    def stop(self) -> None:
        """Asks `run` to stop the replica; may be called from a signal handler."""
        if not self._stopping:
            self._stopping_since = time.monotonic()
            self._stopping = True

    def run(self) -> int:
        """Runs the replica until `stop`, or until a worker dies that must not be restarted.

        Returns:
            Exit status: 0 after `stop` if all workers stopped in time, 1 otherwise.
        """
        self._http.start()
        log.info(
            "serving /live, /ready, /status, /metrics and /v2 on %s:%d",
            self._settings.http_host,
            self._http.port,
        )
        if self._halted is not None:
            log.error("consumption is still stopped: %s (resume it with --resume)", self._halted)
        try:
            while not self._stopping:
                self._check_all()
                time.sleep(_TURN_S)
            return 0 if self._stop_all() else 1
        except GaveUp as error:
            log.error("giving up: %s", error)
            self._stop_all()
            return 1
        finally:
            self._end()

    def _check_all(self) -> None:
        self._checked_at = time.monotonic()
        if self._server is not None:
            self._log_event(self._server.check())
        for slot in self._slots:
            # After one worker has stopped consumption, all workers are stopped, and none restarts.
            if self._halted is None:
                self._check_worker(slot)
        children = [slot.pid for slot in self._slots] + [self._server and self._server.pid]
        reap_orphans([pid for pid in children if pid])

    def _check_worker(self, slot: WorkerSlot) -> None:
        pid = slot.pid
        died = slot.check()
        self._log_event(died)
        if died and pid is not None:
            mark_process_dead(pid, self._metrics_folder)
        if slot.stopped_on_purpose and slot.status.state == HALTED:
            self._halt(slot.why_stopped)

    def _halt(self, why: str) -> None:
        """Stops all workers until an operator resumes them."""
        self._halted = why
        self._marker.write(why)
        log.error("consumption stops: %s", why)
        log.error("fix the class, then start again with --resume (or as a new replica)")
        self._stop_workers(time.monotonic() + self._settings.stop_timeout_s)

    def _log_event(self, event: Optional[str]) -> None:
        if event:
            log.warning("%s", event)

    def _stop_all(self) -> bool:
        """Stops Seldon's server and the workers; returns whether the workers stopped in time."""
        # The time limit counts from the call of `stop`, even if the loop noticed it late, because
        # Kubernetes kills the replica at a fixed time after SIGTERM.
        asked_at = self._stopping_since if self._stopping else time.monotonic()
        give_up_at = asked_at + self._settings.stop_timeout_s
        if self._server is None:
            return self._stop_workers(give_up_at)
        self._server.stop()
        left = self._stop_workers(give_up_at)
        while not self._server.has_left():
            # The cause may be an idle connection of a client, so the exit status stays the same.
            if time.monotonic() > give_up_at:
                log.warning("ending Seldon's server, which has not finished its requests in time")
                break
            time.sleep(_TURN_S / 5)
        return left

    def _stop_workers(self, give_up_at: float) -> bool:
        pids = [slot.pid for slot in self._slots if slot.pid is not None]
        left = self._stop_or_kill_workers(give_up_at)
        for pid in pids:
            # A killed worker leaves its partitions and lag in the metrics; this removes them.
            mark_process_dead(pid, self._metrics_folder)
        return left

    def _stop_or_kill_workers(self, give_up_at: float) -> bool:
        for slot in self._slots:
            slot.stop()
        while not all(slot.has_left() for slot in self._slots):
            if time.monotonic() > give_up_at:
                late = [str(slot.index) for slot in self._slots if not slot.has_left()]
                log.error("killing workers that did not leave in time: %s", ", ".join(late))
                for slot in self._slots:
                    if not slot.has_left():
                        slot.end()
                        identity = identity_of(self._settings, slot.index)
                        clear_in_flight(state_folder(self._settings), identity.transactional_id)
                return False
            time.sleep(_TURN_S / 5)
        return True

    def _end(self) -> None:
        for slot in self._slots:
            slot.end()
        if self._server is not None:
            self._server.end()
        self._http.stop()
        shutil.rmtree(self._metrics_folder, ignore_errors=True)

    def report(self) -> Report:
        """Returns the state of the replica."""
        workers: List[JsonObject] = [
            {
                "index": slot.index,
                "pid": slot.pid,
                "restarts": slot.restarts,
                "memory_bytes": slot.memory_bytes,
                **slot.status._asdict(),
            }
            for slot in self._slots
        ]
        status = {
            "class": self._class_name,
            "worker_id": self._settings.worker_id,
            "pid": os.getpid(),
            "started_s": self._started_s,
            "halted": self._halted,
            "seldon_server": self._server
            and {"pid": self._server.pid, "ready": self._server.is_ready},
            "workers": workers,
        }
        live = time.monotonic() - self._checked_at < _LIVE_S
        return Report(live, self._why_not_ready(), status)

    def _why_not_ready(self) -> List[str]:
        reasons = []
        if self._stopping:
            reasons.append("leaving")
        if self._server is not None and not self._server.is_ready:
            reasons.append("Seldon's server does not answer yet")
        if self._halted is not None:
            return [*reasons, f"consumption stopped: {self._halted}"]
        for slot in self._slots:
            if not slot.is_ready:
                detail = slot.why_stopped or slot.status.detail
                state = "stopped" if slot.why_stopped else slot.status.state
                reasons.append(f"worker {slot.index}: {state}" + (f": {detail}" if detail else ""))
        return reasons
