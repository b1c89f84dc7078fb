"""One row created, changed or deleted, with everything that follows from it (sheet 4).

Single requests, bulk messages and change sets all come here, so one set of rules holds everywhere:
defaults, unique keys, state and status, currencies, cascades. The caller holds the savepoint.
"""
from __future__ import annotations

from typing import Any, Collection, Optional

from . import address, seed, values
from .address import Address, Ref
from .core import Association, Column, Context, Fault, Key, Kind, Relationship, Table
from .payload import (
    AUDIT, Change, Child, Payload, Plan, payload_fault, plan_of, read_payload, resolve_bind)


def duplicate_id(table: Table) -> Fault:
    if table.table_type == "Elastic":
        return Fault(409, "409", "Entity with the specified id already exists in the system.")
    return Fault(412, "0x80040237", "A record with matching key values already exists.")


def duplicate_key(table: Table, key: Key, row_id: str, stored: dict[str, Any]) -> Fault:
    """412 with the values of the row being written; the existing row is not named (sheet 4.1)."""
    names = ", ".join(table.columns[c].display_name or c for c in key.columns)
    shown = "".join(f"<{c}>{_xml(stored.get(c))}</{c}>" for c in key.columns)
    return Fault(
        412, "0x80060892",
        f"Entity Key {key.display_name or key.name} violated. A record with the same value for "
        f"{names} already exists. A duplicate record cannot be created. Select one or more unique "
        "values and try again.",
        **{
            "@Microsoft.PowerApps.CDS.ErrorDetails.DuplicateAttributes":
                f"<DuplicateAttributes>{shown}</DuplicateAttributes>",
            "@Microsoft.PowerApps.CDS.ErrorDetails.DuplicateEntity":
                f"<DuplicateEntity><{table.primary_id}>{row_id}</{table.primary_id}>"
                "</DuplicateEntity>",
        })


def _xml(value: Any) -> str:
    text = "" if value is None else str(value)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _not_writable(message: str, table: Table) -> Fault:
    return Fault(405, "0x8004023B",
                 f"The '{message}' method does not support entities of type '{table.name}'.")


# --- creating -----------------------------------------------------------------------------------


def create_row(ctx: Context, table: Table, payload: Payload, *, row_id: Optional[str] = None,
               partition: Optional[str] = None, extra: Optional[dict[str, Any]] = None,
               link: Optional[dict[str, Any]] = None) -> Ref:
    """Create one row with everything nested in it; the caller holds the savepoint.

    ``row_id``, ``partition``: from the address of an upsert. ``extra``: storage values of the
    address's key, used where the payload does not say otherwise (sheet 4.3). ``link``: the lookup
    to the row this one is nested in.
    """
    if table.read_only or table.is_intersect:
        raise _not_writable("Create", table)
    change = read_payload(ctx, table, payload, True)
    stored = {**(extra or {}), **change.stored, **(link or {})}
    given = row_id or change.row_id
    new_id = given or ctx.store.new_id()
    stored[table.primary_id] = new_id
    if table.table_type == "Elastic":
        return _create_elastic(ctx, table, change, stored, new_id, partition)
    if given is not None and ctx.store.exists(table, new_id):
        raise duplicate_id(table)
    for parent in change.parents:
        ref = create_row(ctx, parent.target, parent.payload)
        stored[parent.column.name] = ref.row_id
        stored[f"{parent.column.name}__t"] = parent.target.name
    if ctx.custom is not None:
        ctx.custom.before(ctx, table, "Create", new_id, stored)
    _default(ctx, table, change.plan, stored)
    _check_keys(ctx, table, change.plan, stored, new_id, None)
    ctx.store.insert(table, stored)
    ref = Ref(new_id)
    for child in change.children:
        _create_children(ctx, table, child, new_id)
    for links in change.links:
        for url in links.rows:
            associate_row(ctx, table, links.relationship, new_id, url)
    return ref


