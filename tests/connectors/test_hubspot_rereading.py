"""Single records read anew: as a read of changes would bring them, past lag and index."""

from __future__ import annotations

import pytest

from connectors.base import Query, Rereader
from tests.connectors.hubspot_portal import running

DEALS = Query("deals", ("dealname", "amount"))


def test_records_come_as_they_are_now_whatever_became_of_them() -> None:
    with running() as portal:
        kept, gone, one, other = (portal.insert("deals", {"dealname": f"Deal {number}"}) for number in range(4))
        portal.rows.index_lag_seconds = 600
        portal.wait(1)
        portal.update("deals", kept, {"amount": "5"})
        portal.archive("deals", gone)
        left = portal.merge("deals", one, other)
        connector = portal.connect()
        assert isinstance(connector, Rereader)
        found = list(connector.reread(DEALS, [kept, gone, one, other, "999", "no number", "²", kept]))
        assert {(record.external_id, record.deleted, record.merged_into) for record in found} == {
            (kept, False, None), (gone, True, None), (left, False, None), (one, True, left), (other, True, left),
        }  # fmt: skip
        assert [record.fields["amount"] for record in found if record.external_id == kept] == ["5"]
        assert list(connector.reread(DEALS, ["none at all"])) == []


def test_a_filter_is_kept_and_a_record_that_the_index_does_not_know_yet_is_left_out() -> None:
    query = Query("deals", ("amount",), '[{"propertyName": "amount", "operator": "GT", "value": "10"}]')
    with running() as portal:
        small, large = portal.insert("deals", {"amount": "5"}), portal.insert("deals", {"amount": "50"})
        portal.rows.index_lag_seconds = 600
        young = portal.insert("deals", {"amount": "60"})
        connector = portal.connect()
        assert [one.external_id for one in connector.reread(query, [small, large, young])] == [large]
        portal.wait(601)
        assert {one.external_id for one in connector.reread(query, [small, large, young])} == {large, young}


def test_more_ids_than_fit_into_a_batch_are_asked_for_in_several() -> None:
    with running() as portal:
        made = [portal.insert("deals", {"dealname": f"Deal {number}"}) for number in range(230)]
        for key in made[::2]:
            portal.archive("deals", key)
        found = list(portal.connect().reread(DEALS, made))
        assert {record.external_id for record in found if record.deleted} == set(made[::2])
        assert {record.external_id for record in found if not record.deleted} == set(made[1::2])


@pytest.mark.parametrize(
    ("kind", "names"), [("deals", ("deals",)), ("p_commission", ("p_commission", "2-106")), ("p_no", ("p_no",))]
)
def test_hints_call_custom_objects_by_their_type_id(kind: str, names: tuple[str, ...]) -> None:
    with running() as portal:
        assert portal.connect().hinted_as(kind) == names
