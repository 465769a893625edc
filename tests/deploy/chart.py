"""The Helm chart: rendered by Helm's engine for a table of values, each result judged by the schemas of Kubernetes and by rules of ours."""

import json

import jsonschema
import kubernetes_validate
import yaml

# The oldest that the chart says it needs, and the newest whose schemas there are.
VERSIONS = ("1.30.0", "1.37.0")

# What Privatemode's own chart takes (privatemode.md 8).
THEIRS = """replicaCount image.image image.pullPolicy image.restartPolicy service.type service.port resources nodeSelector tolerations
affinity config.apiKey.enabled config.apiKey.apiKeySecretName config.ssEndpoint.enabled config.ssEndpoint.ssEndpoint
config.coordinatorEndpoint.enabled config.coordinatorEndpoint.coordinatorEndpoint config.apiEndpoint.enabled config.apiEndpoint.apiEndpoint config.port
config.workspace.enabled config.workspace.volumeClaimName config.workspace.mountPath config.manifest.enabled
config.manifest.configMapName config.manifest.fileName config.manifest.mountPath config.tls.enabled config.tls.secretName
config.customCA.enabled config.customCA.secretName config.customCA.fileName config.extraEnv""".split()

KEY = {"apiKey": {"enabled": True, "apiKeySecretName": "key"}}
TOKENS = {"clientTokens": {"enabled": True, "secretName": "tokens"}}
BOTH = {"providers": ["privatemode", "venice"], "venice": KEY, **KEY}
FULL = {
    "replicaCount": 3,
    "image": {"image": "registry.example/proveil-proxy:1@sha256:" + "0" * 64, "pullSecrets": ["pull"]},
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "private", "operator": "Exists"}],
    "config": {
        **KEY,
        "apiEndpoint": {"enabled": True, "apiEndpoint": "api.privatemode.ai:443"},
        "port": 9000,
        "workspace": {"enabled": True, "volumeClaimName": "log"},
        "manifest": {"enabled": True, "configMapName": "manifest"},
        "tls": {"enabled": True, "secretName": "tls"},
        "customCA": {"enabled": True, "secretName": "ca"},
        "clientTokens": {"enabled": True, "secretName": "tokens"},
        "pins": {"enabled": True, "configMapName": "pins"},
        "policy": {"document": {"schema": "proveil.policy/v1", "name": "a \"name\""}},
        "file": "[models]\nfast = [\"privatemode/a\"]\n",
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://egress:3128"}],
        "extraArgs": ["--emulate-tools"],
        "models": ["privatemode/gpt-oss-120b"],
        "hosts": ["proxy.example"],
        "origins": ["https://chat.example"],
        "drainSeconds": 120,
        "bodyMemoryMib": 128,
    },
    "collateral": {"volumeClaimName": "collateral"},
    "networkPolicy": {
        "ingress": {"metricsFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]},
        "egress": {"extra": [{"ports": [{"port": 3128, "protocol": "TCP"}]}]},
    },
    "autoscaling": {"enabled": True, "cpu": {"enabled": True}},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}, "tokenSecret": {"name": "token"}},
    "podAnnotations": {"a": "b"},
    "podLabels": {"c": "d"},
}

# A file of values as people have it for Privatemode's own chart, its image replaced.
THEIR_VALUES = {
    "replicaCount": 1,
    "image": {"image": "registry.example/proveil-proxy:1", "pullPolicy": "IfNotPresent", "restartPolicy": "Always"},
    "service": {"type": "ClusterIP", "port": 8080},
    "resources": {},
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [],
    "affinity": {},
    "config": {
        "apiKey": {"enabled": True, "apiKeySecretName": "key"},
        "ssEndpoint": {"enabled": False, "ssEndpoint": "secret.example:443"},
        "apiEndpoint": {"enabled": False, "apiEndpoint": "api.example:443"},
        "coordinatorEndpoint": {"enabled": False, "coordinatorEndpoint": "coordinator.example:443"},
        "port": "8080",
        "workspace": {"enabled": False, "volumeClaimName": "log", "mountPath": "/workspace"},
        "manifest": {"enabled": False, "configMapName": "m", "fileName": "m.json", "mountPath": "/etc/config/m.json"},
        "tls": {"enabled": False, "secretName": "tls"},
    },
}
THEIR_VALUES_ON = {
    **THEIR_VALUES,
    "config": {
        name: {**value, "enabled": True} if isinstance(value, dict) else value for name, value in THEIR_VALUES["config"].items()
    },
}