def _create_elastic(ctx: Context, table: Table, change: Change, stored: dict[str, Any], new_id: str,
                    partition: Optional[str]) -> Ref:
    """The partition is the row's own GUID where nobody says otherwise (sheet 13.1)."""
    if partition is None:
        partition = stored.get("partitionid") or new_id
    stored.update(values.from_json(table.columns["partitionid"], partition, ctx.quirks))
    if ctx.store.exists(table, new_id, partition):
        raise duplicate_id(table)
    if ctx.custom is not None:
        ctx.custom.before(ctx, table, "Create", new_id, stored)
    _default(ctx, table, change.plan, stored)
    ctx.store.insert(table, stored)
    return Ref(new_id, partition)


def _create_children(ctx: Context, table: Table, child: Child, row_id: str) -> None:
    relationship = child.relationship
    target = ctx.model.tables[relationship.referencing]
    lookup = relationship.referencing_attribute
    for payload in child.rows:
        if not isinstance(payload, dict):
            raise payload_fault(table, "A nested collection holds objects only.")
        create_row(ctx, target, payload, link={lookup: row_id, f"{lookup}__t": table.name})


def _default(ctx: Context, table: Table, plan: Plan, stored: dict[str, Any]) -> None:
    """What the service fills in on create (sheet 3.4, 4.1)."""
    columns = table.columns
    now = moment(ctx)
    created = now
    if stored.get("overriddencreatedon") is not None and "createdon" in columns:
        if ctx.custom is not None:
            ctx.custom.check_privilege(ctx, "prvOverrideCreatedOnCreatedBy")
        # The backdate goes to createdon, the column keeps the time of the import.
        created, stored["overriddencreatedon"] = stored["overriddencreatedon"], now
    for name, value in (("createdon", created), ("modifiedon", now)):
        if name in columns:
            stored[name] = value
    _sign(ctx, table, stored, "createdby")
    _sign(ctx, table, stored, "modifiedby")
    if plan.owner is not None and stored.get("ownerid") is None:
        stored["ownerid"] = ctx.user_id
        stored["ownerid__t"] = "systemuser"
    if plan.is_principal:
        stored["ownerid"] = stored[table.primary_id]
    if "owningbusinessunit" in columns:
        unit = _business_unit(ctx, stored.get("ownerid"), stored.get("ownerid__t"))
        if unit is not None:
            stored["owningbusinessunit"], stored["owningbusinessunit__t"] = unit, "businessunit"
    if plan.state is not None and plan.status is not None:
        _settle_status(table, plan, stored, None)
    if plan.money:
        _settle_currency(ctx, plan, stored, None)
    for column in plan.auto_numbers:
        if stored.get(column.name) is None:
            stored.update(values.from_json(column, _next_number(ctx, table, column), ctx.quirks))
    for column in plan.required:
        if stored.get(column.name) is None:
            _require(table, column, stored)


def _sign(ctx: Context, table: Table, stored: dict[str, Any], name: str) -> None:
    """Who wrote; under impersonation also who acted on behalf (sheet 6.7)."""
    if name not in table.columns:
        return
    stored[name] = ctx.user_id
    stored[f"{name}__t"] = "systemuser"
    behalf = name.removesuffix("by") + "onbehalfby"
    if behalf in table.columns:
        acted = ctx.user_id != seed.APPLICATION_USER
        stored[behalf] = seed.APPLICATION_USER if acted else None
        stored[f"{behalf}__t"] = "systemuser" if acted else None


def moment(ctx: Context) -> int:
    """Now, as a date column stores it: whole seconds unless the quirk keeps fractions."""
    now = ctx.store.now()
    return now - now % 1_000_000 if ctx.quirks.fractions == "cut" else now


def _require(table: Table, column: Column, stored: dict[str, Any]) -> None:
    """Only SystemRequired is enforced (sheet 3.7); a two-option column falls back to its first."""
    if column.kind is Kind.BOOLEAN:
        stored[column.name] = 0
        return
    raise Fault(400, "0x80040200", f"Required field '{column.name}' is missing in entity "
                                   f"'{table.name}'.")


