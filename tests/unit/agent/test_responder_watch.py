"""When an iperf3 server counts as hanging, and how long the responder waits before the next try."""

from pathlib import Path

import pytest

from fibrewatch_agent.responder.backoff import backoff_s
from fibrewatch_agent.responder.watch import LONGEST_TEST_S, STUCK_S, Activity, StuckWatch, activity, listens

IDLE = frozenset({"100"})
BUSY = frozenset({"100", "101", "102"})


def first_stuck(moved: list[int | None], sockets: list[frozenset[str]] | None = None) -> int | None:
    """The second at which a server seen once a second counts as hanging."""
    watch = StuckWatch()
    for second, total in enumerate(moved):
        if watch.stuck(Activity(sockets[second] if sockets else BUSY, total), float(second)):
            return second
    return None


def test_server_without_traffic_under_a_client_is_stuck() -> None:
    assert first_stuck([500] * 100) == STUCK_S


def test_server_that_moves_a_little_is_not_stuck() -> None:
    assert first_stuck([500 + 100 * second for second in range(1000)]) is None


def test_stall_shorter_than_the_limit_is_forgiven() -> None:
    stalled = [0] * 19 + [5000] * 19 + [10000] * 19
    assert first_stuck(stalled) is None


def test_idle_server_is_never_stuck() -> None:
    assert first_stuck([500] * 1000, [IDLE] * 1000) is None


def test_time_without_clients_does_not_count() -> None:
    assert first_stuck([500] * 200, [IDLE] * 100 + [BUSY] * 100) == 99 + STUCK_S


def test_turning_others_away_is_no_progress() -> None:
    assert first_stuck([500 + 2 * second for second in range(100)]) == STUCK_S


def test_without_byte_counts_only_the_longest_test_is_the_limit() -> None:
    assert first_stuck([None] * 1000) == LONGEST_TEST_S
    new_client_each_100_s = [frozenset({"1", str(second // 100)}) for second in range(200, 1000)]
    assert first_stuck([None] * 800, new_client_each_100_s) is None


def test_process_that_has_ended_shows_nothing(tmp_path: Path) -> None:
    assert activity(1, tmp_path) == Activity(frozenset(), None)
    assert not listens(1, 5201, tmp_path)


def _process(proc: Path, inode: str, tcp6: str) -> None:
    """A recorded corner of /proc."""
    (proc / "7/fd").mkdir(parents=True)
    (proc / "7/fd/0").symlink_to("/dev/null")
    (proc / "7/fd/3").symlink_to(f"socket:[{inode}]")
    (proc / "7/net").mkdir()
    (proc / "7/net/tcp").write_text("  sl  local_address rem_address   st ...\n")
    (proc / "7/net/tcp6").write_text(f"  sl  local_address rem_address   st ...\n{tcp6}\n")
    (proc / "7/io").write_text("rchar: 4209804\nwchar: 1096416\nsyscr: 184158\n")


LISTENER = (
    "   0: 00000000000000000000000000000000:1451 00000000000000000000000000000000:0000 0A 00000000:00000000 "
    "00:00000000 00000000     0        0 17376 1 0000000000000000 100 0 0 10 0"
)


@pytest.mark.parametrize(
    ("port", "inode", "line", "expected"),
    [
        (5201, "17376", LISTENER, True),
        (5202, "17376", LISTENER, False),
        (5201, "17377", LISTENER, False),  # someone else's
        (5201, "17376", LISTENER.replace(" 0A ", " 01 "), False),  # a connection
    ],
)
def test_listener_is_found_by_port_state_and_owner(
    tmp_path: Path, port: int, inode: str, line: str, expected: bool
) -> None:
    _process(tmp_path, inode, line)
    assert listens(7, port, tmp_path) is expected
    assert activity(7, tmp_path) == Activity(frozenset({inode}), 4209804 + 1096416)


def test_backoff_is_jittered_doubling_and_capped() -> None:
    for failures, ceiling_s in [(0, 0.5), (1, 1.0), (4, 8.0), (20, 30.0), (100000, 30.0)]:
        delays = [backoff_s(failures) for _ in range(2000)]
        assert 0 <= min(delays) < ceiling_s * 0.05
        assert ceiling_s * 0.95 < max(delays) <= ceiling_s
