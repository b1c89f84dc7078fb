"""What the tests of writes share: one environment per module, short ways to make and read rows."""
from __future__ import annotations

import itertools
from typing import Any, Iterator

import pytest

from conftest import Reply, Service

_numbers = itertools.count(1)
ABSENT = "00000000-0000-0000-0000-0000000000ff"


@pytest.fixture(scope="module")
def crm() -> Iterator[Service]:
    """An environment without demo data, shared by a module's tests; keys come from ``fresh``."""
    service = Service("--seed", "none")
    yield service
    service.stop()


def fresh(prefix: str = "K") -> str:
    """A value that no other test uses."""
    return f"{prefix}{next(_numbers)}"


def make(crm: Service, entity_set: str, **columns: Any) -> str:
    """Create a row; keyword ``a__b`` is the member ``a@odata.bind`` where b is ``bind``."""
    payload = {n.replace("__bind", "@odata.bind"): v for n, v in columns.items()}
    return crm.post(entity_set, payload).created_id


def row(crm: Service, entity_set: str, row_id: str, *columns: str) -> dict[str, Any]:
    select = f"?$select={','.join(columns)}" if columns else ""
    reply = crm.get(f"{entity_set}({row_id}){select}")
    assert reply.status == 200, reply.text
    return reply.json()


def exists(crm: Service, entity_set: str, row_id: str) -> bool:
    return crm.get(f"{entity_set}({row_id})").status == 200


def refused(reply: Reply, status: int, code: str) -> str:
    """The reply is this error; gives its message."""
    assert (reply.status, reply.code) == (status, code), reply.text
    return reply.message
