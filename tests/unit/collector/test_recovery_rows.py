"""What came in since a moment is found to the row: rows keep whole microseconds."""

from pathlib import Path

import pytest

from fibrewatch_collector import recovery
from fibrewatch_collector.store.sqlite import SqliteStore
from tests.support.measurements import RECEIVED, delivery, good


@pytest.mark.parametrize("fraction", [0.0, 0.1234564, 0.1234567, 0.9999999])
def test_rows_of_a_moment_are_found_however_it_is_rounded(tmp_path: Path, fraction: float) -> None:
    store = SqliteStore(tmp_path / "store.db")
    moment = RECEIVED + 10 + fraction
    store.commit([delivery(*map(good, range(1, 6)))])
    store.commit([delivery(*map(good, range(6, 9)), at=moment)])
    assert recovery.row_before(store, moment) == 5
    assert recovery.row_before(store, moment + 1) == 8
    assert recovery.row_before(store, RECEIVED) == 0
    store.close()