# Name, values, kinds that must come out.
BASE = {"Deployment", "Service", "ServiceAccount", "NetworkPolicy"}
GOOD = [
    ("defaults", {}, BASE | {"PodDisruptionBudget"}),
    ("their values", THEIR_VALUES, BASE),
    ("their values, all on", THEIR_VALUES_ON, BASE),
    ("one replica", {"replicaCount": 1}, BASE),
    ("a key", {"config": KEY}, BASE | {"PodDisruptionBudget"}),
    ("two providers", {"config": BOTH}, BASE | {"PodDisruptionBudget"}),
    ("a preset", {"config": {"policy": {"preset": "strict"}}}, BASE | {"PodDisruptionBudget"}),
    ("metrics", {"serviceMonitor": {"enabled": True}}, BASE | {"PodDisruptionBudget", "ServiceMonitor"}),
    ("metrics and a key", {"config": KEY, "serviceMonitor": {"enabled": True}}, BASE | {"PodDisruptionBudget", "ServiceMonitor"}),
    (
        "metrics and tokens",
        {"config": {**KEY, **TOKENS}, "serviceMonitor": {"enabled": True, "tokenSecret": {"name": "token"}}},
        BASE | {"PodDisruptionBudget", "ServiceMonitor"},
    ),
    ("everything", FULL, BASE | {"PodDisruptionBudget", "ConfigMap", "HorizontalPodAutoscaler", "ServiceMonitor"}),
    (
        "nothing optional",
        {"networkPolicy": {"enabled": False}, "serviceAccount": {"create": False}, "podDisruptionBudget": {"enabled": False}},
        {"Deployment", "Service"},
    ),
]

# Values that are refused, and what the refusal names.
BAD = [
    ({"replicas": 2}, "replicas"),
    ({"config": {"apikey": {}}}, "apikey"),
    ({"config": {"apiKey": {"enabled": True}}}, "apiKeySecretName"),
    ({"config": {"tls": {"enabled": True}}}, "secretName"),
    ({"config": {"trustRoots": {}}}, "trustRoots"),
    ({"config": {"providers": ["openai"]}}, "providers"),
    ({"config": {"providers": []}}, "providers"),
    ({"config": {"providers": ["privatemode", "venice"]}}, "several providers each need a key"),
    ({"config": {"venice": KEY}}, "needs venice in config.providers"),
    ({"config": {"providers": ["venice"], **KEY}}, "needs privatemode in config.providers"),
    ({"config": {"clientTokens": {"enabled": True, "secretName": "t"}}}, "needs a key of the proxy's own"),
    ({"config": {**KEY, **TOKENS}, "serviceMonitor": {"enabled": True}}, "serviceMonitor.tokenSecret.name"),
    ({"config": {"policy": {"preset": "strict", "document": {"a": 1}}}}, "not both"),
    ({"config": {"policy": {"preset": "lax"}}}, "preset"),
    ({"config": {"port": 80}}, "port"),
    ({"config": {"port": "80"}}, "port"),
    ({"config": {"port": "8080x"}}, "port"),
    ({"config": {"port": "65536"}}, "port"),
    ({"config": {"ssEndpoint": {"endpoint": "a"}}}, "ssEndpoint"),
    ({"image": {"image": "ghcr.io/edgelesssys/privatemode/privatemode-proxy@sha256:" + "0" * 64}}, "Privatemode's own proxy"),
    ({"config": {"logLevel": "trace"}}, "logLevel"),
    ({"config": {"bodyMemoryMib": 63}}, "bodyMemoryMib"),
    ({"config": {"bodyMemoryMib": "64Mi"}}, "bodyMemoryMib"),
    ({"config": {"origins": ["*"]}}, "origins"),
    ({"collateral": {"redis": {}}}, "redis"),
    ({"image": {"restartPolicy": "Never"}}, "restartPolicy"),
    ({"autoscaling": {"enabled": True, "answersOpen": {"enabled": False}}}, "enable answersOpen or cpu"),
]


