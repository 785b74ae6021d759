"""How large a run of the benchmarks is."""

import dataclasses

from servers import Disk


@dataclasses.dataclass
class Size:
    """How large a run is: a full one, or a smoke that only shows that everything runs."""
    rounds: int = 5
    seconds: float = 5
    long_seconds: float = 60
    stored: int = 1_000_000
    posts_per_second: int = 2000
    reads_per_second: int = 200
    read_seconds: float = 30
    restart_seconds: float = 8
    warm_seconds: float = 1
    file_bytes: int = Disk.FILE_BYTES
    subscribers: int = 1000
    few: int = 100
    window: int = 16
    fan_rate: int = 50
    fan_warm_seconds: float = 1
    idle: int = 4000
    settle_seconds: float = 3
    hold_seconds: float = 45
    slow_seconds: float = 120
    told_seconds: float = 3
    crowd: int = 200
    crowd_seconds: float = 75
    indexed: int = 1_000_000
    loaded: int = 200_000
    fresh_rate: int = 5000
    fresh_seconds: float = 20
    queries: int = 1000
    edges: int = 10_000
    bodies: int = 20_000

    @classmethod
    def smoke(cls):
        return cls(
            rounds=1, seconds=1, long_seconds=1, stored=2000, posts_per_second=200, reads_per_second=50, read_seconds=1,
            restart_seconds=1, warm_seconds=1, file_bytes=16 << 20, subscribers=40, few=10, fan_warm_seconds=0.2, idle=80,
            settle_seconds=0.2, hold_seconds=0.5, slow_seconds=1, told_seconds=0.1, crowd=10, crowd_seconds=1,
            indexed=3000, loaded=1000, fresh_rate=100, fresh_seconds=1, queries=20, edges=200, bodies=500)
