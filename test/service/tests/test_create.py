"""Sheet 4.1, 3.4: creating rows."""
from __future__ import annotations

from writing import ABSENT, crm, exists, fresh, make, refused, row  # noqa: F401


def test_plain_create_is_204_with_entity_id_and_location(crm):
    reply = crm.post("accounts", {"name": "Plain"})
    assert reply.status == 204 and reply.body == b""
    assert reply.headers["OData-EntityId"].startswith(f"{crm.base}/accounts(")
    assert reply.headers["Location"] == reply.headers["OData-EntityId"]
    assert reply.headers["OData-Version"] == "4.0"


def test_representation_is_201_with_etag_and_preference(crm):
    reply = crm.post("accounts?$select=name", {"name": "Shown"}, prefer="return=representation")
    assert reply.status == 201
    assert reply.headers["Preference-Applied"] == "return=representation"
    assert reply.headers["OData-EntityId"] is None
    answer = reply.json()
    assert answer["name"] == "Shown" and "accountid" in answer and "revenue" not in answer
    assert answer["@odata.etag"] == reply.headers["ETag"]


def test_primary_key_may_be_supplied(crm):
    own = "5a0f9e3c-0000-4000-8000-000000000001"
    assert make(crm, "accounts", name="Mine", accountid=own.upper()) == own


def test_duplicate_primary_key_is_412_duplicate_record(crm):
    own = make(crm, "accounts", name="First")
    message = refused(crm.post("accounts", {"accountid": own, "name": "Second"}), 412, "0x80040237")
    assert message == "A record with matching key values already exists."
    assert row(crm, "accounts", own, "name")["name"] == "First"


def test_duplicate_alternate_key_is_412_with_its_own_code(crm):
    number = fresh("Dup")
    make(crm, "accounts", name="A", accountnumber=number)
    message = refused(crm.post("accounts", {"name": "B", "accountnumber": number}), 412,
                      "0x80060892")
    assert message == ("Entity Key Account Number violated. A record with the same value for "
                       "Account "
                       "Number already exists. A duplicate record cannot be created. Select one or "
                       "more unique values and try again.")


def test_duplicate_key_annotations_name_the_row_being_written(crm):
    number, own = fresh("Ann"), "5a0f9e3c-0000-4000-8000-000000000002"
    old = make(crm, "accounts", name="A", accountnumber=number)
    reply = crm.post("accounts", {"accountid": own, "name": "B", "accountnumber": number},
                     prefer='odata.include-annotations="*"')
    error = reply.json()["error"]
    prefix = "@Microsoft.PowerApps.CDS.ErrorDetails."
    assert error[prefix + "DuplicateAttributes"] == (
        f"<DuplicateAttributes><accountnumber>{number}</accountnumber></DuplicateAttributes>")
    assert own in error[prefix + "DuplicateEntity"]
    assert old not in reply.text


def test_duplicate_key_has_no_annotations_unless_asked(crm):
    number = fresh("Ann")
    make(crm, "accounts", name="A", accountnumber=number)
    reply = crm.post("accounts", {"name": "B", "accountnumber": number})
    assert set(reply.json()["error"]) == {"code", "message"}


def test_keys_compare_by_collation(crm):
    """Case, accents and trailing blanks do not make a key different (1.5, 2.3.4)."""
    number = fresh("caf")
    make(crm, "accounts", name="A", accountnumber=number + "é")
    for other in (number.upper() + "E", number + "E  "):
        assert crm.post("accounts", {"name": "B", "accountnumber": other}).code == "0x80060892"


def test_accents_count_in_an_accent_sensitive_environment(fresh_service):
    service = fresh_service(quirks={"accents": "sensitive"})
    assert service.post("accounts", {"accountnumber": "café"}).status == 204
    assert service.post("accounts", {"accountnumber": "cafe"}).status == 204
    assert service.post("accounts", {"accountnumber": "CAFÉ"}).code == "0x80060892"


def test_null_key_columns_are_not_checked(crm):
    first = fresh("Joe")
    for _ in range(2):
        make(crm, "contacts", firstname=first)
    make(crm, "contacts", firstname=first, emailaddress1="j@x.y")
    assert crm.post("contacts", {"firstname": first, "emailaddress1": "J@X.Y"}).code == "0x80060892"


def test_failed_key_is_not_enforced(crm):
    for _ in range(2):
        make(crm, "sample_everythings", sample_phone="555")