def _business_unit(ctx: Context, owner: Optional[str], kind: Optional[str]) -> Optional[str]:
    if owner is None or kind is None:
        return None
    table = ctx.model.tables.get(kind)
    if table is None or "businessunitid" not in table.columns:
        return None
    row = ctx.store.constant(f'SELECT businessunitid FROM "{kind}" WHERE "{table.primary_id}" = ?',
                             owner)
    return row[0] if row else None


def _next_number(ctx: Context, table: Table, column: Column) -> str:
    """Autonumber text: ``{SEQNUM:n}`` counts, everything else of the format is kept (sheet 3.7)."""
    name = f"autonumber {table.name}.{column.name}"
    number = int(ctx.store.get_meta(name) or 1000)
    ctx.store.set_meta(name, str(number + 1))
    before, brace, rest = column.auto_number.partition("{SEQNUM:")
    if not brace:
        return f"{column.auto_number}{number}"
    width, _, after = rest.partition("}")
    return f"{before}{number:0{int(width)}d}{after}"


def _settle_status(table: Table, plan: Plan, stored: dict[str, Any],
                   existing: Optional[dict[str, Any]]) -> None:
    """State and status fit together: missing ones are filled, wrong pairs refused (sheet 4.1)."""
    state, status = plan.state, plan.status
    assert state is not None and status is not None
    given_state, given_status = stored.get(state.name), stored.get(status.name)
    if given_state is None and given_status is None and existing is not None:
        return
    current = existing.get(state.name) if existing is not None else state.options[0].value
    actual = given_state if given_state is not None else current
    if given_status is None:
        option = next(o for o in state.options if o.value == actual)
        given_status = option.default_status
    valid = any(o.value == given_status and o.state == actual for o in status.options)
    if not valid:
        label = values.label(state, actual)
        raise Fault(400, "0x80048408",
                    f"{given_status} is not a valid status code for state code "
                    f"{table.schema_name}State.{label} on {table.name}.")
    stored[state.name] = actual
    stored[status.name] = given_status


def _settle_currency(ctx: Context, plan: Plan, stored: dict[str, Any],
                     existing: Optional[dict[str, Any]]) -> None:
    """Money without a currency takes the default one; the rate comes from it (sheet 3.2, 3.4)."""
    if not plan.has_currency:
        return
    given = "transactioncurrencyid" in stored
    if stored.get("transactioncurrencyid") is None:
        has_money = any(stored.get(name) is not None for name in plan.money)
        already = existing is not None and existing.get("transactioncurrencyid") is not None
        if not has_money or (already and not given):
            if given and plan.has_rate:
                stored.update({"exchangerate": None, "exchangerate__s": None})
            return
        currency = default_currency(ctx)
        if currency is None:
            return
        stored["transactioncurrencyid"] = currency
        stored["transactioncurrencyid__t"] = "transactioncurrency"
    if plan.has_rate:
        row = ctx.store.constant(
            "SELECT exchangerate, exchangerate__s FROM transactioncurrency "
            "WHERE transactioncurrencyid = ?", stored["transactioncurrencyid"])
        if row is not None:
            stored["exchangerate"], stored["exchangerate__s"] = row


def default_currency(ctx: Context) -> Optional[str]:
    """The organization's base currency."""
    tables = ctx.model.tables
    if "transactioncurrency" not in tables:
        return None
    organization = tables.get("organization")
    if organization is not None and "basecurrencyid" in organization.columns:
        row = ctx.store.constant("SELECT basecurrencyid FROM organization LIMIT 1")
        if row is not None and row[0] is not None:
            return str(row[0])
    row = ctx.store.constant("SELECT transactioncurrencyid FROM transactioncurrency "
                             "ORDER BY createdon, transactioncurrencyid LIMIT 1")
    return row[0] if row else None


