"""A service without sockets and with few, chosen rows, for the tests of queries."""
from __future__ import annotations

import json
import re
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any, Iterator, Optional
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dataverse_service import values  # noqa: E402
from dataverse_service.app import Service  # noqa: E402
from dataverse_service.core import Quirks  # noqa: E402

BASE = "http://localhost/api/data/v9.2"
_SAFE = "$&=(),'/:;@*!-._~?%+"
JSON = json.JSONDecoder(parse_float=str)


class Answer:
    def __init__(self, response: Any):
        self.status = response.status
        self.body = response.body
        self.headers = dict(response.headers)
        self.text = response.body.decode("utf-8-sig")

    def json(self) -> Any:
        """Numbers with a point stay text, so that their digits can be judged."""
        return JSON.decode(self.text)

    @property
    def value(self) -> Any:
        assert self.status == 200, self.text
        return self.json()["value"]

    @property
    def code(self) -> str:
        assert self.status >= 400, self.text[:300]
        return self.json()["error"]["code"]

    @property
    def message(self) -> str:
        return self.json()["error"]["message"]


class Env:
    """One environment in this process."""

    def __init__(self, **quirks: str):
        self.service = Service(Quirks(**quirks))
        self.service.seed(None)
        self.store = self.service.store
        self.model = self.service.model

    def at(self, moment: str) -> None:
        """Freeze the clock."""
        micros = values.parse_moment(moment)
        self.store._clock = lambda: micros

    def add(self, table_name: str, **wire: Any) -> str:
        """A row of wire values; lookups as ids or (id, table)."""
        table = self.model.tables[table_name]
        row_id = wire.pop("id", None) or self.store.new_id()
        stored: dict[str, Any] = {table.primary_id: row_id}
        for name, value in wire.items():
            stored.update(values.from_json(table.columns[name], value, self.store.quirks))
        if table.table_type == "Elastic":
            stored.setdefault("partitionid", row_id)
        self.store.insert(table, stored)
        return row_id

    def everything(self, name: str, **wire: Any) -> str:
        """A row of the table that has a column of every type."""
        more = {f"sample_{key}": value for key, value in wire.items() if key != "id"}
        if "id" in wire:
            more["id"] = wire["id"]
        return self.add("sample_everything", sample_name=name, **more)

    def get(self, path: str, prefer: str = "", in_batch: bool = False, **headers: str) -> Answer:
        path = path.removeprefix(BASE + "/")
        target = "/api/data/v9.2/" + quote(path, safe=_SAFE)
        sent = {"prefer": prefer, **{k.replace("_", "-"): v for k, v in headers.items()}}
        return Answer(self.service.dispatch("GET", target, sent, b"", base=BASE,
                                            in_batch=in_batch))

    def fetch(self, xml: str, prefer: str = "", more: str = "", set_name: str = "",
              in_batch: bool = False) -> Answer:
        """A FetchXML query on the set of its entity."""
        entity = re.search(r"<entity\s+name=['\"](\w+)", xml)
        table = self.model.tables.get(entity.group(1)) if entity else None
        name = set_name or (table.set_name if table else "accounts")
        return self.get(f"{name}?fetchXml={quote(xml, safe='')}{more}", prefer, in_batch)

    def names(self, condition: str, more: str = "") -> list[str]:
        """Names of the sample rows that a filter returns, sorted."""
        encoded = quote(condition, safe="()',/:=@$")
        answer = self.get(f"sample_everythings?$select=sample_name&$filter={encoded}{more}")
        return sorted(row["sample_name"] for row in answer.value)

    def fault(self, condition: str, more: str = "") -> Answer:
        """The error that a filter gives."""
        encoded = quote(condition, safe="()',/:=@$")
        answer = self.get(f"sample_everythings?$select=sample_name&$filter={encoded}{more}")
        assert answer.status >= 400, answer.text[:500]
        return answer

    def pages(self, path: str, prefer: str) -> Iterator[dict[str, Any]]:
        link: Optional[str] = path
        seen = set()
        while link:
            assert link not in seen, "a page that leads to itself"
            seen.add(link)
            answer = self.get(link, prefer)
            assert answer.status == 200, answer.text
            yield answer.json()
            link = answer.json().get("@odata.nextLink")


def crm(name: str, **parameters: Any) -> str:
    """``Microsoft.Dynamics.CRM.Name(PropertyName='..',..)``"""
    parts = ",".join(f"{k}={v}" for k, v in parameters.items())
    return f"Microsoft.Dynamics.CRM.{name}({parts})"


def array(*items: str) -> str:
    return json.dumps(list(items), ensure_ascii=False)