def test_deep_insert_of_both_kinds(crm):
    reply = crm.post("accounts", {
        "name": "Deep",
        "primarycontactid": {"firstname": "Susanna", "lastname": "Stubberod"},
        "opportunity_customer_accounts": [
            {"name": "Opp", "Opportunity_Tasks": [{"subject": "T1"}, {"subject": "T2"}]}],
    })
    account = row(crm, "accounts", reply.created_id, "name", "_primarycontactid_value")
    contact = row(crm, "contacts", account["_primarycontactid_value"], "fullname")
    assert contact["fullname"] == "Susanna Stubberod"
    found = crm.get("opportunities?$select=name&$filter=_customerid_value eq "
                    f"{reply.created_id}").value
    assert [o["name"] for o in found] == ["Opp"]
    tasks = crm.get(f"tasks?$filter=_regardingobjectid_value eq {found[0]['opportunityid']}").value
    assert sorted(t["subject"] for t in tasks) == ["T1", "T2"]


def test_deep_insert_is_one_transaction(crm):
    number, other = fresh("Txn"), fresh("Txn")
    make(crm, "accounts", accountnumber=number)
    reply = crm.post("accounts", {"name": "Parent", "accountnumber": other,
                                  "account_parent_account": [{"accountnumber": number}]})
    assert reply.code == "0x80060892"
    assert crm.get(f"accounts(accountnumber='{other}')").status == 404


def test_bind_array_on_create(crm):
    children = [make(crm, "accounts", name=f"Child {n}") for n in range(2)]
    parent = crm.post("accounts", {"name": "P", "account_parent_account@odata.bind":
                                   [f"accounts({c})" for c in children]}).created_id
    for child in children:
        assert row(crm, "accounts", child,
                   "_parentaccountid_value")["_parentaccountid_value"] == parent


def test_created_and_modified_columns(crm):
    with crm.frozen("2024-03-01T10:00:00Z"):
        own = make(crm, "accounts", name="Then")
    found = row(crm, "accounts", own)
    assert found["createdon"] == found["modifiedon"] == "2024-03-01T10:00:00Z"
    me = crm.get("WhoAmI").json()["UserId"]
    assert found["_createdby_value"] == found["_modifiedby_value"] == me


def test_owner_defaults_to_the_caller(crm):
    found = row(crm, "accounts", make(crm, "accounts", name="Owned"))
    who = crm.get("WhoAmI").json()
    assert found["_ownerid_value"] == found["_owninguser_value"] == who["UserId"]
    assert found["_owningbusinessunit_value"] == who["BusinessUnitId"]


def test_owner_by_bind_may_be_a_team(crm):
    team = crm.get("teams?$top=1").value[0]["teamid"]
    found = row(crm, "accounts", crm.post(
        "accounts", {"name": "T", "ownerid@odata.bind": f"/teams({team})"}).created_id)
    assert found["_ownerid_value"] == found["_owningteam_value"] == team
    assert found["_owninguser_value"] is None


def test_createdon_is_ignored_and_overriddencreatedon_backdates(crm):
    own = make(crm, "accounts", name="Old", createdon="1999-01-01T00:00:00Z")
    assert row(crm, "accounts", own)["createdon"] > "2020"
    own = make(crm, "accounts", name="Old", overriddencreatedon="2001-02-03T04:05:06Z")
    assert row(crm, "accounts", own)["createdon"] == "2001-02-03T04:05:06Z"


def test_overriddencreatedon_works_on_create_only(crm):
    own = make(crm, "accounts", name="New")
    before = row(crm, "accounts", own)["createdon"]
    assert crm.patch(f"accounts({own})",
                     {"overriddencreatedon": "2001-02-03T04:05:06Z"}).status == 204
    assert row(crm, "accounts", own)["createdon"] == before


def test_state_and_status_defaults(crm):
    found = row(crm, "accounts", make(crm, "accounts", name="S"), "statecode", "statuscode")
    assert (found["statecode"], found["statuscode"]) == (0, 1)


def test_money_gets_currency_rate_and_base_amount(crm):
    found = row(crm, "accounts", make(crm, "accounts", name="M", revenue=1234.5))
    assert found["_transactioncurrencyid_value"] is not None
    assert found["exchangerate"] == 1 and found["revenue_base"] == 1234.5


def test_base_amount_is_divided_by_the_rate_of_the_currency(crm):
    euro = crm.get("transactioncurrencies?$filter=isocurrencycode eq 'EUR'").value[0]
    url = f"transactioncurrencies({euro['transactioncurrencyid']})"
    own = crm.post("accounts", {"name": "M", "revenue": 100, "transactioncurrencyid@odata.bind":
                                url}).created_id
    found = row(crm, "accounts", own)
    assert found["revenue"] == 100
    assert abs(found["revenue_base"] - 100 / euro["exchangerate"]) < 0.0001


