"""Sheet 2.7, 6.7, 11: unbound functions."""
from __future__ import annotations

import pytest

from writing import crm, fresh, make, refused  # noqa: F401


@pytest.mark.parametrize("path", ["WhoAmI", "WhoAmI()"])
def test_who_am_i_with_and_without_parentheses(crm, path):
    answer = crm.get(path).json()
    assert answer["@odata.context"].endswith("#Microsoft.Dynamics.CRM.WhoAmIResponse")
    assert set(answer) == {"@odata.context", "BusinessUnitId", "UserId", "OrganizationId"}
    user = crm.get(f"systemusers({answer['UserId']})?$select=_businessunitid_value").json()
    assert user["_businessunitid_value"] == answer["BusinessUnitId"]


def test_functions_are_called_by_get(crm):
    assert crm.post("WhoAmI", {}).status == 405


def test_unknown_function_is_an_unknown_segment(crm):
    message = refused(crm.get("NoSuchFunction()"), 404, "0x8006088A")
    assert message == "Resource not found for the segment 'NoSuchFunction'."


def count(crm, *names: str):
    listed = ",".join(f'"{n}"' for n in names)
    return crm.get(f"RetrieveTotalRecordCount(EntityNames=@p1)?@p1=[{listed}]")


def test_total_record_count_shape(crm):
    answer = count(crm, "account", "team").json()["EntityRecordCountCollection"]
    assert answer["Count"] == 2 and answer["IsReadOnly"] is False
    assert answer["Keys"] == ["account", "team"] and answer["Values"] == [0, 4]


def test_total_record_count_is_a_snapshot_that_goes_stale(fresh_service):
    service = fresh_service()
    def accounts() -> int:
        return count(service, "account").json()["EntityRecordCountCollection"]["Values"][0]
    assert accounts() == 0
    make(service, "accounts", name=fresh())
    assert accounts() == 0
    service.control("clock", {"advance_seconds": 25 * 3600})
    service.token = service.new_token()
    assert accounts() == 1


def test_total_record_count_of_an_unknown_table(crm):
    refused(count(crm, "nosuch"), 400, "0x80041102")


def test_single_quotes_and_inline_parameters(crm):
    assert crm.get("RetrieveTotalRecordCount(EntityNames=['team'])").status == 200
    assert crm.get("RetrieveTotalRecordCount(EntityNames=@p1)").status == 400
    assert crm.get("WhoAmI(X=1)").status == 400
