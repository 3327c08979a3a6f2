"""The files that start many replicas fit what they start."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from cacheguard.settings import load
from cacheguard.stores.redis_place import read_place

ROOT = Path(__file__).parents[1]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES, CONFIGS = COMPOSE["services"], COMPOSE["configs"]
OBJECTS = list(yaml.safe_load_all((ROOT / "kubernetes.yaml").read_text(encoding="utf-8")))
BY_NAME = {(each["kind"], each["metadata"]["name"]): each for each in OBJECTS}
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
VARIABLE = r"\$\{(\w+)\}"


def settings_in(text, folder):
    (folder / "cacheguard.yaml").write_text(text, encoding="utf-8")
    return load(None, dict.fromkeys(re.findall(VARIABLE, text), "some-key"), folder).settings


def pod(kind, name):
    return BY_NAME[kind, name]["spec"]["template"]["spec"]


@pytest.fixture
def composed(tmp_path):
    return settings_in(CONFIGS["settings"]["content"].replace("$$", "$"), tmp_path)


@pytest.fixture
def deployed(tmp_path):
    return settings_in(BY_NAME["ConfigMap", "cacheguard"]["data"]["cacheguard.yaml"], tmp_path)


def test_compose_names_what_it_has():
    for service in SERVICES.values():
        assert {config["source"] for config in service.get("configs", ())} <= CONFIGS.keys()
        assert set(service.get("depends_on", ())) <= SERVICES.keys()
        assert {volume.partition(":")[0] for volume in service.get("volumes", ())} <= COMPOSE["volumes"].keys()
        assert service["restart"] == "unless-stopped"
    assert f"WORKDIR {Path(SERVICES['cacheguard']['configs'][0]['target']).parent}" in DOCKERFILE


def test_replicas_of_compose_share_its_redis(composed):
    [host] = read_place(composed.store.url).hosts
    assert host == ("redis", 6379)
    assert "healthcheck" in SERVICES["redis"]
    assert SERVICES["cacheguard"]["deploy"]["replicas"] == 2
    assert {"ports", "volumes", "container_name"}.isdisjoint(SERVICES["cacheguard"])  # one each would be one for all


def test_compose_hands_every_variable_on_and_asks_for_it(composed):
    named = set(re.findall(VARIABLE, CONFIGS["settings"]["content"].replace("$$", "$")))
    environment = SERVICES["cacheguard"]["environment"]
    assert named == environment.keys()
    assert all(re.fullmatch(r"\$\{\w+:\?.+\}", value) for value in environment.values())
    assert "$" not in re.sub(r"\$\$", "", "".join(config["content"] for config in CONFIGS.values()))


def test_the_balancer_asks_replicas_where_they_listen_whether_they_are_ready(composed):
    balancing = CONFIGS["balancing"]["content"]
    assert "GET /readyz" in balancing
    assert f"cacheguard:{composed.server.port} check" in balancing
    [published] = SERVICES["balancer"]["ports"]
    assert published.rpartition(":")[2] == re.search(r"bind :(\d+)", balancing)[1]
    most = int(re.search(r"server-template replica (\d+)", balancing)[1])
    assert most >= SERVICES["cacheguard"]["deploy"]["replicas"]


def test_whoever_is_stopped_may_finish(composed, deployed):
    assert int(SERVICES["cacheguard"]["stop_grace_period"].removesuffix("s")) > composed.server.shutdown_grace_s
    own = pod("Deployment", "cacheguard")
    pause_s = own["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert own["terminationGracePeriodSeconds"] > pause_s + deployed.server.shutdown_grace_s


def test_kubernetes_names_what_it_has(deployed):
    assert len(BY_NAME) == len(OBJECTS)
    for kind, name in (("Deployment", "cacheguard"), ("StatefulSet", "cacheguard-redis")):
        spec, own = BY_NAME[kind, name]["spec"], pod(kind, name)
        labels = spec["template"]["metadata"]["labels"]
        assert labels == spec["selector"]["matchLabels"] == BY_NAME["Service", name]["spec"]["selector"]
        [container] = own["containers"]
        claimed = spec.get("volumeClaimTemplates", ())
        volumes = {volume["name"] for volume in own.get("volumes", ())} | {each["metadata"]["name"] for each in claimed}
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes
        assert {"requests", "limits"} <= container["resources"].keys()
    [host] = read_place(deployed.store.url).hosts
    assert BY_NAME["Service", host.name]["spec"]["ports"][0]["port"] == host.port


def test_every_secret_is_a_reference_to_one_that_is_made_first(deployed):
    [container] = pod("Deployment", "cacheguard")["containers"]
    secret = {each["name"]: each["valueFrom"]["secretKeyRef"] for each in container["env"] if "valueFrom" in each}
    text = BY_NAME["ConfigMap", "cacheguard"]["data"]["cacheguard.yaml"]
    assert set(re.findall(VARIABLE, text)) == secret.keys()
    made = re.findall(r"--from-literal=([\w-]+)=", (ROOT / "kubernetes.yaml").read_text(encoding="utf-8"))
    assert {each["key"] for each in secret.values()} == set(made)


def test_probes_ask_the_service_for_what_it_has(deployed):
    [container] = pod("Deployment", "cacheguard")["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": deployed.server.port}]
    paths = {name: container[name]["httpGet"]["path"] for name in container if name.endswith("Probe")}
    assert paths == {"startupProbe": "/readyz", "readinessProbe": "/readyz", "livenessProbe": "/healthz"}


def test_a_replica_writes_only_where_it_has_a_volume(deployed):
    [container] = pod("Deployment", "cacheguard")["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert not deployed.index.folder.is_absolute()
    assert "WORKDIR /data" in DOCKERFILE
    assert {"/data", "/tmp"} <= mounts  # noqa: S108 - the container's


def test_a_replica_runs_as_the_user_of_its_image():
    assert f"--uid {pod('Deployment', 'cacheguard')['securityContext']['runAsUser']}" in DOCKERFILE


def test_no_redis_throws_keys_away():
    [container] = pod("StatefulSet", "cacheguard-redis")["containers"]
    for command in (SERVICES["redis"]["command"], container["args"]):
        assert "--maxmemory-policy noeviction" in " ".join(command)
        assert "--appendonly yes" in " ".join(command)