def _check_keys(ctx: Context, table: Table, plan: Plan, stored: dict[str, Any], row_id: str,
                existing: Optional[dict[str, Any]]) -> None:
    """Alternate keys are unique under the collation; a null in a key is not checked (sheet 1.5)."""
    for key in plan.keys:
        if existing is not None:
            if stored.keys().isdisjoint(key.columns):
                continue
            merged = {**existing, **stored}
        else:
            merged = stored
        for found in ctx.store.find_by_key(table, key, merged):
            if found != row_id:
                raise duplicate_key(table, key, row_id, merged)


def create_at(ctx: Context, target: Address, payload: Payload) -> Ref:
    """The create half of an upsert: the URL's key is copied, body values win (sheet 4.3)."""
    if target.row_id is not None:
        own = payload.get(target.table.primary_id)
        if isinstance(own, str) and own.lower() != target.row_id:
            raise Fault(400, "0x80060888", f"The value of '{target.table.primary_id}' in the "
                                           "payload "
                        "differs from the key of the URL.")
    return create_row(ctx, target.table, payload, row_id=target.row_id, partition=target.partition,
                      extra=_key_values(ctx, target))


def _key_values(ctx: Context, target: Address) -> dict[str, Any]:
    """Values of an address's key as a new row stores them: checked like those of a body."""
    stored: dict[str, Any] = {}
    for name, value in target.wire.items():
        column = target.table.columns[name]
        if column.kind.is_lookup:
            value = (value, _holder(ctx, column, value))
        stored.update(values.from_json(column, value, ctx.quirks))
    return stored


def _holder(ctx: Context, column: Column, row_id: str) -> str:
    """The table, among a lookup's targets, that has the row."""
    for name in column.targets:
        if ctx.store.exists(ctx.model.tables[name], row_id):
            return name
    raise address.not_found(ctx.model.tables[column.targets[0]], row_id)


# --- updating -----------------------------------------------------------------------------------


def update_row(ctx: Context, table: Table, ref: Ref, payload: Payload, *,
               skip: Collection[str] = (), replace: bool = False) -> None:
    """Change one existing row; the caller holds the savepoint.

    ``skip``: members named in the key of the URL, dropped from the body (sheet 4.3).
    ``replace``: an elastic upsert, which loses the columns that were not sent (sheet 13.1).
    """
    if table.read_only or table.is_intersect:
        raise _not_writable("Update", table)
    change = read_payload(ctx, table, payload, False, skip)
    if change.row_id is not None and change.row_id != ref.row_id:
        raise Fault(400, "0x80060888",
                    f"The value of '{table.primary_id}' in the payload differs from the key of "
                    "the URL.")
    if change.kept_targets:
        _clear_own_targets(ctx, table, ref, change)
    apply_update(ctx, table, change.plan, ref, change.stored, replace)


def _clear_own_targets(ctx: Context, table: Table, ref: Ref, change: Change) -> None:
    """Null under one name of a polymorphic lookup, where it says nothing of the others."""
    row = ctx.store.get(table, ref.row_id, ref.partition) or {}
    for navigation in change.kept_targets:
        name = navigation.column.name
        if name not in change.stored and row.get(f"{name}__t") in navigation.targets:
            change.stored[name] = change.stored[f"{name}__t"] = None


