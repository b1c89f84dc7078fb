"""The local service: started and stopped by scripts/lib.sh, asked over HTTP."""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Iterator, Optional

_ROOT = Path(__file__).resolve().parents[2]
_LIB = str(_ROOT / "scripts" / "lib.sh")
_START = ('set -euo pipefail; . "$0"; service_start "$@" >&2; printf "%s\\n" "$DATAVERSE_URL" '
          '"$DATAVERSE_TENANT_ID" "$DATAVERSE_CLIENT_ID" "$DATAVERSE_CLIENT_SECRET"')


class Service:
    """One running service. Its rows live in a file, so that a second one may start from them."""

    def __init__(self, directory: Path, *arguments: str, rows_of: Optional["Service"] = None):
        self.directory = directory
        directory.mkdir()
        rows = directory / "rows.sqlite"
        if rows_of is not None:
            for part in rows_of.directory.glob("rows.sqlite*"):
                shutil.copy(part, directory / part.name)
        done = subprocess.run(["bash", "-c", _START, _LIB, str(directory), "--database", str(rows),
                               *arguments], stdout=subprocess.PIPE, text=True, check=True)
        self.url, self.tenant, self.client, self.secret = done.stdout.split()
        self.pid = int((directory / "service.pid").read_text())
        self._token: Optional[str] = None

    def stop(self) -> None:
        subprocess.run(["bash", "-c", 'set -euo pipefail; . "$0"; service_stop "$@"', _LIB,
                        str(self.directory)], check=True)

    def environment(self) -> dict[str, str]:
        """For programs that talk to it."""
        return {**os.environ, "DATAVERSE_URL": self.url, "DATAVERSE_TENANT_ID": self.tenant,
                "DATAVERSE_CLIENT_ID": self.client, "DATAVERSE_CLIENT_SECRET": self.secret,
                "DATAVERSE_AUTHORITY": self.url}

    # --- control ------------------------------------------------------------------------------

    def control(self, name: str, body: Optional[Any] = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"{self.url}/_control/{name}", data) as answer:
            return json.load(answer)

    def latency(self, milliseconds: int) -> None:
        self.control("latency", {"ms": milliseconds})

    def forget_log(self) -> None:
        self.control("reset", {})

    def log(self) -> list[dict[str, Any]]:
        """Requests for data since the log was last forgotten."""
        return [entry for entry in self.control("log") if "/api/data/" in entry["url"]]

    # --- the Web API --------------------------------------------------------------------------

    def token(self) -> str:
        if self._token is None:
            form = urllib.parse.urlencode({
                "grant_type": "client_credentials", "client_id": self.client,
                "client_secret": self.secret, "scope": f"{self.url}/.default"}).encode()
            with urllib.request.urlopen(f"{self.url}/{self.tenant}/oauth2/v2.0/token", form) as answer:
                self._token = json.load(answer)["access_token"]
        return self._token

    def get(self, url: str, *headers: tuple[str, str]) -> bytes:
        request = urllib.request.Request(url, headers={
            "Authorization": f"Bearer {self.token()}", "Accept": "application/json", **dict(headers)})
        with urllib.request.urlopen(request) as answer:
            return answer.read()

    def pages(self, url: Optional[str], *headers: tuple[str, str]) -> Iterator[tuple[str, bytes]]:
        """Address and body of every page of a chain."""
        while url is not None:
            body = self.get(url, *headers)
            yield url, body
            url = json.loads(body).get("@odata.nextLink")
