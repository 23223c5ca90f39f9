"""Remembers the alarms that a component raised."""

from collections.abc import Mapping


class Alarms(list[tuple[str, Mapping[str, object]]]):
    def __call__(self, event: str, fields: Mapping[str, object]) -> None:
        self.append((event, fields))

    @property
    def events(self) -> list[str]:
        return [event for event, _ in self]