def apply_update(ctx: Context, table: Table, plan: Plan, ref: Ref, stored: dict[str, Any],
                 replace: bool = False) -> None:
    """Storage values onto a row, with the columns that follow from them."""
    if table.table_type == "Elastic":
        stored.pop("partitionid", None)  # immutable (sheet 13.1)
        stored.pop("partitionid__f", None)
        if replace:
            _forget(table, stored)
    if ctx.custom is not None:
        ctx.custom.before(ctx, table, "Update", ref.row_id, stored)
    existing = _existing_if_needed(ctx, table, plan, ref, stored)
    if existing is not None:
        if plan.state is not None and plan.status is not None:
            _settle_status(table, plan, stored, existing)
        if plan.money:
            _settle_currency(ctx, plan, stored, existing)
        _check_keys(ctx, table, plan, stored, ref.row_id, existing)
    for column in plan.required:
        if column.name in stored and stored[column.name] is None:
            _require(table, column, stored)
    if "ownerid" in stored and "owningbusinessunit" in table.columns:
        unit = _business_unit(ctx, stored["ownerid"], stored["ownerid__t"])
        stored["owningbusinessunit"] = unit
        stored["owningbusinessunit__t"] = "businessunit" if unit is not None else None
    if "modifiedon" in table.columns:
        stored["modifiedon"] = moment(ctx)
    _sign(ctx, table, stored, "modifiedby")
    ctx.store.update(table, ref.row_id, stored, ref.partition, existing)


def _existing_if_needed(ctx: Context, table: Table, plan: Plan, ref: Ref,
                        stored: dict[str, Any]) -> Optional[dict[str, Any]]:
    """The row as it is, but only where a rule depends on it: bulk updates must stay cheap."""
    touches_key = any(not stored.keys().isdisjoint(key.columns) for key in plan.keys)
    touches_state = ((plan.state is not None and plan.state.name in stored)
                     or (plan.status is not None and plan.status.name in stored))
    touches_money = plan.has_currency and (
        "transactioncurrencyid" in stored or any(name in stored for name in plan.money))
    if not (touches_key or touches_state or touches_money):
        return None
    row = ctx.store.execute(plan.watch_sql, (ref.row_id,)).fetchone()
    return dict(zip(plan.watched, row)) if row is not None else None


def _forget(table: Table, stored: dict[str, Any]) -> None:
    kept = {table.primary_id, "partitionid", "createdon", "createdby", "ownerid", "versionnumber",
            "modifiedon", "modifiedby", "owningbusinessunit", "owninguser", "owningteam"}
    for column in table.columns.values():
        if column.name in kept:
            continue
        for name in values.storage_columns(column):
            stored.setdefault(name, None)


def update_at(ctx: Context, target: Address, ref: Ref, payload: Payload, replace: bool) -> None:
    """The update half: columns named in the URL's key are dropped from the body (sheet 4.3)."""
    skip = plan_of(ctx, target.table).members_of(target)
    elastic = target.table.table_type == "Elastic"
    update_row(ctx, target.table, ref, payload, skip=skip, replace=elastic and replace)


def associate_row(ctx: Context, table: Table, relationship: Relationship, row_id: str,
                  url: str) -> None:
    """Add to a collection: the lookup on the other row is set."""
    child, member = resolve_bind(ctx, url, relationship.one_to_many_navigation, table)
    if child.name != relationship.referencing:
        raise payload_fault(table, f"The resource '{url}' is not a valid member of "
                            f"'{relationship.one_to_many_navigation}'.")
    lookup = relationship.referencing_attribute
    apply_update(ctx, child, plan_of(ctx, child), member,
                 {lookup: row_id, f"{lookup}__t": table.name})


def remove_row(ctx: Context, table: Table, relationship: Relationship, ref: Ref, child: Table,
            member: Ref) -> None:
    """Take a row out of a collection; one that is not in it has nothing to remove."""
    lookup = relationship.referencing_attribute
    row = ctx.store.get(child, member.row_id, member.partition)
    if child.name != relationship.referencing or row is None or row.get(lookup) != ref.row_id:
        raise address.not_found(child, member.row_id)
    apply_update(ctx, child, plan_of(ctx, child), member, {lookup: None, f"{lookup}__t": None})


# --- N:N: rows of the intersect table, which nobody writes directly (sheet 4.5) ------------------


def _tie(ctx: Context, side: Association, row_id: str, member_id: str) -> Optional[str]:
    table = ctx.model.tables[side.intersect]
    found = ctx.store.execute(
        f'SELECT "{table.primary_id}" FROM "{table.name}" WHERE "{side.attribute}" = ? '
        f'AND "{side.other_attribute}" = ?', (row_id, member_id)).fetchone()
    return found[0] if found else None


