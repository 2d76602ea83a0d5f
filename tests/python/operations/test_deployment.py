"""What an operator takes from `docs`: each file is read by the program that it is for, or held against its schema."""

import json
import os
import re
import shutil
import subprocess
import tomllib

import pytest
import yaml

from conftest import ROOT
from service import running

DEPLOYMENT = ROOT / "docs" / "deployment"
OBSERVABILITY = ROOT / "docs" / "observability"
TOOLS = ROOT / os.environ.get("OPERATIONS_VENV", "target/venv-operations") / "bin"


def run(*command, cwd=ROOT):
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def deployment():
    return yaml.safe_load((DEPLOYMENT / "kubernetes" / "deployment.yaml").read_text())


def test_the_alerts_fire_when_they_should():
    run("promtool", "test", "rules", "alerts.test.yaml", cwd=OBSERVABILITY)
    run("promtool", "check", "config", "prometheus.yaml", cwd=OBSERVABILITY)


def test_every_alert_leads_into_the_runbook():
    headings = re.findall(r"^#+ (.*)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    rules = yaml.safe_load((OBSERVABILITY / "alerts.yaml").read_text())["groups"][0]["rules"]
    for rule in rules:
        page, anchor = rule["annotations"]["runbook"].split("#")
        assert page == "docs/runbook.md" and anchor in anchors, rule["alert"]


def test_the_names_are_those_of_a_running_service(program, tmp_path):
    """In the dashboard, the alerts and the table of metrics."""
    with running(program, tmp_path, "--metrics", "--metrics-listen", "127.0.0.1:0") as service:
        service.http.get("/v1/models")
        served = {re.match(r"\w+", name).group() for name in service.metrics()}
    families = served | {name.removesuffix("_bucket") for name in served if name.endswith("_bucket")}
    dashboard = json.loads((OBSERVABILITY / "dashboard.json").read_text())
    texts = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    texts += [(OBSERVABILITY / name).read_text() for name in ("alerts.yaml", "README.md")]
    wanted = set(re.findall(r"\bgigastt_\w+", "\n".join(texts)))
    # A label that was not seen yet is not served.
    unseen = {"gigastt_ws_cancelled_total", "gigastt_http_requests_total", "gigastt_http_request_duration_seconds"}
    assert wanted - families - unseen - {f"{name}_bucket" for name in unseen} == set()
    assert len(wanted) > 15


def test_nginx_reads_its_file(tmp_path):
    key, chain = tmp_path / "key.pem", tmp_path / "chain.pem"
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-keyout", key, "-out", chain)
    part = (DEPLOYMENT / "nginx.conf").read_text()
    part = part.replace("/etc/ssl/stt.example.org.pem", str(chain)).replace("/etc/ssl/stt.example.org.key", str(key))
    (tmp_path / "part.conf").write_text(part)
    whole = f"pid {tmp_path}/pid; error_log stderr; events {{}} http {{ access_log off; include part.conf; }}"
    (tmp_path / "nginx.conf").write_text(whole)
    run(shutil.which("nginx") or "/usr/sbin/nginx", "-t", "-p", tmp_path, "-c", tmp_path / "nginx.conf")


def test_nginx_waits_as_long_as_the_service(program):
    """A long recording is answered at once, after all of it was recognised."""
    waits = int(re.search(r"proxy_read_timeout (\d+)s;", (DEPLOYMENT / "nginx.conf").read_text()).group(1))
    said = re.search(r"--request-timeout-secs.*?\[default: (\d+)\]", run(program, "serve", "--help"), re.DOTALL)
    assert waits > int(said.group(1))


def test_the_service_reads_its_settings(program, tmp_path):
    settings = (DEPLOYMENT / "gigastt.toml").read_text()
    path = tmp_path / "gigastt.toml"
    path.write_text(settings.replace('metrics_listen = "127.0.0.1:9090"', 'metrics_listen = "127.0.0.1:0"'))
    with running(program, tmp_path, "--config", path) as service:
        assert service.http.get("/health").json()["status"] == "ok"
        assert '"message":"serving metrics"' in service.log


def test_systemd_waits_for_the_drain():
    unit = (DEPLOYMENT / "gigastt.service").read_text()
    drain = tomllib.loads((DEPLOYMENT / "gigastt.toml").read_text())["shutdown_drain_secs"]
    assert int(re.search(r"TimeoutStopSec=(\d+)", unit).group(1)) >= drain + 5


def test_compose_knows_its_file_and_waits_for_the_drain():
    run(TOOLS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOYMENT / "compose.yaml")
    service = yaml.safe_load((DEPLOYMENT / "compose.yaml").read_text())["services"]["gigastt"]
    drain = int(service["environment"]["GIGASTT_SHUTDOWN_DRAIN_SECS"])
    assert int(service["stop_grace_period"].removesuffix("s")) >= drain + 5


@pytest.mark.parametrize("name", ["deployment", "pdb", "service"])
def test_kubernetes_knows_its_files(name):
    run(TOOLS / "kubernetes-validate", "--strict", DEPLOYMENT / "kubernetes" / f"{name}.yaml")


def test_kubernetes_waits_for_the_drain(deployment):
    pod = deployment["spec"]["template"]["spec"]
    container = pod["containers"][0]
    drain = int(next(e["value"] for e in container["env"] if e["name"] == "GIGASTT_SHUTDOWN_DRAIN_SECS"))
    before = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] >= before + drain + 5


def test_kubernetes_does_not_set_the_port(deployment):
    """As it does beside a service of the program's name, to an address."""
    name = yaml.safe_load((DEPLOYMENT / "kubernetes" / "service.yaml").read_text())["metadata"]["name"]
    assert name == "gigastt" and deployment["spec"]["template"]["spec"]["enableServiceLinks"] is False


def test_the_scaler_scales_the_deployment(deployment):
    scaler = yaml.safe_load((DEPLOYMENT / "kubernetes" / "scaledobject.yaml").read_text())
    assert (scaler["apiVersion"], scaler["kind"]) == ("keda.sh/v1alpha1", "ScaledObject")
    assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert scaler["spec"]["minReplicaCount"] <= scaler["spec"]["maxReplicaCount"]
    assert {trigger["type"] for trigger in scaler["spec"]["triggers"]} == {"prometheus"}
