"""What an environment's own people put into it, and what a caller may do there (sheet 3.7, 4.6, 6.7, 8).

Plug-ins and flows, duplicate detection rules, privileges, the state of the application user: an
environment is born without any of the first two and with every right. Tests set them through
``/_control/``. Writes pass here once for each row; an environment with nothing in it costs them one
comparison.
"""
from __future__ import annotations

import collections
import dataclasses
import re
from typing import Any, Iterable, Optional

from . import values
from .core import Column, Context, Fault, Model, Table

_RIGHTS = frozenset({"read", "create", "update"})
_STATES = ("member", "missing", "no_roles", "disabled")
_BYPASS = {"customsync": "sync", "customasync": "async"}
#: Steps that one request may name; organizations can raise it (sheet 8).
MAX_STEP_IDS = 3


class Step:
    """Custom logic of one table and message: a plug-in, a workflow or a flow.

    ``{"name", "id", "table", "message", "kind", "mode", "column", "refuses", "text"}``: it runs
    before a row is written; with ``refuses``, a regular expression, it aborts where ``column`` is
    written with a text that matches.
    """

    _MEMBERS = frozenset({"name", "id", "table", "message", "kind", "mode", "column", "refuses",
                          "text"})

    def __init__(self, spec: dict[str, Any]):
        if set(spec) - self._MEMBERS or "name" not in spec or "table" not in spec:
            raise ValueError(f"a step has a name, a table and of {sorted(self._MEMBERS)}")
        self.name: str = spec["name"]
        self.id: str = spec.get("id", "").lower()
        self.table: str = spec["table"]
        self.message: str = spec.get("message", "*")
        self.kind: str = spec.get("kind", "plugin")
        self.mode: str = spec.get("mode", "sync")
        if self.kind not in ("plugin", "workflow", "flow") or self.mode not in ("sync", "async"):
            raise ValueError("kind is plugin, workflow or flow; mode is sync or async")
        if self.message not in ("*", "Create", "Update", "Delete"):
            raise ValueError("message is Create, Update, Delete or *")
        self.column: str = spec.get("column", "")
        self.refuses = re.compile(spec["refuses"]) if "refuses" in spec else None
        self.text: str = spec.get("text", "refused by a plug-in")

    def concerns(self, table: Table, message: str) -> bool:
        return self.table == table.name and self.message in ("*", message)

    def check(self, stored: dict[str, Any]) -> None:
        """Aborts the transaction, in the plug-in's own words (sheet 4.6)."""
        value = stored.get(self.column)
        if self.refuses is not None and value is not None and self.refuses.search(str(value)):
            raise Fault(400, "0x80040265", self.text,
                        **{"@Microsoft.PowerApps.CDS.ErrorDetails.OperationStatus": "1"})


@dataclasses.dataclass
class Skipped:
    """The custom logic that a request asks to leave out (sheet 8)."""

    modes: frozenset[str] = frozenset()
    step_ids: frozenset[str] = frozenset()
    flows: bool = False

    def covers(self, step: Step) -> bool:
        if step.kind == "flow":
            return self.flows
        return step.mode in self.modes or (step.id != "" and step.id in self.step_ids)


class Rule:
    """A duplicate detection rule: two rows with these columns alike are duplicates."""

    def __init__(self, spec: dict[str, Any]):
        if set(spec) != {"table", "columns"} or not spec["columns"]:
            raise ValueError("a duplicate rule has a table and columns")
        self.table: str = spec["table"]
        self.columns: tuple[str, ...] = tuple(spec["columns"])


