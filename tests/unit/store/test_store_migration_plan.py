from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.store import MigrationRefused
from fusion_daemon.store.migrate import Applied, Migration, pending, read_migrations, shipped_migrations


def files(*numbers: int) -> list[Migration]:
    return [Migration(number, f"{number:04}_x.sql", f"SELECT {number}") for number in numbers]


def applied(*migrations: Migration) -> list[Applied]:
    return [Applied(one.version, one.name, one.checksum) for one in migrations]


def test_the_shipped_files_are_well_named_and_start_with_the_streams() -> None:
    shipped = shipped_migrations()
    assert shipped[0].name == "0001_streams.sql"
    assert [one.version for one in shipped] == sorted({one.version for one in shipped})


@given(st.lists(st.integers(1, 9999), unique=True, max_size=20), st.integers(0, 20))
def test_after_any_prefix_exactly_the_rest_is_pending_in_order(numbers: list[int], done: int) -> None:
    shipped = files(*sorted(numbers))
    assert pending(applied(*shipped[:done]), shipped) == shipped[done:]


@given(st.lists(st.integers(1, 9999), unique=True, min_size=2, max_size=20), st.data())
def test_a_hole_below_the_newest_is_refused(numbers: list[int], data: st.DataObject) -> None:
    shipped = files(*sorted(numbers))
    hole = data.draw(st.integers(0, len(shipped) - 2))
    with pytest.raises(MigrationRefused, match="never applied, but a newer one"):
        pending(applied(*shipped[:hole], *shipped[hole + 1 :]), shipped)


def test_a_changed_file_is_refused() -> None:
    with pytest.raises(MigrationRefused, match=r"0001_x.sql has changed since it was applied"):
        pending(applied(Migration(1, "0001_x.sql", "SELECT 'as it was'")), files(1, 2))


def test_a_database_of_a_newer_program_is_refused() -> None:
    with pytest.raises(MigrationRefused, match="which this program does not know"):
        pending(applied(*files(1, 2)), files(1))


def test_files_are_read_in_order_of_their_numbers() -> None:
    read = read_migrations([("0010_b.sql", "b"), ("0002_a.sql", "a")])
    assert [(one.version, one.sql) for one in read] == [(2, "a"), (10, "b")]


@pytest.mark.parametrize("name", ["1_x.sql", "0001-x.sql", "0001_X.sql", "notes.txt", "0001_x.sql.orig"])
def test_a_stray_file_is_refused(name: str) -> None:
    with pytest.raises(MigrationRefused, match="is not a migration"):
        read_migrations([(name, "")])


def test_a_number_used_twice_is_refused() -> None:
    with pytest.raises(MigrationRefused, match="its number is taken"):
        read_migrations([("0001_a.sql", ""), ("0001_b.sql", "")])