def check(path, need):
    defaults = yaml.safe_load((path / "values.yaml").read_text())
    schema = json.loads((path / "values.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate(defaults, schema)
    for name in THEIRS:
        value = defaults
        for part in name.split("."):
            need(part in value, f"values.yaml has no {name}, which Privatemode's own chart takes")
            value = value[part]
    every_value_has_a_rule(defaults, schema, "", need)
    print(f"ok      chart: values fit their schema, {len(THEIRS)} names of Privatemode's own chart are there")
    try:
        import helm_python as helm
    except ImportError:
        print("skipped Helm: no binary of its library for this machine")
        return
    for name, values, _ in GOOD:
        report = helm.lint(path, values, strict=True, kube_version=f"v{VERSIONS[0]}")
        # 1 is advice: there is no icon.
        worse = [message for message in report["messages"] if message["severity"] > 1]
        need(not report["errors"] and not worse, f"helm lint, {name}: {report}")
    chart = helm.Chart.load(path)
    for name, values, kinds in GOOD:
        rendered = chart.render(values, name="ai", namespace="team")
        documents = [d for file, text in rendered.items() if file.endswith("yaml") for d in yaml.safe_load_all(text) if d]
        need({document["kind"] for document in documents} == kinds, f"{name}: {[d['kind'] for d in documents]}")
        for document in documents:
            judge(document, f"{name}, {document['kind']}", need)
        if name == "their values, all on":
            need("have no effect" in "".join(rendered.values()), f"{name}: notes say what has no effect")
        notes = next(text for file, text in rendered.items() if file.endswith("NOTES.txt"))
        need("://ai-proveil-proxy.team:8080/v1" in notes, f"{name}: notes say the address")
        rules(next(d for d in documents if d["kind"] == "Deployment"), documents, name, need)
    print(f"ok      chart: helm {helm.helm_sdk_version()} lint and template of {len(GOOD)} sets of values, schemas of Kubernetes "
          f"{' and '.join(VERSIONS)}")
    for values, word in BAD:
        try:
            chart.validate_schema(values)
            chart.render(values)
        except helm.HelmError as error:
            need(word in str(error), f"{values}: {error}")
        else:
            need(False, f"{values} is taken")
    print(f"ok      chart: {len(BAD)} sets of values are refused by name")


def every_value_has_a_rule(values, schema, place, need):
    """A misspelt value is an error at every level."""
    for name, value in values.items():
        here = f"{place}.{name}".lstrip(".")
        need(name in schema["properties"], f"values.schema.json: {here} is missing")
        below = schema["properties"][name]
        if isinstance(value, dict) and "properties" in below:
            need(below["additionalProperties"] is False, f"values.schema.json: {here} takes anything")
            every_value_has_a_rule(value, below, here, need)


def judge(document, place, need):
    if document["apiVersion"].startswith("monitoring.coreos.com/"):
        return
    for version in VERSIONS:
        broken = {**document, "speck": {}}
        try:
            kubernetes_validate.validate(broken, version, strict=True)
        except kubernetes_validate.ValidationError:
            pass
        else:
            need(False, f"{place}: the schema of Kubernetes {version} takes anything")
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            need(False, f"{place}, Kubernetes {version}: {error}")


def rules(deployment, documents, name, need):
    """What the restricted profile asks for, and what only belongs together."""
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    security = container["securityContext"]
    arguments = dict(argument.split("=", 1) for argument in container["args"] if "=" in argument)
    environment = {entry["name"]: entry.get("value") for entry in container["env"]}
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    need(pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0, f"{name}: not root")
    need(pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, f"{name}: seccomp")
    need(security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"], f"{name}: privileges")
    need(security["capabilities"] == {"drop": ["ALL"]}, f"{name}: capabilities")
    need(pod["automountServiceAccountToken"] is False, f"{name}: no token of the cluster")
    leave = container["lifecycle"]["preStop"]["sleep"]["seconds"] + int(arguments["--drain"])
    need(pod["terminationGracePeriodSeconds"] > leave, f"{name}: killed while it drains")
    need(mounts.keys() == volumes.keys(), f"{name}: volumes and mounts")
    for volume in volumes.values():
        read_only = mounts[volume["name"]].get("readOnly", False)
        need(read_only or "emptyDir" in volume or "persistentVolumeClaim" in volume, f"{name}: {volume} can be written")
    need(not any("api" in argument.lower() and "key" in argument.lower() for argument in container["args"]), f"{name}: key in `ps`")
    ready = container["readinessProbe"]["httpGet"]["path"]
    need(ready == "/readyz", f"{name}: readiness by {ready}")
    metrics([d for d in documents if d["kind"] in ("NetworkPolicy", "ServiceMonitor")], environment, arguments, name, need)
    need(container["ports"][0]["containerPort"] == int(arguments["--port"]), f"{name}: port")
    hosts = [argument for argument in container["args"] if argument.startswith("--host=")]
    for host in ("ai-proveil-proxy.team", "ai-proveil-proxy.team.svc.cluster.local", "$(POD_IP)"):
        need(f"--host={host}" in hosts, f"{name}: callers say {host}")
    labels = deployment["spec"]["template"]["metadata"]["labels"].items()
    for document in documents:
        spec = document.get("spec", {})
        selector = spec.get("podSelector", spec.get("selector", {}))
        selector = selector.get("matchLabels", selector)
        if document["kind"] != "ServiceMonitor":
            need(selector.items() <= labels, f"{name}: {document['kind']} selects nothing")
    config = next((d["data"] for d in documents if d["kind"] == "ConfigMap"), {})
    need(("policy.json" in config) == (arguments.get("--policy") == "/etc/proveil/policy.json"), f"{name}: policy")
    if "policy.json" in config:
        need(json.loads(config["policy.json"])["name"] == 'a "name"', f"{name}: the policy's text")
        need(config["config.toml"].strip() == FULL["config"]["file"].strip(), f"{name}: the configuration's text")


def metrics(documents, environment, arguments, name, need):
    """Prometheus gets in and sends a token where one is asked for; a label alone never leads to an API key."""
    of = {document["kind"]: document["spec"] for document in documents}
    if "ServiceMonitor" not in of:
        return
    (endpoint,) = of["ServiceMonitor"]["endpoints"]
    tokens = "--client-tokens-file" in arguments
    need(("authorization" in endpoint) == tokens, f"{name}: the token of Prometheus")
    peers = of["NetworkPolicy"]["ingress"][0]["from"]
    if any("namespaceSelector" in peer and "podSelector" not in peer for peer in peers):
        return
    has_key = any(entry.endswith("API_KEY_FILE") for entry in environment)
    by_label = {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}}
    need((by_label in peers) == (tokens or not has_key), f"{name}: who may come from other namespaces")
