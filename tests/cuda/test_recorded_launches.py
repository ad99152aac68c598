"""Which launches are recorded, and when a record is used."""

from __future__ import annotations

from cnnc.runtime.cuda.recorded_launches import KEPT, RecordedLaunches


class Recorder:
    """As much of a device as records take."""

    def __init__(self, refuses: bool = False) -> None:
        self.refuses = refuses
        self.events: list[str] = []

    def record(self, launch):
        if self.refuses:
            return None
        self.events.append("record")
        return "record"

    def replay(self, record):
        self.events.append("replay")

    def launch(self):
        self.events.append("launch")


def run(device, *keys):
    recorded = RecordedLaunches(device)
    for key, *places in keys:
        recorded.run(key, tuple(places), device.launch)
    return device.events


def test_the_second_run_at_the_same_places_is_recorded():
    assert run(Recorder(), ("a", 1), ("a", 1), ("a", 1)) == ["launch", "record", "replay", "replay"]


def test_other_places_start_anew():
    assert run(Recorder(), ("a", 1), ("a", 1), ("a", 2), ("a", 1)) == ["launch", "record", "replay", "launch", "launch"]
    assert run(Recorder(), ("a", 1), ("b", 1)) == ["launch", "launch"]


def test_a_device_without_records_is_asked_once():
    device = Recorder(refuses=True)
    assert run(device, ("a", 1), ("a", 1), ("a", 1)) == ["launch", "launch", "launch"]


def test_records_are_bounded():
    device = Recorder()
    keys = [(key, 1) for key in range(KEPT + 1)]
    assert run(device, *keys, *keys[:1]).count("record") == 0
