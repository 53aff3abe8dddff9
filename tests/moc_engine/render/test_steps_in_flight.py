from __future__ import annotations

from moc_engine.render.steps_in_flight import StepsInFlight


class FakeDevice:
    """Work that is given, and done only when waited for."""

    def __init__(self) -> None:
        self.given = self.done = 0


class FakeEvent:
    def __init__(self, device: FakeDevice) -> None:
        self._device = device
        self._at = 0

    def record(self) -> None:
        self._at = self._device.given

    def synchronize(self) -> None:
        self._device.done = max(self._device.done, self._at)


def test_a_device_is_at_most_one_step_behind() -> None:
    device = FakeDevice()
    flight = StepsInFlight(lambda: FakeEvent(device))
    behind = []
    for _ in range(5):
        device.given += 1
        flight.step_given()
        behind.append(device.given - device.done)
    assert behind == [1, 1, 1, 1, 1]
