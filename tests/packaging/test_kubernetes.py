"""The Kubernetes manifests and the Helm chart: what a cluster would take, and what the image can do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from resolver.config.settings import load_settings
from tests.packaging.tools import ROOT

MANIFESTS = ROOT / "packaging" / "kubernetes"
CHART = ROOT / "packaging" / "helm" / "exchange-resolver"
IMAGE = ROOT / "packaging" / "container"
HELM = Path(os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))) / "exchange-resolver/bin/helm"
OLDEST, NEWEST = "1.25", "1.33"
"""Releases of Kubernetes between which nothing that is used here has changed."""
OTHERS = {"kustomize.config.k8s.io/v1beta1", "monitoring.coreos.com/v1"}
"""API groups that are not Kubernetes' own: their schemas are not among its."""


def documents(text: str) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(text) if one]


def manifests() -> list[dict[str, Any]]:
    return [one for path in sorted(MANIFESTS.glob("*.yaml")) for one in documents(path.read_text())]


def of_kind(found: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    [one] = [one for one in found if one["kind"] == kind]
    return one


def assert_valid(found: list[dict[str, Any]]) -> None:
    """By the schemas of Kubernetes, of the oldest release that is meant and of a new one; unknown keys are faults."""
    validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    for one in found:
        if one["apiVersion"] not in OTHERS:
            for release in (OLDEST, NEWEST):
                validate.validate(one, release, strict=True)


@pytest.mark.slow
def test_the_manifests_are_what_kubernetes_takes() -> None:
    assert_valid(manifests())


@pytest.mark.slow
def test_a_key_that_kubernetes_does_not_know_is_seen() -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    broken = of_kind(manifests(), "Deployment")
    broken["spec"]["replica"] = 2
    with pytest.raises(validate.ValidationError):
        assert_valid([broken])


def assert_guarded(workload: dict[str, Any]) -> None:
    """The pod is one that the strictest standard of pod security takes, with probes and a read-only root."""
    pod = workload["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["seccompProfile"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    settings, problems = load_settings(IMAGE / "resolver.yaml")
    assert settings is not None and not problems
    rest = container["lifecycle"]["preStop"]["exec"]["command"]
    assert rest == ["/usr/bin/python3", "-I", "-c", "import time; time.sleep(10)"]
    assert pod["terminationGracePeriodSeconds"] > 10 + 2, "the rest, and the end of a server"
    ports = {(port["containerPort"], port["protocol"]) for port in container["ports"]}
    [dns] = {endpoint.port for endpoint in settings.listen.dns}
    assert settings.listen.http is not None
    assert ports == {(dns, "UDP"), (dns, "TCP"), (settings.listen.http.port, "TCP")}
    probes = {name: container[name]["httpGet"]["path"] for name in container if name.endswith("Probe")}
    assert probes == {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    # A single file would never change: the kubelet swaps the link to the folder.
    assert mounts["settings"]["mountPath"] == "/etc/exchange-resolver" and "subPath" not in mounts["settings"]
    assert mounts["state"]["mountPath"] == str(settings.state_dir)
    assert {volume["name"] for volume in pod["volumes"]} == set(mounts)


def assert_together(found: list[dict[str, Any]], workload: dict[str, Any]) -> None:
    """Services, budget and policy mean the pods of the workload."""
    labels = workload["spec"]["template"]["metadata"]["labels"]
    selectors = [one["spec"]["selector"] for one in found if one["kind"] == "Service"]
    for kind in ("PodDisruptionBudget", "NetworkPolicy"):
        spec = of_kind(found, kind)["spec"]
        selectors.append(spec.get("selector", spec.get("podSelector"))["matchLabels"])
    selectors.append(workload["spec"]["selector"]["matchLabels"])
    assert len(selectors) == 5
    assert all(selector.items() <= labels.items() for selector in selectors)
    http = next(
        one for one in found if one["kind"] == "Service" and one["metadata"]["name"].endswith("-http")
    )
    for monitor in (one for one in found if one["kind"] == "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"]
        assert wanted.items() <= http["metadata"]["labels"].items()
        assert monitor["spec"]["endpoints"][0]["port"] in [port["name"] for port in http["spec"]["ports"]]


def test_the_manifests_fit_the_image_and_each_other() -> None:
    found = manifests()
    assert_guarded(of_kind(found, "Deployment"))
    assert_together(found, of_kind(found, "Deployment"))
    listed = set(of_kind(found, "Kustomization")["resources"])
    files = {path.name for path in MANIFESTS.glob("*.yaml")}
    assert listed == files - {"kustomization.yaml", "servicemonitor.yaml"}
    settings = of_kind(found, "Deployment")["spec"]["template"]["spec"]["volumes"][0]
    told = (MANIFESTS / "kustomization.yaml").read_text()
    assert f"create configmap {settings['configMap']['name']} " in told, "it says how the ConfigMap is made"


def test_the_settings_of_the_chart_are_those_of_the_image(tmp_path: Path) -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert values["settings"] == yaml.safe_load((IMAGE / "resolver.yaml").read_text())
    jsonschema.validate(values, json.loads((CHART / "values.schema.json").read_text()))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(values | {"kind": "Pod"}, json.loads((CHART / "values.schema.json").read_text()))


def assert_reachable(found: list[dict[str, Any]]) -> None:
    """Whatever family the cluster has: the pod listens, its services have addresses, and it gets out."""
    settings, problems = load_settings(IMAGE / "resolver.yaml")
    assert settings is not None and not problems
    assert {endpoint.address for endpoint in settings.listen.dns} == {"0.0.0.0", "::"}
    assert settings.listen.http is not None and settings.listen.http.is_everywhere
    services = [one["spec"]["ipFamilyPolicy"] for one in found if one["kind"] == "Service"]
    assert services == ["PreferDualStack"] * 2
    [rule] = of_kind(found, "NetworkPolicy")["spec"]["egress"]
    out = {(port["port"], port["protocol"]) for port in rule["ports"]}
    assert out == {(53, "UDP"), (53, "TCP"), (853, "TCP"), (443, "TCP")} and "to" not in rule
    assert {upstream.port for upstream in settings.upstreams.servers} <= {port for port, _ in out}


def test_pods_are_reached_over_either_family_and_reach_upstreams_and_lists() -> None:
    assert_reachable(manifests())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    for wrong in ([], [{"port": 0, "protocol": "TCP"}], [{"port": 53, "protocol": "QUIC"}]):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(values | {"networkPolicy": {"egressPorts": wrong}}, schema)


def template(*words: str, release: str = NEWEST, name: str = "office") -> subprocess.CompletedProcess[str]:
    program = shutil.which("helm") or (str(HELM) if HELM.exists() else None)
    if program is None:
        pytest.skip("helm is not installed")
    # Built from source it takes every cluster for an old one.
    command = [program, "template", name, str(CHART), "--kube-version", release, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def rendered(*words: str, name: str = "office") -> list[dict[str, Any]]:
    told = template(*words, name=name)
    assert told.returncode == 0, told.stderr
    return documents(told.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Deployment", "DaemonSet"])
def test_what_the_chart_renders_is_what_kubernetes_takes(kind: str) -> None:
    found = rendered(
        "--set",
        f"kind={kind},serviceMonitor.enabled=true,tokensSecret=tokens,service.loadBalancerIP=192.0.2.53",
    )
    assert_valid(found)
    workload = of_kind(found, kind)
    workload["spec"]["template"]["spec"]["containers"][0]["volumeMounts"].pop()
    workload["spec"]["template"]["spec"]["volumes"].pop()
    assert_guarded(workload)
    assert_together(found, workload)
    assert_reachable(found)


@pytest.mark.slow
def test_the_chart_lets_pods_reach_ports_of_ones_own() -> None:
    found = rendered(
        "--set", "networkPolicy.egressPorts[0].port=5353,networkPolicy.egressPorts[0].protocol=UDP"
    )
    [rule] = of_kind(found, "NetworkPolicy")["spec"]["egress"]
    assert {"port": 5353, "protocol": "UDP"} in rule["ports"]


@pytest.mark.slow
def test_the_chart_has_no_two_servers_for_one_state() -> None:
    found = rendered("--set", "replicas=1,state.existingClaim=state")
    assert of_kind(found, "Deployment")["spec"]["strategy"] == {"type": "Recreate"}
    assert [one for one in found if one["kind"] == "PodDisruptionBudget"] == []


@pytest.mark.slow
def test_the_chart_carries_a_blocklist_as_it_is_written() -> None:
    found = rendered("--set-file", f"blocklist={ROOT / 'blocklist.yaml'}")
    config = of_kind(found, "ConfigMap")["data"]
    assert yaml.safe_load(config["blocklist.yaml"]) == yaml.safe_load((ROOT / "blocklist.yaml").read_text())
    assert yaml.safe_load(config["resolver.yaml"]) == yaml.safe_load((IMAGE / "resolver.yaml").read_text())


@pytest.mark.slow
def test_the_chart_refuses_a_value_that_it_does_not_know() -> None:
    told = template("--set", "replica=3")
    assert told.returncode != 0 and "replica" in told.stderr


@pytest.mark.slow
def test_the_chart_refuses_a_cluster_that_is_too_old() -> None:
    told = template(release="1.24")
    assert told.returncode != 0 and "incompatible with Kubernetes v1.24" in told.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        "networkPolicy.enabled=false,podDisruptionBudget.enabled=false",
        "service.type=ClusterIP,kind=DaemonSet",
        "service.type=NodePort,service.ipFamilyPolicy=SingleStack,existingConfigMap=mine",
        "imagePullSecrets[0].name=pull,priorityClassName=system-node-critical,nodeSelector.disk=ssd",
        "tolerations[0].operator=Exists,podAnnotations.example\\.org/a=b,service.annotations.example\\.org/a=b",
    ],
)
def test_other_values_of_the_chart_make_what_kubernetes_takes(words: str) -> None:
    assert_valid(rendered("--set", words))


@pytest.mark.slow
def test_the_longest_name_that_helm_takes_is_one_that_kubernetes_takes() -> None:
    found = rendered(name="a" * 53)
    assert_valid(found)
    assert all(len(one["metadata"]["name"]) <= 63 for one in found)
