"""Storage and log as a killed proxy leaves them: many calls at once, each in the middle of its recording."""

from dataclasses import replace
from pathlib import Path

from mediaproxy.calllog.log import CallLog
from mediaproxy.calllog.rows import IntervalRow, RecordingRow
from mediaproxy.recording import journal, wav
from mediaproxy.recording.journal import Header, Record
from mediaproxy.storage.audio import identity
from tests.support.call_rows import call_row
from tests.support.recordings import ALICE, ANSWERED_AT_MS, RATE, header_of, speech, toggled

PROMISED = 8 * RATE
STARTED, STOPPED = 2 * RATE, 5 * RATE  # of every other call; the rest is open to the end


def leave_recording(live: Path, header: Header, n: int, *, stopped: bool) -> None:
    """Journal and live file of a call that was cut off after eight seconds, and a bit."""
    live.mkdir(mode=0o700, parents=True, exist_ok=True)
    records: list[Record] = [header, toggled(1, STARTED, "recording")]
    end = PROMISED + RATE // 10
    if stopped:
        records.append(toggled(2, STOPPED, "inactive"))
        end = STOPPED
    lines = b"".join(journal.encode(record, at) for at, record in enumerate(records))
    (live / f"{header.recording_id}.journal").write_bytes(lines)
    with (live / f"{header.recording_id}.wav").open("wb") as file:
        file.write(wav.header(wav.constant_part(identity(header)), PROMISED))
        file.seek(wav.data_end(STARTED))
        file.write(speech(STARTED, end, n).tobytes())
        file.truncate(wav.data_end(max(end, PROMISED)))


def leave_spool(storage: Path, count: int) -> list[Header]:
    """`count` live recordings in a storage directory that no process holds."""
    headers = [header_of(n) for n in range(1, count + 1)]
    for n, header in enumerate(headers, 1):
        leave_recording(storage / "live", header, n, stopped=n % 2 == 0)
    return headers


async def leave_rows(database: Path, headers: list[Header]) -> None:
    """The rows of those calls, and the last beat nine seconds after the answer."""
    log = await CallLog.open(f"sqlite:///{database}", on_alarm=lambda event, fields: None)
    for header in headers:
        call = call_row(id=header.call_id, state="answered", sip_call_id=header.sip_call_id)
        log.put_call(replace(call, started_at_ms=ANSWERED_AT_MS - 500, answered_at_ms=ANSWERED_AT_MS))
        log.put_recording(
            RecordingRow(
                header.recording_id,
                header.call_id,
                "recording",
                "on_demand",
                RATE,
                intervals=(IntervalRow(STARTED, None, ALICE, None),),
            )
        )
    log.beat(ANSWERED_AT_MS + 9_000)
    await log.close()