def test_money_digits_survive_exactly(crm):
    reply = crm.request("POST", "sample_everythings",
                        '{"sample_name":"m","sample_money":92233720368547.1234,'
                        '"sample_decimal":99999999999.0123456789}',
                        headers={"Content-Type": "application/json"})
    path = f"sample_everythings({reply.created_id})?$select=sample_money,sample_decimal"
    text = crm.get(path).text
    assert "92233720368547.1234" in text and "99999999999.0123456789" in text


def test_version_number_is_the_etag(crm):
    reply = crm.get(f"accounts({make(crm, 'accounts', name='V')})?$select=versionnumber")
    assert reply.headers["ETag"] == f'W/"{reply.json()["versionnumber"]}"'


def test_autonumber_is_filled_and_a_supplied_value_kept(crm):
    first = row(crm, "sample_everythings", make(crm, "sample_everythings", sample_name="a"))
    second = row(crm, "sample_everythings", make(crm, "sample_everythings", sample_name="b"))
    assert first["sample_serial"].startswith("S-")
    assert first["sample_serial"] < second["sample_serial"]
    own = make(crm, "sample_everythings", sample_name="c", sample_serial="mine")
    assert row(crm, "sample_everythings", own)["sample_serial"] == "mine"


def test_computed_columns_of_a_person(crm):
    own = make(crm, "contacts", firstname="Ann", lastname="Lee", fullname="ignored")
    assert row(crm, "contacts", own, "fullname")["fullname"] == "Ann Lee"


def test_read_only_set_refuses_create(crm):
    assert crm.post("organizations", {"name": "x"}).status == 405


def test_bad_json_is_400(crm):
    for body in ("{", "[]", '"x"', '{"name":NaN}', "", '{"name":"a","name":"b"}'):
        assert refused(crm.request("POST", "accounts", body,
                                   headers={"Content-Type": "application/json"}), 400, "0x80048D19")


def test_unknown_query_option_is_refused(crm):
    refused(crm.post("accounts?$filter=x", {"name": "x"}), 400, "0x80060888")


def test_elastic_create_names_both_key_parts_and_hands_out_a_session(crm):
    reply = crm.post("contoso_sensordatas", {"contoso_name": "E", "partitionid": "device-1"})
    assert reply.status == 204
    assert reply.headers["OData-EntityId"].endswith(",partitionid='device-1')")
    assert reply.headers["x-ms-session-token"]


def test_elastic_same_id_in_two_partitions(crm):
    own = "5a0f9e3c-0000-4000-8000-0000000000e1"
    for partition in ("p1", "p2"):
        reply = crm.post("contoso_sensordatas",
                         {"contoso_sensordataid": own, "partitionid": partition})
        assert reply.status == 204, reply.text
    reply = crm.post("contoso_sensordatas", {"contoso_sensordataid": own, "partitionid": "p1"})
    assert (reply.status, reply.code) == (409, "409")


def test_impersonated_user_signs_and_the_application_acts_on_behalf(crm):
    me = crm.get("WhoAmI").json()["UserId"]
    anna = crm.get("systemusers?$filter=firstname eq 'Anna'").value[0]["systemuserid"]
    own = crm.post("accounts", {"name": "I"}, headers={"MSCRMCallerID": anna}).created_id
    found = row(crm, "accounts", own)
    assert found["_createdby_value"] == found["_ownerid_value"] == anna
    assert found["_createdonbehalfby_value"] == me
    crm.patch(f"accounts({own})", {"name": "J"})
    found = row(crm, "accounts", own)
    assert (found["_modifiedby_value"], found["_modifiedonbehalfby_value"]) == (me, None)


def test_wrong_select_leaves_no_row_behind(crm):
    number = fresh("Sel")
    reply = crm.post("accounts?$select=nosuch", {"accountnumber": number},
                     prefer="return=representation")
    refused(reply, 400, "0x80060888")
    assert crm.get(f"accounts(accountnumber='{number}')").status == 404


def test_expand_shapes_the_representation_of_a_create(crm):
    reply = crm.post("accounts?$select=name&$expand=primarycontactid($select=lastname)",
                     {"name": "A", "primarycontactid": {"lastname": "L"}},
                     prefer="return=representation")
    assert reply.json()["primarycontactid"]["lastname"] == "L"