class Custom:
    """All of it, for one environment."""

    def __init__(self) -> None:
        self.hidden: list[Column] = []
        self.clear()

    def clear(self) -> None:
        for column in self.hidden:
            column.hidden = False
        self.hidden = []
        self.steps: list[Step] = []
        self.rules: list[Rule] = []
        self.lacking: frozenset[str] = frozenset()
        self.state = "member"
        self.secured: dict[tuple[str, str], frozenset[str]] = {}
        self.ran: collections.Counter[str] = collections.Counter()
        """Steps since the request began; the log takes them."""

    @property
    def idle(self) -> bool:
        """Nothing here concerns the write of a row."""
        return not (self.steps or self.rules or self.secured or self.lacking)

    # --- what tests set -----------------------------------------------------------------------

    def set_steps(self, spec: list[dict[str, Any]]) -> None:
        self.steps = [Step(item) for item in spec]

    def set_rules(self, spec: list[dict[str, Any]]) -> None:
        self.rules = [Rule(item) for item in spec]

    def set_user(self, spec: dict[str, Any]) -> None:
        """``{"state": ..., "lacking": [privileges]}``."""
        if set(spec) - {"state", "lacking"} or spec.get("state", "member") not in _STATES:
            raise ValueError(f"a user has a state of {_STATES} and lacking privileges")
        self.state = spec.get("state", "member")
        self.lacking = frozenset(name.lower() for name in spec.get("lacking", ()))

    def set_secured(self, spec: list[dict[str, Any]], model: Model) -> None:
        """``[{"table", "column", "lacks": ["read", "create", "update"]}]``: column security."""
        found, hidden = {}, []
        for item in spec:
            if set(item) != {"table", "column", "lacks"} or set(item["lacks"]) - _RIGHTS:
                raise ValueError("a secured column has a table, a column and lacks, of "
                                 f"{sorted(_RIGHTS)}")
            found[item["table"], item["column"]] = frozenset(item["lacks"]) - {"read"}
            if "read" in item["lacks"]:
                hidden.append(model.tables[item["table"]].columns[item["column"]])
        for column in self.hidden:
            column.hidden = False
        for column in hidden:
            column.hidden = True
        self.secured, self.hidden = found, hidden

    # --- the caller -----------------------------------------------------------------------------

    def check_user(self) -> None:
        """The application user itself (sheet 6.7)."""
        if self.state == "missing":
            raise Fault(403, "0x80072560", "The user is not a member of the organization.")
        if self.state == "no_roles":
            raise Fault(403, "0x80042F09", "The user has no security roles assigned.")
        if self.state == "disabled":
            raise Fault(403, "0x80040225", "The specified user is disabled.")

    def check_impersonation(self) -> None:
        if "prvactonbehalfofanotheruser" in self.lacking:
            raise Fault(403, "0x8004A110", "The caller does not have the privilege to act on behalf "
                                           "of another user.")

    def check_privileges(self, ctx: Context, table: Table, *names: str) -> None:
        """``Create``, ``Write``, ``Read``, ``Delete`` on a table."""
        if self.lacking:
            for name in names:
                self.check_privilege(ctx, f"prv{name}{table.schema_name}")

    def check_privilege(self, ctx: Context, name: str) -> None:
        if name.lower() in self.lacking:
            raise Fault(403, "0x80040220",
                        f"Principal user (Id={ctx.user_id}, type=8) is missing {name} privilege.")

    # --- a row about to be written ----------------------------------------------------------------

    def before(self, ctx: Context, table: Table, message: str, row_id: str,
               stored: dict[str, Any]) -> None:
        """Column security, duplicate rules and steps, before a row is created or changed."""
        for (of, column), lacks in self.secured.items():
            if of == table.name and column in stored and message.lower() in lacks:
                code = "0x8004F502" if message == "Create" else "0x8004F507"
                raise Fault(403, code, f"The user does not have {message} permissions for the "
                                       f"'{column}' secured field.")
        if ctx.detect_duplicates and table.table_type != "Elastic":
            self._detect(ctx, table, row_id, stored)
        self.run(ctx, table, message, stored)

    def run(self, ctx: Context, table: Table, message: str, stored: dict[str, Any]) -> None:
        for step in self.steps:
            if step.concerns(table, message) and not ctx.skipped.covers(step):
                self.ran[step.name] += 1
                if step.mode == "sync" and step.kind != "flow":
                    step.check(stored)

    def _detect(self, ctx: Context, table: Table, row_id: str, stored: dict[str, Any]) -> None:
        for rule in self.rules:
            if rule.table == table.name and not stored.keys().isdisjoint(rule.columns):
                self._detect_one(ctx, table, rule, row_id, stored)

    def _detect_one(self, ctx: Context, table: Table, rule: Rule, row_id: str,
                    stored: dict[str, Any]) -> None:
        existing = ctx.store.get(table, row_id) or {}
        names = [values.compare_column(table.columns[c]) for c in rule.columns]
        wanted = [stored[n] if n in stored else existing.get(n) for n in names]
        if None in wanted:
            return
        terms = " AND ".join(f'"{n}" = ?' for n in names)
        found = ctx.store.execute(
            f'SELECT 1 FROM "{table.name}" WHERE {terms} AND "{table.primary_id}" <> ? LIMIT 1',
            (*wanted, row_id)).fetchone()
        if found is not None:
            raise Fault(int(ctx.quirks.duplicate_status), "0x80040333",
                        "A record was not created or updated because a duplicate of the current "
                        "record already exists.")


def read_headers(ctx: Context, custom: Custom) -> None:
    """The headers of sheet 8 that steer custom logic; a value nobody knows is refused."""
    found = [name for name in ctx.headers if name.startswith("mscrm.")]
    if not found:
        return
    modes = frozenset(_modes(ctx.headers.get("mscrm.bypassbusinesslogicexecution")))
    ids = _step_ids(ctx.headers.get("mscrm.bypassbusinesslogicexecutionstepids"))
    if modes or ids:
        custom.check_privilege(ctx, "prvBypassCustomBusinessLogic")
    if _flag(ctx, "mscrm.bypasscustompluginexecution"):
        custom.check_privilege(ctx, "prvBypassCustomPlugins")
        modes |= {"sync"}
    flows = _flag(ctx, "mscrm.suppresscallbackregistrationexpanderjob")
    if flows:
        custom.check_privilege(ctx, "prvBypassCustomBusinessLogic")
    ctx.skipped = Skipped(modes, ids, flows)
    ctx.detect_duplicates = _flag(ctx, "mscrm.suppressduplicatedetection", True) is False


def _refuse(name: str, value: str) -> Fault:
    return Fault(400, "0x80040203", f"The value '{value}' of the header {name} is not valid.")


def _modes(text: Optional[str]) -> Iterable[str]:
    for part in text.split(",") if text is not None else ():
        mode = _BYPASS.get(part.strip().lower())
        if mode is None:
            raise _refuse("MSCRM.BypassBusinessLogicExecution", part.strip())
        yield mode


def _step_ids(text: Optional[str]) -> frozenset[str]:
    if text is None:
        return frozenset()
    name = "MSCRM.BypassBusinessLogicExecutionStepIds"
    ids = [part.strip().lower() for part in text.split(",")]
    for each in ids:
        if not values.is_guid(each):
            raise _refuse(name, each)
    if len(ids) > MAX_STEP_IDS:
        raise Fault(400, "0x80040203", f"The header {name} may name {MAX_STEP_IDS} steps, not "
                                       f"{len(ids)}.")
    return frozenset(ids)


def _flag(ctx: Context, name: str, default: bool = False) -> bool:
    text = ctx.headers.get(name)
    if text is None:
        return default
    if text.strip().lower() not in ("true", "false"):
        raise _refuse(name, text)
    return text.strip().lower() == "true"
