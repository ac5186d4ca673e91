"""What is finished of a film, as a film of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sr_plugins.video.join import join_chunks
from sr_plugins.video.journal import Journal
from sr_plugins.video.plan import FilmPlan
from sr_plugins.video.verify import verify_target


def write_so_far(plan: FilmPlan, journal: Journal, joined: Path) -> str:
    """Join the finished chunks, with everything that belongs to them, beside the target; a line tells where.

    The name tells up to when, so that no film of an earlier stop is replaced. The finished chunks stay.

    Raises:
        PipeError: it cannot be joined so.
    """
    if not (records := journal.records):
        return "no chunk is finished yet, so there is no film to leave"
    join, last = plan.join, plan.chunks[len(records) - 1]
    if len(records) < len(plan.chunks) and last.end is not None:
        end = last.end * join.source.time_base
        join = replace(join, end=end, finish=end)
    minutes, seconds = divmod(int((join.finish or join.source.finish) - join.origin), 60)
    name = f"{plan.target.stem}-to-{minutes // 60}h{minutes % 60:02d}m{seconds:02d}s{plan.target.suffix}"
    film = plan.target.with_name(name)
    if film.exists():
        return f"{film} is there already"
    join = replace(join, target=film)
    join_chunks(join, [(journal.path(record), record.times) for record in records], joined)
    verify_target(join, joined, [time for record in records for time in record.times])
    joined.replace(film)
    return f"{film} is the film so far"
