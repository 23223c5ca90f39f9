"""Calls for help: found before every route, bound by no limit of ours, and never kept waiting."""

from mediaproxy.calls.model import EmergencyPlan, Plan, Route
from mediaproxy.calls.routing import Destination, Peer, called_number
from mediaproxy.sip.messages import Request


class Emergencies:
    """What a plan says of them."""

    def __init__(self, plan: Plan) -> None:
        self._plan: EmergencyPlan | None = plan.emergency
        names = plan.emergency.trunks if plan.emergency else ()
        by_name = {trunk.name: trunk for trunk in plan.trunks}
        self._trunks = tuple(by_name[name] for name in names if name in by_name)

    @property
    def caller_id(self) -> str:
        return self._plan.caller_id if self._plan else ""

    def is_dialled(self, request: Request) -> bool:
        """Whether a request is for one of the numbers, whoever sends it."""
        return (
            self._plan is not None
            and request.method == "INVITE"
            and called_number(request.target.user or "") in self._plan.numbers
        )

    def ways(self, sender: Peer, request: Request) -> list[Destination]:
        """Where a call for help may go, in this order; none when the call is no such one.

        What comes from a trunk that they go to is a call to us, for whoever answers calls for help.
        """
        if self._plan is None or sender in self._trunks or not self.is_dialled(request):
            return []
        called, recording = called_number(request.target.user or ""), self._plan.recording
        return [Destination(Route("*", called, trunk=trunk.name), trunk, recording) for trunk in self._trunks]
