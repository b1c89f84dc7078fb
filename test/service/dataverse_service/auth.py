"""Tokens: the authority's endpoint and what the service says to a bad one (sheet 6).

The same server plays both parts. Tokens are opaque to clients; they look like JWTs.
"""
from __future__ import annotations

import base64
import dataclasses
import datetime
import hashlib
import json
import secrets
import uuid
from typing import Any, Callable, Optional
from urllib.parse import parse_qsl, unquote_plus

from . import jwt
from .core import Fault, Response

#: Entra ID's answer to a tenant that is no tenant; both are refused for this grant (sheet 6.1).
_SHARED_TENANTS = ("common", "consumers", "organizations")


_JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclasses.dataclass(frozen=True)
class Problem:
    """One row of sheet 6.3."""

    status: int
    error: str
    number: int
    text: str


_PROBLEMS = {
    "secret": Problem(
        401, "invalid_client", 7000215,
        "Invalid client secret provided. Ensure the secret being sent in the request is the client "
        "secret value, not the client secret ID, for a secret added to app '{client}'."),
    "assertion": Problem(
        401, "invalid_client", 700027,
        "The certificate with identifier used to sign the client assertion is not registered on "
        "application, or the signature is invalid. {detail}"),
    "client": Problem(
        400, "unauthorized_client", 700016,
        "Application with identifier '{client}' was not found in the directory '{tenant}'."),
    "tenant": Problem(
        400, "invalid_request", 90002,
        "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are "
        "signing into the correct cloud."),
    "shared": Problem(
        400, "invalid_request", 9001023,
        "The grant type is not supported over the /common or /consumers endpoints. Please use the "
        "/organizations or tenant-specific endpoint."),
    "missing": Problem(
        400, "invalid_request", 900144,
        "The request body must contain the following parameter: '{name}'."),
    "scope": Problem(
        400, "invalid_scope", 70011,
        "The provided request must include a 'scope' input parameter. The provided value for the "
        "input parameter 'scope' is not valid. The scope {scope} is not valid."),
    "resource": Problem(
        400, "invalid_resource", 500011,
        "The resource principal named {scope} was not found in the tenant named {tenant}."),
    "grant": Problem(
        400, "unsupported_grant_type", 70003,
        "The app requested an unsupported grant type '{grant}'."),
}


class TokenError(Exception):
    def __init__(self, problem: str, /, **words: str):
        super().__init__(problem)
        self.problem = _PROBLEMS[problem]
        self.words = words


def _error_body(problem: Problem, words: dict[str, str], now: datetime.datetime) -> bytes:
    """The form of sheet 6.3; clients branch on ``error`` alone."""
    stamp = now.strftime("%Y-%m-%d %H:%M:%SZ")
    trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
    text = problem.text.format_map({"client": "", "tenant": "", "scope": "", "detail": "", **words})
    return json.dumps({
        "error": problem.error,
        "error_description": f"AADSTS{problem.number}: {text}\r\nTrace ID: {trace}\r\n"
                             f"Correlation ID: {correlation}\r\nTimestamp: {stamp}",
        "error_codes": [problem.number],
        "timestamp": stamp,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"https://login.microsoftonline.com/error?code={problem.number}",
    }).encode()


@dataclasses.dataclass
class Credentials:
    tenant_id: str
    client_id: str
    client_secret: str
    lifetime: int = 3599  #: seconds; the examples' figure (sheet 6.1)
    certificate: Optional[jwt.PublicKey] = None  #: accepted for signed assertions


