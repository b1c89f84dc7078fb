"""Tokens and what the service says to bad ones (sheet 6)."""
from __future__ import annotations

import base64
import hashlib
import json
import time

import pytest

from conftest import CLIENT, SECRET, TENANT
from dataverse_service import jwt

#: A key pair that exists for these tests only.
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIDJTCCAg2gAwIBAgIURNaTlA3GQc68u50BLtbZpCU4sZowDQYJKoZIhvcNAQEL
BQAwITEfMB0GA1UEAwwWZGF0YXZlcnNlX3NlcnZpY2UgdGVzdDAgFw0yNjExMjIy
MTI3MjFaGA8yMTI2MTAyOTIxMjcyMVowITEfMB0GA1UEAwwWZGF0YXZlcnNlX3Nl
cnZpY2UgdGVzdDCCASIwDQYJKoZIhvcNAQEBBQADggEPADCCAQoCggEBALhkoiHL
fkCSEjE7YnQSM1ymEC9vdy46UB2QX4jKxPKbCvcoeoa8iE+0CHYJjxgsxzpy/F9e
m3OXmbz/R2rYD6YmNnWMIlic61bNIwnAfVTtOi/wafTPBRWa2LB65PWLsupqzfJn
k4vyuHKZWZLrtsJPniQTS1/FUmOO8deZl+staOBCqctoubIVAtSq2krZ4yh2AS56
UStHCgatYQ0UBpPJnr1j/Ns31vYJ06cRRwkZrGmJynaATBoDijpkdfZNyRGLVP2v
qEiUQyn2X6jINr2Droi2ROlRIrAjGNAdppRRMb/vDGIvHuW37sOkUY/Dzf/QTfcn
mp/V1g2quFgu2WkCAwEAAaNTMFEwHQYDVR0OBBYEFF9uuX1qPG9w/LmiU6pA9DPl
JtayMB8GA1UdIwQYMBaAFF9uuX1qPG9w/LmiU6pA9DPlJtayMA8GA1UdEwEB/wQF
MAMBAf8wDQYJKoZIhvcNAQELBQADggEBAH+z2hhOXSOfXFnnVEbLx+p5b//q7U1w
sLdCO/Oj0/XXgkYYfOBM11P2GTDyx416hPnUvHGJ+JBOgq6UFwS7nXxRbD/uqhEC
mcbZ5x8Nn2GzpG6Fxk66TOCZ/Kb4rX1uMVYpFrS+QWiwg1T+bD2uvMPRFFjpd0n7
IC9R75xUO6s9WHkM4tsDiMd2vS5BN4HE3yeSjzMCXwfHGftNXp+bjZLeBXOanwh/
F3+1a6T8UHYZfhKMwwUnSs9whJ0nK3/UZBfUyn0zKcX4HRnYUhN8vVLemA8v5pmU
q5ml4ZOJQHUTgEHfDoSXic+WeoRy/yLyTTAZERqbEvbPbkuuOkPCZo4=
-----END CERTIFICATE-----
"""
PRIVATE_EXPONENT = int(
    "195163fb9cebc064ee0f89765ab6970bcd1762d3fcbac1b1f76537e0d9ea91df1cf1d3c2831686e6deb2dcb632"
    "4a20f7d7fc2acfd37727b7749a0139269ff5021cb4148ec1b6861140315972c0d5d49fe001ee123655687ecf6c"
    "9a4abd7e4388b4ec264bf6d1c900f23775fbd912f95c93bf04780bbce2248e5bf5b3e3387b475c87f489583691"
    "cb36381890bf0b523303f920255cd085e40eba560c0acfaaaa986148aae3379353ca334e81eebcc5fdffd49da1"
    "cf9be4101ba0bab3bfe761fa6153ab143360b9c21dbbdadf703766a352ad3049dc5ddf0e68f300947ea885eeb2"
    "b139a182f6aed27640a8941ba08a619838b08207e7a5eeac99d25c5e38e323", 16)
KEY = jwt.load_certificate(CERTIFICATE)
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def test_a_token(service):
    reply = service.ask_token()
    assert reply.status == 200
    answer = reply.json()
    assert answer["token_type"] == "Bearer" and answer["expires_in"] == 3599
    assert answer["access_token"].startswith("eyJ")
    assert "refresh_token" not in answer


def test_secret_in_a_basic_header(service):
    basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
    reply = service.ask_token(drop=("client_id", "client_secret"),
                              headers={"Authorization": f"Basic {basic}"})
    assert reply.status == 200


def test_the_older_endpoint_answers_in_strings(service):
    reply = service.ask_token(version="", drop=("scope",), resource=service.url)
    assert reply.status == 200
    assert reply.json()["expires_in"] == "3599"
    assert reply.json()["resource"] == service.url


@pytest.mark.parametrize("arguments, status, error, number", [
    ({"client_secret": "wrong"}, 401, "invalid_client", 7000215),
    ({"client_id": "33333333-3333-3333-3333-333333333333"}, 400, "unauthorized_client", 700016),
    ({"tenant": "33333333-3333-3333-3333-333333333333"}, 400, "invalid_request", 90002),
    ({"tenant": "common"}, 400, "invalid_request", 9001023),
    ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
    ({"scope": "openid"}, 400, "invalid_scope", 70011),
    ({"scope": "https://other.crm.dynamics.com/.default"}, 400, "invalid_resource", 500011),
    ({"drop": ("scope",)}, 400, "invalid_request", 900144),
    ({"drop": ("grant_type",)}, 400, "invalid_request", 900144),
    ({"drop": ("client_id",)}, 400, "invalid_request", 900144),
])
def test_token_errors(service, arguments, status, error, number):
    reply = service.ask_token(**arguments)
    answer = reply.json()
    assert (reply.status, answer["error"], answer["error_codes"]) == (status, error, [number])
    assert answer["error_description"].startswith(f"AADSTS{number}: ")
    assert "\r\nTrace ID: " in answer["error_description"]
    assert answer["error_uri"].endswith(f"code={number}")


def test_trap_a_double_slash_in_the_scope_is_another_audience(service):
    assert service.ask_token(scope=f"{service.url}//.default").json()["error"] == "invalid_resource"


# --- 401 --------------------------------------------------------------------------------------


def call(service, token=None):
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return service.raw("GET", "/api/data/v9.2/WhoAmI", None, headers)


def test_without_a_token_the_service_names_the_authority(service):
    reply = call(service)
    assert reply.status == 401
    assert reply.headers["WWW-Authenticate"] == (
        f"Bearer authorization_uri={service.url}/{TENANT}/oauth2/authorize, "
        f"resource_id={service.url}/")


def test_an_unknown_token(service):
    assert call(service, "eyJhbGciOi").status == 401
    assert call(service, service.token).status == 200


def test_trap_tokens_expire(service):
    token = service.new_token()
    assert call(service, token).status == 200
    service.control("clock", {"advance_seconds": 3598})
    assert call(service, token).status == 200
    service.control("clock", {"advance_seconds": 2})
    reply = call(service, token)
    assert reply.status == 401 and reply.code == "0x8004A101"
    assert "authorization_uri=" in reply.headers["WWW-Authenticate"]
    assert call(service, service.new_token()).status == 200


def test_tokens_can_be_invalidated_at_once(fresh_service):
    service = fresh_service()
    service.control("expire-tokens", {})
    assert call(service, service.token).status == 401


def test_life_of_tokens_is_an_option(fresh_service):
    service = fresh_service(arguments=("--token-lifetime", "60"))
    assert service.ask_token().json()["expires_in"] == 60


# --- managed identities -----------------------------------------------------------------------


def identity(service, query, headers):
    return service.raw("GET", f"/metadata/identity/oauth2/token?{query}", None, headers)


def test_managed_identity_of_a_virtual_machine(service):
    query = f"api-version=2018-02-01&resource={service.url}"
    answer = identity(service, query, {"Metadata": "true"}).json()
    assert isinstance(answer["expires_in"], str)
    assert call(service, answer["access_token"]).status == 200


def test_trap_managed_identity_needs_the_metadata_header(service):
    reply = identity(service, f"api-version=2018-02-01&resource={service.url}", {})
    assert reply.status == 400 and reply.json()["error"] == "bad_request_102"


def test_managed_identity_of_an_app_service_has_no_expires_in(service):
    query = f"api-version=2019-08-01&resource={service.url}"
    answer = identity(service, query, {"X-IDENTITY-HEADER": "x"}).json()
    assert "expires_in" not in answer and answer["expires_on"].isdigit()


# --- assertions ---------------------------------------------------------------------------------


def encode(data):
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def pad_pkcs1(digest):
    tail = b"\0" + bytes.fromhex("3031300d060960864801650304020105000420") + digest
    return b"\0\1" + b"\xff" * (KEY.size - 2 - len(tail)) + tail


def pad_pss(digest):
    salt = b"s" * 32
    hashed = hashlib.sha256(b"\0" * 8 + digest + salt).digest()
    block = b"\0" * (KEY.size - 66) + b"\1" + salt
    masked = bytearray(a ^ b for a, b in zip(block, jwt._mgf1(hashed, len(block))))
    masked[0] &= 0x7F
    return bytes(masked) + hashed + b"\xbc"


def assertion(audience, algorithm="PS256", thumbprint="x5t#S256", client=CLIENT, **claims):
    now = int(time.time())
    digest = {"x5t#S256": KEY.sha256, "x5t": KEY.sha1}[thumbprint]
    head = encode({"alg": algorithm, "typ": "JWT", thumbprint: encode(digest)})
    body = encode({"aud": audience, "iss": client, "sub": client, "jti": str(time.time_ns()),
                   "nbf": now, "exp": now + 300, **claims})
    hashed = hashlib.sha256(f"{head}.{body}".encode()).digest()
    padded = pad_pss(hashed) if algorithm == "PS256" else pad_pkcs1(hashed)
    signature = pow(int.from_bytes(padded, "big"), PRIVATE_EXPONENT, KEY.modulus)
    return f"{head}.{body}.{encode(signature.to_bytes(KEY.size, 'big'))}"


@pytest.fixture
def certified(fresh_service, tmp_path):
    path = tmp_path / "certificate.pem"
    path.write_text(CERTIFICATE)
    return fresh_service(arguments=("--client-certificate", str(path)))


def present(service, token):
    return service.ask_token(drop=("client_secret",), client_assertion_type=JWT_BEARER,
                             client_assertion=token)


@pytest.mark.parametrize("algorithm, thumbprint", [("PS256", "x5t#S256"), ("RS256", "x5t")])
def test_a_signed_assertion(certified, algorithm, thumbprint):
    endpoint = f"{certified.url}/{TENANT}/oauth2/v2.0/token"
    token = assertion(endpoint, algorithm, thumbprint)
    assert present(certified, token).status == 200
    assert present(certified, token).status == 401  # once


@pytest.mark.parametrize("change", [
    {"aud": "https://login.example/"}, {"iss": "someone"}, {"exp": 1}, {"jti": ""},
])
def test_assertions_with_wrong_claims(certified, change):
    endpoint = f"{certified.url}/{TENANT}/oauth2/v2.0/token"
    reply = present(certified, assertion(endpoint, **change))
    assert reply.status == 401 and reply.json()["error_codes"] == [700027]


def test_a_forged_assertion(certified):
    endpoint = f"{certified.url}/{TENANT}/oauth2/v2.0/token"
    head, body, signature = assertion(endpoint).split(".")
    forged = f"{head}.{body}.{signature[:-8]}AAAAAAAA"
    assert present(certified, forged).status == 401


# --- users ------------------------------------------------------------------------------------


def test_impersonation_of_an_unknown_user(service):
    nobody = "00000000-0000-0000-0000-00000000000f"
    reply = service.get("WhoAmI", headers={"CallerObjectId": nobody})
    assert reply.status == 403 and reply.code == "0x80072560"