def tie(ctx: Context, side: Association, row_id: str, member: Table, member_id: str) -> None:
    """Add to an N:N collection; who is in it already cannot be added again."""
    if member.name != side.other:
        raise payload_fault(member, f"A {member.name} is not a valid member of "
                            f"'{side.navigation}'.")
    if _tie(ctx, side, row_id, member_id) is not None:
        raise Fault(412, "0x80040237", "Cannot insert duplicate key.")
    table = ctx.model.tables[side.intersect]
    ctx.store.insert(table, {table.primary_id: ctx.store.new_id(), side.attribute: row_id,
                             side.other_attribute: member_id})


def untie(ctx: Context, side: Association, row_id: str, member: Table, member_id: str) -> None:
    found = _tie(ctx, side, row_id, member_id)
    if found is None or member.name != side.other:
        raise address.not_found(member, member_id)
    ctx.store.delete(ctx.model.tables[side.intersect], found)


def _untie_all(ctx: Context, table: Table, row_id: str) -> None:
    for side in ctx.model.many_to_many(table.name).values():
        intersect = ctx.model.tables[side.intersect]
        sql = (f'SELECT "{intersect.primary_id}" FROM "{intersect.name}" '
               f'WHERE "{side.attribute}" = ?')
        for (found,) in ctx.store.execute(sql, (row_id,)).fetchall():
            ctx.store.delete(intersect, found)


# --- deleting -----------------------------------------------------------------------------------


def delete_row(ctx: Context, table: Table, ref: Ref) -> None:
    """Delete one row: restricted, cascading or with lookups set to null (sheet 4.4)."""
    if table.read_only or table.is_intersect:
        raise _not_writable("Delete", table)
    _delete(ctx, table, ref, set())


def _delete(ctx: Context, table: Table, ref: Ref, under_way: set[tuple[str, str]]) -> None:
    under_way.add((table.name, ref.row_id))
    if ctx.custom is not None:
        ctx.custom.run(ctx, table, "Delete", {})
    for relationship in ctx.model.relationships:
        if relationship.referenced == table.name and table.table_type != "Elastic":
            _release(ctx, table, relationship, ref.row_id, under_way)
    _untie_all(ctx, table, ref.row_id)
    ctx.store.delete(table, ref.row_id, ref.partition)


def _release(ctx: Context, table: Table, relationship: Relationship, row_id: str,
             under_way: set[tuple[str, str]]) -> None:
    """What becomes of the rows that point to a row about to go."""
    child = ctx.model.tables.get(relationship.referencing)
    lookup = relationship.referencing_attribute
    if child is None or lookup not in child.columns or lookup in AUDIT:
        return
    # An owner cannot be removed from under its rows.
    restrict = relationship.restrict_delete or child.columns[lookup].kind is Kind.OWNER
    where = f'"{lookup}" = ? AND "{lookup}__t" = ?'
    if restrict:
        found = ctx.store.execute(f'SELECT 1 FROM "{child.name}" WHERE {where} LIMIT 1',
                                  (row_id, table.name)).fetchone()
        if found is not None:
            raise Fault(405, "0x80040227",
                        "The object you tried to delete is associated with another object and "
                        "cannot "
                        f"be deleted. It is referenced by '{child.name}'.")
        return
    elastic = ', "partitionid"' if child.table_type == "Elastic" else ""
    sql = f'SELECT "{child.primary_id}"{elastic} FROM "{child.name}" WHERE {where}'
    rows = ctx.store.execute(sql, (row_id, table.name)).fetchall()
    for row in rows:
        if (child.name, row[0]) in under_way:
            continue
        if relationship.cascade_delete:
            _delete(ctx, child, Ref(*row), under_way)
        else:
            ctx.store.update(child, row[0], {lookup: None, f"{lookup}__t": None}, *row[1:])