class Authority:
    """Hands out tokens and remembers them until they expire."""

    def __init__(self, credentials: Credentials, now: Callable[[], int]):
        self.credentials = credentials
        self._now = now  #: microseconds since 1970, as the control clock has it
        self._expiry: dict[str, int] = {}
        self._used_assertions: set[str] = set()

    # --- the token endpoint --------------------------------------------------------------

    def token(self, path: str, headers: dict[str, str], body: bytes, base_url: str) -> Response:
        """``POST /<tenant>/oauth2/v2.0/token``, or the older ``/oauth2/token``."""
        parts = path.strip("/").split("/")
        try:
            granted = self._grant(parts[0], "v2.0" in parts, headers, body, base_url, path)
        except TokenError as error:
            now = datetime.datetime.utcfromtimestamp(self._now() / 1e6)
            return self._json(error.problem.status, _error_body(error.problem, error.words, now))
        return self._json(200, json.dumps(granted).encode())

    @staticmethod
    def _json(status: int, body: bytes) -> Response:
        return Response(status, body, [
            ("Content-Type", "application/json; charset=utf-8"),
            ("Cache-Control", "no-store, no-cache"),
            ("Pragma", "no-cache"),
            ("x-ms-request-id", str(uuid.uuid4())),
        ])

    def _grant(self, tenant: str, v2: bool, headers: dict[str, str], body: bytes, base_url: str,
               path: str) -> dict[str, Any]:
        form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        if tenant in _SHARED_TENANTS:
            raise TokenError("shared")
        if tenant.lower() != self.credentials.tenant_id.lower():
            raise TokenError("tenant", tenant=tenant)
        if "grant_type" not in form:
            raise TokenError("missing", name="grant_type")
        if form["grant_type"] != "client_credentials":
            raise TokenError("grant", grant=form["grant_type"])
        client, secret = _client(form, headers)
        if client is None:
            raise TokenError("missing", name="client_id")
        if client.lower() != self.credentials.client_id.lower():
            raise TokenError("client", client=client, tenant=tenant)
        self._check_scope(form, v2, tenant, base_url)
        self._check_proof(form, client, secret, base_url + path)
        return self._issue(v2, base_url)

    def _check_scope(self, form: dict[str, str], v2: bool, tenant: str, base_url: str) -> None:
        """The scope names this environment, and nothing else (sheet 6.1)."""
        name = "scope" if v2 else "resource"
        wanted = form.get(name)
        if wanted is None:
            raise TokenError("missing", name=name)
        if v2 and not wanted.endswith("/.default"):
            raise TokenError("scope", scope=wanted)
        resource = wanted[: -len("/.default")] if v2 else wanted.rstrip("/")
        # https://host//.default asks for the audience "https://host/": another one (sheet 6.5).
        if resource.lower() != base_url.lower():
            raise TokenError("resource", scope=resource, tenant=tenant)

    def _check_proof(self, form: dict[str, str], client: str, secret: Optional[str],
                     endpoint: str) -> None:
        if secret is not None:
            if not secrets.compare_digest(secret.encode(), self.credentials.client_secret.encode()):
                raise TokenError("secret", client=client)
            return
        if "client_assertion" not in form:
            raise TokenError("missing", name="client_assertion or client_secret")
        if form.get("client_assertion_type") != _JWT_BEARER:
            raise TokenError("missing", name="client_assertion_type")
        try:
            claims = jwt.verify(form["client_assertion"], self.credentials.certificate,
                                self._now() // 1_000_000)
            jwt.check_claims(claims, client, endpoint)
            if claims["jti"] in self._used_assertions:
                raise ValueError("The assertion was used before.")
        except ValueError as error:
            raise TokenError("assertion", detail=str(error)) from None
        self._used_assertions.add(claims["jti"])

    def _issue(self, v2: bool, base_url: str) -> dict[str, Any]:
        """A new token. No refresh token: the client asks again (sheet 6.1)."""
        life = self.credentials.lifetime
        now = self._now() // 1_000_000
        token = self._mint(now, base_url)
        self._expiry[token] = (now + life) * 1_000_000
        if v2:
            return {"token_type": "Bearer", "expires_in": life, "ext_expires_in": life,
                    "access_token": token}
        return {"token_type": "Bearer", "expires_in": str(life), "ext_expires_in": str(life),
                "expires_on": str(now + life), "not_before": str(now), "resource": base_url,
                "access_token": token}

    def _mint(self, now: int, base_url: str) -> str:
        def part(value: Any) -> str:
            raw = json.dumps(value, separators=(",", ":")).encode()
            return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

        head = part({"typ": "JWT", "alg": "RS256", "kid": "local"})
        claims = part({"aud": base_url, "appid": self.credentials.client_id, "iat": now,
                       "exp": now + self.credentials.lifetime, "tid": self.credentials.tenant_id,
                       "uti": secrets.token_hex(8)})
        # A token without its signature would tempt clients to read it; nobody verifies this one.
        signature = hashlib.sha512(f"{head}.{claims}".encode()).digest() * 4
        return f"{head}.{claims}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"

    # --- managed identities ---------------------------------------------------------------

    def managed_identity(self, query: str, headers: dict[str, str], base_url: str) -> Response:
        """The machine's identity endpoint in its IMDS and App Service forms (sheet 6.4)."""
        form = dict(parse_qsl(query, keep_blank_values=True))
        app_service = "x-identity-header" in headers
        if not app_service and headers.get("metadata", "").lower() != "true":
            return self._identity_error("bad_request_102", "Required metadata header not specified")
        if form.get("api-version") != ("2019-08-01" if app_service else "2018-02-01"):
            return self._identity_error("invalid_request", "api-version is missing or unsupported")
        if form.get("resource", "").rstrip("/").lower() != base_url.lower():
            return self._identity_error("invalid_resource", f"AADSTS500011: {form.get('resource')}")
        granted = self._issue(False, base_url)
        granted.pop("ext_expires_in")
        if app_service:
            granted.pop("expires_in")
            granted["client_id"] = self.credentials.client_id
        return self._json(200, json.dumps(granted).encode())

    def _identity_error(self, error: str, text: str) -> Response:
        return self._json(400, json.dumps({"error": error, "error_description": text}).encode())

    # --- at the service ---------------------------------------------------------------------

    def check(self, authorization: Optional[str], base_url: str) -> None:
        """Fault 401 unless the header holds a token that lives (sheet 6.5)."""
        kind, _, token = (authorization or "").partition(" ")
        if kind.lower() != "bearer" or not token:
            raise self._unauthorized("0x80044302", "Request is not authenticated.", base_url)
        expiry = self._expiry.get(token.strip())
        if expiry is None:
            raise self._unauthorized("0x8004A100", "The auth ticket is invalid.", base_url)
        if expiry <= self._now():
            del self._expiry[token.strip()]
            raise self._unauthorized("0x8004A101", "The auth ticket has expired.", base_url)

    def _unauthorized(self, code: str, message: str, base_url: str) -> Fault:
        fault = Fault(401, code, message)
        # Unquoted values; the resource ends in a slash that a client must not keep (sheet 6.5).
        fault.headers.append((
            "WWW-Authenticate",
            f"Bearer authorization_uri={base_url}/{self.credentials.tenant_id}/oauth2/authorize, "
            f"resource_id={base_url}/",
        ))
        return fault

    def forget(self) -> None:
        """Every token handed out so far becomes invalid."""
        self._expiry = dict.fromkeys(self._expiry, 0)


def _client(form: dict[str, str], headers: dict[str, str]) -> tuple[Optional[str], Optional[str]]:
    """Client id and secret, from the form or from a Basic header (sheet 6.1)."""
    client, secret = form.get("client_id"), form.get("client_secret")
    kind, _, encoded = headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            name, _, password = base64.b64decode(encoded).decode().partition(":")
        except ValueError:
            return client, secret
        return unquote_plus(name), unquote_plus(password)
    return client, secret
