"""How much of the machine's CPU time went to others: a figure taken beside much of it is worth little."""

import os
import resource
from pathlib import Path


class Neighbours:
    def __init__(self):
        self.begin = self.times()

    @staticmethod
    def times():
        """Ticks: of the machine, of them busy, of them ours (all in our PID namespace, and children that have ended)."""
        fields = [int(f) for f in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        ours = (ended.ru_utime + ended.ru_stime) * os.sysconf("SC_CLK_TCK")
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                ours += ticks_of(stat)
            except (FileNotFoundError, ProcessLookupError):
                pass
        return sum(fields), sum(fields) - fields[3] - fields[4], ours

    def share(self):
        total, busy, ours = (now - then for now, then in zip(self.times(), self.begin))
        return max(0, busy - ours) / total


def ticks_of(stat):
    """utime and stime of a /proc/PID/stat."""
    fields = stat.read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
